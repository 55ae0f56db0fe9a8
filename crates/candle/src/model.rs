//! [`LanguageModel`] of this process: closed sets scored over their token tree, responses sampled.

use crate::forest::{Forest, common_prefix, cut};
use crate::generate::{Job, generate_all};
use crate::kernels::loss::{Target, target_logprobs};
use crate::kernels::on_the_pool;
use crate::llama::Llama;
use crate::lora::Lora;
use crate::plain::{PlainLlama, PlainWeights};
use crate::{ChatTokenizer, EngineError, LoadedModel, adapter};
use candle_core::{DType, Device};
use rayon::prelude::*;
use semievol_core::{Prompt, Seed, TokenLogprob};
use semievol_model::{
    Adapter, Capabilities, GenerateRequest, Generation, LanguageModel, ModelError, ModelId, ModelLoader,
    OnDone, ScoreRequest,
};
use std::ops::ControlFlow;
use std::sync::Arc;

/// How much is computed at once. Results differ between limits by rounding alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most tokens of prompts read in one pass, shared beginnings not counted twice.
    pub tokens_per_pass: usize,
    /// Most tokens of prompts and responses that are kept while responses are generated, counted likewise; one request
    /// that is longer gets what it needs.
    pub tokens_per_batch: usize,
    /// Most responses that are generated side by side; 0 counts as 1.
    pub rows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { tokens_per_pass: 2048, tokens_per_batch: 8192, rows: 32 }
    }
}

/// A base model, shared by everything that is made of it: cheap to clone.
#[derive(Debug, Clone)]
pub struct BaseModel {
    /// Its name, with the digest of its weights.
    pub id: ModelId,
    /// The frozen weights.
    pub llama: Arc<Llama>,
    /// Its tokenizer and chat template.
    pub tokenizer: ChatTokenizer,
    /// How much is computed at once.
    pub limits: Limits,
    /// The frozen weights once more, where they are on a device that answers and trains in place of this engine's own
    /// passes: [`BaseModel::on`].
    pub accelerator: Option<Arc<PlainWeights>>,
}

impl BaseModel {
    /// Prepares a loaded model.
    ///
    /// # Errors
    /// If the weights' shapes do not fit together.
    pub fn new(loaded: LoadedModel) -> Result<Self, EngineError> {
        let llama = Arc::new(Llama::new(loaded.weights)?);
        let (tokenizer, limits) = (loaded.tokenizer, Limits::default());
        Ok(BaseModel { id: loaded.id, llama, tokenizer, limits, accelerator: None })
    }

    /// The same model on a device of candle's, in `f32`: answers and adapters come from plain operators there. They
    /// differ from this engine's own by rounding.
    ///
    /// # Errors
    /// Whatever candle reports: most likely that the device has too little memory.
    pub fn on(mut self, device: &Device) -> Result<Self, EngineError> {
        let weights = PlainWeights::new(self.llama.weights(), DType::F32, device)?;
        self.accelerator = Some(Arc::new(weights));
        Ok(self)
    }

    /// The model on its accelerator, if it has one, with an adapter or without.
    pub(crate) fn plain(&self, lora: Option<&Lora>) -> Result<Option<PlainLlama>, EngineError> {
        let with = |weights: &Arc<PlainWeights>| PlainLlama::with(weights.clone(), lora);
        Ok(self.accelerator.as_ref().map(with).transpose()?)
    }

    /// The model with an adapter's parameters, or without.
    ///
    /// # Errors
    /// [`EngineError::Adapter`] if they are of a model of another shape.
    pub fn with_lora(&self, id: ModelId, lora: Option<Lora>) -> Result<CandleModel, EngineError> {
        lora.as_ref().map_or(Ok(()), |lora| lora.check(self.llama.config()))?;
        Ok(CandleModel { base: self.clone(), id, lora: lora.map(Arc::new) })
    }

    /// The parameters of an adapter of this base, if they are those that it was made with.
    pub(crate) fn read_adapter(&self, adapter: &Adapter) -> Result<Lora, Unfit> {
        let folder = adapter.folder.display();
        if adapter.base != self.id {
            return Err(Unfit::Foreign(format!("the adapter in {folder} was trained from {}", adapter.base)));
        }
        let lora = adapter::read(&adapter.folder, self.llama.config()).map_err(Unfit::Broken)?;
        let found = adapter::digest(&adapter.folder).map_err(Unfit::Broken)?;
        if found != adapter.digest {
            return Err(Unfit::Foreign(format!(
                "the weights in {folder} have sha256 {found}, but the adapter was made with {}: train again",
                adapter.digest
            )));
        }
        Ok(lora)
    }

    /// Tokens of a prompt with the response's beginning: everything before the first token to be answered.
    ///
    /// # Errors
    /// If the template refuses the messages, or makes nothing of them.
    pub fn encode_open(&self, prompt: &Prompt) -> Result<Vec<u32>, EngineError> {
        let mut tokens = self.tokenizer.encode_prompt(prompt)?;
        let mut response = self.tokenizer.encode_response(&prompt.response_prefix, "")?.ids;
        response.pop(); // the end of the turn
        tokens.append(&mut response);
        Ok(tokens)
    }
}

impl ModelLoader for BaseModel {
    fn load(&self, adapter: Option<&Adapter>) -> Result<Arc<dyn LanguageModel>, ModelError> {
        let whole = |id, lora| {
            let model = self.with_lora(id, lora).map_err(|error| backend_source(&self.id, error))?;
            Ok(Arc::new(model) as Arc<dyn LanguageModel>)
        };
        let Some(adapter) = adapter else { return whole(self.id.clone(), None) };
        let lora = self.read_adapter(adapter).map_err(|unfit| match unfit {
            Unfit::Foreign(reason) => backend(&self.id, reason),
            Unfit::Broken(error) => backend_source(&self.id, error),
        })?;
        let short = &adapter.digest[..adapter.digest.len().min(12)];
        whole(ModelId::new(format!("{}+{short}", self.id)), Some(lora))
    }
}

/// Why an adapter cannot be used.
pub(crate) enum Unfit {
    /// It is of another base, or its weights were replaced.
    Foreign(String),
    /// Its files cannot be read.
    Broken(EngineError),
}

/// A base model with or without an adapter, ready to answer.
#[derive(Debug, Clone)]
pub struct CandleModel {
    base: BaseModel,
    id: ModelId,
    lora: Option<Arc<Lora>>,
}

impl CandleModel {
    /// Logits of the next token after each sequence of ids, `[vocab]` each, by the engine's own passes.
    ///
    /// # Panics
    /// If a sequence is empty, longer than the model's context, or holds an id outside the vocabulary.
    pub fn next_token_logits<S: AsRef<[u32]>>(&self, sequences: &[S]) -> Vec<Vec<f32>> {
        self.base.llama.next_token_logits(self.lora.as_deref(), sequences)
    }

    /// Greedy responses of exactly `new_tokens` ids to prompts given as ids, in their order: the end of a turn
    /// does not stop them.
    ///
    /// # Errors
    /// If a prompt is empty or leaves no room for the response, or the logits are not finite.
    #[doc(hidden)] // for the benchmarks, where every engine has to do the same work; no stable interface
    pub fn generate_ids(&self, prompts: &[Vec<u32>], new_tokens: usize) -> Result<Vec<Vec<u32>>, ModelError> {
        let mut jobs = Vec::with_capacity(prompts.len());
        for (index, prompt) in prompts.iter().enumerate() {
            if prompt.is_empty() || new_tokens == 0 {
                return Err(ModelError::InvalidRequest { index, reason: "there is nothing to do".into() });
            }
            self.check_context(index, prompt.len().saturating_add(new_tokens))?;
            let request = GenerateRequest {
                max_tokens: new_tokens,
                temperature: 0.0,
                ..GenerateRequest::new(Prompt::default(), Seed(0))
            };
            jobs.push(Job { index, prompt: prompt.clone(), request, ignore_end: true });
        }
        let mut answers: Vec<Result<Vec<u32>, ModelError>> = prompts.iter().map(|_| Ok(Vec::new())).collect();
        self.generate_jobs(jobs, &mut |index, result: Result<Generation, ModelError>| {
            answers[index] = result.map(|said| said.tokens.iter().map(|t| t.token).collect());
            ControlFlow::Continue(())
        })?;
        answers.into_iter().collect()
    }

    fn generate_jobs(&self, mut jobs: Vec<Job>, on_done: OnDone<'_, Generation>) -> Result<(), ModelError> {
        // Neighbours in this order share the longest beginnings.
        jobs.sort_by(|a, b| a.prompt.cmp(&b.prompt).then(a.index.cmp(&b.index)));
        // Whether the receiver broke off is its own affair.
        let _ = generate_all(&self.base, self.lora.as_deref(), &jobs, on_done)
            .map_err(|error| backend_source(&self.id, error))?;
        Ok(())
    }

    fn check_context(&self, index: usize, needed: usize) -> Result<(), ModelError> {
        let limit = self.base.llama.config().max_context;
        if needed <= limit {
            return Ok(());
        }
        Err(ModelError::ContextExceeded { index, needed, limit, model: self.id.clone() })
    }

    fn encode_scored(&self, index: usize, request: &ScoreRequest) -> Result<Scored, ModelError> {
        request.check(index)?;
        let failed = |error| backend_source(&self.id, error);
        let prompt = self.base.tokenizer.encode_prompt(&request.prompt).map_err(failed)?;
        let encode = |continuation: &String| {
            self.base.tokenizer.encode_response(&request.prompt.response_prefix, continuation).map_err(failed)
        };
        let responses = request.continuations.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
        // From one place for all, or what one has to say of a blank another would have been told.
        let n_prefix = responses.iter().map(|response| response.n_prefix).min().unwrap_or(0);
        let start = prompt.len() + n_prefix;
        let sequences: Vec<ScoredSequence> = responses
            .iter()
            .map(|response| ScoredSequence { tokens: [&prompt[..], &response.ids].concat(), start })
            .collect();
        let longest = sequences.iter().map(|s| s.tokens.len()).max().unwrap_or(0);
        self.check_context(index, longest)?;
        Ok(Scored { index, sequences })
    }

    /// Scores the requests of one pass, on the accelerator if there is one; results in their order.
    fn score_pass(
        &self,
        plain: Option<&PlainLlama>,
        pass: &[Scored],
    ) -> Result<Vec<Vec<Vec<TokenLogprob>>>, EngineError> {
        let sequences: Vec<&ScoredSequence> = pass.iter().flat_map(|scored| &scored.sequences).collect();
        let inputs: Vec<&[u32]> = sequences.iter().map(|s| &s.tokens[..s.tokens.len() - 1]).collect();
        let forest = Forest::pack(&inputs);
        let (mut rows, mut targets) = (Vec::new(), Vec::new());
        for (i, sequence) in sequences.iter().enumerate() {
            rows.extend(forest.rows(i).skip(sequence.start - 1));
            targets
                .extend(sequence.tokens[sequence.start..].iter().map(|&token| Target { token, weight: 1.0 }));
        }
        let llama = &self.base.llama;
        let logprobs = match plain {
            Some(plain) => plain.target_logprobs(&forest, &rows, &targets)?,
            None => on_the_pool(|| {
                let normed = llama.normed_rows(&llama.hidden(self.lora.as_deref(), &forest), &rows);
                target_logprobs(&normed, llama.weights.head(), &targets)
            }),
        };
        let mut scored =
            targets.iter().zip(logprobs).map(|(t, logprob)| TokenLogprob { token: t.token, logprob });
        let mut take = |s: &ScoredSequence| scored.by_ref().take(s.tokens.len() - s.start).collect();
        Ok(pass.iter().map(|request| request.sequences.iter().map(&mut take).collect()).collect())
    }

    fn encode_job(&self, index: usize, request: &GenerateRequest) -> Result<Job, ModelError> {
        request.check(index)?;
        let prompt =
            self.base.encode_open(&request.prompt).map_err(|error| backend_source(&self.id, error))?;
        if prompt.is_empty() {
            let reason = "the chat template makes no token of the prompt: nothing could follow it".into();
            return Err(ModelError::InvalidRequest { index, reason });
        }
        self.check_context(index, prompt.len().saturating_add(request.max_tokens))?;
        Ok(Job { index, prompt, request: request.clone(), ignore_end: false })
    }
}

/// A request to score, as tokens.
struct Scored {
    index: usize,
    sequences: Vec<ScoredSequence>,
}

struct ScoredSequence {
    /// Prompt, response and end of turn.
    tokens: Vec<u32>,
    /// The first token whose probability is asked for.
    start: usize,
}

impl LanguageModel for CandleModel {
    fn id(&self) -> &ModelId {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        let max_context = self.base.llama.config().max_context;
        // Attention adds up in an order that depends on how keys are packed, and so do the last bits.
        Capabilities { max_context, scores: true, seeded: true, batch_invariant: false, repeatable: true }
    }

    fn generate_each(
        &self,
        requests: &[GenerateRequest],
        on_done: OnDone<'_, Generation>,
    ) -> Result<(), ModelError> {
        if let Some(jobs) = encode_good(requests, |index, one| self.encode_job(index, one), on_done) {
            self.generate_jobs(jobs, on_done)?;
        }
        Ok(())
    }

    fn score_each(
        &self,
        requests: &[ScoreRequest],
        on_done: OnDone<'_, Vec<Vec<TokenLogprob>>>,
    ) -> Result<(), ModelError> {
        let encode = |index, one: &_| self.encode_scored(index, one);
        let Some(mut scored) = encode_good(requests, encode, on_done) else { return Ok(()) };
        // Neighbours in this order share the longest beginnings.
        scored.sort_by(|a, b| a.sequences[0].tokens.cmp(&b.sequences[0].tokens).then(a.index.cmp(&b.index)));
        let failed = |error| backend_source(&self.id, error);
        let plain = self.base.plain(self.lora.as_deref()).map_err(failed)?;
        for pass in passes(&scored, self.base.limits.tokens_per_pass) {
            let scores = self.score_pass(plain.as_ref(), pass).map_err(failed)?;
            for (request, result) in pass.iter().zip(scores) {
                let finite = result.iter().flatten().all(|token| token.logprob.is_finite());
                let result = if finite { Ok(result) } else { Err(not_finite(&self.id, request.index)) };
                if on_done(request.index, result).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Encodes requests side by side, reports those that failed and returns the others; `None` if the receiver broke off.
fn encode_good<R: Sync, A: Send, T>(
    requests: &[R],
    encode: impl Fn(usize, &R) -> Result<A, ModelError> + Sync,
    on_done: OnDone<'_, T>,
) -> Option<Vec<A>> {
    let encoded: Vec<_> = requests.par_iter().enumerate().map(|(index, one)| encode(index, one)).collect();
    let mut good = Vec::new();
    for (index, result) in encoded.into_iter().enumerate() {
        match result {
            Ok(request) => good.push(request),
            Err(error) => {
                if on_done(index, Err(error)).is_break() {
                    return None;
                }
            }
        }
    }
    Some(good)
}

/// Cuts sorted requests into runs whose packed length is at most `budget`, at least one request each.
fn passes(scored: &[Scored], budget: usize) -> Vec<&[Scored]> {
    let cost = |i: usize, first: bool| {
        let request = &scored[i].sequences;
        let shared =
            if first { 0 } else { common_prefix(&scored[i - 1].sequences[0].tokens, &request[0].tokens) };
        let options: usize = request.iter().map(|s| s.tokens.len() - s.start).sum();
        request[0].start - shared.min(request[0].start) + options
    };
    cut(scored.len(), budget, cost).into_iter().map(|run| &scored[run]).collect()
}

/// A model whose numbers are broken must not look certain.
pub(crate) fn not_finite(model: &ModelId, index: usize) -> ModelError {
    backend(
        model,
        format!("the logits of request {index} are not finite: the weights or the adapter are broken"),
    )
}

pub(crate) fn backend(model: &ModelId, reason: String) -> ModelError {
    ModelError::Backend { model: model.clone(), reason, source: None }
}

pub(crate) fn backend_source(model: &ModelId, error: EngineError) -> ModelError {
    ModelError::Backend { model: model.clone(), reason: error.to_string(), source: Some(Box::new(error)) }
}
