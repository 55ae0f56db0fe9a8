//! Collaborators behind servers and batch files, with training in this process.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{files, hub, minitask, rows};
use semievol::engine::Engine;
use semievol::pipeline::Answers;
use semievol::{Event, Experiment, ExperimentConfig, Results, StageEvent};
use semievol_testkit::served::toy::{Dialect, answer, serve};
use semievol_testkit::served::{Counts, Reply, Server, models};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn with_servers(servers: &str, collaborators: &str) -> Experiment {
    let both = minitask("arms = ['sft', 'semievol']").config().to_toml();
    let (before, _) = both.split_once("[method]").unwrap();
    let file = Path::new("minitask.toml");
    let text = format!(
        "{before}{servers}\n[method]\npreset = 'default'\njustify = {{ kind = 'mixture' }}\ncollaborators = [{collaborators}]"
    );
    ExperimentConfig::parse(&text, file).unwrap().check(file).unwrap()
}

fn run(experiment: &Experiment, out: &Path, events: &mut dyn FnMut(&Event)) -> Result<Results, String> {
    let engine = Engine::open(experiment, &hub(), &mut |_| ()).map_err(|error| error.to_string())?;
    experiment.run(&hub(), engine.parts(), events, out).map_err(|error| error.to_string())
}

#[test]
fn two_servers_are_two_collaborators() {
    let (one, other) = (serve(Dialect::LlamaCpp), serve(Dialect::Vllm));
    let experiment = with_servers(
        &format!(
            "[servers.one]\nurl = '{}'\nprice = {{ input = 1.0, output = 2.0 }}\n[servers.other]\nurl = '{}'\n[servers.unused]\nurl = 'http://127.0.0.1:9/v1'",
            one.url, other.url
        ),
        "{ kind = 'language_model', name = 'here', temperature = 0.0 }, { kind = 'language_model', name = 'one', model = 'one', temperature = 0.0 }, { kind = 'language_model', name = 'other', model = 'other', shots = 1, temperature = 0.0 }",
    );
    let out = tempfile::tempdir().unwrap();
    let mut notes = Vec::new();
    let mut first = None;
    let results = run(&experiment, out.path(), &mut |event| match event {
        Event::Stage { event: StageEvent::Note(note), .. } => notes.push(note.clone()),
        Event::Stage { event: StageEvent::Begin(stage), .. } => {
            first = first.clone().or(Some(stage.name.clone()))
        }
        Event::Note(note) => {
            assert_eq!(first, None, "said before anything begins");
            notes.push(note.clone());
        }
        _ => (),
    });
    let results = results.unwrap();
    assert!(notes.iter().any(|note| note.starts_with("model `one`, all arms and seeds: about")), "{notes:?}");
    assert!(notes.iter().any(|note| note.contains("requests to http://127.0.0.1") && note.contains("at a price of about")), "{notes:?}");
    let answers: Vec<Answers> = rows(&results, "candidates.jsonl");
    for answers in &answers {
        assert!(answers.candidates.iter().all(|one| one.answer.is_some() && one.distribution.len() == 3));
    }
    // Where a server stands does not name the run, and what it answered is not asked again.
    let before = files(&results.folder);
    drop((one, other));
    let moved = serve(Dialect::LlamaCpp);
    let mut again = experiment.config().clone();
    for server in again.servers.values_mut() {
        server.url = moved.url.clone();
    }
    again.servers.get_mut("other").unwrap().url = serve_forever(Dialect::Vllm);
    let again = again.check(Path::new("minitask.toml")).unwrap();
    let results = run(&again, out.path(), &mut |event| {
        assert!(
            !matches!(event, Event::Stage { event: StageEvent::Begin(_), .. }),
            "all stages were finished"
        );
    });
    let mut after = files(&results.unwrap().folder);
    let mut before = before;
    // They show the servers.
    for file in ["config.toml", "manifest.json", "report.html"] {
        before.remove(file);
        after.remove(file);
    }
    let differing: Vec<_> = before.keys().filter(|name| before.get(*name) != after.get(*name)).collect();
    assert!(differing.is_empty() && before.len() == after.len(), "{differing:?}");
}

#[test]
fn what_a_server_answered_before_a_run_ended_is_not_asked_again() {
    let (counts, sound) = (Counts::default(), Arc::new(AtomicBool::new(false)));
    let (seen, is_sound) = (counts.clone(), sound.clone());
    let server = Server::start(move |request| {
        if request.path == "/v1/completions" {
            if !is_sound.load(Ordering::SeqCst) && seen.all().len() >= 20 {
                return Reply::Status(401, Vec::new(), "your key has run out".into());
            }
            seen.count(&request.body.to_string());
        }
        answer(Dialect::Vllm, request)
    });
    let experiment = with_servers(
        &format!("[servers.toy]\nurl = '{}'\nconcurrency = 2", server.url),
        "{ kind = 'language_model', name = 'toy', model = 'toy', temperature = 0.0 }",
    );
    let out = tempfile::tempdir().unwrap();
    let error = run(&experiment, out.path(), &mut |_| ()).unwrap_err();
    assert!(error.contains("your key has run out"), "{error}");
    let before = counts.all();
    sound.store(true, Ordering::SeqCst);
    run(&experiment, out.path(), &mut |_| ()).unwrap();
    // The last rows that were under way may have been begun: three options each, two rows.
    let twice = counts.all().values().filter(|count| **count > 1).count();
    assert!(before.len() >= 20 && twice <= 4, "{twice} of {} asked twice", before.len());
    assert_eq!(counts.all().len(), 90, "30 rows of 3 options");
}

fn serve_forever(dialect: Dialect) -> String {
    let server = serve(dialect);
    let url = server.url.clone();
    std::mem::forget(server);
    url
}

#[test]
fn a_server_embeds() {
    let server = serve(Dialect::LlamaCpp);
    let experiment = with_servers(
        &format!("[servers.toy]\nurl = '{}'", server.url),
        "{ kind = 'language_model', name = 'here', temperature = 0.0 }, { kind = 'classifier', name = 'embeddings', folds = 2 }",
    );
    let mut config = experiment.config().clone();
    config.embedding_server = Some("toy".into());
    let experiment = config.check(Path::new("minitask.toml")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let results = run(&experiment, out.path(), &mut |_| ()).unwrap();
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(results.folder.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["embedder"], "toy on llama.cpp, 258 parameters in 1000 bytes");
}

#[test]
fn a_server_that_cannot_score_is_refused_while_planning() {
    let server = Server::start(|request| match request.path.as_str() {
        "/v1/models" => Reply::Json(models()),
        _ => Reply::Json(json!({"choices": [{"message": {"content": "A"}}]})),
    });
    let experiment = with_servers(
        &format!("[servers.silent]\nurl = '{}'", server.url),
        "{ kind = 'language_model', name = 'silent', model = 'silent' }",
    );
    let out = tempfile::tempdir().unwrap();
    let error = run(&experiment, out.path(), &mut |_| ()).unwrap_err();
    assert!(
        error.contains("cannot score, and task.kind = \"closed_set\" compares the options' probabilities"),
        "{error}"
    );
}

#[test]
fn servers_that_make_no_sense_are_refused() {
    let text = minitask("").config().to_toml();
    let refused = |servers: &str| {
        let file = Path::new("servers.toml");
        ExperimentConfig::parse(&format!("{text}\n{servers}"), file)
            .unwrap()
            .check(file)
            .unwrap_err()
            .to_string()
    };
    for (servers, expected) in [
        ("[servers.base]\nurl = 'http://h/v1'", "a name that no other model of the run has"),
        (
            "[servers.x]\nurl = 'nowhere'",
            "servers.x: url = \"nowhere\" (relative URL without a base), but must be whole",
        ),
        (
            "[servers.x]\nurl = 'http://h/v1'\n[batches.x]\nfolder = 'f'\nmodel = 'm'",
            "a name that no other model",
        ),
    ] {
        let found = refused(servers);
        assert!(found.contains(expected), "{servers}: {found}");
    }
}

#[test]
fn models_that_nobody_asks_are_no_part_of_a_run() {
    let experiment = with_servers(
        "[batches.hosted]\nfolder = 'f'\nmodel = 'm'\n[batches.spare]\nfolder = 'g'\nmodel = 'm'\n[servers.spare-too]\nurl = 'http://127.0.0.1:1/v1'",
        "{ kind = 'language_model', name = 'here', temperature = 0.0 }, { kind = 'language_model', name = 'there', model = 'hosted', temperature = 0.0 }",
    );
    assert_eq!(experiment.batches().map(|(name, _)| name).collect::<Vec<_>>(), ["hosted"]);
    assert_eq!(experiment.servers().count(), 0);
}

#[test]
fn a_run_waits_for_batch_files_and_goes_on_with_what_is_there() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("batches");
    let experiment = with_servers(
        &format!("[batches.hosted]\nfolder = {:?}\nmodel = 'some-model'", folder.display().to_string()),
        "{ kind = 'language_model', name = 'here', temperature = 0.0 }, { kind = 'language_model', name = 'hosted', model = 'hosted', temperature = 0.0 }",
    );
    let runs = out.path().join("runs");
    let requests = || -> Vec<Value> {
        let text = std::fs::read_to_string(folder.join("requests.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let answer = |request: &Value| {
        let content = json!([{"token": "negative", "logprob": -0.1, "top_logprobs": [{"token": "negative", "logprob": -0.1}, {"token": "pos", "logprob": -3.0}]}]);
        let body =
            json!({"choices": [{"message": {"content": "negative"}, "logprobs": {"content": content}}]});
        json!({"custom_id": request["custom_id"], "response": {"status_code": 200, "body": body}}).to_string()
    };
    let error = run(&experiment, &runs, &mut |_| ()).unwrap_err();
    assert!(
        error.contains("30 of 30 requests have no answer yet") && error.contains("vllm run-batch"),
        "{error}"
    );
    let asked = requests();
    assert_eq!(asked.len(), 30);
    assert_eq!(asked[0]["url"], "/v1/chat/completions");

    // Who refuses everything is not believed: nothing of it is kept.
    let refuse = |request: &Value| {
        let error = json!({"message": "no such model", "code": 400});
        json!({"custom_id": request["custom_id"], "response": {"status_code": 400, "body": null}, "error": error})
            .to_string()
    };
    let all: Vec<String> = asked.iter().map(refuse).collect();
    std::fs::write(folder.join("results-0.jsonl"), all.join("\n")).unwrap();
    let error = run(&experiment, &runs, &mut |_| ()).unwrap_err();
    assert!(error.contains("it refused all 30 requests") && error.contains("no such model"), "{error}");
    std::fs::remove_file(folder.join("results-0.jsonl")).unwrap();

    // Half of them, one twice, two that failed, the one as vLLM says of its own end, one of nobody.
    let mut lines: Vec<String> = asked[..15].iter().map(answer).collect();
    lines.push(lines[0].clone());
    lines.push(
        json!({"custom_id": asked[20]["custom_id"], "response": {"status_code": 500, "body": {"reason": "too rude"}}})
            .to_string(),
    );
    lines.push(
        json!({"custom_id": asked[21]["custom_id"], "response": {"status_code": 400, "body": null}, "error": "EngineDeadError"})
            .to_string(),
    );
    lines.push(
        json!({"custom_id": "somebody else's", "response": {"status_code": 200, "body": {}}}).to_string(),
    );
    std::fs::write(folder.join("results-1.jsonl"), lines.join("\n")).unwrap();
    let error = run(&experiment, &runs, &mut |_| ()).unwrap_err();
    assert!(error.contains("15 of 30 requests have no answer yet"), "{error}");
    assert_eq!(requests(), asked[15..]);

    // Why one failed is said, and a file that overwrites none.
    assert!(error.contains("EngineDeadError") && error.contains("-o results-2.jsonl"), "{error}");

    // A line that is cut off is named.
    let mut rest: Vec<String> = asked[15..].iter().map(answer).collect();
    // A request that is itself at fault has no answer, and keeps nobody waiting.
    rest[14] = refuse(&asked[29]);
    std::fs::write(folder.join("results-2.jsonl"), &rest.join("\n")[..40]).unwrap();
    let error = run(&experiment, &runs, &mut |_| ()).unwrap_err();
    assert!(error.contains("results-2.jsonl, line 1: no result of a batch"), "{error}");
    std::fs::write(folder.join("results-2.jsonl"), rest.join("\n")).unwrap();
    let results = run(&experiment, &runs, &mut |_| ()).unwrap();
    let all: Vec<Answers> = rows(&results, "candidates.jsonl");
    assert_eq!(all.len(), 30);
    let (answered, refused): (Vec<_>, Vec<_>) =
        all.iter().map(|one| &one.candidates[1]).partition(|one| one.error.is_none());
    assert!(answered.len() == 29 && answered.iter().all(|one| one.distribution[0] > 0.8));
    assert!(
        refused[0].answer.is_none()
            && refused[0].error.as_ref().is_some_and(|why| why.contains("status 400"))
    );
}
