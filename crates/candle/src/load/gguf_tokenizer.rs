//! The tokenizer a GGUF file carries in its metadata.
//!
//! `tokenizers`' own reader takes every byte-level vocabulary for Llama 3's; which pre-tokenizer a model was
//! trained with is said by `tokenizer.ggml.pre` alone. So each name has its recipe here, checked against
//! llama.cpp, and a name without a recipe is refused.

use super::gguf::Metadata;
use crate::tokenizer::TokenizerParts;
use crate::{ChatTokenizer, EngineError};
use candle_core::quantized::gguf_file::Value;
use serde_json::{Map, json};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer};

/// `LLAMA_TOKEN_TYPE_CONTROL`: read in markup only, never produced by merging.
const CONTROL: i32 = 3;
/// `LLAMA_TOKEN_TYPE_USER_DEFINED`: a token that is looked for in every text.
const USER_DEFINED: i32 = 4;
/// Ids that end a response, as far as a converter wrote them.
const END_KEYS: [&str; 2] = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"];

const REMEDY: &str = "Use the Hugging Face folder of the same model, which brings its own tokenizer.json";

/// How Llama 3 cuts a text into words; from its public `tokenizer.json`.
const LLAMA3_WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen 2's and 3's; the same but for single digits.
const QWEN2_WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// What `tokenizer.ggml.pre` stands for: how a text is cut before any merging.
struct Recipe {
    pre_tokenizer: PreTokenizerWrapper,
    /// Whether texts are brought to Unicode's composed form first. Transformers does, llama.cpp does not.
    composes: bool,
    /// Whether a word that is a token is that token, whatever the merges make of it.
    whole_words: bool,
    /// Tokens that end a response besides those that a key names, as llama.cpp knows them by their texts. SmolLM's files
    /// name theirs.
    ends: &'static [&'static str],
}

pub(super) fn tokenizer(metadata: &Metadata<'_>) -> Result<ChatTokenizer, EngineError> {
    let model = metadata.required("tokenizer.ggml.model", Value::to_string)?;
    if model != "gpt2" {
        return Err(
            metadata.error(format!("tokenizer.ggml.model is {model:?}; supported: \"gpt2\". {REMEDY}"))
        );
    }
    let recipe = recipe(metadata)?;
    let tokens = strings(metadata, "tokenizer.ggml.tokens")?;
    let token = |key: &str| token_named(metadata, &tokens, key);
    let mut end_ids = end_ids(metadata)?;
    end_ids.extend(tokens.iter().zip(0..).filter(|(token, _)| recipe.ends.contains(token)).map(|(_, id)| id));
    let parts = TokenizerParts {
        tokenizer: byte_level_bpe(metadata, &tokens, recipe)?,
        chat_template: chat_template(metadata)?,
        bos_token: token("tokenizer.ggml.bos_token_id")?,
        eos_token: token(END_KEYS[0])?.ok_or_else(|| metadata.error(format!("has no {}", END_KEYS[0])))?,
        end_ids,
        config: config(),
    };
    ChatTokenizer::new(parts).map_err(|e| metadata.error(e.to_string()))
}

fn recipe(metadata: &Metadata<'_>) -> Result<Recipe, EngineError> {
    let plain = |pre_tokenizer| Recipe { pre_tokenizer, composes: false, whole_words: false, ends: &[] };
    let byte_level = PreTokenizerWrapper::from(gpt2_byte_level());
    let words = |pattern: &str| -> Result<PreTokenizerWrapper, EngineError> {
        let pattern = SplitPattern::Regex(pattern.to_owned());
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
            .map_err(|e| metadata.error(format!("the words of its tokenizer: {e}")))?;
        Ok(Sequence::new(vec![split.into(), ByteLevel::new(false, true, false).into()]).into())
    };
    match metadata.required("tokenizer.ggml.pre", Value::to_string)?.as_str() {
        "gpt-2" => Ok(plain(byte_level)),
        "smollm" => Ok(plain(Sequence::new(vec![Digits::new(true).into(), byte_level]).into())),
        "llama-bpe" => Ok(Recipe {
            whole_words: true,
            ends: &["<|end_of_text|>", "<|eot_id|>", "<|eom_id|>"],
            ..plain(words(LLAMA3_WORDS)?)
        }),
        "qwen2" => Ok(Recipe {
            composes: true,
            ends: &["<|endoftext|>", "<|im_end|>"],
            ..plain(words(QWEN2_WORDS)?)
        }),
        other => Err(metadata.error(format!(
            "tokenizer.ggml.pre is {other:?}; \
             supported: \"gpt-2\", \"smollm\", \"llama-bpe\", \"qwen2\". {REMEDY}"
        ))),
    }
}

/// No space in front of a text, offsets trimmed, GPT-2's regular expression.
fn gpt2_byte_level() -> ByteLevel {
    ByteLevel::new(false, true, true)
}

fn byte_level_bpe(
    metadata: &Metadata<'_>,
    tokens: &[&str],
    recipe: Recipe,
) -> Result<Tokenizer, EngineError> {
    let vocab: Vocab = tokens.iter().zip(0..).map(|(token, id)| ((*token).to_owned(), id)).collect();
    if vocab.len() != tokens.len() {
        let reason = format!("{} tokens have {} different texts", tokens.len(), vocab.len());
        return Err(metadata.error(reason));
    }
    let merges = merges(metadata)?;
    let bpe = BPE::builder()
        .vocab_and_merges(vocab, merges)
        .ignore_merges(recipe.whole_words)
        .build()
        .map_err(|e| metadata.error(format!("tokenizer.ggml.merges: {e}")))?;
    let mut tokenizer = Tokenizer::new(bpe);
    tokenizer
        .with_normalizer(recipe.composes.then_some(NFC))
        .map_err(|e| metadata.error(format!("tokenizer.ggml.pre: {e}")))?;
    tokenizer.with_pre_tokenizer(Some(recipe.pre_tokenizer));
    tokenizer.with_post_processor(Some(gpt2_byte_level()));
    tokenizer.with_decoder(Some(gpt2_byte_level()));
    tokenizer
        .add_tokens(added_tokens(metadata, tokens)?)
        .map_err(|e| metadata.error(format!("tokenizer.ggml.token_type: {e}")))?;
    Ok(tokenizer)
}

fn added_tokens(metadata: &Metadata<'_>, tokens: &[&str]) -> Result<Vec<AddedToken>, EngineError> {
    const KEY: &str = "tokenizer.ggml.token_type";
    let kinds = metadata
        .required(KEY, |value| value.to_vec()?.iter().map(Value::to_i32).collect::<Result<Vec<_>, _>>())?;
    if kinds.len() != tokens.len() {
        return Err(metadata.error(format!("{KEY} has {} entries for {} tokens", kinds.len(), tokens.len())));
    }
    let added = |(token, kind): (&&str, i32)| match kind {
        CONTROL => Some(AddedToken::from(*token, true)),
        USER_DEFINED => Some(AddedToken::from(*token, false).normalized(false)),
        _ => None,
    };
    Ok(tokens.iter().zip(kinds).filter_map(added).collect())
}

fn merges(metadata: &Metadata<'_>) -> Result<Vec<(String, String)>, EngineError> {
    const KEY: &str = "tokenizer.ggml.merges";
    let split = |merge: &&str| {
        let (left, right) = merge.split_once(' ')?;
        Some((left.to_owned(), right.to_owned()))
    };
    strings(metadata, KEY)?
        .iter()
        .map(|merge| split(merge).ok_or_else(|| metadata.error(format!("{KEY}: {merge:?} is no pair"))))
        .collect()
}

fn strings<'a>(metadata: &Metadata<'a>, key: &str) -> Result<Vec<&'a str>, EngineError> {
    metadata
        .required(key, |value| value.to_vec()?.iter().map(|v| v.to_string().map(String::as_str)).collect())
}

fn chat_template(metadata: &Metadata<'_>) -> Result<String, EngineError> {
    const KEY: &str = "tokenizer.chat_template";
    let template = metadata.text(KEY)?.map(str::to_owned);
    template.ok_or_else(|| metadata.error(format!("has no {KEY}: only chat models are supported")))
}

fn token_named(metadata: &Metadata<'_>, tokens: &[&str], key: &str) -> Result<Option<String>, EngineError> {
    let Some(id) = metadata.optional_size(key)? else { return Ok(None) };
    match tokens.get(id) {
        Some(token) => Ok(Some((*token).to_owned())),
        None => Err(metadata.error(format!("{key} is {id}, but there are {} tokens", tokens.len()))),
    }
}

fn end_ids(metadata: &Metadata<'_>) -> Result<Vec<u32>, EngineError> {
    let mut ids = Vec::new();
    for key in END_KEYS {
        if let Some(id) = metadata.optional_size(key)? {
            ids.push(u32::try_from(id).map_err(|e| metadata.error(format!("{key}: {e}")))?);
        }
    }
    Ok(ids)
}

fn config() -> Map<String, serde_json::Value> {
    [("tokenizer_class", json!("PreTrainedTokenizerFast")), ("clean_up_tokenization_spaces", json!(false))]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}
