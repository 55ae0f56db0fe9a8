//! Questions to models: each distinct one once, in batches that do not depend on when the run was interrupted.

use crate::folder::{Journal, Place};
use crate::seed_run::broken;
use crate::{OnEvent, PipelineError, StageEvent};
use semievol_core::{Prompt, TokenLogprob};
use semievol_model::{
    Finish, GenerateRequest, Generation, LanguageModel, ModelError, ScoreRequest, Scores, Work,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// Questions of one call, and so at most the work that a kill loses in an engine whose last bits depend on the
/// call. Prompts that begin alike stand together, so an engine that shares prefixes loses little at the seams.
const BATCH: usize = 64;

/// Where a model refuses so many requests of the first round and serves none, it is not the requests' fault. In later rounds
/// those may be left that it always refuses.
const ALL_REFUSED: usize = 8;

/// One question to one model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Question {
    /// Position of the model among those that are asked.
    pub model: usize,
    /// The prompt; then, for when it does not fit the model's context, ever shorter ones.
    pub prompts: Vec<Prompt>,
    /// What is wanted.
    pub want: Want,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Want {
    /// The log-probabilities of these continuations.
    Scores(Vec<String>),
    /// A response; the prompt stands in the question.
    Response(GenerateRequest),
}

/// What the model said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reply {
    /// Which of the question's prompts fitted.
    pub prompt: usize,
    pub said: Said,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    Scores(Scores),
    Response {
        text: String,
        tokens: Vec<TokenLogprob>,
        finish: Finish,
    },
    /// Not even the shortest prompt fitted, or a server refused it.
    TooLong(String),
}

/// The replies so far, each of them in the stage's journal.
struct Replies {
    journal: Journal,
    by_question: BTreeMap<usize, Reply>,
}

impl Replies {
    fn keep(&mut self, index: usize, reply: Reply, events: OnEvent<'_>) -> Result<(), PipelineError> {
        self.journal.result(index, &reply)?;
        self.by_question.insert(index, reply);
        events(&StageEvent::Progress { done: self.by_question.len() });
        Ok(())
    }

    fn has(&self, index: &usize) -> bool {
        self.by_question.contains_key(index)
    }
}

/// Asks everything that the stage's journal does not know yet; replies in the questions' order. `first` says that nobody
/// was asked about these samples before.
pub(crate) fn ask(
    stage: &str,
    place: &Place,
    models: &[&dyn LanguageModel],
    questions: &[Question],
    first: bool,
    events: OnEvent<'_>,
) -> Result<Vec<Reply>, PipelineError> {
    let (journal, kept) = place.journal::<Reply>()?;
    let mut replies = Replies { journal, by_question: kept.results };
    let batches = batches(models, questions);
    forget_unfinished(&mut replies.by_question, models, questions, &batches, &kept.batches);
    if !replies.by_question.is_empty() {
        events(&StageEvent::Resumed { done: replies.by_question.len() });
    }
    for (position, model) in models.iter().enumerate() {
        let open = questions.iter().enumerate().filter(|(index, _)| !replies.has(index));
        let work = work(open.map(|(_, question)| question).filter(|question| question.model == position));
        if let Some(estimate) = model.estimate(&work).filter(|_| work.prompts > 0) {
            events(&StageEvent::Note(format!("{stage}: {estimate}")));
        }
    }
    // The models that have answered something.
    let answered = replies.by_question.iter().filter(|(_, reply)| !matches!(reply.said, Said::TooLong(_)));
    let mut serve: BTreeSet<usize> = answered.map(|(index, _)| questions[*index].model).collect();
    for (number, batch) in batches.iter().enumerate() {
        let position = questions[batch[0]].model;
        let model = models[position];
        if kept.batches.contains(&number) {
            continue;
        }
        let mut open: Vec<usize> = batch.iter().copied().filter(|index| !replies.has(index)).collect();
        // Refusals wait until the model answers something: one that is mended is to be asked again.
        let mut waiting: Vec<(usize, Reply)> = Vec::new();
        // The level is the prompt that is tried: all at their first, then what did not fit at the next.
        for level in 0.. {
            if open.is_empty() {
                break;
            }
            let mut failed = None;
            let mut too_long = Vec::new();
            let mut put = |index: usize, said: Result<Said, ModelError>| {
                let said = match said {
                    Ok(said) => {
                        serve.insert(position);
                        said
                    }
                    // A refused one may be too long for a server that does not say how much it holds.
                    Err(ModelError::ContextExceeded { .. } | ModelError::Refused { .. })
                        if level + 1 < questions[index].prompts.len() =>
                    {
                        too_long.push(index);
                        return ControlFlow::Continue(());
                    }
                    Err(ModelError::Refused { reason, .. }) if !serve.contains(&position) => {
                        waiting.push((index, Reply { prompt: level, said: Said::TooLong(reason) }));
                        return ControlFlow::Continue(());
                    }
                    Err(error) => match error.of_one_prompt() {
                        Ok(reason) => Said::TooLong(reason),
                        Err(error) => {
                            failed = Some(PipelineError::model(stage)(error));
                            return ControlFlow::Break(());
                        }
                    },
                };
                let before =
                    if serve.contains(&position) { std::mem::take(&mut waiting) } else { Vec::new() };
                for (index, reply) in before.into_iter().chain([(index, Reply { prompt: level, said })]) {
                    if let Err(error) = replies.keep(index, reply, events) {
                        failed = Some(error);
                        return ControlFlow::Break(());
                    }
                }
                ControlFlow::Continue(())
            };
            call(model, questions, &open, level, &mut put).map_err(PipelineError::model(stage))?;
            if let Some(error) = failed {
                return Err(error);
            }
            too_long.sort_unstable();
            open = too_long;
        }
        if let Some((_, Reply { said: Said::TooLong(said), .. })) =
            waiting.first().filter(|_| first && waiting.len() >= ALL_REFUSED)
        {
            return Err(broken(
                stage,
                model.id(),
                format!(
                    "it refused all {} requests: mend what it complains of (of batch files, take away the results that say so) and run again, nothing of this is kept ({said})",
                    waiting.len()
                ),
            ));
        }
        for (index, reply) in waiting {
            replies.keep(index, reply, events)?;
        }
        if let Some(missing) = batch.iter().find(|index| !replies.has(index)) {
            return Err(broken(
                stage,
                model.id(),
                format!("question {missing} of {} was never answered", questions.len()),
            ));
        }
        replies.journal.batch(number)?;
    }
    let mut replies = replies.by_question.into_values();
    // Every batch is complete, so there is a reply for each index in order.
    Ok(questions.iter().filter_map(|_| replies.next()).collect())
}

fn work<'q>(questions: impl Iterator<Item = &'q Question>) -> Work {
    let mut work = Work::default();
    for question in questions {
        let (continuations, new_tokens) = match &question.want {
            Want::Scores(continuations) => (continuations.len(), 0),
            Want::Response(request) => (0, request.max_tokens),
        };
        if let Some(prompt) = question.prompts.first() {
            work.add(prompt, continuations, new_tokens);
        }
    }
    work
}

/// Drops the replies of batches that are not complete, where a model's last bits depend on the batch and can be had again:
/// those are asked again whole.
fn forget_unfinished(
    replies: &mut BTreeMap<usize, Reply>,
    models: &[&dyn LanguageModel],
    questions: &[Question],
    batches: &[Vec<usize>],
    complete: &[usize],
) {
    for (number, batch) in batches.iter().enumerate() {
        let can = models[questions[batch[0]].model].capabilities();
        if !complete.contains(&number) && can.repeatable && !can.batch_invariant {
            batch.iter().for_each(|index| drop(replies.remove(index)));
        }
    }
}

/// One call for the scores and one for the responses among these questions.
fn call(
    model: &dyn LanguageModel,
    questions: &[Question],
    open: &[usize],
    level: usize,
    put: &mut dyn FnMut(usize, Result<Said, ModelError>) -> ControlFlow<()>,
) -> Result<(), ModelError> {
    let (mut scored, mut scores) = (Vec::new(), Vec::new());
    let (mut generated, mut requests) = (Vec::new(), Vec::new());
    for index in open {
        let prompt = questions[*index].prompts[level].clone();
        match &questions[*index].want {
            Want::Scores(continuations) => {
                scored.push(*index);
                scores.push(ScoreRequest { prompt, continuations: continuations.clone() });
            }
            Want::Response(request) => {
                generated.push(*index);
                requests.push(GenerateRequest { prompt, ..request.clone() });
            }
        }
    }
    let mut stopped = false;
    if !scores.is_empty() {
        model.score_each(&scores, &mut |at, result| {
            let flow = put(scored[at], result.map(Said::Scores));
            stopped |= flow.is_break();
            flow
        })?;
    }
    if !requests.is_empty() && !stopped {
        let said = |Generation { text, tokens, finish }| Said::Response { text, tokens, finish };
        model.generate_each(&requests, &mut |at, result| put(generated[at], result.map(said)))?;
    }
    Ok(())
}

/// Cuts the questions into batches, a pure function of all of them and of the models' kinds: by model and kind, then by
/// the text of the prompt, so that what begins alike is asked together.
fn batches(models: &[&dyn LanguageModel], questions: &[Question]) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<(usize, bool), Vec<usize>> = BTreeMap::new();
    for (index, question) in questions.iter().enumerate() {
        let generates = matches!(question.want, Want::Response(_));
        groups.entry((question.model, generates)).or_default().push(index);
    }
    let text = |index: &usize| {
        let messages = questions[*index].prompts.first().map(|prompt| prompt.messages.as_slice());
        messages.unwrap_or_default().iter().map(|message| (message.role.as_str(), &message.content))
    };
    let mut batches = Vec::new();
    for mut group in groups.into_values() {
        group.sort_by(|one, other| text(one).cmp(text(other)).then(one.cmp(other)));
        // What a server answers is kept one by one, and it wants to be asked as much at once as it bears.
        let repeatable = models[questions[group[0]].model].capabilities().repeatable;
        let size = if repeatable { BATCH } else { group.len() };
        batches.extend(group.chunks(size).map(<[usize]>::to_vec));
    }
    batches
}
