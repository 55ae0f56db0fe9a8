//! What a command may take of this machine and of the network.

use anyhow::{Context, bail};
use semievol::hub::{Hub, HubConfig};

/// More would take minutes to start, and help no machine that there is.
const MOST_THREADS: usize = 1024;

/// Network and threads.
#[derive(Debug, clap::Args)]
pub struct Machine {
    /// Downloads nothing: what is not in the cache is an error.
    #[arg(long)]
    offline: bool,
    /// Threads to compute with; all by default.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

impl Machine {
    /// Takes the threads; downloads, and where they go.
    ///
    /// # Errors
    /// If the flags or the environment say what makes no sense.
    pub fn hub(&self) -> anyhow::Result<Hub> {
        if let Some(threads) = self.threads {
            if threads == 0 {
                bail!("--threads 0: at least one has to compute; leave it out for all");
            }
            if threads > MOST_THREADS {
                bail!(
                    "--threads {threads}: at most {MOST_THREADS}; leave it out for all that this machine has"
                );
            }
            rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().context("--threads")?;
        }
        let mut config = HubConfig::from_env()?;
        config.offline |= self.offline;
        Ok(Hub::new(config))
    }
}
