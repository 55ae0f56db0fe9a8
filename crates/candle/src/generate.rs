//! Sampling responses side by side: shared beginnings of prompts are computed once, finished rows leave.

use crate::cache::{CacheSlots, KvCache};
use crate::forest::Forest;
use crate::kernels::attention::QueryBlock;
use crate::llama::{Activations, Plan, Workspace};
use crate::lora::Lora;
use crate::model::{BaseModel, not_finite};
use crate::sampler::Sampler;
use semievol_core::TokenLogprob;
use semievol_model::{Finish, GenerateRequest, Generation, OnDone};
use std::ops::{ControlFlow, Range};

/// A request to generate, as tokens.
pub(crate) struct Job {
    pub index: usize,
    pub prompt: Vec<u32>,
    pub request: GenerateRequest,
    /// The end of a turn is a token like any other.
    pub ignore_end: bool,
}

/// A response in the making.
struct Row<'a> {
    job: &'a Job,
    sampler: Sampler,
    tokens: Vec<TokenLogprob>,
    /// Cache rows of the prompt.
    prompt: Vec<Range<usize>>,
    /// First cache row of the response.
    first_slot: usize,
}

/// Answers `jobs`, all of them at once.
pub(crate) fn generate_batch(
    base: &BaseModel,
    lora: Option<&Lora>,
    jobs: &[Job],
    on_done: OnDone<'_, Generation>,
) -> ControlFlow<()> {
    let prompts: Vec<&[u32]> = jobs.iter().map(|job| &job.prompt[..]).collect();
    let forest = Forest::pack(&prompts);
    let capacity = forest.len() + jobs.iter().map(|job| job.request.max_tokens).sum::<usize>();
    let mut decoder = Decoder::new(base, lora, capacity);

    let ends: Vec<usize> = (0..jobs.len()).flat_map(|i| forest.rows(i).last()).collect();
    let mut next_slot = forest.len();
    let mut rows: Vec<Row<'_>> = Vec::with_capacity(jobs.len());
    for (i, job) in jobs.iter().enumerate() {
        let sampler = Sampler::new(&job.request);
        rows.push(Row { job, sampler, tokens: Vec::new(), prompt: forest.spans(i), first_slot: next_slot });
        next_slot += job.request.max_tokens;
    }
    let everything = 0..forest.len();
    let mut logits =
        decoder.step(forest.tokens(), forest.positions(), &forest.query_blocks(0), &[everything], &ends);
    loop {
        rows = extend_rows(base, rows, &mut logits, on_done)?;
        if rows.is_empty() {
            return ControlFlow::Continue(());
        }
        logits = decoder.decode(&rows);
    }
}

/// Samples one token for every row; rows that are done are reported and leave.
fn extend_rows<'a>(
    base: &BaseModel,
    rows: Vec<Row<'a>>,
    logits: &mut [f32],
    on_done: OnDone<'_, Generation>,
) -> ControlFlow<(), Vec<Row<'a>>> {
    let vocab = base.llama.config().vocab_size;
    let mut alive = Vec::with_capacity(rows.len());
    for (mut row, logits) in rows.into_iter().zip(logits.chunks_exact_mut(vocab)) {
        let token = row.sampler.sample(logits);
        if !token.logprob.is_finite() {
            on_done(row.job.index, Err(not_finite(&base.id, row.job.index)))?;
            continue;
        }
        row.tokens.push(token);
        match row.finished(base) {
            Some(generation) => on_done(row.job.index, Ok(generation))?,
            None => alive.push(row),
        }
    }
    ControlFlow::Continue(alive)
}

impl Row<'_> {
    /// The response, if its last token ended it.
    fn finished(&self, base: &BaseModel) -> Option<Generation> {
        let last = self.tokens.last()?.token;
        let ended = !self.job.ignore_end && base.tokenizer.is_end(last);
        let ids: Vec<u32> = self.tokens.iter().map(|t| t.token).collect();
        let said = base.tokenizer.decode(&ids[..ids.len() - usize::from(ended)]);
        let request = &self.job.request;
        let stop =
            request.stop.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| said.find(stop)).min();
        let done =
            |text: &str, finish| Some(Generation { text: text.into(), tokens: self.tokens.clone(), finish });
        match stop {
            Some(at) => done(&said[..at], Finish::Stop),
            None if ended => done(&said, Finish::Stop),
            None if self.tokens.len() == request.max_tokens => done(&said, Finish::Length),
            None => None,
        }
    }

    /// How the newest token attends: to the prompt, to the response so far, to itself.
    fn query_block(&self, row: usize) -> QueryBlock {
        let own = self.first_slot + self.tokens.len() - 1;
        let mut past = self.prompt.clone();
        past.push(self.first_slot..own);
        QueryBlock { rows: row..row + 1, past, own }
    }

    fn position(&self) -> u32 {
        (self.job.prompt.len() + self.tokens.len() - 1) as u32
    }
}

/// The model with a cache and buffers.
struct Decoder<'a> {
    base: &'a BaseModel,
    lora: Option<&'a Lora>,
    cache: KvCache,
    acts: Activations,
    work: Workspace,
}

impl<'a> Decoder<'a> {
    fn new(base: &'a BaseModel, lora: Option<&'a Lora>, capacity: usize) -> Self {
        let cache = KvCache::new(base.llama.config(), capacity);
        Decoder { base, lora, cache, acts: Activations::default(), work: Workspace::default() }
    }

    /// One token more for every row; its logits.
    fn decode(&mut self, rows: &[Row<'_>]) -> Vec<f32> {
        let tokens: Vec<u32> = rows.iter().filter_map(|row| row.tokens.last()).map(|t| t.token).collect();
        let positions: Vec<u32> = rows.iter().map(Row::position).collect();
        let blocks: Vec<QueryBlock> = rows.iter().enumerate().map(|(i, row)| row.query_block(i)).collect();
        let slots: Vec<Range<usize>> = blocks.iter().map(|block| block.own..block.own + 1).collect();
        let wanted: Vec<usize> = (0..rows.len()).collect();
        self.step(&tokens, &positions, &blocks, &slots, &wanted)
    }

    /// Runs `tokens` through the model, their keys and values going to `slots`; the logits after `wanted` rows.
    fn step(
        &mut self,
        tokens: &[u32],
        positions: &[u32],
        blocks: &[QueryBlock],
        slots: &[Range<usize>],
        wanted: &[usize],
    ) -> Vec<f32> {
        let llama = &self.base.llama;
        let plan = Plan { positions, blocks };
        let mut cache = CacheSlots { cache: &mut self.cache, slots };
        let x = llama.run(self.lora, &plan, tokens, Some(&mut cache), &mut self.acts, &mut self.work);
        llama.logits(&llama.normed_rows(&x, wanted))
    }
}
