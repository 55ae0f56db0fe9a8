//! A language model of bytes whose probabilities are drawn from its last three, behind llama.cpp's dialect or vLLM's.

use super::{Reply, Request, Server};
use serde_json::{Value, json};
use std::hash::{DefaultHasher, Hash, Hasher};

const START: u32 = 256;
const END: u32 = 257;
const VOCABULARY: u32 = 258;
/// Tokens that it holds.
pub const CONTEXT: usize = 2048;

/// What it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// llama.cpp's.
    LlamaCpp,
    /// vLLM's.
    Vllm,
}

/// Serves it until the server is dropped.
pub fn serve(dialect: Dialect) -> Server {
    Server::start(move |request| answer(dialect, request))
}

/// What it answers to one request.
pub fn answer(dialect: Dialect, request: &Request) -> Reply {
    match request.path.as_str() {
        "/v1/models" => Reply::Json(models(dialect)),
        "/apply-template" if dialect == Dialect::LlamaCpp => {
            Reply::Json(json!({"prompt": render(&request.body["messages"])}))
        }
        "/tokenize" => Reply::Json(json!({"tokens": tokenized(dialect, request)})),
        "/v1/completions" => completion(dialect, &request.body),
        "/v1/embeddings" => embeddings(&request.body),
        _ => Reply::Status(404, Vec::new(), "no such place".into()),
    }
}

fn models(dialect: Dialect) -> Value {
    match dialect {
        Dialect::LlamaCpp => json!({"data": [{
            "id": "toy", "owned_by": "llamacpp", "meta": {"n_ctx": CONTEXT, "n_params": 258, "size": 1000},
        }]}),
        Dialect::Vllm => json!({"data": [{"id": "toy", "owned_by": "vllm", "max_model_len": CONTEXT}]}),
    }
}

/// `<` and `>` stand for the special tokens.
fn render(messages: &Value) -> String {
    let one = |message: &Value| {
        format!("<{}\n{}>\n", message["role"].as_str().unwrap(), message["content"].as_str().unwrap())
    };
    messages.as_array().unwrap().iter().map(one).collect::<String>() + "<assistant\n"
}

fn tokenize(text: &str, special: bool) -> Vec<u32> {
    text.bytes()
        .map(|byte| match byte {
            b'<' if special => START,
            b'>' if special => END,
            byte => u32::from(byte),
        })
        .collect()
}

fn tokenized(dialect: Dialect, request: &Request) -> Vec<u32> {
    let body = &request.body;
    match dialect {
        Dialect::LlamaCpp => tokenize(body["content"].as_str().unwrap(), body["parse_special"] == true),
        Dialect::Vllm => match body["prompt"].as_str() {
            Some(text) => tokenize(text, false),
            None => tokenize(&render(&body["messages"]), true),
        },
    }
}

/// `ln P` of every token after these.
fn logprobs(context: &[u32]) -> Vec<f64> {
    let last = &context[context.len().saturating_sub(3)..];
    let logit = |token: u32| {
        let common = matches!(token, 32 | 97..=122) || token == END;
        uniform(&(last, token)) * 5.0 - if common { 0.0 } else { 9.0 }
    };
    let logits: Vec<f64> = (0..VOCABULARY).map(logit).collect();
    let total = logits.iter().map(|logit| logit.exp()).sum::<f64>().ln();
    logits.into_iter().map(|logit| logit - total).collect()
}

fn uniform(of: &impl Hash) -> f64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64
}

fn entry(token: u32, logprob: f64) -> Value {
    json!({"id": token, "token": text(&[token]), "logprob": logprob})
}

fn text(tokens: &[u32]) -> String {
    tokens.iter().filter_map(|token| u8::try_from(*token).ok()).map(char::from).collect()
}

fn completion(dialect: Dialect, body: &Value) -> Reply {
    let mut context: Vec<u32> =
        body["prompt"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
    let (given, most) = (context.len(), body["max_tokens"].as_u64().unwrap() as usize);
    assert!(given <= CONTEXT, "the client knows the limit");
    let temperature = body["temperature"].as_f64().unwrap();
    let seed = body["seed"].as_u64().unwrap_or_default();
    let stops: Vec<&str> = body["stop"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let bias = |token: u32| {
        let pairs = body["logit_bias"].as_array().into_iter().flatten();
        pairs.filter(|pair| pair[0] == token).filter_map(|pair| pair[1].as_f64()).sum::<f64>()
    };
    let (mut content, mut finish) = (Vec::new(), "length");
    let mut said = String::new();
    while content.len() < most {
        let all = logprobs(&context);
        let weighed = (0..VOCABULARY).map(|token| all[token as usize] + bias(token));
        let token = if temperature == 0.0 {
            weighed.enumerate().max_by(|one, other| one.1.total_cmp(&other.1)).unwrap().0 as u32
        } else {
            let weights: Vec<f64> = weighed.map(|logprob| (logprob / temperature).exp()).collect();
            let mut left = uniform(&(seed, context.len())) * weights.iter().sum::<f64>();
            let drawn = weights.iter().position(|weight| {
                left -= weight;
                left < 0.0
            });
            drawn.unwrap_or(END as usize) as u32
        };
        let mut one = entry(token, all[token as usize]);
        let mut top: Vec<(u32, f64)> = (0..VOCABULARY).map(|token| (token, all[token as usize])).collect();
        top.sort_by(|one, other| other.1.total_cmp(&one.1));
        let n = body["logprobs"].as_u64().unwrap_or(0) as usize;
        one["top_logprobs"] = top.into_iter().take(n).map(|(token, logprob)| entry(token, logprob)).collect();
        content.push((token, all[token as usize], one));
        context.push(token);
        if token == END {
            finish = "stop";
            break;
        }
        said.push_str(&text(&[token]));
        if let Some(at) = stops.iter().filter_map(|stop| said.find(stop)).min() {
            said.truncate(at);
            finish = "stop";
            break;
        }
    }
    let logprobs_field = match dialect {
        // As the real one does where a stop text comes first.
        Dialect::LlamaCpp if said.is_empty() && finish == "stop" && context.last() != Some(&END) => {
            Value::Null
        }
        Dialect::LlamaCpp => json!({"content": content.iter().map(|(_, _, one)| one).collect::<Vec<_>>()}),
        Dialect::Vllm => json!({
            "tokens": content.iter().map(|(token, ..)| format!("token_id:{token}")).collect::<Vec<_>>(),
            "token_logprobs": content.iter().map(|(_, logprob, _)| *logprob).collect::<Vec<_>>(),
        }),
    };
    let mut choice = json!({"text": said, "index": 0, "finish_reason": finish, "logprobs": logprobs_field});
    if body.get("prompt_logprobs").is_some() {
        let one = |at: usize| match at {
            0 => Value::Null,
            at => {
                json!({context[at].to_string(): {"logprob": logprobs(&context[..at])[context[at] as usize]}})
            }
        };
        choice["prompt_logprobs"] = (0..given).map(one).collect();
    }
    let usage = json!({"total_tokens": context.len()});
    Reply::Json(json!({"choices": [choice], "usage": usage}))
}

fn embeddings(body: &Value) -> Reply {
    let texts = body["input"].as_array().unwrap();
    if texts.iter().any(|text| text == "") {
        return Reply::Status(400, Vec::new(), "input cannot be empty".into());
    }
    let row = |(index, text): (usize, &Value)| {
        let text = text.as_str().unwrap();
        let values: Vec<f64> = (0..24).map(|at| uniform(&(text, at)) - 0.5).collect();
        json!({"index": index, "embedding": values})
    };
    // In another order, which the protocol allows.
    let rows: Vec<Value> = texts.iter().enumerate().map(row).rev().collect();
    Reply::Json(json!({"data": rows}))
}
