//! Results read again, and put together from several runs.

use super::{Results, SeedResults};
use crate::RunError;
use semievol_pipeline::PipelineError;
use std::path::{Path, PathBuf};

impl Results {
    /// Reads what a run has left in `metrics.json`. [`Results::folder`] stays empty, for the file may have been moved.
    ///
    /// # Errors
    /// Names the file, and what to do.
    pub fn read(file: &Path) -> Result<Self, RunError> {
        let bytes = std::fs::read(file);
        let bytes = bytes.map_err(|source| PipelineError::File { path: file.to_owned(), source })?;
        let refuse = |what: String| {
            RunError::Assembly(format!(
                "{}: {what}; another version of semievol may have written it: run that experiment again, and finished stages are read",
                file.display()
            ))
        };
        let results: Results = serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;
        if results.seeds.is_empty() {
            return Err(refuse("it has no seeds".into()));
        }
        Ok(results)
    }

    /// The same, one seed each.
    ///
    /// # Errors
    /// None for results that a run has made.
    pub fn by_seed(&self) -> Result<Vec<Results>, RunError> {
        self.seeds.iter().map(|seed| self.of_seeds(vec![seed.clone()])).collect()
    }

    /// The results of one experiment, of which several runs had seeds of their own; in the order of the seeds, as of one
    /// run that was asked for them in this order.
    ///
    /// # Errors
    /// If there are none, if they differ by more than their seeds, or if they have one in common.
    pub fn together(parts: Vec<Results>) -> Result<Results, RunError> {
        let refuse = |what: String| Err(RunError::Assembly(what));
        let Some(first) = parts.first() else { return refuse("no results to put together".into()) };
        for part in &parts {
            if let Some(what) = first.differs(part) {
                return refuse(format!(
                    "{}: {what} of seeds {:?} and {:?} differ, so they are no repetitions of each other: run some of them again, or give one another name",
                    first.name,
                    first.numbers(),
                    part.numbers()
                ));
            }
        }
        let mut seeds: Vec<SeedResults> = parts.iter().flat_map(|part| part.seeds.clone()).collect();
        seeds.sort_by_key(|seed| seed.seed);
        if let Some(twice) = seeds.windows(2).find(|pair| pair[0].seed == pair[1].seed) {
            return refuse(format!("{}: seed {} stands there twice", first.name, twice[0].seed));
        }
        first.of_seeds(seeds)
    }

    /// By what the results of another run differ besides the seeds.
    fn differs(&self, other: &Results) -> Option<&'static str> {
        if self.name != other.name {
            Some("the experiment")
        } else if self.model != other.model {
            Some("the model")
        } else if self.parts != other.parts {
            Some("the embedder, the trainer or other models")
        } else if self.data != other.data {
            Some("the data files")
        } else if self.settings != other.settings {
            Some("the settings")
        } else {
            None
        }
    }

    fn numbers(&self) -> Vec<u64> {
        self.seeds.iter().map(|seed| seed.seed).collect()
    }

    fn of_seeds(&self, seeds: Vec<SeedResults>) -> Result<Results, RunError> {
        let first = seeds.first().map_or(0, |seed| seed.seed);
        let seeds = seeds.into_iter().map(SeedResults::compared).collect::<Result<_, _>>();
        let seeds = seeds.map_err(RunError::eval(first))?;
        let results = Results {
            name: self.name.clone(),
            model: self.model.clone(),
            parts: self.parts.clone(),
            settings: self.settings.clone(),
            data: self.data.clone(),
            folder: PathBuf::new(),
            seeds,
            summary: Vec::new(),
        };
        results.summed_up().map_err(RunError::eval(first))
    }
}

/// Truth values as a string of digits.
pub(super) mod digits {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(values: &[bool], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&values.iter().map(|value| if *value { '1' } else { '0' }).collect::<String>())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<bool>, D::Error> {
        let digit = |digit| match digit {
            '0' => Ok(false),
            '1' => Ok(true),
            other => Err(D::Error::custom(format!("`{other}` among digits that are 0 or 1"))),
        };
        String::deserialize(deserializer)?.chars().map(digit).collect()
    }
}
