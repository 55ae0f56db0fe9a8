//! `cargo xtask suite`: several experiments, each with several seeds, whose results are kept as they come.

use crate::experiment::Asked;
use crate::files;
use crate::results::{self, Kept};
use anyhow::bail;
use semievol::Override;
use semievol_cli::Machine;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  cargo xtask suite table --data path/to/sets      the project's table: all experiments, all seeds
  cargo xtask suite table tweets --seeds 2         one row of it, one seed
  cargo xtask suite --list                         what suites there are

Every finished seed is kept in docs/results/data, and what is kept is not run again, on whatever machine it was made: a
suite may be stopped at any time and goes on where it was. A folder given with --data holds a folder for each data set
that the project does not fetch by itself (fpb, pubmedqa, arc), with labeled.csv, unlabeled.csv and test.csv.";

/// Runs a suite of experiments, one seed after the other, and keeps what comes out with the project.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Which suite (see --list).
    #[arg(value_name = "NAME", default_value = "table")]
    suite: String,
    /// These of its experiments alone, with or without the study behind the name.
    #[arg(value_name = "EXPERIMENT")]
    cells: Vec<String>,
    /// These seeds alone.
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    seeds: Vec<u64>,
    /// The folder with a folder for each data set that is not fetched.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where the runs' folders go; their finished stages serve later runs.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// Where results are kept, and the pages made from them.
    #[arg(long, value_name = "DIR", default_value = "docs/results")]
    keep: PathBuf,
    #[command(flatten)]
    machine: Machine,
    /// Lists suites with their experiments and runs none.
    #[arg(long)]
    list: bool,
}

/// A file of `xtask/suites`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// What it shows, to follow a colon.
    pub description: String,
    /// The study of experiments that name none.
    study: Option<String>,
    seeds: Vec<u64>,
    /// As `--set`, for all its experiments; what they set themselves comes after.
    #[serde(default)]
    set: Vec<String>,
    /// Its experiments, in the order of the list.
    pub cells: Vec<Cell>,
}

/// One experiment of a suite.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    experiment: String,
    /// The folder of its data below `--data`; absent where the data is fetched.
    data: Option<String>,
    study: Option<String>,
    seeds: Option<Vec<u64>>,
    /// Why means over the suite leave it out; absent where they count it.
    pub apart: Option<String>,
    /// As `--set`.
    #[serde(default)]
    set: Vec<String>,
}

impl Suite {
    fn read(name: &str) -> anyhow::Result<Suite> {
        files::read(&files::suite(name)?)
    }

    /// All of them, by name.
    pub fn all() -> anyhow::Result<Vec<(String, Suite)>> {
        files::suites()?.into_iter().map(|name| Ok((name.clone(), Suite::read(&name)?))).collect()
    }

    /// Whether all its experiments run the same study.
    pub fn is_one_study(&self) -> bool {
        self.cells.iter().all(|cell| cell.study.is_none())
    }

    fn study<'s>(&'s self, cell: &'s Cell) -> Option<&'s String> {
        cell.study.as_ref().or(self.study.as_ref())
    }

    fn seeds<'s>(&'s self, cell: &'s Cell) -> &'s [u64] {
        cell.seeds.as_ref().unwrap_or(&self.seeds)
    }

    /// The name of a cell's results.
    pub fn name_of(&self, cell: &Cell) -> String {
        let study = self.study(cell).map(|study| format!("-{study}"));
        format!("{}{}", cell.experiment, study.unwrap_or_default())
    }

    fn is(&self, cell: &Cell, name: &str) -> bool {
        cell.experiment == name || self.name_of(cell) == name
    }

    /// What is to be run of it.
    fn asked(&self, args: &Args) -> anyhow::Result<Vec<(u64, &Cell)>> {
        if let Some(other) = args.cells.iter().find(|name| !self.cells.iter().any(|cell| self.is(cell, name)))
        {
            let known: Vec<String> = self.cells.iter().map(|cell| self.name_of(cell)).collect();
            bail!("the suite `{}` has no experiment `{other}`; it has {}", args.suite, known.join(", "));
        }
        let named = |cell| args.cells.is_empty() || args.cells.iter().any(|name| self.is(cell, name));
        let mut jobs = self.jobs();
        jobs.retain(|(_, cell)| named(cell));
        let seeds: BTreeSet<u64> = jobs.iter().map(|(seed, _)| *seed).collect();
        if let Some(other) = args.seeds.iter().find(|seed| !seeds.contains(seed)) {
            bail!(
                "--seeds {other}: these experiments of the suite `{}` have the seeds {seeds:?}",
                args.suite
            );
        }
        jobs.retain(|(seed, _)| args.seeds.is_empty() || args.seeds.contains(seed));
        Ok(jobs)
    }

    /// One seed of a cell, as the command line would ask for it.
    fn ask(&self, cell: &Cell, seed: u64, data: Option<PathBuf>) -> anyhow::Result<Asked> {
        Ok(Asked {
            experiment: cell.experiment.clone(),
            study: self.study(cell).cloned(),
            seeds: vec![seed],
            data,
            set: self
                .set
                .iter()
                .chain(&cell.set)
                .map(|text| text.parse::<Override>())
                .collect::<Result<_, _>>()?,
            ..Asked::default()
        })
    }

    /// What is to be run, the first seed of all before the second of any.
    fn jobs(&self) -> Vec<(u64, &Cell)> {
        let of = |cell| self.seeds(cell).iter().enumerate().map(move |(turn, seed)| (turn, *seed, cell));
        let mut jobs: Vec<(usize, u64, &Cell)> = self.cells.iter().flat_map(of).collect();
        jobs.sort_by_key(|(turn, ..)| *turn);
        jobs.into_iter().map(|(_, seed, cell)| (seed, cell)).collect()
    }
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let kept = Kept::in_folder(&args.keep);
    if args.list {
        return list(&kept);
    }
    let suite = Suite::read(&args.suite)?;
    let jobs = suite.asked(args)?;
    let hub = args.machine.hub()?;
    let (mut open, mut without_data) = (Vec::new(), Vec::new());
    for (seed, cell) in jobs {
        let name = suite.name_of(cell);
        // Settings know no places, so they can be compared where there is no data.
        if kept.has(&name, seed, &suite.ask(cell, seed, None)?.read()?.settings()?)? {
            eprintln!("{name}, seed {seed}: kept before");
        } else if let Some(data) = data(args, cell) {
            open.push((name, suite.ask(cell, seed, data)?.read()?));
        } else {
            without_data.extend(cell.data.clone());
        }
    }
    without_data.sort();
    without_data.dedup();
    if !without_data.is_empty() {
        eprintln!("left out, for want of data: {}", without_data.join(", "));
    }
    let mut failed = Vec::new();
    for (name, experiment) in open {
        let seed = experiment.config().seeds[0];
        eprintln!("{name}, seed {seed}");
        let done = semievol_cli::execute(&experiment, &hub, &args.out).and_then(|results| {
            println!("{name}, seed {seed}: {}", results.verdict());
            kept.keep(&results)?;
            results::write_pages(&kept)
        });
        // The others may do.
        if let Err(error) = done {
            eprintln!("{name}, seed {seed}: {error:#}");
            failed.push(format!("{name}, seed {seed}"));
        }
    }
    results::write_pages(&kept)?;
    if !failed.is_empty() {
        bail!("not through: {}; why stands above", failed.join("; "));
    }
    if !without_data.is_empty() {
        bail!(
            "left out, for want of data: {}; give the folder that holds a folder of each with --data DIR, or name the experiments that need none",
            without_data.join(", ")
        );
    }
    Ok(())
}

/// Prints all suites, with the seeds that are kept of each experiment.
fn list(kept: &Kept) -> anyhow::Result<()> {
    let all = kept.all()?;
    for (name, suite) in Suite::all()? {
        println!("{name}: {}", suite.description);
        for cell in &suite.cells {
            let name = suite.name_of(cell);
            let found = all.get(&name).map(|results| results.seeds.iter().map(|seed| seed.seed).collect());
            let found: Vec<u64> = found.unwrap_or_default();
            println!("  {name}: seeds {:?}, kept {found:?}", suite.seeds(cell));
        }
    }
    Ok(())
}

/// Where a cell's relative paths start; `None` for one whose data is not there.
fn data(args: &Args, cell: &Cell) -> Option<Option<PathBuf>> {
    match &cell.data {
        None => Some(None),
        Some(folder) => {
            let folder = args.data.as_ref()?.join(folder);
            folder.is_dir().then_some(Some(folder))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_of_every_suite_is_an_experiment() {
        let suites = Suite::all().expect("suites");
        assert!(suites.iter().any(|(name, _)| name == "table"));
        let mut names = BTreeSet::new();
        for (suite, cell) in
            suites.iter().flat_map(|(_, suite)| suite.cells.iter().map(move |cell| (suite, cell)))
        {
            let asked = suite.ask(cell, 7, None).expect("settings");
            let experiment =
                asked.read().unwrap_or_else(|error| panic!("{}: {error:#}", suite.name_of(cell)));
            assert_eq!(experiment.config().name, suite.name_of(cell));
            assert_eq!(experiment.config().seeds, [7]);
            assert!(!suite.seeds(cell).is_empty());
            assert!(names.insert(suite.name_of(cell)), "{} stands in two places", suite.name_of(cell));
        }
    }

    #[test]
    fn what_a_cell_sets_comes_after_what_its_suite_sets() {
        let text = "description = 'x'\nseeds = [1]\nset = ['train.epochs=7', 'train.lr=0.5']\n[[cells]]\nexperiment = 'fpb'\nset = ['train.epochs=9']";
        let suite: Suite = toml::from_str(text).expect("a suite");
        let asked = suite.ask(&suite.cells[0], 1, None).expect("settings");
        let experiment = asked.read().expect("an experiment");
        assert_eq!((experiment.config().train.epochs, experiment.config().train.lr), (9, 0.5));
    }

    #[test]
    fn the_first_seed_of_all_comes_before_the_second_of_any() {
        let text = "description = 'x'\nseeds = [1, 2]\n[[cells]]\nexperiment = 'a'\n[[cells]]\nexperiment = 'b'\nseeds = [5]";
        let suite: Suite = toml::from_str(text).expect("a suite");
        let jobs: Vec<(u64, &str)> =
            suite.jobs().into_iter().map(|(seed, cell)| (seed, cell.experiment.as_str())).collect();
        assert_eq!(jobs, [(1, "a"), (5, "b"), (2, "a")]);
        assert!(suite.is(&suite.cells[0], "a") && !suite.is(&suite.cells[0], "b"));
    }
}
