//! What goes wrong between here and a server: nothing is lost, nothing is asked again once it was answered, no key shows.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use semievol_core::{Prompt, Seed};
use semievol_model::{Embedder, TextRole};
use semievol_model::{GenerateRequest, LanguageModel, ModelError, ScoreRequest};
use semievol_openai::{Budget, Scoring, ServedEmbedder, ServedModel, ServerConfig};
use semievol_testkit::served::{Counts, Reply, Request, Server, asked, chats, models, said};
use serde_json::json;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn config(server: &Server) -> ServerConfig {
    ServerConfig { scoring: Scoring::Never, timeout_seconds: 6.0, ..ServerConfig::new(&server.url) }
}

fn requests(n: usize) -> Vec<GenerateRequest> {
    (0..n).map(|at| GenerateRequest::new(Prompt::user(format!("question {at}")), Seed(at as u64))).collect()
}

fn answer(request: &Request) -> Reply {
    Reply::Json(said(&format!("answer to {}", asked(request))))
}

fn status(status: u16, after: Option<&str>) -> Reply {
    let headers = after.map(|after| ("retry-after", after.to_owned()));
    Reply::Status(status, headers.into_iter().collect(), "{\"error\": \"try later\"}".into())
}

type Fault = fn() -> Reply;

/// Faults that pass.
const FAULTS: [Fault; 12] = [
    || status(429, Some("0.2")),
    || status(429, None),
    || status(500, None),
    || status(503, Some("0")),
    || status(408, None),
    || Reply::Reset,
    || Reply::Drip,
    || Reply::Endless,
    || Reply::Text("{\"choices\": [".into()),
    || Reply::Json(json!({"choices": []})),
    || Reply::Json(json!({"choices": [{"message": {"content": "a"}}, {"message": {"content": "b"}}]})),
    || Reply::Json(json!({"error": "none of your business"})),
];

#[test]
fn every_fault_that_passes_is_tried_again_and_no_answer_twice() {
    let (counts, answered) = (Counts::default(), Counts::default());
    let (seen, done) = (counts.clone(), answered.clone());
    let server = chats(move |request| {
        let question = asked(request);
        let number: usize = question.rsplit(' ').next().unwrap().parse().unwrap();
        if seen.count(&question) == 0 {
            return FAULTS[number % FAULTS.len()]();
        }
        done.count(&question);
        answer(request)
    });
    let model = ServedModel::connect(&config(&server)).unwrap();
    let requests = requests(2 * FAULTS.len());
    let answers = model.generate(&requests).unwrap();
    for (at, generation) in answers.into_iter().enumerate() {
        assert_eq!(generation.unwrap().text, format!("answer to question {at}"));
    }
    assert!(counts.all().values().all(|count| *count == 2), "{:?}", counts.all());
    assert!(answered.all().values().all(|count| *count == 1));
}

#[test]
fn what_never_passes_ends_clearly_and_keeps_what_was_answered() {
    let faults: [(Fault, &str); 6] = [
        (
            || status(500, None),
            "2 attempts failed, the last one with: status 500: {\"error\": \"try later\"}",
        ),
        (|| Reply::Drip, "no whole answer within 3 s (timeout_seconds)"),
        (|| Reply::Text("<html>".into()), "an answer that is no JSON"),
        (|| Reply::Json(json!({"choices": []})), "0 choices where 1 was asked for"),
        (
            || status(429, Some("3600")),
            "is too busy (status 429: {\"error\": \"try later\"}); the next wait would be 3600 s, longer than patience_seconds",
        ),
        (|| status(401, None), "refused with status 401"),
    ];
    for (fault, expected) in faults {
        let server = chats(move |request| match asked(request).as_str() {
            "question 3" => fault(),
            _ => answer(request),
        });
        let config = ServerConfig { attempts: 2, concurrency: 1, timeout_seconds: 3.0, ..config(&server) };
        let model = ServedModel::connect(&config).unwrap();
        let mut kept = Vec::new();
        let mut put = |index: usize, result: Result<_, ModelError>| {
            kept.push((index, result.is_ok()));
            ControlFlow::Continue(())
        };
        let error = model.generate_each(&requests(6), &mut put).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert_eq!(kept, [(0, true), (1, true), (2, true)], "{expected}");
    }
}

#[test]
fn a_request_that_the_server_refuses_fails_alone() {
    let server = chats(|request| match asked(request).as_str() {
        "question 1" => Reply::Status(400, Vec::new(), "content policy".into()),
        _ => answer(request),
    });
    let answers = ServedModel::connect(&config(&server)).unwrap().generate(&requests(3)).unwrap();
    let wrong: Vec<bool> = answers.iter().map(Result::is_err).collect();
    assert_eq!(wrong, [false, true, false]);
    assert!(answers[1].as_ref().unwrap_err().to_string().contains("status 400: content policy"));
}

#[test]
fn the_wait_that_a_server_asks_for_holds_for_all() {
    let times: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let seen = times.clone();
    let server = chats(move |request| {
        let mut seen = seen.lock().unwrap();
        seen.push(Instant::now());
        if seen.len() == 1 { status(429, Some("1")) } else { answer(request) }
    });
    // The second one stands in line while the first is answered.
    let model = ServedModel::connect(&ServerConfig { concurrency: 1, ..config(&server) }).unwrap();
    assert!(model.generate(&requests(2)).unwrap().iter().all(Result::is_ok));
    let times = times.lock().unwrap();
    assert_eq!(times.len(), 3);
    let waited = times[1..].iter().map(|time| time.duration_since(times[0]));
    assert!(
        waited.clone().all(|waited| waited >= Duration::from_millis(900)),
        "{:?}",
        waited.collect::<Vec<_>>()
    );
}

#[test]
fn no_key_shows_and_none_goes_elsewhere() {
    // A variable that cargo sets for every test.
    let (variable, key) = ("CARGO_PKG_NAME", env!("CARGO_PKG_NAME"));
    let elsewhere = Server::start(|_| panic!("nobody may be sent here"));
    let target = elsewhere.url.clone();
    let server = chats(move |request| {
        assert_eq!(request.headers["authorization"], format!("Bearer {}", env!("CARGO_PKG_NAME")));
        match asked(request).as_str() {
            "question 0" => Reply::Status(403, Vec::new(), format!("{:?}", request.headers)),
            _ => Reply::Status(307, vec![("location", format!("{target}/chat/completions"))], String::new()),
        }
    });
    let config = ServerConfig { key_env: Some(variable.into()), ..config(&server) };
    let model = ServedModel::connect(&config).unwrap();
    let error = model.generate(&requests(1)).unwrap_err();
    assert!(error.to_string().contains("Bearer ***"), "{error}");
    assert!(!format!("{error} {error:?}").contains(&format!("Bearer {key}")));
    let error = model.generate(&requests(2)[1..]).unwrap_err().to_string();
    assert!(error.contains("a redirect to http://127.0.0.1") && error.contains("set url"), "{error}");
}

#[test]
fn a_budget_ends_a_run_before_it_is_overdrawn() {
    let server = chats(answer);
    // One request finds out which models there are.
    for (budget, answered, expected) in [
        (Budget { requests: Some(6), tokens: None }, 5, "the budget of 6 requests is spent"),
        (Budget { requests: None, tokens: Some(21) }, 3, "the budget of 21 tokens is spent"),
    ] {
        let config = ServerConfig { budget, concurrency: 1, ..config(&server) };
        let model = ServedModel::connect(&config).unwrap();
        let mut n = 0;
        let error = model.generate_each(&requests(10), &mut |_, result| {
            n += usize::from(result.is_ok());
            ControlFlow::Continue(())
        });
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("raise budget."), "{error}");
        assert_eq!(n, answered);
    }
}

#[test]
fn ten_thousand_requests_with_faults_end_complete() {
    const N: usize = 10_000;
    let (counts, answered) = (Counts::default(), Counts::default());
    let (seen, done) = (counts.clone(), answered.clone());
    let server = chats(move |request| {
        let question = asked(request);
        let first = seen.count(&question) == 0;
        let number: usize = question.rsplit(' ').next().unwrap().parse().unwrap();
        match number % 50 {
            3 if first => status(500, Some("0")),
            13 if first => Reply::Reset,
            23 if first => Reply::Text("oops".into()),
            33 if first => status(429, Some("0")),
            43 if first => Reply::Json(json!({})),
            _ => {
                done.count(&question);
                answer(request)
            }
        }
    });
    let model = ServedModel::connect(&ServerConfig { concurrency: 64, ..config(&server) }).unwrap();
    let requests = requests(N);
    let (mut received, mut middle) = (vec![0; N], None);
    let mut n = 0;
    let mut put = |index: usize, result: Result<semievol_model::Generation, ModelError>| {
        assert_eq!(result.unwrap().text, format!("answer to question {index}"));
        received[index] += 1;
        n += 1;
        if n == N / 2 {
            middle = resident();
        }
        ControlFlow::Continue(())
    };
    model.generate_each(&requests, &mut put).unwrap();
    assert!(received.iter().all(|count| *count == 1));
    assert!(answered.all().values().all(|count| *count == 1) && answered.all().len() == N);
    assert!(server.most_at_once() <= 64, "{}", server.most_at_once());
    if let Some((middle, end)) = middle.zip(resident()) {
        // The server's own lists grow, too.
        assert!(end < middle + 32_000, "{middle} KiB half way, {end} KiB at the end");
    }
}

/// KiB of memory in use, where the system says.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
}

#[test]
fn scoring_is_refused_where_confidence_cannot_be_had() {
    let silent = chats(answer);
    let model = ServedModel::connect(&ServerConfig::new(&silent.url)).unwrap();
    assert!(!model.capabilities().scores);
    let request =
        ScoreRequest { prompt: Prompt::user("A or B?"), continuations: vec![" A".into(), " B".into()] };
    assert!(matches!(model.score(&[request]), Err(ModelError::Unsupported { .. })));
}

#[test]
fn a_hosted_server_scores_by_the_first_token() {
    let server = chats(|_| {
        let alternatives = json!([{"token": "B", "logprob": -0.2}, {"token": " A", "logprob": -1.9}]);
        let content = json!([{"token": "B", "logprob": -0.2, "top_logprobs": alternatives}]);
        let message = json!({"role": "assistant", "content": "B"});
        Reply::Json(json!({"choices": [{"message": message, "logprobs": {"content": content}}]}))
    });
    let model = ServedModel::connect(&ServerConfig::new(&server.url)).unwrap();
    assert!(model.capabilities().scores);
    let request = ScoreRequest {
        prompt: Prompt::user("A, B or C?"),
        continuations: [" A", " B", " C"].map(String::from).into(),
    };
    let scores = model.score(&[request]).unwrap().remove(0).unwrap();
    let logprobs: Vec<f32> = scores.iter().map(|tokens| tokens[0].logprob).collect();
    assert_eq!(logprobs, [-1.9, -0.2, -1.9]);
}

#[test]
fn the_prefix_that_a_hosted_model_repeats_is_passed_over() {
    let token = |text: &str, others: &[(&str, f64)]| {
        let top: Vec<_> =
            others.iter().map(|(token, p)| json!({"token": token, "logprob": p.ln()})).collect();
        json!({"token": text, "logprob": -0.1, "top_logprobs": top})
    };
    let server = chats(move |_| {
        let answer = [
            token("Answer", &[("Answer", 0.99), ("B", 0.005)]),
            token(":", &[(":", 0.99)]),
            token(" A", &[(" A", 0.7), (" B", 0.2)]),
        ];
        let message = json!({"role": "assistant", "content": "Answer: A"});
        Reply::Json(json!({"choices": [{"message": message, "logprobs": {"content": answer}}]}))
    });
    let model = ServedModel::connect(&ServerConfig::new(&server.url)).unwrap();
    let score = |continuations: [&str; 2]| {
        let prompt = Prompt::user("A or B?").with_response_prefix("Answer:");
        let continuations = continuations.map(String::from).into();
        model.score(&[ScoreRequest { prompt, continuations }]).unwrap().remove(0)
    };
    let scores = score([" A", " B"]).unwrap();
    assert!(
        (scores[0][0].logprob - 0.7_f32.ln()).abs() < 1e-6
            && (scores[1][0].logprob - 0.2_f32.ln()).abs() < 1e-6
    );
    // An answer that says nothing of the options is none.
    assert!(matches!(score([" yes", " no"]), Err(ModelError::Refused { .. })));
}

#[test]
fn a_server_that_bears_less_than_is_asked_of_it_answers_everything() {
    let under_way = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let server = chats(move |request| {
        use std::sync::atomic::Ordering::SeqCst;
        let full = under_way.fetch_add(1, SeqCst) >= 3;
        std::thread::sleep(Duration::from_millis(15));
        under_way.fetch_sub(1, SeqCst);
        if full { status(429, None) } else { answer(request) }
    });
    let config = ServerConfig { concurrency: 32, attempts: 2, ..config(&server) };
    let model = ServedModel::connect(&config).unwrap();
    assert!(model.generate(&requests(100)).unwrap().iter().all(Result::is_ok));
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_sent() {
    let server = chats(answer);
    let url = server.url.clone();
    for (config, expected) in [
        (ServerConfig::new("127.0.0.1:8080"), "url = \"127.0.0.1:8080\""),
        (ServerConfig::new("ftp://host/v1"), "must begin with http:// or https://"),
        (ServerConfig::new("http://me:secret@host/v1"), "keys belong into the environment"),
        (ServerConfig::new("http://host/v1?api_key=secret"), "keys belong into the environment"),
        (ServerConfig::new("htps://me:sec#ret:secret@host/v1"), "must be"),
        (
            ServerConfig::new("htps://host/v1?team=me@corp&api_key=secret"),
            "must begin with http:// or https://",
        ),
        (ServerConfig::new("htps://host/v1?api_key=secret"), "must begin with http:// or https://"),
        (ServerConfig { concurrency: 0, ..ServerConfig::new(&url) }, "must be at least 1"),
        (ServerConfig { timeout_seconds: f64::NAN, ..ServerConfig::new(&url) }, "timeout_seconds = NaN"),
        (
            ServerConfig { key_env: Some("NO_SUCH_KEY_HERE".into()), ..ServerConfig::new(&url) },
            "NO_SUCH_KEY_HERE, but it is not set",
        ),
        (
            ServerConfig { scoring: Scoring::PromptLogprobs, ..ServerConfig::new(&url) },
            "does not work with this server",
        ),
        (
            ServerConfig {
                lora: vec![semievol_openai::LoraScale { id: 0, scale: 1.0 }],
                ..ServerConfig::new(&url)
            },
            "lora is llama.cpp's",
        ),
    ] {
        let error = ServedModel::connect(&config).err().unwrap().to_string();
        assert!(error.contains(expected) && !error.contains("secret"), "{expected}: {error}");
    }
}

#[test]
fn a_server_of_several_models_wants_a_name() {
    let server = Server::start(|request| match request.path.as_str() {
        "/v1/models" => Reply::Json(json!({"data": [
            {"id": "one", "owned_by": "vllm"}, {"id": "two", "owned_by": "vllm"}
        ]})),
        _ => Reply::Json(json!({"tokens": [1]})),
    });
    let connect = |model: Option<&str>| {
        let config = ServerConfig { model: model.map(String::from), ..ServerConfig::new(&server.url) };
        ServedModel::connect(&config).err().unwrap().to_string()
    };
    assert!(connect(None).contains("set model to one of one, two"));
    assert!(connect(Some("three")).contains("there is no model \"three\", but one, two"));
    // It was found; the server's tokens make no sense.
    assert!(connect(Some("two")).contains("the token that ends a turn cannot be found"));
}

#[test]
fn embeddings_of_another_number_are_tried_again() {
    let counts = Counts::default();
    let seen = counts.clone();
    let server = Server::start(move |request| match request.path.as_str() {
        "/v1/models" => Reply::Json(models()),
        _ => {
            let n = request.body["input"].as_array().unwrap().len();
            let lost = usize::from(seen.count("call") == 1);
            let rows: Vec<_> =
                (0..n - lost).map(|at| json!({"index": at, "embedding": [at + 1, 0.0]})).collect();
            Reply::Json(json!({"data": rows}))
        }
    });
    let embedder = ServedEmbedder::connect(&ServerConfig::new(&server.url)).unwrap();
    assert_eq!(embedder.dim(), 2);
    assert_eq!(embedder.embed(TextRole::Query, &["a", "b"]).unwrap().as_slice(), [1.0, 0.0, 1.0, 0.0]);
    assert_eq!(counts.all()["call"], 3);
}

#[test]
fn a_server_may_be_asked_from_within_somebody_elses_runtime() {
    let server = chats(answer);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let model = ServedModel::connect(&config(&server)).unwrap();
        assert!(model.generate(&requests(1)).unwrap()[0].is_ok());
        drop(model);
    });
}
