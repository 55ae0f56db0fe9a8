//! Each text embedded once, and by a resumed run not at all.

use crate::folder::{Inputs, Place};
use crate::{NamedEmbedder, OnEvent, PipelineError, SeedRun, Stage, StageEvent, Unit, files};
use semievol_model::{Embedder, Embeddings, ModelId, TextRole};
use semievol_retrieval::{KnownEmbeddings, RetrievalError};

const NAME: &str = "embeddings";
/// Texts that are embedded at once, and lost by a kill.
const PORTION: usize = 256;

impl SeedRun<'_> {
    /// Vectors of texts that can be found and of texts that look for them.
    pub(crate) fn embeddings(
        &self,
        tag: &str,
        documents: Vec<&str>,
        queries: Vec<&str>,
        events: OnEvent<'_>,
    ) -> Result<(ModelId, KnownEmbeddings), PipelineError> {
        let named = self.parts.embedder.ok_or_else(|| {
            PipelineError::Assembly(
                "the method looks prompts up by their embeddings, but there is no embedder: set `embedder`, or method.retrieval.kind = \"bm25\" and no classifier".into(),
            )
        })?;
        let texts = [(TextRole::Document, distinct(documents)), (TextRole::Query, distinct(queries))];
        let [(_, documents), (_, queries)] = &texts;
        let inputs = Inputs::of("embed")
            .with("embedder", named.id)
            .with_digest("documents", documents)
            .with_digest("queries", queries);
        let name = format!("{NAME}{tag}");
        let place = Place::new(&self.folder, &name, &format!("{name}.safetensors"), inputs);
        let stage = Stage::new(&name, Unit::Texts, documents.len() + queries.len());
        if place.is_finished(self.shelf)? {
            events(&StageEvent::Kept(stage));
        } else {
            events(&StageEvent::Begin(stage.clone()));
            let portions: Vec<Portion<'_>> = texts
                .iter()
                .flat_map(|(role, texts)| texts.chunks(PORTION).map(|texts| Portion { role: *role, texts }))
                .collect();
            embed_all(&place, named, &portions, events)?.save(place.output()).map_err(failed)?;
            place.finish(self.shelf, &[])?;
            place.remove_parts(portions.len());
            events(&StageEvent::Done(stage));
        }
        Ok((named.id.clone(), KnownEmbeddings::load(place.output(), named.id.as_str()).map_err(failed)?))
    }
}

struct Portion<'a> {
    role: TextRole,
    texts: &'a [&'a str],
}

/// Embeds the portions that an earlier run did not leave, each into a file of its own.
fn embed_all(
    place: &Place,
    named: NamedEmbedder<'_>,
    portions: &[Portion<'_>],
    events: OnEvent<'_>,
) -> Result<KnownEmbeddings, PipelineError> {
    let (id, dim) = (named.id.as_str(), named.embedder.dim());
    let all = KnownEmbeddings::new(id, dim).map_err(failed)?;
    let mut done = 0;
    for (number, Portion { role, texts }) in portions.iter().enumerate() {
        done += texts.len();
        let part = place.part(number);
        let vectors = match kept(&part, id, *role, texts) {
            Some(vectors) => {
                events(&StageEvent::Resumed { done });
                vectors
            }
            None => {
                let vectors = named.embedder.embed(*role, texts).map_err(PipelineError::model(NAME))?;
                let some = KnownEmbeddings::new(id, dim).map_err(failed)?;
                some.remember(*role, texts, &vectors).map_err(failed)?;
                files::create_folder_of(&part)?;
                some.save(&part).map_err(failed)?;
                events(&StageEvent::Progress { done });
                vectors
            }
        };
        all.remember(*role, texts, &vectors).map_err(failed)?;
    }
    Ok(all)
}

/// What an earlier run left of a portion, if all of it.
fn kept(part: &std::path::Path, id: &str, role: TextRole, texts: &[&str]) -> Option<Embeddings> {
    KnownEmbeddings::load(part, id).ok()?.embed(role, texts).ok()
}

/// Each text once, sorted.
fn distinct(mut texts: Vec<&str>) -> Vec<&str> {
    texts.sort_unstable();
    texts.dedup();
    texts
}

fn failed(source: RetrievalError) -> PipelineError {
    PipelineError::Retrieval { stage: NAME.to_owned(), source }
}
