//! What results depend on, as the names of folders and of what may be put together.

use crate::config::{EngineConfig, ExperimentConfig, Quick};
use crate::seed::Run;
use crate::sets::Pool;
use crate::{Experiment, RunError};
use semievol_data::TaskConfig;
use semievol_model::ModelId;
use semievol_pipeline::{Method, Parts};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

impl Experiment {
    /// SHA-256 of what the experiment asks for, whatever its seeds, and without the folder that its relative paths start in:
    /// results of equal settings, models and data may be put together.
    ///
    /// # Errors
    /// As [`Experiment::method`].
    pub fn settings(&self) -> Result<String, RunError> {
        Ok(self.settings_with(&self.method()?))
    }

    pub(crate) fn settings_with(&self, method: &Method) -> String {
        let mut asked = self.asked();
        asked.seeds.clear();
        let mut hasher = Sha256::new();
        hasher.update(asked.to_toml());
        hasher.update(self.changed(method));
        hasher.update(parts_of(method));
        semievol_core::hex(&hasher.finalize())
    }

    /// The configuration without what changes no result.
    fn asked(&self) -> ExperimentConfig {
        let mut asked = self.config().clone();
        // Neither words nor places nor the sizes of another run change a result.
        asked.description.clear();
        asked.data.root = None;
        // The precision of the weights is part of the model's name.
        asked.engine = EngineConfig::default();
        // Models behind servers have names of their own.
        asked.servers.clear();
        asked.batches.clear();
        asked.quick = Quick { labelled: 0, unlabelled: 0, test: 0, max_steps: 0 };
        asked
    }

    /// A method's settings, where a program has changed those of the file.
    fn changed(&self, method: &Method) -> String {
        let changed = Some(&method.config).filter(|config| **config != self.config().method);
        changed.and_then(|config| serde_json::to_string(config).ok()).unwrap_or_default()
    }

    /// SHA-256 of all that the results depend on.
    pub(crate) fn identity(
        &self,
        method: &Method,
        model: &ModelId,
        parts: Parts<'_>,
        data: &[String],
    ) -> String {
        let mut hasher = Sha256::new();
        hasher.update(self.asked().to_toml());
        hasher.update(model.as_str());
        parts.embedder.iter().for_each(|embedder| hasher.update(embedder.id.as_str()));
        hasher.update(parts.trainer.id());
        for (name, model) in parts.models {
            hasher.update(format!("{name}={}\n", model.id()));
        }
        hasher.update(self.changed(method));
        hasher.update(parts_of(method));
        data.iter().for_each(|digest| hasher.update(digest));
        semievol_core::hex(&hasher.finalize())
    }

    /// What `manifest.json` holds.
    pub(crate) fn manifest(
        &self,
        method: &Method,
        run: &Run<'_>,
        identity: &str,
        pool: &Pool,
    ) -> serde_json::Value {
        serde_json::json!({
            "identity": identity,
            "version": env!("CARGO_PKG_VERSION"),
            "seeds": self.config().seeds,
            "model": run.assembly.base.id(),
            "embedder": run.assembly.parts.embedder.map(|embedder| embedder.id),
            "models": run.assembly.parts.models.iter().map(|(name, model)| (name, model.id())).collect::<BTreeMap<_, _>>(),
            "trainer": run.assembly.parts.trainer.id(),
            "adjudicator": method.adjudicator.id(),
            "confidence": method.estimator.id(),
            "selector": match &run.assembly.candidates[..] {
                [] => method.selector.id(),
                candidates => {
                    let ids: Vec<String> = candidates.iter().map(|method| method.selector.id()).collect();
                    format!("chosen by each seed: {}", ids.join(", "))
                }
            },
            "own": own_parts(method).collect::<Vec<_>>(),
            "data": pool.digests,
            "config": self.config(),
        })
    }
}

/// Names the embedder, the trainer and the models behind servers.
pub(crate) fn names(parts: Parts<'_>) -> Vec<String> {
    let embedder = parts.embedder.iter().map(|embedder| embedder.id.as_str().to_owned());
    let models = parts.models.iter().map(|(name, model)| format!("{name}={}", model.id()));
    embedder.chain([parts.trainer.id()]).chain(models).collect()
}

/// Names the classifiers, and what finds neighbours, of a program's own.
pub(crate) fn own_parts(method: &Method) -> impl Iterator<Item = String> {
    let classifiers =
        method.own_classifiers().map(|(name, classifier)| format!("{name}={}", classifier.id()));
    classifiers.chain(method.own_retrieval().map(|own| format!("retrieval={}", own.id())))
}

/// Names the parts of a method.
fn parts_of(method: &Method) -> String {
    let parts = [method.adjudicator.id(), method.estimator.id(), method.selector.id()];
    parts.into_iter().chain(own_parts(method)).map(|id| id + "\n").collect()
}

/// Names a task with every setting of it.
pub(crate) fn task_id(task: &TaskConfig) -> String {
    serde_json::to_string(task).unwrap_or_default()
}
