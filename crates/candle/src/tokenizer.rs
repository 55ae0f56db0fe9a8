//! Text to token ids and back, with the chat template.
//!
//! Two views of one tokenizer: the template's own text is read with its special tokens, everything that
//! others wrote (questions, responses) as plain characters, so no data row can end a turn or open another. (Where a
//! template's markers are no tokens, such as Llama 2's `[INST]`, nothing tells them from a row's own words.)

use crate::EngineError;
use crate::template::ChatTemplate;
use crate::tensor_file::write_atomically;
use semievol_core::hex;
use semievol_core::{Message, Prompt, Role};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::cmp::Reverse;
use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use tokenizers::{AddedToken, Encoding, PostProcessorWrapper, Tokenizer};

/// A tokenizer with its chat template; cloning shares it.
#[derive(Clone)]
pub struct ChatTokenizer {
    inner: Arc<Inner>,
}

struct Inner {
    /// Reads special tokens in a text.
    markup: Tokenizer,
    /// Takes the text of a special token for ordinary characters; its offsets keep leading spaces.
    plain: Tokenizer,
    special_ids: HashSet<u32>,
    special_texts: Vec<String>,
    seams: Seams,
    template: ChatTemplate,
    end_ids: Vec<u32>,
    end_of_turn: u32,
    config: Map<String, Value>,
    digest: String,
}

/// The response of a training example, or one to be scored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedResponse {
    /// Prefix and continuation tokenised as one text, then the end-of-turn token.
    pub ids: Vec<u32>,
    /// How many of them lie wholly within the prefix; a token that reaches over its end is not counted.
    pub n_prefix: usize,
}

/// A tokenizer in the manner of SentencePiece writes a blank in front of a text, which does not stand there where the text goes
/// on: these stand in front of what goes on, and their tokens are taken away again. Byte-level tokenizers need none.
#[derive(Default)]
struct Seams {
    /// Of responses: the end of the line that opens the assistant's turn.
    response: Option<&'static str>,
    /// Of what follows a special token, where no blank is written after those.
    piece: Option<&'static str>,
}

impl Seams {
    /// How a blank begins a word there.
    const BLANK: char = '▁';

    fn of(plain: &Tokenizer, markup: &Tokenizer, template: &ChatTemplate, special: &str) -> Option<Self> {
        let first = |tokenizer: &Tokenizer, text: &str, at: usize| {
            let encoding = tokenizer.encode(text, false).ok()?;
            Some(encoding.get_tokens().get(at)?.starts_with(Self::BLANK))
        };
        if !first(plain, "x", 0)? {
            return None;
        }
        let asked = [Message { role: Role::User, content: "x".to_owned() }];
        // Of what is said where the template ends: a special token may swallow the end of a line.
        let opens_a_line = template.render(&asked, true).ok().filter(|text| text.ends_with('\n'));
        let opens_a_line = opens_a_line.is_some_and(|text| {
            let tokens = |text: String| {
                markup.encode(text, false).map(|e| e.get_tokens().to_vec()).unwrap_or_default()
            };
            let (before, after) = (tokens(text.clone()), tokens(text + "x"));
            let same = before.iter().zip(&after).take_while(|(one, other)| one == other).count();
            after.get(same).is_some_and(|token| !token.starts_with(Self::BLANK))
        });
        let blank_after_special = first(markup, &format!("{special}x"), 1).unwrap_or(true);
        Some(Seams { response: opens_a_line.then_some("\n"), piece: (!blank_after_special).then_some("\n") })
    }
}

/// What a model's files say about its tokenizer.
pub(crate) struct TokenizerParts {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) chat_template: String,
    pub(crate) bos_token: Option<String>,
    pub(crate) eos_token: String,
    /// Ids that end a response besides `eos_token`.
    pub(crate) end_ids: Vec<u32>,
    /// Further fields for `tokenizer_config.json`.
    pub(crate) config: Map<String, Value>,
}

impl ChatTokenizer {
    pub(crate) fn new(parts: TokenizerParts) -> Result<Self, EngineError> {
        let TokenizerParts { tokenizer, chat_template, bos_token, eos_token, end_ids, mut config } = parts;
        let mut markup = tokenizer;
        markup.with_padding(None);
        markup.with_truncation(None).map_err(|e| failed(e.to_string()))?;
        let mut plain = markup.clone();
        plain.set_encode_special_tokens(true);
        plain.with_post_processor(None::<PostProcessorWrapper>);

        let template = ChatTemplate::new(chat_template, bos_token.as_deref().unwrap_or(""), &eos_token)?;
        let eos = markup
            .token_to_id(&eos_token)
            .ok_or_else(|| failed(format!("eos_token {eos_token:?} is not in the vocabulary")))?;
        let end_ids = sorted(end_ids, eos);
        let end_of_turn = end_of_turn(&template, &markup, &end_ids)?.unwrap_or(eos);
        let (special_ids, special_texts, loose) = special_tokens(&markup, &end_ids);
        let guarded: Vec<AddedToken> =
            special_texts.iter().map(|text| AddedToken::from(text.as_str(), true)).collect();
        plain.add_special_tokens(guarded).map_err(|e| failed(e.to_string()))?;
        let seams = Seams::of(&plain, &markup, &template, &eos_token).unwrap_or_default();

        config.insert("chat_template".to_owned(), json!(template.source()));
        config.insert("eos_token".to_owned(), json!(eos_token));
        config.insert("bos_token".to_owned(), json!(bos_token));
        let digest = digest(&markup, &config, &end_ids, end_of_turn, &seams, &loose)?;
        let inner = Inner {
            markup,
            plain,
            special_ids,
            special_texts,
            seams,
            template,
            end_ids,
            end_of_turn,
            config,
            digest,
        };
        Ok(ChatTokenizer { inner: Arc::new(inner) })
    }

    /// The chat up to and including the marker that opens the assistant's turn; without the prompt's
    /// `response_prefix`, which belongs to the response ([`ChatTokenizer::encode_response`]).
    ///
    /// The ids are those of Transformers' `apply_chat_template`, with one difference: where a message holds
    /// the text of a special token, that text stays text.
    ///
    /// # Errors
    /// If the template refuses the messages, or makes nothing of them.
    pub fn encode_prompt(&self, prompt: &Prompt) -> Result<Vec<u32>, EngineError> {
        let messages = &prompt.messages;
        let inner = &*self.inner;
        let spelled_out = |m: &Message| inner.special_texts.iter().any(|special| m.content.contains(special));
        let ids = if messages.iter().any(spelled_out) {
            self.encode_disguised(messages)?
        } else {
            let text = inner.template.render(messages, true)?;
            inner.markup.encode_fast(text, false).map(ids).map_err(|e| failed(e.to_string()))?
        };
        if ids.is_empty() {
            return Err(failed("the chat template makes no token of this prompt".to_owned()));
        }
        Ok(ids)
    }

    /// A whole chat as the template writes it, the assistant's last message included; no turn is opened. Special tokens'
    /// text is read as tokens wherever it stands: this is for looking, [`ChatTokenizer::encode_prompt`] for training.
    ///
    /// # Errors
    /// If the template refuses the messages.
    pub fn encode_conversation(&self, messages: &[Message]) -> Result<Vec<u32>, EngineError> {
        let text = self.inner.template.render(messages, false)?;
        self.inner.markup.encode_fast(text, false).map(ids).map_err(|e| failed(e.to_string()))
    }

    /// The way for messages that hold special tokens' text: a marker inside each such text keeps it from being
    /// read as a token while the special tokens of the template are located; then the text between those is
    /// encoded without the markers.
    fn encode_disguised(&self, messages: &[Message]) -> Result<Vec<u32>, EngineError> {
        let inner = &*self.inner;
        let marker = self.unused_character(messages)?;
        let disguised: Vec<Message> = messages
            .iter()
            .map(|m| Message { role: m.role, content: self.disguise(&m.content, marker) })
            .collect();
        let text = inner.template.render(&disguised, true)?;
        let encoding = inner.markup.encode(text.as_str(), false).map_err(|e| failed(e.to_string()))?;
        let specials: Vec<(u32, Range<usize>)> = encoding
            .get_ids()
            .iter()
            .zip(encoding.get_offsets())
            .filter(|(id, _)| inner.special_ids.contains(id))
            .map(|(&id, &(start, end))| (id, start..end))
            .collect();
        let mut all = Vec::new();
        let mut from = 0;
        for (id, at) in specials {
            let seam = inner.seams.piece.filter(|_| from > 0);
            all.extend(self.encode_plain(seam, &text[from..at.start].replace(marker, ""))?.0);
            all.push(id);
            from = at.end;
        }
        let seam = inner.seams.piece.filter(|_| from > 0);
        all.extend(self.encode_plain(seam, &text[from..].replace(marker, ""))?.0);
        Ok(all)
    }

    /// The ids of a text that goes on from `seam`, with the place of each token's end in it.
    fn encode_plain(&self, seam: Option<&str>, text: &str) -> Result<(Vec<u32>, Vec<usize>), EngineError> {
        let seam = seam.unwrap_or_default();
        let encoding = self.inner.plain.encode(format!("{seam}{text}"), false);
        let encoding = encoding.map_err(|e| failed(e.to_string()))?;
        let tokens = encoding.get_ids().iter().zip(encoding.get_offsets());
        let own = tokens.filter(|(_, (_, end))| seam.is_empty() || *end > seam.len());
        Ok(own.map(|(id, (_, end))| (*id, end - seam.len())).unzip())
    }

    fn disguise(&self, content: &str, marker: char) -> String {
        let mut content = content.to_owned();
        for special in &self.inner.special_texts {
            let mut characters = special.chars();
            if let Some(first) = characters.next() {
                content = content.replace(special, &format!("{first}{marker}{}", characters.as_str()));
            }
        }
        content
    }

    /// A character of the private use area that neither the chat nor the template nor a special token holds.
    fn unused_character(&self, messages: &[Message]) -> Result<char, EngineError> {
        let inner = &*self.inner;
        let used = |c: char| {
            messages.iter().any(|m| m.content.contains(c))
                || inner.template.source().contains(c)
                || inner.special_texts.iter().any(|special| special.contains(c))
        };
        ('\u{e000}'..='\u{f8ff}').find(|&c| !used(c)).ok_or_else(|| {
            failed("a chat holds special tokens' text and the whole private use area".to_owned())
        })
    }

    /// `prefix` and `continuation` as one text, then the end of the turn.
    ///
    /// # Errors
    /// If the tokenizer fails on the text.
    pub fn encode_response(&self, prefix: &str, continuation: &str) -> Result<EncodedResponse, EngineError> {
        let (mut ids, ends) =
            self.encode_plain(self.inner.seams.response, &format!("{prefix}{continuation}"))?;
        // Without this test a token of no width at the start would count as one of an empty prefix.
        let n_prefix = match prefix.len() {
            0 => 0,
            len => ends.iter().take_while(|end| **end <= len).count(),
        };
        ids.push(self.inner.end_of_turn);
        Ok(EncodedResponse { ids, n_prefix })
    }

    /// `text` alone, the text of special tokens as ordinary characters; empty if the tokenizer has no token
    /// for any of it.
    pub fn encode_text(&self, text: &str) -> Vec<u32> {
        self.inner.plain.encode_fast(text, false).map(ids).unwrap_or_default()
    }

    /// `text` alone, the text of a special token as that token: for text that a template wrote.
    pub fn encode_markup(&self, text: &str) -> Vec<u32> {
        self.inner.markup.encode_fast(text, false).map(ids).unwrap_or_default()
    }

    /// The text of `ids` without special tokens; ids outside the vocabulary are left out.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.inner.markup.decode(ids, true).unwrap_or_default()
    }

    /// The text of `ids` with special tokens written out.
    pub fn decode_markup(&self, ids: &[u32]) -> String {
        self.inner.markup.decode(ids, false).unwrap_or_default()
    }

    /// How the vocabulary writes a token (`Ġ` for a space in byte-level ones), for inspection.
    pub fn token_text(&self, id: u32) -> Option<String> {
        self.inner.markup.id_to_token(id)
    }

    /// The token that ends the assistant's turn.
    pub fn end_of_turn(&self) -> u32 {
        self.inner.end_of_turn
    }

    /// Whether `id` ends a response.
    pub fn is_end(&self, id: u32) -> bool {
        self.inner.end_ids.contains(&id)
    }

    /// Every id that ends a response, ascending.
    pub fn end_ids(&self) -> &[u32] {
        &self.inner.end_ids
    }

    /// One more than the highest id.
    pub fn vocab_size(&self) -> usize {
        self.inner.markup.get_vocab(true).values().max().map_or(0, |&id| id as usize + 1)
    }

    /// SHA-256 of everything that decides which ids a chat has and where a response ends, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.inner.digest
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json` as Transformers reads them.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn to_files(&self, folder: &Path) -> Result<(), EngineError> {
        let write = |name: &str, text: String| write_atomically(&folder.join(name), text.as_bytes());
        let tokenizer = self.inner.markup.to_string(true).map_err(|e| failed(e.to_string()))?;
        write("tokenizer.json", tokenizer)?;
        let config = serde_json::to_string_pretty(&self.inner.config).map_err(|e| failed(e.to_string()))?;
        write("tokenizer_config.json", config)
    }
}

impl std::fmt::Debug for ChatTokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTokenizer").field("digest", &self.inner.digest).finish_non_exhaustive()
    }
}

fn failed(reason: String) -> EngineError {
    EngineError::Tokenizer { reason }
}

fn ids(encoding: Encoding) -> Vec<u32> {
    encoding.get_ids().to_vec()
}

fn sorted(mut ids: Vec<u32>, and: u32) -> Vec<u32> {
    ids.push(and);
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Ids, and texts from the longest to the shortest, of special tokens and of those that end a response or look like a marker
/// of turns, though the file does not call them special: llama.cpp's converter takes them for that, too. The texts of these
/// come last, as one.
fn special_tokens(tokenizer: &Tokenizer, end_ids: &[u32]) -> (HashSet<u32>, Vec<String>, String) {
    let added = tokenizer.get_added_tokens_decoder();
    let marks = |text: &str| text.starts_with("<|") && text.ends_with("|>");
    let special =
        |(id, token): &(&u32, &AddedToken)| token.special || end_ids.contains(id) || marks(&token.content);
    let mut tokens: Vec<(&u32, &AddedToken)> = added.iter().filter(special).collect();
    tokens.sort_by_key(|(_, token)| (Reverse(token.content.len()), &token.content));
    let text = |(_, token): &(&u32, &AddedToken)| token.content.clone();
    let loose = tokens.iter().filter(|(_, token)| !token.special).map(text).collect();
    (tokens.iter().map(|(id, _)| **id).collect(), tokens.iter().map(text).collect(), loose)
}

/// The token that the template puts right after an assistant's message, if it is one that ends a response.
///
/// `eos_token` alone does not say: some models name the end of a document there and end a turn otherwise.
/// A template that refuses this chat says nothing.
fn end_of_turn(
    template: &ChatTemplate,
    tokenizer: &Tokenizer,
    end_ids: &[u32],
) -> Result<Option<u32>, EngineError> {
    const SAID: &str = "semievolsaid";
    let turn = |role, content: &str| Message { role, content: content.to_owned() };
    let Ok(text) = template.render(&[turn(Role::User, "a"), turn(Role::Assistant, SAID)], false) else {
        return Ok(None);
    };
    let Some((_, after)) = text.rsplit_once(SAID) else { return Ok(None) };
    let encoding = tokenizer.encode_fast(after.trim_start(), false).map_err(|e| failed(e.to_string()))?;
    Ok(encoding.get_ids().first().copied().filter(|id| end_ids.contains(id)))
}

fn digest(
    tokenizer: &Tokenizer,
    config: &Map<String, Value>,
    end_ids: &[u32],
    end_of_turn: u32,
    seams: &Seams,
    loose: &str,
) -> Result<String, EngineError> {
    let seams = [seams.response.map(|_| " r"), seams.piece.map(|_| " p")];
    let seams = seams.map(Option::unwrap_or_default).concat();
    let parts = [
        tokenizer.to_string(false).map_err(|e| failed(e.to_string()))?,
        ["chat_template", "bos_token", "eos_token"].map(|key| config[key].to_string()).join("\n"),
        format!("{end_ids:?} {end_of_turn}{seams}{loose}"),
    ];
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    Ok(hex(&hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::models::bpe::{BPE, Vocab};
    use tokenizers::normalizers::Prepend;
    use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
    use tokenizers::{NormalizerWrapper, PreTokenizerWrapper};

    /// A vocabulary of characters, a blank in front of texts as the two kinds of files have it.
    fn of_characters(template: &str, legacy: bool) -> ChatTokenizer {
        let characters = "▁abcdefghijklmnopqrstuvwxyzA:\n|<>/".chars().map(String::from);
        let vocab: Vocab = characters.chain(["<s>".into(), "</s>".into()]).zip(0..).collect();
        let bpe = BPE::builder().vocab_and_merges(vocab, Vec::new()).build().unwrap();
        let mut tokenizer = Tokenizer::new(bpe);
        if legacy {
            let prepend = NormalizerWrapper::from(Prepend::new("▁".into()));
            tokenizer.with_normalizer(Some(prepend)).unwrap();
            tokenizer.with_pre_tokenizer(None::<PreTokenizerWrapper>);
        } else {
            tokenizer.with_pre_tokenizer(Some(Metaspace::new('▁', PrependScheme::First, false)));
        }
        tokenizer.add_special_tokens(["<s>", "</s>"].map(|text| AddedToken::from(text, true))).unwrap();
        ChatTokenizer::new(TokenizerParts {
            tokenizer,
            chat_template: template.to_owned(),
            bos_token: Some("<s>".into()),
            eos_token: "</s>".into(),
            end_ids: Vec::new(),
            config: Map::new(),
        })
        .unwrap()
    }

    fn written(tokenizer: &ChatTokenizer, ids: &[u32]) -> String {
        ids.iter().map(|id| tokenizer.token_text(*id).unwrap()).collect()
    }

    #[test]
    fn a_response_goes_on_where_the_template_ends() {
        const LINES: &str =
            "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}</s>{% endfor %}<s>assistant{{ '\\n' }}";
        for legacy in [false, true] {
            let tokenizer = of_characters(LINES, legacy);
            // No blank stands in front of what begins a line.
            let response = tokenizer.encode_response("A:", "b").unwrap();
            assert_eq!((written(&tokenizer, &response.ids).as_str(), response.n_prefix), ("A:b</s>", 2));
            // And one does where the template leaves it to the response.
            let tokenizer = of_characters("{% for m in messages %}<s>{{ m.content }}|{% endfor %}", legacy);
            let response = tokenizer.encode_response("A:", "b").unwrap();
            assert_eq!((written(&tokenizer, &response.ids).as_str(), response.n_prefix), ("▁A:b</s>", 3));
        }
    }

    #[test]
    fn a_special_token_in_a_message_changes_nothing_around_it() {
        let template =
            "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}</s>{% endfor %}<s>assistant{{ '\\n' }}";
        for legacy in [false, true] {
            let tokenizer = of_characters(template, legacy);
            let of = |content: &str| {
                written(&tokenizer, &tokenizer.encode_prompt(&Prompt::user(content)).unwrap())
            };
            assert_eq!(of("</s>"), of("x").replace('x', "</s>"), "legacy: {legacy}");
        }
    }
}
