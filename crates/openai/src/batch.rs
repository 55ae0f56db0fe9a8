//! Models that answer files of requests: hosted batch interfaces, `vllm run-batch`.

use crate::error::is_of_one_request;
use crate::generate::{chat_answer, chat_body};
use crate::score::{ALTERNATIVES, NO_OPTION, alternatives_answer, alternatives_body};
use semievol_core::{hex, write_whole};
use semievol_model::{
    Capabilities, GenerateRequest, Generation, LanguageModel, ModelError, ModelId, OnDone, ScoreRequest,
    Scores,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Most requests of one file, and most bytes: what hosted batch interfaces take.
const MOST: (usize, usize) = (50_000, 100_000_000);

/// Where requests are written to and results read from: a table `[batches.NAME]` of an experiment file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchConfig {
    /// The folder: `requests.jsonl` is written there (and `requests-2.jsonl` and so on, where one file would be more than
    /// hosted batches take), every `results*.jsonl` is read.
    pub folder: PathBuf,
    /// The model's name in requests.
    pub model: String,
}

/// A [`LanguageModel`] whose answers come from files. What has no answer yet is written to `requests.jsonl`, and the call
/// fails with a message that says what to do; when the results are there, the same run goes on. Options are scored by the
/// most probable first tokens, as the chat protocol has nothing better.
#[derive(Debug, Clone)]
pub struct BatchFiles {
    config: BatchConfig,
    id: ModelId,
}

/// A line of results.
#[derive(Deserialize)]
struct Line {
    custom_id: String,
    #[serde(default)]
    response: Option<Response>,
    #[serde(default)]
    error: Option<Value>,
}

/// What the files hold.
#[derive(Default)]
struct Answers {
    /// The lines themselves: as JSON they would take many times as much memory.
    good: HashMap<String, Vec<String>>,
    /// What was said of requests that are refused, and would be again.
    refused: HashMap<String, String>,
    /// Why one of the others failed.
    failed: Option<String>,
    /// A name that no file of results has.
    next: String,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    status_code: Option<u16>,
    body: Value,
}

impl BatchFiles {
    /// Answers of this folder.
    pub fn new(config: BatchConfig) -> Self {
        let id = ModelId::new(format!("{} by batch files", config.model));
        BatchFiles { config, id }
    }

    fn broken(&self, reason: String) -> ModelError {
        ModelError::Backend { model: self.id.clone(), reason, source: None }
    }

    /// The answers to these requests, by their ids. A request that failed there counts as not asked, unless it is itself at
    /// fault; of several answers the first that can be read counts, so that a file that is put there twice changes nothing.
    fn answers(&self, wanted: &HashSet<&str>) -> Result<Answers, ModelError> {
        let folder = &self.config.folder;
        let mut files: Vec<PathBuf> = match std::fs::read_dir(folder) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
            Err(_) => Vec::new(),
        };
        files.retain(|file| {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with("results") && name.ends_with(".jsonl")
        });
        files.sort();
        let mut number = files.len() + 1;
        while folder.join(format!("results-{number}.jsonl")).exists() {
            number += 1;
        }
        let mut answers = Answers { next: format!("results-{number}.jsonl"), ..Answers::default() };
        for file in files {
            let unread = |error| self.broken(format!("{}: {error}", file.display()));
            let lines = BufReader::new(File::open(&file).map_err(unread)?).lines();
            for (number, text) in lines.enumerate() {
                let text = text.map_err(unread)?;
                if text.trim().is_empty() {
                    continue;
                }
                let line: Line = serde_json::from_str(&text).map_err(|error| {
                    let place = format!("{}, line {}", file.display(), number + 1);
                    self.broken(format!("{place}: no result of a batch ({error}): mend the line, or take it out and have its request answered again"))
                })?;
                if !wanted.contains(line.custom_id.as_str()) {
                    continue;
                }
                let Some(Response { status_code, body }) = line.response else {
                    answers.failed = line.error.map(|error| error.to_string());
                    continue;
                };
                if matches!(status_code, None | Some(200)) {
                    answers.good.entry(line.custom_id).or_default().push(text);
                    continue;
                }
                // vLLM has the reason beside an empty body.
                let said = if body.is_null() { line.error.unwrap_or_default() } else { body };
                let reason = said.to_string();
                // It says 400 of whatever went wrong, its own end included, and then in plain words.
                if let Some(status) =
                    status_code.filter(|status| is_of_one_request(*status) && said.is_object())
                {
                    answers.refused.insert(line.custom_id, format!("status {status}: {reason}"));
                }
                answers.failed = Some(reason);
            }
        }
        Ok(answers)
    }

    fn each<R, T>(
        &self,
        requests: &[R],
        check: impl Fn(&R, usize) -> Result<(), ModelError>,
        body: impl Fn(Value, &R) -> Value,
        read: impl Fn(&Value, &R) -> Result<Option<T>, String>,
        on_done: OnDone<'_, T>,
    ) -> Result<(), ModelError> {
        let body = |request: &R| body(json!({"model": self.config.model}), request);
        let ids: Vec<String> = requests.iter().map(|request| custom_id(&body(request))).collect();
        let answers = self.answers(&ids.iter().map(String::as_str).collect())?;
        let mut missing = BTreeMap::new();
        let mut unreadable = None;
        for (index, (request, id)) in requests.iter().zip(&ids).enumerate() {
            if let Err(error) = check(request, index) {
                if on_done(index, Err(error)).is_break() {
                    return Ok(());
                }
                continue;
            }
            let all = answers.good.get(id).map(Vec::as_slice).unwrap_or_default();
            let mut found = None;
            for answer in all {
                match body_of(answer).and_then(|answer| read(&answer, request)) {
                    Ok(answer) => {
                        found = Some(answer);
                        break;
                    }
                    Err(error) => unreadable = Some(error),
                }
            }
            let refusal = |reason: &str| ModelError::Refused {
                index,
                model: self.id.clone(),
                reason: reason.to_owned(),
            };
            let said = match (found, answers.refused.get(id)) {
                (Some(answer), _) => answer.ok_or_else(|| refusal(NO_OPTION)),
                (None, Some(reason)) => Err(refusal(reason)),
                (None, None) => {
                    missing.insert(id.clone(), body(request));
                    continue;
                }
            };
            if on_done(index, said).is_break() {
                return Ok(());
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let files = write(&self.config.folder, &cut(&missing, MOST))
            .map_err(|(file, error)| self.broken(format!("{}: {error}", file.display())))?;
        let others = match files.len() {
            1 => String::new(),
            n => format!(" and {} more like it, each a batch whose results need a name of their own", n - 1),
        };
        let unreadable = unreadable.or(answers.failed);
        let unreadable =
            unreadable.map(|what| format!(" (of one that is there: {what})")).unwrap_or_default();
        Err(self.broken(format!(
            "{} of {} requests have no answer yet{unreadable}: they stand in {}{others}; have them answered, by `vllm run-batch -i requests.jsonl -o {} --model {}` or your provider's batches, put the results beside them and those that are there (results*.jsonl) and run again",
            missing.len(),
            requests.len(),
            files[0].display(),
            answers.next,
            self.config.model
        )))
    }
}

/// What was answered, of a line of results that was read once.
fn body_of(line: &str) -> Result<Value, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
    Ok(line.response.map(|response| response.body).unwrap_or_default())
}

/// Names a request by all that it says, so that it is found again whoever asks, in whatever order.
fn custom_id(body: &Value) -> String {
    format!("semievol-{}", hex(&Sha256::digest(body.to_string())[..12]))
}

/// The requests, a line each, in as many texts as they need.
fn cut(requests: &BTreeMap<String, Value>, (most_requests, most_bytes): (usize, usize)) -> Vec<String> {
    let (mut texts, mut text, mut n) = (Vec::new(), String::new(), 0);
    for (id, body) in requests {
        let line = json!({"custom_id": id, "method": "POST", "url": "/v1/chat/completions", "body": body});
        let line = format!("{line}\n");
        if n == most_requests || (n > 0 && text.len() + line.len() > most_bytes) {
            texts.push(std::mem::take(&mut text));
            n = 0;
        }
        text.push_str(&line);
        n += 1;
    }
    texts.push(text);
    texts
}

/// Writes a file for each text, and removes those of an earlier run that more were needed for.
fn write(folder: &Path, texts: &[String]) -> Result<Vec<PathBuf>, (PathBuf, std::io::Error)> {
    let file = |index: usize| match index {
        0 => folder.join("requests.jsonl"),
        _ => folder.join(format!("requests-{}.jsonl", index + 1)),
    };
    std::fs::create_dir_all(folder).map_err(|error| (folder.to_owned(), error))?;
    let files: Vec<PathBuf> = (0..texts.len()).map(file).collect();
    for (file, text) in files.iter().zip(texts) {
        write_whole(file, text.as_bytes()).map_err(|error| (file.clone(), error))?;
    }
    for old in (files.len()..).map(file).take_while(|file| file.exists()) {
        std::fs::remove_file(&old).map_err(|error| (old, error))?;
    }
    Ok(files)
}

impl LanguageModel for BatchFiles {
    fn id(&self) -> &ModelId {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { scores: true, seeded: false, repeatable: false, ..Capabilities::default() }
    }

    fn generate_each(
        &self,
        requests: &[GenerateRequest],
        on_done: OnDone<'_, Generation>,
    ) -> Result<(), ModelError> {
        let body = |body: Value, request: &GenerateRequest| chat_body(body, request, false);
        let read = |answer: &Value, request: &GenerateRequest| chat_answer(answer, request).map(Some);
        self.each(requests, GenerateRequest::check, body, read, on_done)
    }

    fn score_each(&self, requests: &[ScoreRequest], on_done: OnDone<'_, Scores>) -> Result<(), ModelError> {
        let body = |body: Value, request: &ScoreRequest| alternatives_body(body, request, ALTERNATIVES[0]);
        self.each(requests, ScoreRequest::check, body, alternatives_answer, on_done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_cut() {
        let requests: BTreeMap<String, Value> =
            (0..5).map(|n| (format!("semievol-{n}"), json!({ "n": n }))).collect();
        let all = cut(&requests, MOST);
        assert_eq!((all.len(), all[0].lines().count()), (1, 5));
        let line = all[0].len() / 5;
        for (most, n) in [((2, usize::MAX), 3), ((5, 2 * line), 3), ((5, 1), 5), ((1, usize::MAX), 5)] {
            let texts = cut(&requests, most);
            assert_eq!((texts.len(), texts.concat()), (n, all.concat()), "{most:?}");
            assert!(texts.iter().all(|text| !text.is_empty()));
        }
    }

    #[test]
    fn old_files_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let texts = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        for n in [3, 1, 2] {
            let files = write(folder.path(), &texts[..n]).unwrap();
            let read: Vec<String> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
            assert_eq!(read, texts[..n]);
            assert_eq!(files[0], folder.path().join("requests.jsonl"));
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), n);
        }
    }
}
