//! Cosine similarities of three sentences: `cargo run --example embed -- FOLDER`, the folder of a BERT in the
//! layout of sentence-transformers.

use semievol_candle::bert::BertEmbedder;
use semievol_model::{Embedder, TextRole};
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let folder: PathBuf = std::env::args_os().nth(1).ok_or("usage: embed FOLDER")?.into();
    let embedder = BertEmbedder::load(&folder)?;
    let texts = ["The boat left at dawn.", "A ship sailed early in the morning.", "Profits rose by a tenth."];
    let vectors = embedder.embed(TextRole::Document, &texts)?;
    for (first, text) in texts.iter().enumerate() {
        for (second, other) in texts.iter().enumerate().skip(first + 1) {
            let cosine: f32 = vectors.row(first).iter().zip(vectors.row(second)).map(|(a, b)| a * b).sum();
            println!("{cosine:.4}  {text} | {other}");
        }
    }
    Ok(())
}
