use super::{Rule, ensure, hold_to, rule};
use semievol_core::{Message, Prompt, Role, Seed, TokenLogprob};
use semievol_model::{Finish, GenerateRequest, Generation, LanguageModel, ModelError, ScoreRequest};
use std::ops::ControlFlow;

/// What batching may move a log-probability by.
const ROUNDING: f32 = 1e-4;
/// What lies between generating a token and scoring it: other kernels, other orders of summation.
const PATH_ROUNDING: f32 = 1e-3;
const OPTIONS: [&str; 4] = [" good", " bad", " good and bad at once", " 42"];
/// Above this a prompt that does not fit is too large to build in a test.
const LONGEST_PROMPT: usize = 1 << 20;

type Scores = Vec<Vec<TokenLogprob>>;

/// Tries a language model; a few hundred tokens are generated and scored in all. The model must hold prompts
/// of about a hundred tokens. Of a model that says it cannot score, it checks that it refuses.
///
/// # Panics
/// If a rule is broken; the message lists all that are.
pub fn language_model(model: &dyn LanguageModel) {
    hold_to(&format!("the language model `{}`", model.id()), &rules(model));
}

fn rules(model: &dyn LanguageModel) -> Vec<Rule<'_>> {
    let mut rules = generating(model);
    rules.extend(if model.capabilities().scores { scoring(model) } else { refusing(model) });
    rules
}

fn generating(model: &dyn LanguageModel) -> Vec<Rule<'_>> {
    let mut rules = vec![
        rule("generate: each request is answered exactly once", move || {
            let answers =
                answered(requests(1.0).len(), |on_done| model.generate_each(&requests(1.0), on_done))?;
            each_once(&answers, requests(1.0).len())
        }),
        rule("generate: breaking stops the run", move || {
            stops(|on_done| model.generate_each(&requests(1.0), on_done))
        }),
        rule("generate: no request has no answer", move || {
            ensure(answered(0, |on_done| model.generate_each(&[], on_done))?.is_empty(), || "one came".into())
        }),
        rule("generate: at most `max_tokens` tokens", move || token_limit(model)),
        rule("generate: log-probabilities are finite and at most 0", move || {
            let generations = generate(model, &requests(1.0))?;
            generations.iter().try_for_each(|generation| possible(&generation.tokens))
        }),
        rule("generate: temperature 0 ignores the seed", move || {
            let other: Vec<_> =
                requests(0.0).into_iter().map(|r| GenerateRequest { seed: Seed(99), ..r }).collect();
            same_texts(&generate(model, &requests(0.0))?, &generate(model, &other)?, "with another seed")
        }),
        rule("generate: a stop text ends the response and is no part of it", move || stop_text(model)),
        rule("generate: a prompt that is too long fails alone", move || {
            let Some(long) = too_long(model) else { return Ok(()) };
            let mut requests = requests(1.0);
            requests[1].prompt = long;
            fails_alone(&model.generate(&requests), 1, model)
        }),
        rule("generate: a temperature below 0 is an invalid request", move || {
            let mut requests = requests(1.0);
            requests[1].temperature = -1.0;
            invalid_alone(&model.generate(&requests), 1)
        }),
        rule("generate: a prompt without messages is an invalid request", move || {
            let mut requests = requests(1.0);
            requests[1].prompt = Prompt::default();
            invalid_alone(&model.generate(&requests), 1)
        }),
    ];
    if model.capabilities().seeded {
        rules.push(rule("generate: the same seed gives the same text", move || {
            same_texts(
                &generate(model, &requests(1.0))?,
                &generate(model, &requests(1.0))?,
                "the second time",
            )
        }));
        rules.push(rule("generate: order and number of requests change nothing", move || {
            let together = generate(model, &requests(1.0))?;
            let backwards: Vec<_> = requests(1.0).into_iter().rev().collect();
            let mut reversed = generate(model, &backwards)?;
            reversed.reverse();
            same_generations(&together, &reversed, "in reverse order")?;
            let alone = requests(1.0).into_iter().map(|request| Ok(generate(model, &[request])?.remove(0)));
            same_generations(&together, &alone.collect::<Result<Vec<_>, String>>()?, "alone")
        }));
    }
    rules
}

fn scoring(model: &dyn LanguageModel) -> Vec<Rule<'_>> {
    vec![
        rule("score: each request is answered exactly once", move || {
            let asked = score_requests();
            each_once(&answered(asked.len(), |on_done| model.score_each(&asked, on_done))?, asked.len())
        }),
        rule("score: breaking stops the run", move || {
            stops(|on_done| model.score_each(&score_requests(), on_done))
        }),
        rule("score: no request has no answer", move || {
            ensure(answered(0, |on_done| model.score_each(&[], on_done))?.is_empty(), || "one came".into())
        }),
        rule("score: one list per continuation, of its tokens and the end token", move || end_token(model)),
        rule("score: log-probabilities are finite and at most 0", move || {
            let scores = score(model, &score_requests())?;
            scores.iter().flatten().try_for_each(|tokens| possible(tokens))
        }),
        rule("score: probabilities of different continuations add up to at most 1", move || {
            let total = |scores: &Scores| -> f64 { scores.iter().map(|tokens| sum(tokens).exp()).sum() };
            let scores = score(model, &score_requests())?;
            let most = scores.iter().map(total).fold(0.0, f64::max);
            ensure(most <= 1.0 + f64::from(PATH_ROUNDING), || {
                format!("those of {OPTIONS:?} add up to {most}")
            })
        }),
        rule("score: a continuation scores alone as among others", move || {
            let together = score(model, &score_requests())?;
            for (scores, request) in together.iter().zip(score_requests()) {
                for (tokens, text) in scores.iter().zip(&request.continuations) {
                    let alone = ScoreRequest { continuations: vec![text.clone()], ..request.clone() };
                    let alone = score(model, &[alone])?.remove(0).remove(0);
                    close(tokens, &alone, ROUNDING).map_err(|found| format!("{text:?}: {found}"))?;
                }
            }
            Ok(())
        }),
        rule("score: order and number of requests change nothing", move || {
            let together = score(model, &score_requests())?;
            let backwards: Vec<_> = score_requests().into_iter().rev().collect();
            let reversed = score(model, &backwards)?.into_iter().rev();
            // Who says that a request gets the same bits in any call is taken at the word.
            let rounding = if model.capabilities().batch_invariant { 0.0 } else { ROUNDING };
            together.iter().zip(reversed).try_for_each(|(one, other)| {
                one.iter().zip(&other).try_for_each(|(one, other)| close(one, other, rounding))
            })
        }),
        rule("score: agrees with generation where the tokens are the same", move || same_paths(model)),
        rule("score: a prompt that is too long fails alone", move || {
            let Some(long) = too_long(model) else { return Ok(()) };
            let mut requests = score_requests();
            requests[1].prompt = long;
            fails_alone(&model.score(&requests), 1, model)
        }),
        rule("score: no continuation is an invalid request", move || {
            let mut requests = score_requests();
            requests[1].continuations.clear();
            invalid_alone(&model.score(&requests), 1)
        }),
    ]
}

fn refusing(model: &dyn LanguageModel) -> Vec<Rule<'_>> {
    vec![rule("score: a model that cannot score says `Unsupported`", move || {
        let refused = match model.score(&score_requests()) {
            Err(error) => matches!(error, ModelError::Unsupported { .. }),
            Ok(answers) => answers.iter().all(|answer| matches!(answer, Err(ModelError::Unsupported { .. }))),
        };
        ensure(refused, || "it did something else".into())
    })]
}

/// Prompts of different lengths and shapes, one of them with a forced beginning.
fn prompts() -> Vec<Prompt> {
    let message = |role, content: &str| Message { role, content: content.into() };
    let shots = vec![
        message(Role::System, "You judge films."),
        message(Role::User, "Is it good? A fine film."),
        message(Role::Assistant, "good"),
        message(Role::User, "Is it good? The plot never begins."),
    ];
    vec![
        Prompt::user("Is it good or bad? A fine film, truly, and one that I would see again."),
        Prompt::user("Name a colour.").with_response_prefix("Answer:"),
        Prompt { messages: shots, response_prefix: String::new() },
        Prompt::user("2 + 2 ="),
    ]
}

fn requests(temperature: f32) -> Vec<GenerateRequest> {
    let request = |(index, prompt)| GenerateRequest {
        max_tokens: 6,
        temperature,
        ..GenerateRequest::new(prompt, Seed(7).child("contract", index as u64))
    };
    prompts().into_iter().enumerate().map(request).collect()
}

fn score_requests() -> Vec<ScoreRequest> {
    let continuations = OPTIONS.map(String::from).to_vec();
    prompts()
        .into_iter()
        .map(|prompt| ScoreRequest { prompt, continuations: continuations.clone() })
        .collect()
}

/// A prompt of more words than the model holds tokens, if it states a limit that can be exceeded.
fn too_long(model: &dyn LanguageModel) -> Option<Prompt> {
    let limit = model.capabilities().max_context;
    (limit < LONGEST_PROMPT).then(|| Prompt::user("word ".repeat(limit + 1)))
}

fn generate(model: &dyn LanguageModel, requests: &[GenerateRequest]) -> Result<Vec<Generation>, String> {
    all_well(model.generate(requests))
}

fn score(model: &dyn LanguageModel, requests: &[ScoreRequest]) -> Result<Vec<Scores>, String> {
    let all = all_well(model.score(requests))?;
    for (index, (scores, request)) in all.iter().zip(requests).enumerate() {
        let (found, asked) = (scores.len(), request.continuations.len());
        ensure(found == asked, || format!("request {index}: {found} lists for {asked} continuations"))?;
    }
    Ok(all)
}

fn all_well<T>(answers: Result<Vec<Result<T, ModelError>>, ModelError>) -> Result<Vec<T>, String> {
    answers.map_err(failed)?.into_iter().map(|answer| answer.map_err(failed)).collect()
}

fn failed(error: ModelError) -> String {
    format!("it failed: {error}")
}

/// The indices in the order they were passed. Rules that count must not go through `collect`.
fn answered<T>(
    len: usize,
    run: impl FnOnce(semievol_model::OnDone<'_, T>) -> Result<(), ModelError>,
) -> Result<Vec<usize>, String> {
    let mut indices = Vec::new();
    let mut failure = None;
    run(&mut |index, answer| {
        indices.push(index);
        failure = failure.take().or(answer.err());
        // A model that repeats itself for ever fails the test rather than hanging it.
        if indices.len() > 2 * len { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .map_err(failed)?;
    failure.map_or(Ok(indices), |error| Err(failed(error)))
}

fn each_once(answered: &[usize], len: usize) -> Result<(), String> {
    let mut sorted = answered.to_vec();
    sorted.sort_unstable();
    ensure(sorted == (0..len).collect::<Vec<_>>(), || format!("{len} requests were answered as {answered:?}"))
}

fn stops<T>(run: impl FnOnce(semievol_model::OnDone<'_, T>) -> Result<(), ModelError>) -> Result<(), String> {
    let mut calls = 0;
    run(&mut |_, _| {
        calls += 1;
        ControlFlow::Break(())
    })
    .map_err(|error| format!("the call failed where it should just end: {error}"))?;
    ensure(calls == 1, || format!("the receiver broke at the first answer but was called {calls} times"))
}

fn token_limit(model: &dyn LanguageModel) -> Result<(), String> {
    for max_tokens in [1, 3] {
        let requests: Vec<_> =
            requests(1.0).into_iter().map(|r| GenerateRequest { max_tokens, ..r }).collect();
        for (index, generation) in generate(model, &requests)?.into_iter().enumerate() {
            let len = generation.tokens.len();
            ensure(len <= max_tokens, || {
                format!("request {index}: {len} tokens where {max_tokens} are allowed")
            })?;
            ensure(generation.finish == Finish::Stop || len == max_tokens, || {
                format!("request {index}: `finish` is Length after {len} of {max_tokens} tokens")
            })?;
        }
    }
    Ok(())
}

fn stop_text(model: &dyn LanguageModel) -> Result<(), String> {
    let requests = requests(0.0);
    let free = generate(model, &requests)?;
    for (index, (mut request, free)) in requests.into_iter().zip(free).enumerate() {
        // A word from the middle, which may well occur before it.
        let words: Vec<&str> = free.text.split_whitespace().collect();
        let Some(stop) = words.get(words.len() / 2) else { continue };
        request.stop = vec![stop.to_string()];
        let stopped = generate(model, &[request])?.remove(0);
        let expected = free.text.split(stop).next().unwrap_or_default();
        ensure(stopped.text == expected && stopped.finish == Finish::Stop, || {
            let (text, finish) = (&stopped.text, stopped.finish);
            format!("request {index}: {:?} stopped at {stop:?} became {text:?} ({finish:?})", free.text)
        })?;
    }
    Ok(())
}

fn possible(tokens: &[TokenLogprob]) -> Result<(), String> {
    let wrong = tokens.iter().find(|token| !(token.logprob.is_finite() && token.logprob <= 0.0));
    wrong.map_or(Ok(()), |token| Err(format!("token {} has log-probability {}", token.token, token.logprob)))
}

fn same_texts(one: &[Generation], other: &[Generation], when: &str) -> Result<(), String> {
    one.iter().zip(other).enumerate().try_for_each(|(index, (one, other))| {
        ensure(one.text == other.text, || {
            format!("request {index}: {:?} became {:?} {when}", one.text, other.text)
        })
    })
}

fn same_generations(one: &[Generation], other: &[Generation], when: &str) -> Result<(), String> {
    same_texts(one, other, when)?;
    one.iter().zip(other).enumerate().try_for_each(|(index, (one, other))| {
        close(&one.tokens, &other.tokens, ROUNDING)
            .map_err(|found| format!("request {index} {when}: {found}"))
    })
}

fn close(one: &[TokenLogprob], other: &[TokenLogprob], rounding: f32) -> Result<(), String> {
    ensure(ids(one) == ids(other), || format!("tokens {:?} became {:?}", ids(one), ids(other)))?;
    one.iter().zip(other).try_for_each(|(one, other)| {
        let moved = (one.logprob - other.logprob).abs();
        ensure(moved <= rounding, || {
            format!(
                "token {}: {} became {}, more than {rounding} apart",
                one.token, one.logprob, other.logprob
            )
        })
    })
}

fn ids(tokens: &[TokenLogprob]) -> Vec<u32> {
    tokens.iter().map(|token| token.token).collect()
}

fn sum(tokens: &[TokenLogprob]) -> f64 {
    tokens.iter().map(|token| f64::from(token.logprob)).sum()
}

fn end_token(model: &dyn LanguageModel) -> Result<(), String> {
    let scores = score(model, &score_requests())?;
    let end = scores[0][0].last().map(|token| token.token);
    for (index, tokens) in scores.iter().flat_map(|scores| scores.iter().enumerate()) {
        let text = OPTIONS[index];
        ensure(tokens.len() >= 2, || {
            format!("{text:?} has {} tokens, its own and the end token", tokens.len())
        })?;
        let last = tokens.last().map(|token| token.token);
        ensure(last == end, || format!("{:?} ends with token {end:?}, {text:?} with {last:?}", OPTIONS[0]))?;
    }
    Ok(())
}

/// Greedy answers that ended by themselves, scored. A text may have other tokens than those sampled for it;
/// such answers say nothing.
fn same_paths(model: &dyn LanguageModel) -> Result<(), String> {
    let requests: Vec<_> =
        requests(0.0).into_iter().map(|r| GenerateRequest { max_tokens: 24, ..r }).collect();
    for (request, generation) in requests.iter().zip(generate(model, &requests)?) {
        if generation.finish == Finish::Length || generation.text.is_empty() {
            continue;
        }
        let asked =
            ScoreRequest { prompt: request.prompt.clone(), continuations: vec![generation.text.clone()] };
        let scored = score(model, &[asked])?.remove(0).remove(0);
        if ids(&scored) == ids(&generation.tokens) {
            let text = &generation.text;
            close(&generation.tokens, &scored, PATH_ROUNDING)
                .map_err(|found| format!("{text:?}: {found}"))?;
        }
    }
    Ok(())
}

type Answers<T> = Result<Vec<Result<T, ModelError>>, ModelError>;

fn fails_alone<T>(answers: &Answers<T>, wrong: usize, model: &dyn LanguageModel) -> Result<(), String> {
    let max_context = model.capabilities().max_context;
    only_this_fails(answers, wrong, |error| match error {
        ModelError::ContextExceeded { index, needed, limit, .. } => {
            *index == wrong && needed > limit && *limit == max_context
        }
        _ => false,
    })
}

fn invalid_alone<T>(answers: &Answers<T>, wrong: usize) -> Result<(), String> {
    only_this_fails(
        answers,
        wrong,
        |error| matches!(error, ModelError::InvalidRequest { index, .. } if *index == wrong),
    )
}

fn only_this_fails<T>(
    answers: &Answers<T>,
    wrong: usize,
    expected: impl Fn(&ModelError) -> bool,
) -> Result<(), String> {
    let answers = answers.as_ref().map_err(|error| format!("the whole call failed: {error}"))?;
    answers.iter().enumerate().try_for_each(|(index, answer)| match answer {
        Ok(_) => ensure(index != wrong, || format!("request {index} was served")),
        Err(error) if index != wrong => Err(format!("request {index} failed too: {error}")),
        Err(error) => ensure(expected(error), || format!("request {index} failed otherwise: {error:?}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ScriptedModel;
    use crate::contracts::broken;
    use semievol_model::{Capabilities, ModelId, OnDone};
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn the_doubles_keep_their_promises() {
        language_model(&ScriptedModel::babbler("babbler"));
        language_model(&ScriptedModel::babbler("small").with_max_context(100));
        language_model(&ScriptedModel::babbler("server").without_scores());
        language_model(&ScriptedModel::new("parrot", |_| "hello".into()));
        language_model(&ScriptedModel::babbler("critic").scoring(|_, text| -3.0 - text.len() as f64));
    }

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Fault {
        AnswersTwice,
        ForgetsTheLast,
        IgnoresBreak,
        SpeaksUnasked,
        Rambles,
        ImpossibleLogprob,
        GreedyBySeed,
        IgnoresStop,
        LongPromptFailsAll,
        ServesColdTemperature,
        ServesNoMessages,
        ForgetsSeed,
        MindsTheBatch,
        NoEndToken,
        TooProbable,
        MindsTheOptions,
        OtherPath,
        ServesNoContinuation,
        ScoresAfterAll,
    }

    struct Broken {
        inner: ScriptedModel,
        fault: Fault,
        calls: AtomicU64,
    }

    impl Broken {
        /// Passes an answer on, faults of delivery included.
        fn deliver<T: Clone>(
            &self,
            len: usize,
            run: impl FnOnce(OnDone<'_, T>) -> Result<(), ModelError>,
            on_done: OnDone<'_, T>,
        ) -> Result<(), ModelError> {
            let mut whole = Ok(());
            run(&mut |index, answer| {
                if self.fault == Fault::ForgetsTheLast && index + 1 == len {
                    return ControlFlow::Continue(());
                }
                match answer {
                    Err(error @ ModelError::ContextExceeded { .. })
                        if self.fault == Fault::LongPromptFailsAll =>
                    {
                        whole = Err(error);
                        ControlFlow::Break(())
                    }
                    Ok(answer) if self.fault == Fault::AnswersTwice => {
                        let _ = on_done(index, Ok(answer.clone()));
                        on_done(index, Ok(answer))
                    }
                    answer => match on_done(index, answer) {
                        ControlFlow::Break(()) if self.fault == Fault::IgnoresBreak => {
                            ControlFlow::Continue(())
                        }
                        flow => flow,
                    },
                }
            })
            .and(whole)
        }

        fn spoil_request(&self, request: &GenerateRequest) -> GenerateRequest {
            let mut request = request.clone();
            match self.fault {
                Fault::Rambles => request.max_tokens += 5,
                Fault::GreedyBySeed if request.temperature == 0.0 => request.temperature = 1.0,
                Fault::IgnoresStop => request.stop.clear(),
                Fault::ServesColdTemperature => request.temperature = request.temperature.max(0.0),
                Fault::ServesNoMessages if request.prompt.messages.is_empty() => {
                    request.prompt = Prompt::user("?")
                }
                Fault::ForgetsSeed => request.seed = Seed(self.calls.fetch_add(1, Ordering::Relaxed)),
                _ => {}
            }
            request
        }

        fn spoil_tokens(&self, tokens: &mut Vec<TokenLogprob>, batch: usize, options: usize) {
            let Some(first) = tokens.first_mut() else { return };
            match self.fault {
                Fault::ImpossibleLogprob => first.logprob = f32::NAN,
                Fault::MindsTheBatch if batch == 1 => first.logprob -= 0.1,
                Fault::MindsTheOptions => first.logprob -= 0.1 * options as f32,
                Fault::OtherPath => first.logprob -= 0.1 * batch.min(1) as f32,
                Fault::NoEndToken => drop(tokens.pop()),
                Fault::TooProbable => tokens.iter_mut().for_each(|token| token.logprob = -0.01),
                _ => {}
            }
        }
    }

    impl LanguageModel for Broken {
        fn id(&self) -> &ModelId {
            self.inner.id()
        }

        fn capabilities(&self) -> Capabilities {
            self.inner.capabilities()
        }

        fn generate_each(
            &self,
            requests: &[GenerateRequest],
            on_done: OnDone<'_, Generation>,
        ) -> Result<(), ModelError> {
            if self.fault == Fault::SpeaksUnasked && requests.is_empty() {
                let said = Generation { text: "psst".into(), tokens: vec![], finish: Finish::Stop };
                let _ = on_done(0, Ok(said));
            }
            let spoilt: Vec<_> = requests.iter().map(|request| self.spoil_request(request)).collect();
            let run = |on_done: OnDone<'_, Generation>| {
                self.inner.generate_each(&spoilt, &mut |index, answer| {
                    let answer = answer.map(|mut generation| {
                        let batch = if self.fault == Fault::NoEndToken { 0 } else { requests.len() };
                        if batch > 0 {
                            self.spoil_tokens(&mut generation.tokens, batch, 0);
                        }
                        generation
                    });
                    on_done(index, answer)
                })
            };
            self.deliver(requests.len(), run, on_done)
        }

        fn score_each(
            &self,
            requests: &[ScoreRequest],
            on_done: OnDone<'_, Scores>,
        ) -> Result<(), ModelError> {
            if self.fault == Fault::SpeaksUnasked && requests.is_empty() {
                let _ = on_done(0, Ok(vec![]));
            }
            if self.fault == Fault::ScoresAfterAll {
                for index in 0..requests.len() {
                    let _ = on_done(index, Ok(vec![]));
                }
                return Ok(());
            }
            let run = |on_done: OnDone<'_, Scores>| {
                self.inner.score_each(requests, &mut |index, answer| {
                    let options = requests[index].continuations.len();
                    let answer = match answer {
                        Err(ModelError::InvalidRequest { .. })
                            if self.fault == Fault::ServesNoContinuation =>
                        {
                            Ok(vec![])
                        }
                        answer => answer.map(|mut scores| {
                            let batch = if self.fault == Fault::OtherPath { 0 } else { requests.len() };
                            scores.iter_mut().for_each(|tokens| self.spoil_tokens(tokens, batch, options));
                            scores
                        }),
                    };
                    on_done(index, answer)
                })
            };
            self.deliver(requests.len(), run, on_done)
        }
    }

    fn broken_by(fault: Fault) -> Vec<(&'static str, String)> {
        let inner = ScriptedModel::babbler("broken").with_max_context(100);
        let inner = if fault == Fault::ScoresAfterAll { inner.without_scores() } else { inner };
        broken(&rules(&Broken { inner, fault, calls: AtomicU64::new(0) }))
    }

    #[test]
    fn every_rule_can_be_broken() {
        let mut untried: Vec<&str> = {
            let model = ScriptedModel::babbler("m");
            let rules = [generating(&model), scoring(&model), refusing(&model)];
            rules.iter().flatten().map(|rule| rule.promise).collect()
        };
        for (fault, promises) in [
            (Fault::AnswersTwice, &["each request is answered exactly once"][..]),
            (Fault::ForgetsTheLast, &["each request is answered exactly once"]),
            (Fault::IgnoresBreak, &["breaking stops the run"]),
            (Fault::SpeaksUnasked, &["no request has no answer"]),
            (Fault::Rambles, &["at most `max_tokens` tokens"]),
            (Fault::ImpossibleLogprob, &["log-probabilities are finite and at most 0"]),
            (Fault::GreedyBySeed, &["temperature 0 ignores the seed"]),
            (Fault::IgnoresStop, &["a stop text ends the response and is no part of it"]),
            (Fault::LongPromptFailsAll, &["a prompt that is too long fails alone"]),
            (Fault::ServesColdTemperature, &["a temperature below 0 is an invalid request"]),
            (Fault::ServesNoMessages, &["a prompt without messages is an invalid request"]),
            (
                Fault::ForgetsSeed,
                &["the same seed gives the same text", "order and number of requests change nothing"],
            ),
            (Fault::MindsTheBatch, &["order and number of requests change nothing"]),
            (Fault::NoEndToken, &["one list per continuation, of its tokens and the end token"]),
            (Fault::TooProbable, &["probabilities of different continuations add up to at most 1"]),
            (Fault::MindsTheOptions, &["a continuation scores alone as among others"]),
            (Fault::OtherPath, &["agrees with generation where the tokens are the same"]),
            (Fault::ServesNoContinuation, &["no continuation is an invalid request"]),
            (Fault::ScoresAfterAll, &["a model that cannot score says `Unsupported`"]),
        ] {
            let found = broken_by(fault);
            for promise in promises {
                assert!(found.iter().any(|(found, _)| found.ends_with(promise)), "{fault:?}: {found:?}");
            }
            untried.retain(|promise| !found.iter().any(|(found, _)| found == promise));
        }
        assert_eq!(untried, Vec::<&str>::new(), "rules that no fault breaks");
    }
}
