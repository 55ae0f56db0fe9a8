//! Whether a method's settings make sense together.

use super::{CollaboratorConfig, ENSEMBLE, FOLDS, MethodConfig, RoundsConfig};
use crate::CombineConfig;
use semievol_select::SelectorConfig;
use semievol_train::MOST_EPOCHS;

/// No method gains by more; what is counted of it must not overflow.
const MOST_ROUNDS: usize = 1000;

impl MethodConfig {
    pub(crate) fn check(&self) -> Result<(), String> {
        if let Some(ratio) = self.unlabelled_per_label.filter(|ratio| !(ratio.is_finite() && *ratio > 0.0)) {
            return Err(format!(
                "method.unlabelled_per_label is {ratio}, but must be above 0; leave it out for all"
            ));
        }
        if self.collaborators.is_empty() {
            return Err("method.collaborators is empty, but somebody has to answer: give at least one".into());
        }
        for (index, collaborator) in self.collaborators.iter().enumerate() {
            let name = collaborator.name();
            if name.is_empty() {
                return Err(format!("method.collaborators: number {} has no name", index + 1));
            }
            if self.collaborators[..index].iter().any(|other| other.name() == name) {
                return Err(format!("method.collaborators: two are called `{name}`; names have to differ"));
            }
            let twin = self.collaborators[..index].iter().find(|other| other.answers_like(collaborator));
            if let Some(twin) = twin {
                return Err(format!(
                    "method.collaborators: `{name}` answers like `{}`; they have to differ by model, shots, temperature, wording or kind",
                    twin.name()
                ));
            }
            if collaborator.shots() > self.neighbours {
                return Err(format!(
                    "method.collaborators: `{name}` has shots = {}, but method.neighbours is {}",
                    collaborator.shots(),
                    self.neighbours
                ));
            }
            match collaborator {
                CollaboratorConfig::LanguageModel { temperature, .. } => {
                    if !(temperature.is_finite() && *temperature >= 0.0) {
                        return Err(format!(
                            "method.collaborators: `{name}` has temperature {temperature}, but it must be 0 or more"
                        ));
                    }
                }
                CollaboratorConfig::Classifier { folds, .. } => {
                    if *folds < 2 {
                        return Err(format!(
                            "method.collaborators: `{name}` has {folds} folds, but it needs at least 2"
                        ));
                    }
                }
                CollaboratorConfig::Neighbours { k, .. } => {
                    if *k == 0 {
                        return Err(format!(
                            "method.collaborators: `{name}` has k = 0, but somebody has to vote"
                        ));
                    }
                }
                CollaboratorConfig::Own { .. } => {}
            }
        }
        let shown = [
            ("warm.shots", self.warm.shots),
            ("confidence_shots", self.confidence_shots),
            ("evolve.shots", self.evolve.shots),
        ];
        for (setting, shots) in shown {
            if shots > self.neighbours {
                return Err(format!(
                    "method.{setting} is {shots}, but method.neighbours is {}",
                    self.neighbours
                ));
            }
        }
        if self.folds == 1 {
            return Err(
                "method.folds is 1, but must be 0 or at least 2: one fold leaves nothing to learn from"
                    .into(),
            );
        }
        if self.ensemble > 1 && !self.collaborators.iter().any(|one| one.model() == Some(ENSEMBLE)) {
            return Err(format!(
                "method.ensemble is {}, but no collaborator asks model = \"ensemble\": let one do so, or leave it out",
                self.ensemble
            ));
        }
        if self.ensemble > 0 && self.rounds.n > 1 {
            return Err(format!(
                "method.rounds.n is {}, but the models of method.ensemble are the first round's: take one round, or no ensemble",
                self.rounds.n
            ));
        }
        if self.ensemble == 1 {
            return Err(
                "method.ensemble is 1, which is the warm model: set it to 2 or more, or leave it out".into(),
            );
        }
        for (key, n) in [(FOLDS, self.folds), (ENSEMBLE, self.ensemble)] {
            let asked = self.collaborators.iter().find(|one| one.model() == Some(key));
            if let Some(one) = asked.filter(|_| n == 0) {
                return Err(format!(
                    "method.collaborators: `{}` asks the models of method.{key}, but that is 0: set it to 2 or more",
                    one.name()
                ));
            }
        }
        if self.probe && self.folds == 0 {
            return Err("method.probe learns from labels that models have not, but method.folds is 0: set it to 2 or more, 5 is usual".into());
        }
        if self.do_no_harm && (self.folds == 0 || self.own_voice().is_none()) {
            return Err("method.do_no_harm compares final answers with the models' own on labels that these have not learnt: set method.folds to 2 or more, and let a collaborator ask model = \"warm\", \"folds\" or \"ensemble\"".into());
        }
        if self.probe && self.combine.is_some() {
            return Err(
                "method.probe and method.combine both say how sure an answer is: take one of them".into()
            );
        }
        if let Some(pretrain) = &self.pretrain {
            check_epochs("method.pretrain.epochs", pretrain.epochs)?;
            if !(pretrain.lr.is_finite() && pretrain.lr > 0.0) {
                return Err(format!("method.pretrain.lr is {}, but must be a positive number", pretrain.lr));
            }
        }
        if let Some(combine) = self.combine {
            combine.check()?;
        }
        self.check_shares()?;
        let RoundsConfig { n, validation } = self.rounds;
        if n == 0 {
            return Err("method.rounds.n is 0, but must be at least 1".into());
        }
        if n > MOST_ROUNDS {
            return Err(format!("method.rounds.n is {n}, but must be at most {MOST_ROUNDS}"));
        }
        if n > 1 && (self.probe || self.do_no_harm || (self.combine.is_some() && self.folds > 0)) {
            return Err(format!(
                "method.rounds.n is {n}, but method.folds measures models of the first round alone: take one round, or none of method.probe, method.do_no_harm and method.combine with folds"
            ));
        }
        if n > 1 && self.combine.is_some_and(|CombineConfig::LogPool { align }| align > 0.0) {
            return Err(format!(
                "method.rounds.n is {n}, but method.combine.align moves the answers of each round to the shares of all unlabelled rows, and later rounds have the rest of them: take one round, or align = 0"
            ));
        }
        if !(0.0..=0.5).contains(&validation) {
            return Err(format!("method.rounds.validation is {validation}, but must be in [0, 0.5]"));
        }
        let share = self.evolve.label_share;
        if !(0.0..1.0).contains(&share) {
            return Err(format!("method.evolve.label_share is {share}, but must be in [0, 1)"));
        }
        self.evolve.epochs.map_or(Ok(()), |epochs| check_epochs("method.evolve.epochs", epochs))
    }

    fn check_shares(&self) -> Result<(), String> {
        if self.shares.is_empty() {
            return Ok(());
        }
        if let Some((option, share)) = self.shares.iter().find(|(_, share)| !(**share > 0.0 && **share < 1.0))
        {
            return Err(format!(
                "method.shares: that of `{option}` is {share}, but must be above 0 and below 1"
            ));
        }
        let sum: f64 = self.shares.values().sum();
        if (sum - 1.0).abs() > 0.011 {
            return Err(format!("method.shares: they make {sum:.3} together, but must make 1"));
        }
        if !self.goes_by_shares() {
            return Err("method.shares are given, but nothing goes by them: set method.combine.align, or method.select.kind = \"balanced\"".into());
        }
        Ok(())
    }

    pub(super) fn goes_by_shares(&self) -> bool {
        let aligned = self.combine.is_some_and(|CombineConfig::LogPool { align }| align > 0.0);
        aligned || matches!(self.select, SelectorConfig::Balanced { .. })
    }
}

/// An error unless so many passes can be made.
fn check_epochs(name: &str, epochs: usize) -> Result<(), String> {
    match epochs {
        1..=MOST_EPOCHS => Ok(()),
        _ => Err(format!("{name} is {epochs}, but must be from 1 to {MOST_EPOCHS}")),
    }
}
