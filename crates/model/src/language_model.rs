use crate::{ModelError, ModelId};
use semievol_core::{Prompt, Seed, TokenLogprob};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Receives the result of the request with the given index, as soon as it is there; breaking stops the run.
pub type OnDone<'a, T> = &'a mut dyn FnMut(usize, Result<T, ModelError>) -> ControlFlow<()>;

/// The log-probabilities of each continuation's tokens.
pub type Scores = Vec<Vec<TokenLogprob>>;

/// What a backend can do, asked while planning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Tokens of prompt and response together.
    pub max_context: usize,
    /// [`LanguageModel::score_each`] works.
    pub scores: bool,
    /// The same seed gives the same response.
    pub seeded: bool,
    /// A request gets the same bits whatever else is asked in the same call. Where this does not hold, as in
    /// an engine that packs requests, who wants to repeat a run exactly repeats whole calls.
    pub batch_invariant: bool,
    /// The same call gives the same bits another time. Where this does not hold, as with a server, there is nothing to
    /// repeat, and whatever was answered is kept.
    pub repeatable: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Capabilities {
            max_context: usize::MAX,
            scores: false,
            seeded: true,
            batch_invariant: true,
            repeatable: true,
        }
    }
}

/// How much a model is about to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Prompts.
    pub prompts: usize,
    /// Characters of all prompts together.
    pub characters: usize,
    /// Continuations that are to be scored.
    pub continuations: usize,
    /// Most tokens that are to be generated.
    pub new_tokens: usize,
}

impl Work {
    /// Adds a prompt with what is wanted of it.
    pub fn add(&mut self, prompt: &Prompt, continuations: usize, new_tokens: usize) {
        self.prompts += 1;
        self.characters +=
            prompt.messages.iter().map(|message| message.content.chars().count()).sum::<usize>();
        self.continuations += continuations;
        self.new_tokens += new_tokens;
    }
}

/// Asks for a sampled response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GenerateRequest {
    /// What is asked.
    pub prompt: Prompt,
    /// Where the randomness comes from.
    pub seed: Seed,
    /// Most new tokens, the response prefix not counted.
    pub max_tokens: usize,
    /// 0 takes the most probable token each time; 1 samples from the model's own distribution.
    pub temperature: f32,
    /// Samples from the smallest set of tokens with at least this probability; 1 keeps all.
    pub top_p: f32,
    /// Texts that end the response; they are not part of it.
    pub stop: Vec<String>,
}

impl GenerateRequest {
    /// At most 64 tokens at temperature 1, nothing cut off.
    pub fn new(prompt: Prompt, seed: Seed) -> Self {
        GenerateRequest { prompt, seed, max_tokens: 64, temperature: 1.0, top_p: 1.0, stop: Vec::new() }
    }
}

impl GenerateRequest {
    /// What every model refuses before it is asked.
    ///
    /// # Errors
    /// For a setting out of range and a prompt without messages.
    pub fn check(&self, index: usize) -> Result<(), ModelError> {
        let refuse = |reason: String| Err(ModelError::InvalidRequest { index, reason });
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return refuse(format!("temperature is {}, but must be 0 or more", self.temperature));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return refuse(format!("top_p is {}, but must be in (0, 1]", self.top_p));
        }
        if self.max_tokens == 0 {
            return refuse("max_tokens is 0: nothing could be answered".into());
        }
        check_messages(index, &self.prompt)
    }

    /// Where in a response, in bytes, the first of the stop texts begins, if one appears: the response ends there.
    pub fn stop_in(&self, response: &str) -> Option<usize> {
        let stops = self.stop.iter().filter(|stop| !stop.is_empty());
        stops.filter_map(|stop| response.find(stop)).min()
    }
}

fn check_messages(index: usize, prompt: &Prompt) -> Result<(), ModelError> {
    if prompt.messages.is_empty() {
        let reason = "the prompt has no message: give at least one".into();
        return Err(ModelError::InvalidRequest { index, reason });
    }
    Ok(())
}

/// Why a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model ended its turn, or a stop text appeared.
    Stop,
    /// `max_tokens` were generated.
    Length,
}

/// A sampled response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Generation {
    /// The response after its prefix, without the stop text or end token.
    pub text: String,
    /// Every sampled token, the end token included, with its log-probability before temperature.
    pub tokens: Vec<TokenLogprob>,
    /// Why it ended.
    pub finish: Finish,
}

/// Asks how probable each of several responses is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoreRequest {
    /// What is asked.
    pub prompt: Prompt,
    /// The responses after the prompt's `response_prefix`, such as `" positive"`.
    pub continuations: Vec<String>,
}

impl ScoreRequest {
    /// What every model refuses before it is asked.
    ///
    /// # Errors
    /// Without a continuation, and for a prompt without messages.
    pub fn check(&self, index: usize) -> Result<(), ModelError> {
        if self.continuations.is_empty() {
            let reason = "there is no continuation to score: give at least one".into();
            return Err(ModelError::InvalidRequest { index, reason });
        }
        check_messages(index, &self.prompt)
    }
}

/// A chat model.
///
/// Results do not depend on the order or number of requests of a call beyond rounding.
pub trait LanguageModel: Send + Sync {
    /// Names the model with its adapter.
    fn id(&self) -> &ModelId;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Samples one response per request. Each index, counted from 0, is passed exactly once unless `on_done` breaks.
    ///
    /// A request that [`GenerateRequest::check`] refuses is answered with that error, and a stop text that appears ends the
    /// response before it.
    ///
    /// # Errors
    /// A request that cannot be served goes to `on_done`; the call itself fails only when nothing more can be.
    fn generate_each(
        &self,
        requests: &[GenerateRequest],
        on_done: OnDone<'_, Generation>,
    ) -> Result<(), ModelError>;

    /// Scores each request's continuations: one list of log-probabilities per continuation, in order, over the
    /// continuation's own tokens and the end-of-turn token (not over the response prefix). A request that
    /// [`ScoreRequest::check`] refuses is answered with that error.
    ///
    /// # Errors
    /// As for [`LanguageModel::generate_each`].
    fn score_each(&self, requests: &[ScoreRequest], on_done: OnDone<'_, Scores>) -> Result<(), ModelError>;

    /// What so much work would take, in words, for models that are paid for; said before it begins.
    fn estimate(&self, _work: &Work) -> Option<String> {
        None
    }

    /// [`LanguageModel::generate_each`], in the order of the requests.
    ///
    /// # Errors
    /// When nothing more can be served, and [`ModelError::Backend`] for a model that leaves a request out or answers it twice.
    fn generate(
        &self,
        requests: &[GenerateRequest],
    ) -> Result<Vec<Result<Generation, ModelError>>, ModelError> {
        collect(self.id(), requests.len(), |on_done| self.generate_each(requests, on_done))
    }

    /// [`LanguageModel::score_each`], in the order of the requests.
    ///
    /// # Errors
    /// As for [`LanguageModel::generate`].
    fn score(&self, requests: &[ScoreRequest]) -> Result<Vec<Result<Scores, ModelError>>, ModelError> {
        collect(self.id(), requests.len(), |on_done| self.score_each(requests, on_done))
    }
}

fn collect<T>(
    id: &ModelId,
    len: usize,
    run: impl FnOnce(OnDone<'_, T>) -> Result<(), ModelError>,
) -> Result<Vec<Result<T, ModelError>>, ModelError> {
    let failed = |reason: String| ModelError::Backend { model: id.clone(), reason, source: None };
    let mut slots: Vec<Option<Result<T, ModelError>>> = (0..len).map(|_| None).collect();
    let mut wrong = None;
    run(&mut |index, result| match slots.get_mut(index) {
        Some(slot @ None) => {
            *slot = Some(result);
            ControlFlow::Continue(())
        }
        Some(Some(_)) => {
            wrong = Some(format!("request {index} of {len} was answered twice"));
            ControlFlow::Break(())
        }
        None => {
            wrong = Some(format!("request {index} was answered, but there were {len}, counted from 0"));
            ControlFlow::Break(())
        }
    })?;
    if let Some(reason) = wrong {
        return Err(failed(reason));
    }
    let answered = |(index, slot): (usize, Option<_>)| {
        slot.ok_or_else(|| failed(format!("request {index} of {len} was never answered")))
    };
    slots.into_iter().enumerate().map(answered).collect()
}

macro_rules! forward_language_model {
    ($($pointer:ty),*) => {$(
        impl<T: LanguageModel + ?Sized> LanguageModel for $pointer {
            fn id(&self) -> &ModelId {
                (**self).id()
            }
            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }
            fn estimate(&self, work: &Work) -> Option<String> {
                (**self).estimate(work)
            }
            fn generate_each(
                &self,
                requests: &[GenerateRequest],
                on_done: OnDone<'_, Generation>,
            ) -> Result<(), ModelError> {
                (**self).generate_each(requests, on_done)
            }
            fn score_each(
                &self,
                requests: &[ScoreRequest],
                on_done: OnDone<'_, Scores>,
            ) -> Result<(), ModelError> {
                (**self).score_each(requests, on_done)
            }
        }
    )*};
}

forward_language_model!(&T, Box<T>, Arc<T>);

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with the given indices, whatever it is asked.
    struct Counts(ModelId, &'static [usize]);

    impl LanguageModel for Counts {
        fn id(&self) -> &ModelId {
            &self.0
        }
        fn capabilities(&self) -> Capabilities {
            Capabilities::default()
        }
        fn generate_each(
            &self,
            _: &[GenerateRequest],
            on_done: OnDone<'_, Generation>,
        ) -> Result<(), ModelError> {
            let said = || Generation { text: String::new(), tokens: Vec::new(), finish: Finish::Stop };
            self.1.iter().find(|index| on_done(**index, Ok(said())).is_break());
            Ok(())
        }
        fn score_each(&self, _: &[ScoreRequest], _: OnDone<'_, Scores>) -> Result<(), ModelError> {
            Ok(())
        }
    }

    #[test]
    fn a_model_that_cannot_count_is_an_error_that_says_so() {
        let asked = [1, 2].map(|seed| GenerateRequest::new(Prompt::user("?"), Seed(seed)));
        for (indices, expected) in [
            (&[1, 0][..], None),
            (&[1, 2], Some("m: request 2 was answered, but there were 2, counted from 0")),
            (&[0, 0, 1], Some("m: request 0 of 2 was answered twice")),
            (&[1], Some("m: request 0 of 2 was never answered")),
        ] {
            let error = Counts(ModelId::new("m"), indices).generate(&asked).err();
            assert_eq!(error.map(|error| error.to_string()).as_deref(), expected, "{indices:?}");
        }
    }

    #[test]
    fn the_first_of_the_stop_texts_ends_a_response() {
        let stops = |stop: &[&str]| GenerateRequest {
            stop: stop.iter().map(ToString::to_string).collect(),
            ..GenerateRequest::new(Prompt::user("?"), Seed(1))
        };
        assert_eq!(stops(&["c", "b", ""]).stop_in("abc"), Some(1));
        assert_eq!(stops(&["", "d"]).stop_in("abc"), None);
    }
}
