//! Sampling responses side by side. What all prompts begin with is computed once; rows that are done leave, and the
//! next prompts are read in the same pass in which the others get their next token.

use crate::EngineError;
use crate::cache::{CacheSlots, KvCache, Slots};
use crate::forest::{Forest, common_prefix, cut};
use crate::kernels::attention::QueryBlock;
use crate::kernels::on_the_pool;
use crate::llama::{Activations, Plan, Workspace};
use crate::lora::Lora;
use crate::model::{BaseModel, Limits, not_finite};
use crate::plain::{PlainCache, PlainLlama, PlainSlots};
use crate::sampler::Sampler;
use rayon::prelude::*;
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
    /// Cache rows of the prompt, in its order.
    prompt: Vec<Range<usize>>,
    /// Cache rows of the response.
    response: Range<usize>,
}

/// Answers `jobs`, of which neighbours share the longest beginnings, until the receiver breaks off.
pub(crate) fn generate_all(
    base: &BaseModel,
    lora: Option<&Lora>,
    jobs: &[Job],
    on_done: OnDone<'_, Generation>,
) -> Result<ControlFlow<()>, EngineError> {
    let mut batch = Batch::new(base, lora, jobs)?;
    while !(batch.waiting.is_empty() && batch.rows.is_empty()) {
        let mut logits = batch.step()?;
        if batch.extend_rows(&mut logits, on_done).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Rows under way, and jobs that wait for a place.
struct Batch<'a> {
    base: &'a BaseModel,
    decoder: Decoder<'a>,
    limits: Limits,
    slots: Slots,
    /// Cache rows of what all prompts begin with.
    root: Range<usize>,
    waiting: &'a [Job],
    rows: Vec<Row<'a>>,
    /// Of each cache row behind the root, how many prompts under way have it.
    users: Vec<u32>,
}

impl<'a> Batch<'a> {
    fn new(base: &'a BaseModel, lora: Option<&'a Lora>, jobs: &'a [Job]) -> Result<Self, EngineError> {
        let root = 0..root_len(jobs);
        let largest = jobs.iter().map(|job| job.prompt.len() - root.len() + job.request.max_tokens).max();
        let budget = base.limits.tokens_per_batch.saturating_sub(root.len()).max(largest.unwrap_or(0));
        // No more than all jobs could use.
        let all =
            jobs.iter().map(|job| job.prompt.len() - root.len() + job.request.max_tokens).sum::<usize>();
        let capacity = root.len() + budget.min(all);
        let mut batch = Batch {
            base,
            decoder: Decoder::new(base, lora, capacity)?,
            limits: base.limits,
            slots: Slots::new(root.end..capacity),
            root,
            waiting: jobs,
            rows: Vec::new(),
            users: vec![0; capacity],
        };
        if let Some(job) = jobs.first().filter(|_| !batch.root.is_empty()) {
            let forest = Forest::pack(&[&job.prompt[batch.root.clone()]]);
            let (blocks, slots) = (forest.query_blocks(0), [batch.root.clone()]);
            batch.decoder.step(forest.tokens(), forest.positions(), &blocks, &slots, &[])?;
        }
        Ok(batch)
    }

    /// One pass: the next token of every row, and prompts that are let in. The logits of all rows, the new ones last.
    fn step(&mut self) -> Result<Vec<f32>, EngineError> {
        let mut pass = PassInputs::default();
        for row in &self.rows {
            row.push_newest(&mut pass);
        }
        if let Some((region, responses, admitted)) = self.admit() {
            let offset = self.root.len();
            let suffixes: Vec<&[u32]> = admitted.iter().map(|job| &job.prompt[offset..]).collect();
            let forest = Forest::pack(&suffixes);
            let first = pass.tokens.len();
            pass.tokens.extend_from_slice(forest.tokens());
            pass.positions.extend(forest.positions().iter().map(|position| position + offset as u32));
            for mut block in forest.query_blocks(region.start) {
                if !self.root.is_empty() {
                    block.past.insert(0, self.root.clone());
                }
                block.rows = block.rows.start + first..block.rows.end + first;
                pass.blocks.push(block);
            }
            pass.slots.push(region.clone());
            let last = |i| forest.rows(i).last().expect("a prompt has a token of its own");
            pass.wanted.extend((0..admitted.len()).map(|i| first + last(i)));
            for (i, (job, response)) in admitted.iter().zip(responses).enumerate() {
                let spans = forest.spans(i).into_iter().map(|s| s.start + region.start..s.end + region.start);
                let prompt: Vec<Range<usize>> =
                    (!self.root.is_empty()).then(|| self.root.clone()).into_iter().chain(spans).collect();
                own(&prompt, &self.root).for_each(|slot| self.users[slot] += 1);
                let (sampler, tokens) = (Sampler::new(&job.request), Vec::new());
                self.rows.push(Row { job, sampler, tokens, prompt, response });
            }
        }
        self.decoder.step(&pass.tokens, &pass.positions, &pass.blocks, &pass.slots, &pass.wanted)
    }

    /// The next jobs for which there is room, with the cache rows of their prompts and of each response. They come in
    /// groups, for a prompt read by itself shares nothing.
    #[expect(clippy::type_complexity, reason = "named where it is taken apart")]
    fn admit(&mut self) -> Option<(Range<usize>, Vec<Range<usize>>, &'a [Job])> {
        let most = self.limits.rows.max(1);
        let places = most.saturating_sub(self.rows.len()).min(self.waiting.len());
        let least = if self.rows.is_empty() { 1 } else { (most / 4).clamp(1, self.waiting.len().max(1)) };
        if places < least {
            return None;
        }
        let offset = self.root.len();
        let suffix = |i: usize| &self.waiting[i].prompt[offset..];
        let cost = |i: usize, first: bool| {
            suffix(i).len() - if first { 0 } else { common_prefix(suffix(i - 1), suffix(i)) }
        };
        let mut n = cut(places, self.limits.tokens_per_pass, cost).first()?.len();
        // One prompt may fill a pass, or memory. (Where memory is the limit, prompts could come in one by one and fill places
        // sooner: with 400 tokens of their own they are then read so much more slowly that nothing is won.)
        let least = least.min(n);
        // What is free may be in pieces: fewer prompts may fit where these do not.
        while n >= least {
            let prompts: usize = (0..n).map(|i| cost(i, i == 0)).sum();
            let responses = self.waiting[..n].iter().map(|job| job.request.max_tokens);
            if let Some(mut taken) = self.slots.take_all(std::iter::once(prompts).chain(responses)) {
                let (admitted, rest) = self.waiting.split_at(n);
                self.waiting = rest;
                return Some((taken.remove(0), taken, admitted));
            }
            n -= 1;
        }
        None
    }

    /// Samples one token for every row; rows that are done are reported and leave.
    fn extend_rows(&mut self, logits: &mut [f32], on_done: OnDone<'_, Generation>) -> ControlFlow<()> {
        let vocab = self.base.llama.config().vocab_size;
        let mut rows = std::mem::take(&mut self.rows);
        let drawn: Vec<TokenLogprob> = rows
            .par_iter_mut()
            .zip(logits.par_chunks_exact_mut(vocab))
            .map(|(row, logits)| row.sampler.sample(logits))
            .collect();
        for (mut row, token) in rows.into_iter().zip(drawn) {
            let done = if token.logprob.is_finite() {
                row.tokens.push(token);
                row.finished(self.base).map(Ok)
            } else {
                Some(Err(not_finite(&self.base.id, row.job.index)))
            };
            match done {
                None => self.rows.push(row),
                Some(result) => {
                    let index = row.job.index;
                    self.release(row);
                    on_done(index, result)?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn release(&mut self, row: Row<'_>) {
        self.slots.give_back(row.response);
        // What other prompts begin with, too, stays.
        let mut free: Vec<Range<usize>> = Vec::new();
        for slot in own(&row.prompt, &self.root) {
            self.users[slot] -= 1;
            match free.last_mut() {
                _ if self.users[slot] > 0 => {}
                Some(run) if run.end == slot => run.end += 1,
                _ => free.push(slot..slot + 1),
            }
        }
        free.into_iter().for_each(|run| self.slots.give_back(run));
    }
}

/// A prompt's cache rows behind the root.
fn own(prompt: &[Range<usize>], root: &Range<usize>) -> impl Iterator<Item = usize> {
    let end = root.end;
    prompt.iter().cloned().flatten().filter(move |slot| *slot >= end)
}

/// How many tokens all prompts begin with; each keeps one for itself, whose logits are wanted.
fn root_len(jobs: &[Job]) -> usize {
    let ([first, .., last], Some(shortest)) = (jobs, jobs.iter().map(|job| job.prompt.len()).min()) else {
        return 0;
    };
    common_prefix(&first.prompt, &last.prompt).min(shortest.saturating_sub(1))
}

/// Tokens of a pass, where they stand and what is wanted of them.
#[derive(Default)]
struct PassInputs {
    tokens: Vec<u32>,
    positions: Vec<u32>,
    blocks: Vec<QueryBlock>,
    slots: Vec<Range<usize>>,
    wanted: Vec<usize>,
}

impl Row<'_> {
    /// The response, if its last token ended it.
    fn finished(&self, base: &BaseModel) -> Option<Generation> {
        let last = self.tokens.last()?.token;
        let ended = !self.job.ignore_end && base.tokenizer.is_end(last);
        let full = self.tokens.len() == self.job.request.max_tokens;
        if !ended && !full && self.job.request.stop.is_empty() {
            return None;
        }
        let ids: Vec<u32> = self.tokens.iter().map(|t| t.token).collect();
        let said = base.tokenizer.decode(&ids[..ids.len() - usize::from(ended)]);
        let stop = self.job.request.stop_in(&said);
        let done =
            |text: &str, finish| Some(Generation { text: text.into(), tokens: self.tokens.clone(), finish });
        match stop {
            Some(at) => done(&said[..at], Finish::Stop),
            None if ended => done(&said, Finish::Stop),
            None if full => done(&said, Finish::Length),
            None => None,
        }
    }

    /// The newest token: it sees the prompt, the response so far and itself.
    fn push_newest(&self, pass: &mut PassInputs) {
        let Some(newest) = self.tokens.last() else { return };
        let (row, answered) = (pass.tokens.len(), self.tokens.len() - 1);
        let own = self.response.start + answered;
        let mut past = self.prompt.clone();
        past.push(self.response.start..own);
        pass.tokens.push(newest.token);
        pass.positions.push((self.job.prompt.len() + answered) as u32);
        pass.blocks.push(QueryBlock { rows: row..row + 1, past, own });
        pass.slots.push(own..own + 1);
        pass.wanted.push(row);
    }
}

/// The model with a cache.
enum Decoder<'a> {
    /// This engine's own passes, with their buffers.
    Own {
        base: &'a BaseModel,
        lora: Option<&'a Lora>,
        cache: KvCache,
        buffers: Box<(Activations, Workspace)>,
    },
    /// Plain operators on an accelerator.
    Plain { model: PlainLlama, cache: PlainCache },
}

impl<'a> Decoder<'a> {
    fn new(base: &'a BaseModel, lora: Option<&'a Lora>, capacity: usize) -> Result<Self, EngineError> {
        if let Some(model) = base.plain(lora)? {
            return Ok(Decoder::Plain { cache: model.cache(capacity)?, model });
        }
        let cache = KvCache::new(base.llama.config(), capacity);
        Ok(Decoder::Own { base, lora, cache, buffers: Box::default() })
    }

    /// Runs `tokens` through the model, their keys and values going to `slots`; the logits after `wanted` rows.
    fn step(
        &mut self,
        tokens: &[u32],
        positions: &[u32],
        blocks: &[QueryBlock],
        slots: &[Range<usize>],
        wanted: &[usize],
    ) -> Result<Vec<f32>, EngineError> {
        match self {
            Decoder::Own { base, lora, cache, buffers } => {
                let (acts, work) = &mut **buffers;
                let (llama, plan) = (&base.llama, Plan { positions, blocks });
                let mut cache = CacheSlots { cache, slots };
                Ok(on_the_pool(|| {
                    let x = llama.run(*lora, &plan, tokens, Some(&mut cache), acts, work);
                    llama.logits(&llama.normed_rows(&x, wanted))
                }))
            }
            Decoder::Plain { model, cache } => {
                let cache = PlainSlots { cache, slots };
                let x = model.run(tokens, positions, blocks, Some(&cache))?;
                Ok(model.logits_after(&x, wanted)?)
            }
        }
    }
}
