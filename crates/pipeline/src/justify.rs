//! Eq. 5: what the collaborators agree on stands, and disputes are decided.

use crate::collaborate::Answers;
use crate::folder::{Inputs, Place};
use crate::round::Round;
use crate::{OnEvent, PipelineError, SeedRun, StageEvent};
use semievol_core::{Candidate, Sample};
use semievol_model::LanguageModel;
use semievol_select::{Adjudicator, Dispute, agreed};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The final answer to one sample: a line of `justified.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Justified {
    /// The sample.
    pub id: String,
    /// How it came about.
    pub by: Verdict,
    /// The final answer; its `answer` is absent if nobody gave one that could be read.
    pub last: Candidate,
}

/// How a final answer came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All collaborators gave it.
    Agreement,
    /// They differed, or some had no answer, and the adjudicator decided.
    Adjudicated,
    /// They differed, and the adjudicator found no answer: there is none.
    Undecided,
    /// Nobody had an answer.
    Unanswered,
}

const NAME: &str = "justified";
/// Disputes that are decided in one call, and lost by a kill.
const BATCH: usize = 32;

impl SeedRun<'_> {
    pub(crate) fn justify(
        &self,
        adjudicator: &dyn Adjudicator,
        round: &Round<'_>,
        answers: &[Answers],
        events: OnEvent<'_>,
    ) -> Result<Vec<Justified>, PipelineError> {
        let Round { warm, samples, .. } = round;
        let mut finals: Vec<Option<Justified>> = Vec::with_capacity(samples.len());
        let mut disputed = Vec::new();
        for (index, (sample, answers)) in samples.iter().zip(answers).enumerate() {
            let without_dispute = self.undisputed(sample, &answers.candidates);
            if without_dispute.is_none() {
                disputed.push(index);
            }
            finals.push(without_dispute);
        }
        let inputs = Inputs::of("justify")
            .with("judge", warm.id())
            .with("adjudicator", adjudicator.id())
            .with("task", self.task_id)
            .with_digest("samples", &samples)
            .with_digest("answers", &answers);
        let name = round.stage(NAME);
        let (place, stage) = self.prompts_stage(&name, inputs, disputed.len());
        self.rows(&place, stage, events, |events| {
            let disputes: Vec<(usize, Dispute<'_>)> = disputed
                .iter()
                .map(|index| {
                    let (sample, candidates) = (&samples[*index], answers[*index].candidates.as_slice());
                    (*index, Dispute { sample, candidates })
                })
                .collect();
            for (index, last) in self.decide(&place, adjudicator, *warm, &disputes, events)? {
                let by = if last.answer.is_some() { Verdict::Adjudicated } else { Verdict::Undecided };
                finals[index] = Some(Justified { id: samples[index].id.clone(), by, last });
            }
            Ok(finals.into_iter().flatten().collect())
        })
    }

    /// What all say, or that nobody says anything.
    fn undisputed(&self, sample: &Sample, candidates: &[Candidate]) -> Option<Justified> {
        let id = sample.id.clone();
        if candidates.iter().all(|candidate| candidate.answer.is_none()) {
            return Some(Justified { id, by: Verdict::Unanswered, last: Candidate::new("nobody", None) });
        }
        let answer = agreed(self.task, candidates)?.clone();
        // The wording of an open answer is the first collaborator's.
        let mut last = Candidate::new("agreement", Some(answer));
        last.response = candidates.first().map(|first| first.response.clone()).unwrap_or_default();
        Some(Justified { id, by: Verdict::Agreement, last })
    }

    /// The final candidate of each dispute, by the index of its sample.
    fn decide(
        &self,
        place: &Place,
        adjudicator: &dyn Adjudicator,
        judge: &dyn LanguageModel,
        disputes: &[(usize, Dispute<'_>)],
        events: OnEvent<'_>,
    ) -> Result<BTreeMap<usize, Candidate>, PipelineError> {
        let (mut journal, kept) = place.journal::<Candidate>()?;
        let mut decided = kept.results;
        // Decisions come by the batch.
        let complete: BTreeSet<usize> = (disputes.chunks(BATCH).enumerate())
            .filter(|(number, _)| kept.batches.contains(number))
            .flat_map(|(_, batch)| batch.iter().map(|(index, _)| *index))
            .collect();
        decided.retain(|index, _| complete.contains(index));
        if !decided.is_empty() {
            events(&StageEvent::Resumed { done: decided.len() });
        }
        for (number, batch) in disputes.chunks(BATCH).enumerate() {
            if kept.batches.contains(&number) {
                continue;
            }
            let disputes: Vec<Dispute<'_>> = batch.iter().map(|(_, dispute)| *dispute).collect();
            let select = |source| PipelineError::Select { stage: NAME.to_owned(), source };
            let candidates = adjudicator.adjudicate(judge, self.task, &disputes).map_err(select)?;
            if candidates.len() != disputes.len() {
                return Err(PipelineError::Assembly(format!(
                    "{}: {} disputes got {} decisions; an adjudicator decides each",
                    adjudicator.id(),
                    disputes.len(),
                    candidates.len()
                )));
            }
            for ((index, _), candidate) in batch.iter().zip(candidates) {
                journal.result(*index, &candidate)?;
                decided.insert(*index, candidate);
            }
            journal.batch(number)?;
            events(&StageEvent::Progress { done: decided.len() });
        }
        Ok(decided)
    }
}
