//! Results read again, and put together from several runs.

use super::Results;
use crate::RunError;
use semievol_pipeline::PipelineError;
use std::path::Path;

impl Results {
    /// Reads what a run has left in `metrics.json`.
    ///
    /// # Errors
    /// Names the file, and what to do.
    pub fn read(file: &Path) -> Result<Self, RunError> {
        let bytes = std::fs::read(file);
        let bytes = bytes.map_err(|source| PipelineError::File { path: file.to_owned(), source })?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let file = file.display();
            RunError::Assembly(format!(
                "{file}: {error}; another version of semievol may have written it: run that experiment again, and finished stages are read"
            ))
        })
    }

    /// The same, one seed each.
    ///
    /// # Errors
    /// None for results that a run has made.
    pub fn by_seed(&self) -> Result<Vec<Results>, RunError> {
        let one = |seed: &super::SeedResults| {
            let alone = Results { seeds: vec![seed.clone()], summary: Vec::new(), ..self.clone() };
            alone.summed_up().map_err(RunError::eval(seed.seed))
        };
        self.seeds.iter().map(one).collect()
    }

    /// The results of one experiment, of which several runs had seeds of their own; by seed.
    ///
    /// # Errors
    /// If they differ by more than their seeds, or have one in common.
    pub fn together(parts: Vec<Results>) -> Result<Results, RunError> {
        let mut parts = parts.into_iter();
        let mut all = parts.next().ok_or_else(|| RunError::Assembly("no results to put together".into()))?;
        for part in parts {
            let differ = if (&part.name, &part.model) != (&all.name, &all.model) {
                Some("the experiment or the model")
            } else if part.data != all.data {
                Some("the data files")
            } else if part.settings != all.settings {
                Some("the settings")
            } else {
                None
            };
            if let Some(what) = differ {
                let (new, old) = (&part.seeds[0].seed, &all.seeds[0].seed);
                return Err(RunError::Assembly(format!(
                    "{}: {what} of seed {new} and seed {old} differ, so they are no repetitions of each other; run the older one again",
                    part.name
                )));
            }
            all.seeds.extend(part.seeds);
        }
        all.seeds.sort_by_key(|seed| seed.seed);
        if let Some(twice) = all.seeds.windows(2).find(|pair| pair[0].seed == pair[1].seed) {
            return Err(RunError::Assembly(format!(
                "{}: seed {} stands there twice",
                all.name, twice[0].seed
            )));
        }
        let first = all.seeds.first().map_or(0, |seed| seed.seed);
        all.summed_up().map_err(RunError::eval(first))
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
