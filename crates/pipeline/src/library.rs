//! Eq. 2-3: the labelled samples as something to look neighbours up in.

use crate::labels::largest_group;
use crate::{OnEvent, PipelineError, SeedRun, files};
use semievol_core::{Labeled, Prompt, Sample};
use semievol_data::folded;
use semievol_model::{Embedder, Embeddings, ModelId, TextRole};
use semievol_retrieval::{Hit, KnownEmbeddings, Query, RetrievalError, Retriever, RetrieverFactory};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The labelled samples with an index over them.
pub struct Library<'a> {
    labelled: &'a [Labeled],
    embedder_id: Option<ModelId>,
    known: Option<Arc<KnownEmbeddings>>,
    retriever: Option<Box<dyn Retriever>>,
}

impl std::fmt::Debug for Library<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Library")
            .field("labelled", &self.labelled.len())
            .field("embedder_id", &self.embedder_id)
            .field("retriever", &self.retriever.as_ref().map(|retriever| retriever.id()))
            .finish_non_exhaustive()
    }
}

/// A prompt with the neighbours that it was given: a line of `prompts.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromptRecord {
    /// The sample.
    pub id: String,
    /// Labelled samples, the nearest first.
    pub neighbours: Vec<NeighbourRecord>,
    /// The prompt with all of them.
    pub prompt: Prompt,
}

/// A neighbour by its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NeighbourRecord {
    /// The labelled sample.
    pub id: String,
    /// How alike: cosine, or BM25's sum.
    pub score: f32,
}

/// Rows with one question that leave-one-out sees through.
const TWINS: usize = 8;

/// Where a round's embeddings are kept, and those that an earlier round has made.
#[derive(Default)]
pub(crate) struct Embedded<'t> {
    pub(crate) tag: &'t str,
    pub(crate) known: Option<Arc<KnownEmbeddings>>,
}

impl SeedRun<'_> {
    /// Embeds the labelled and the other samples once, where `retrieval` or a classifier needs it, and builds
    /// the index.
    ///
    /// # Errors
    /// If an embedder is needed and there is none, or it fails.
    pub fn library<'l>(
        &self,
        labelled: &'l [Labeled],
        others: &[&[Sample]],
        retrieval: Option<&dyn RetrieverFactory>,
        embeds: bool,
        events: OnEvent<'_>,
    ) -> Result<Library<'l>, PipelineError> {
        self.library_of_round(Embedded::default(), labelled, others, retrieval, embeds, events)
    }

    /// The same for a round; texts that an earlier one knew are not embedded again.
    pub(crate) fn library_of_round<'l>(
        &self,
        Embedded { tag, known }: Embedded<'_>,
        labelled: &'l [Labeled],
        others: &[&[Sample]],
        retrieval: Option<&dyn RetrieverFactory>,
        embeds: bool,
        events: OnEvent<'_>,
    ) -> Result<Library<'l>, PipelineError> {
        let mut library = Library { labelled, embedder_id: None, known: None, retriever: None };
        if embeds {
            let unknown = |role: TextRole| {
                let known = known.clone();
                move |text: &&str| !known.as_ref().is_some_and(|known| known.knows(role, text))
            };
            let own = || labelled.iter().map(|labeled| text(&labeled.sample));
            let others = others.iter().copied().flatten().map(text);
            let documents: Vec<&str> = own().filter(unknown(TextRole::Document)).collect();
            // A labelled sample looks for neighbours, too.
            let queries: Vec<&str> = own().chain(others).filter(unknown(TextRole::Query)).collect();
            let (id, new) = self.embeddings(tag, documents, queries, events)?;
            let known = match known {
                Some(known) => {
                    known.remember_all(new).map_err(failed)?;
                    known
                }
                None => Arc::new(new),
            };
            (library.embedder_id, library.known) = (Some(id), Some(known));
        }
        if let Some(retrieval) = retrieval {
            let texts: Vec<&str> = labelled.iter().map(|labeled| text(&labeled.sample)).collect();
            let embedder = library.known.clone().zip(library.embedder_id.as_ref());
            let embedder = embedder.map(|(known, id)| (known as Arc<dyn Embedder>, id.as_str()));
            let built = retrieval.build(&texts, embedder);
            library.retriever = Some(built.map_err(failed)?);
        }
        Ok(library)
    }

    /// Embeds the samples of a part, where the library has embeddings, and adds theirs to it; the texts that it did not
    /// know, to be forgotten.
    pub(crate) fn embed_part<'s>(
        &self,
        library: &Library<'_>,
        samples: &'s [Sample],
        tag: &str,
        events: OnEvent<'_>,
    ) -> Result<Vec<&'s str>, PipelineError> {
        let Some(known) = &library.known else { return Ok(Vec::new()) };
        let new = samples.iter().map(text).filter(|text| !known.knows(TextRole::Query, text));
        let new: Vec<&str> = new.collect();
        let (_, vectors) = self.embeddings(tag, Vec::new(), new.clone(), events)?;
        known.remember_all(vectors).map_err(failed)?;
        Ok(new)
    }

    /// Writes which neighbours each sample has, and the prompt with all of them, to `prompts.jsonl`.
    pub(crate) fn write_prompts(
        &self,
        tag: &str,
        samples: &[Sample],
        neighbours: &[Vec<Hit>],
        library: &Library<'_>,
    ) -> Result<(), PipelineError> {
        let record = |(sample, hits): (&Sample, &Vec<Hit>)| PromptRecord {
            id: sample.id.clone(),
            neighbours: hits
                .iter()
                .map(|hit| NeighbourRecord {
                    id: library.labelled[hit.row].sample.id.clone(),
                    score: hit.score,
                })
                .collect(),
            prompt: self.task.prompt(sample, &library.shots(hits)),
        };
        let records: Vec<PromptRecord> = samples.iter().zip(neighbours).map(record).collect();
        files::write_jsonl(&self.rows_file(&format!("prompts{tag}")), &records)
    }
}

impl<'a> Library<'a> {
    pub(crate) fn labelled(&self) -> &'a [Labeled] {
        self.labelled
    }

    pub(crate) fn known(&self) -> Option<Arc<KnownEmbeddings>> {
        self.known.clone()
    }

    pub(crate) fn embedder_id(&self) -> Option<&ModelId> {
        self.embedder_id.as_ref()
    }

    /// The `k` nearest labelled samples of each sample; none without an index.
    ///
    /// # Errors
    /// If a sample cannot be embedded.
    pub fn nearest(&self, samples: &[Sample], k: usize) -> Result<Vec<Vec<Hit>>, PipelineError> {
        let queries = samples.iter().map(|sample| Query { text: text(sample), exclude: None });
        self.retrieve(queries.collect(), k)
    }

    /// The `k` nearest labelled samples of each of the first `rows` of them, itself, its twins and its group left out: an
    /// example with the same question would teach to copy its answer, and samples have neighbours of other groups alone.
    ///
    /// # Errors
    /// If a sample cannot be embedded.
    pub fn leave_one_out(&self, rows: usize, k: usize) -> Result<Vec<Vec<Hit>>, PipelineError> {
        let labelled = &self.labelled[..rows.min(self.labelled.len())];
        let query =
            |(row, labeled): (usize, &'a Labeled)| Query { text: text(&labeled.sample), exclude: Some(row) };
        let searched = if k == 0 { 0 } else { k + TWINS + largest_group(self.labelled) };
        let found = self.retrieve(labelled.iter().enumerate().map(query).collect(), searched)?;
        let keys: Vec<String> = self.labelled.iter().map(|labeled| folded(text(&labeled.sample))).collect();
        let others = |(row, hits): (usize, Vec<Hit>)| -> Vec<Hit> {
            let own = &self.labelled[row].sample;
            let other = |hit: &Hit| {
                let group = &self.labelled[hit.row].sample.group;
                keys[hit.row] != keys[row] && (own.group.is_none() || *group != own.group)
            };
            hits.into_iter().filter(other).take(k).collect()
        };
        Ok(found.into_iter().enumerate().map(others).collect())
    }

    /// What was found, as what a prompt shows.
    pub fn shots(&self, hits: &[Hit]) -> Vec<&'a Labeled> {
        hits.iter().map(|hit| &self.labelled[hit.row]).collect()
    }

    fn retrieve(&self, queries: Vec<Query<'_>>, k: usize) -> Result<Vec<Vec<Hit>>, PipelineError> {
        let Some(retriever) = self.retriever.as_ref().filter(|_| k > 0) else {
            return Ok(vec![Vec::new(); queries.len()]);
        };
        let found = retriever.retrieve(&queries, k).map_err(failed)?;
        // One of a program's own may be of other texts.
        let odd = |reason: String| {
            let retriever = retriever.id();
            failed(RetrievalError::Backend { retriever, reason, source: None })
        };
        if found.len() != queries.len() {
            let (asked, given) = (queries.len(), found.len());
            return Err(odd(format!(
                "{asked} texts got {given} lists of neighbours; a retriever answers each"
            )));
        }
        match found
            .iter()
            .find(|hits| hits.len() > k || hits.iter().any(|hit| hit.row >= self.labelled.len()))
        {
            None => Ok(found),
            Some(hits) if hits.len() > k => {
                Err(odd(format!("{} neighbours of a text where {k} were asked for", hits.len())))
            }
            Some(_) => Err(odd(format!(
                "a neighbour that is none of the {} labelled rows that it was made of",
                self.labelled.len()
            ))),
        }
    }

    /// Takes away again what a part has added.
    pub(crate) fn forget(&self, texts: &[&str]) {
        if let Some(known) = &self.known {
            known.forget(TextRole::Query, texts);
        }
    }

    /// The samples' vectors.
    pub(crate) fn features(&self, stage: &str, samples: &[&Sample]) -> Result<Embeddings, PipelineError> {
        let Some(known) = &self.known else {
            return Err(PipelineError::Assembly(format!(
                "{stage}: a classifier needs embeddings, but none were made"
            )));
        };
        let texts: Vec<&str> = samples.iter().map(|sample| text(sample)).collect();
        known.embed(TextRole::Query, &texts).map_err(PipelineError::model(stage))
    }
}

/// What of a sample is compared: the question. Its options are the same for all, or no help.
fn text(sample: &Sample) -> &str {
    &sample.question
}

fn failed(source: RetrievalError) -> PipelineError {
    PipelineError::Retrieval { stage: "retrieval".to_owned(), source }
}
