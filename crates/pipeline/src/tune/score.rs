use crate::{Answered, SeedRun};
use semievol_core::{Answer, Labeled};
use serde::{Deserialize, Serialize};

/// How models answered labels that they had not learnt.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    /// Labels answered right.
    pub right: usize,
    /// Labels.
    pub of: usize,
    /// Mean `-ln P` of the right option; absent for open answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nll: Option<f64>,
}

impl HeldOut {
    /// Which is chosen: the one that answers most right; of equals the one that is surer of the right answers, then the
    /// first. 0 for none.
    pub(super) fn best<'h>(all: impl IntoIterator<Item = &'h HeldOut>) -> usize {
        let mut best: Option<(usize, &HeldOut)> = None;
        for (index, one) in all.into_iter().enumerate() {
            if best.is_none_or(|(_, best)| one.beats(best)) {
                best = Some((index, one));
            }
        }
        best.map_or(0, |(index, _)| index)
    }

    fn beats(&self, other: &HeldOut) -> bool {
        let sure = |held_out: &HeldOut| -held_out.nll.unwrap_or(f64::INFINITY);
        self.right.cmp(&other.right).then(sure(self).total_cmp(&sure(other))).is_gt()
    }
}

/// Answers that are counted as they come.
#[derive(Default)]
pub(super) struct Tally {
    right: usize,
    of: usize,
    logs: Vec<f64>,
}

impl Tally {
    /// Counts the answers to these labels.
    pub fn add<'l>(
        &mut self,
        run: &SeedRun<'_>,
        labels: impl IntoIterator<Item = &'l Labeled>,
        answered: &[Answered],
    ) {
        for (labeled, answered) in labels.into_iter().zip(answered) {
            let gold = &labeled.answer;
            let is_right = |answer: &Answer| run.task.is_correct(answer, gold);
            self.right += usize::from(answered.predicted.as_ref().is_some_and(is_right));
            self.of += 1;
            self.logs.extend(nll(answered, gold));
        }
    }

    pub fn mean(self) -> HeldOut {
        let Tally { right, of, logs } = self;
        let nll = (of > 0 && logs.len() == of).then(|| logs.iter().sum::<f64>() / of as f64);
        HeldOut { right, of, nll }
    }
}

fn nll(answered: &Answered, gold: &Answer) -> Option<f64> {
    let Answer::Choice(gold) = *gold else { return None };
    Some(-answered.options.get(gold)?.probability.max(f64::MIN_POSITIVE).ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_right_answers_win_and_surer_ones_among_equals() {
        let held_out = |right, nll| HeldOut { right, of: 9, nll };
        assert!(held_out(7, Some(2.0)).beats(&held_out(6, Some(0.1))));
        assert!(held_out(7, Some(0.3)).beats(&held_out(7, Some(0.4))));
        assert!(!held_out(7, Some(0.3)).beats(&held_out(7, Some(0.3))));
        assert!(!held_out(7, None).beats(&held_out(7, None)));
        let all = [(6, 0.1), (7, 0.4), (7, 0.3), (7, 0.3)].map(|(right, nll)| held_out(right, Some(nll)));
        assert_eq!((HeldOut::best(&all), HeldOut::best([])), (2, 0));
    }
}
