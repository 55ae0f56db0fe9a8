//! Files in, samples or a helpful message out.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use semievol_core::Answer;
use semievol_data::{DataError, Dataset, DatasetConfig, OnBadRow, SkipReason, overlap, rows};
use std::path::{Path, PathBuf};

/// Reads bytes under a file name; gives `id|question|options|answer|group` per row, or the message with
/// `FILE` for the path.
fn check(name: &str, bytes: impl AsRef<[u8]>, config: &str, expected: Result<&[&str], &str>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let config: DatasetConfig = toml::from_str(config).unwrap();
    let read = Dataset::read([&path], &config);
    match (read, expected) {
        (Ok(dataset), Ok(expected)) => assert_eq!(described(&dataset), expected),
        (Err(error), Err(expected)) => {
            let message = error.to_string().replace(path.to_str().unwrap(), "FILE");
            assert!(message.contains(expected), "{message}\ndoes not contain\n{expected}");
        }
        (Ok(dataset), Err(expected)) => panic!("{expected} expected, read {:?}", described(&dataset)),
        (Err(error), Ok(_)) => panic!("{error}"),
    }
}

fn described(dataset: &Dataset) -> Vec<String> {
    let answer = |answer: &Option<Answer>| match answer {
        None => "-".to_owned(),
        Some(Answer::Choice(index)) => index.to_string(),
        Some(Answer::Text(text)) => format!("'{text}'"),
        Some(Answer::Number(digits)) => format!("#{digits}"),
    };
    (0..dataset.len())
        .map(|row| {
            let sample = &dataset.samples[row];
            let group = sample.group.as_deref().unwrap_or("-");
            let options = sample.options.join("/");
            format!("{}|{}|{options}|{}|{group}", sample.id, sample.question, answer(&dataset.answers[row]))
        })
        .collect()
}

#[test]
fn csv_by_its_usual_columns() {
    let text = "id,question,options,answer\n7,\"two\nlines\",\"[\"\"no\"\", \"\"yes\"\"]\",B\n8,q,\"[\"\"no\"\", \"\"yes\"\"]\",\n";
    check("a.csv", text, "", Ok(&["7|two\nlines|no/yes|1|-", "8|q|no/yes|-|-"]));
    check(
        "a.csv",
        format!("\u{feff}{text}").replace('\n', "\r\n"),
        "",
        Ok(&["7|two\r\nlines|no/yes|1|-", "8|q|no/yes|-|-"]),
    );
    check(
        "set.csv",
        "question,answer\nq,free\nr,text\n",
        "",
        Ok(&["set:1|q||'free'|-", "set:2|r||'text'|-"]),
    );
}

/// A million rows of one closed set hold its options once.
#[test]
fn rows_share_the_options_that_they_have_in_common() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let row = |id: usize, other: &str| {
        format!("{{\"id\": {id}, \"question\": \"q{id}\", \"options\": [\"no\", \"{other}\"]}}\n")
    };
    std::fs::write(&path, row(1, "yes") + &row(2, "yes") + &row(3, "maybe")).unwrap();
    let samples = Dataset::read([&path], &DatasetConfig::default()).unwrap().samples;
    assert!(std::ptr::eq(&*samples[0].options, &*samples[1].options));
    assert_eq!(*samples[2].options, ["no", "maybe"]);
}

#[test]
fn a_quote_that_never_closes_is_found() {
    let names = "file.names = ['question', 'answer']";
    for (text, line) in [("q,\"a\nr,b\n", 1), ("q,a\nr,\"b\n\n", 2), ("q,a\nr,b\ns,\"", 3)] {
        let message = format!("FILE:{line}: a quote in this row never closes");
        check("a.csv", text, names, Err(&message));
    }
    // Quotes that do close: at the end of the file, over two lines, doubled.
    check("a.csv", "q,\"a\"", names, Ok(&["a:1|q||'a'|-"]));
    check("a.csv", "\"q\n\"\"r\"\"\",a\r\n", names, Ok(&["a:1|q\n\"r\"||'a'|-"]));
}

#[test]
fn answers_in_every_form() {
    let options = r#"columns.options = { fixed = ["red", "green", "blue"] }"#;
    for (written, index) in [("B", 1), ("b", 1), ("green", 1), ("GREEN.", 1), ("3", 2), (" A ", 0)] {
        check(
            "a.csv",
            format!("question,answer\nq,{written}\n"),
            options,
            Ok(&[&format!("a:1|q|red/green/blue|{index}|-")]),
        );
    }
    for written in ["D", "4", "yellow", "red blue"] {
        let message = format!("FILE:2: answer `{written}` is none of A. red, B. green, C. blue");
        check("a.csv", format!("question,answer\nq,{written}\n"), options, Err(&message));
    }
    // Whoever skips bad rows would lose those of the first class, and have all others one place too low.
    for more in ["", "\non_bad_row = 'skip'"] {
        let options = format!("{options}{more}");
        check(
            "a.csv",
            "question,answer\nq,1\nr,0\n",
            &options,
            Err("the answer is the number 0, which may count from 0"),
        );
    }
    let counted = r#"columns.options = { fixed = ["1", "2", "3"] }"#;
    check("a.csv", "question,answer\nq,0\n", counted, Err("answer `0` is none of"));
    let zero = r#"columns = { options = { fixed = ["x", "y"] }, answer = { column = "answer", kind = "zero_based" } }"#;
    check("a.jsonl", r#"{"question": "q", "answer": 1}"#, zero, Ok(&["a:1|q|x/y|1|-"]));
    // As pandas writes a whole number where other cells of the column are empty.
    check("a.csv", "question,answer\nq,1.0\n", zero, Ok(&["a:1|q|x/y|1|-"]));
    check("a.csv", "question,answer\nq,1.5\n", zero, Err("answer `1.5` is none of"));
    // A bare number may count from 0 or from 1: the configuration has to say.
    check(
        "a.jsonl",
        r#"{"question": "q", "options": ["x", "y"], "answer": 1}"#,
        "",
        Err("set data.columns.answer = { column = \"...\", kind = \"one_based\" }"),
    );
    check("a.jsonl", r#"{"question": "q", "answer": 12.50}"#, "", Ok(&["a:1|q||#12.5|-"]));
    check("a.jsonl", r#"{"question": "q", "answer": 0.00001}"#, "", Ok(&["a:1|q||#0.00001|-"]));
    check("a.jsonl", r#"{"question": "q", "answer": -3e21}"#, "", Ok(&["a:1|q||#-3000000000000000000000|-"]));
}

/// The classes of news are called b, e, m and t in one well-known file; its letters are no places.
#[test]
fn options_that_are_letters_are_meant_by_their_text() {
    let classes = |letters: &str| format!("columns.options.fixed = {letters}");
    for (class, index) in [("b", 0), ("e", 1), ("m", 2), ("t", 3)] {
        let expected = format!("a:1|q|b/e/m/t|{index}|-");
        let text = format!("question,answer\nq,{class}\n");
        check("a.csv", text, &classes("['b', 'e', 'm', 't']"), Ok(&[&expected]));
    }
    let two_ways = "may be an option's letter or its text; set data.columns.answer";
    for (letters, written) in [("['B', 'C', 'D']", "B"), ("['B', 'C', 'D']", "A"), ("['k', 'C', 'F']", "C")] {
        check("a.csv", format!("question,answer\nq,{written}\n"), &classes(letters), Err(two_ways));
    }
    check("a.csv", "question,answer\nq,B\n", &classes("['x', 'y']"), Ok(&["a:1|q|x/y|1|-"]));
    check("a.csv", "question,answer\nq,C\n", &classes("['A', 'B', 'C']"), Ok(&["a:1|q|A/B/C|2|-"]));
    // A chat's answer is what was said, and there is no column whose kind could be set.
    let chat = |said: &str| {
        format!(
            r#"{{"messages": [{{"role": "user", "content": "q"}}, {{"role": "assistant", "content": "{said}"}}]}}"#
        )
    };
    check("a.jsonl", chat("B"), &classes("['B', 'C', 'D']"), Ok(&["a:1|q|B/C/D|0|-"]));
    check("a.jsonl", chat("A"), &classes("['B', 'C', 'D']"), Err("answer `A` is none of A. B, B. C, C. D"));
}

/// `-1` stands for unknown in many files.
#[test]
fn an_unlabelled_rows_answer_may_be_none_of_the_options() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    std::fs::write(&path, "question,answer\nq,-1\nr,red\ns,\n").unwrap();
    let config = r#"columns = { options = { fixed = ["red", "blue"] } }"#;
    let config: DatasetConfig = toml::from_str(config).unwrap();
    let dataset = Dataset::read_unlabelled([&path], &config).unwrap();
    assert_eq!(dataset.answers, [None, Some(Answer::Choice(0)), None]);
    assert_eq!(dataset.disregarded, 1);
    std::fs::write(&path, "question,answer\nq,0\nr,red\ns,\n").unwrap();
    assert_eq!(Dataset::read_unlabelled([&path], &config).unwrap().disregarded, 1);
    std::fs::write(&path, "question,answer\nq,-1\nr,red\ns,\n").unwrap();
    let skipping = DatasetConfig { on_bad_row: OnBadRow::Skip, ..config };
    let dataset = Dataset::read_unlabelled([&path], &skipping).unwrap();
    assert_eq!((dataset.len(), dataset.skipped.len(), dataset.disregarded), (2, 1, 0));

    // What may be meant in two ways is a matter of settings, not of rows.
    let path = folder.path().join("a.jsonl");
    std::fs::write(&path, r#"{"question": "q", "answer": 1}"#).unwrap();
    let config = DatasetConfig { on_bad_row: OnBadRow::Error, ..skipping };
    assert!(matches!(Dataset::read_unlabelled([&path], &config), Err(DataError::AmbiguousNumber { .. })));
}

#[test]
fn options_from_columns() {
    let text = "question,a,b,c,answer\nq,one,two,,two\n";
    check("a.csv", text, r#"columns.options = ["a", "b", "c"]"#, Ok(&["a:1|q|one/two|1|-"]));
    check(
        "a.jsonl",
        r#"{"question": "q", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "key": "B"}"#,
        "columns = { options = 'choices', answer = 'key' }",
        Ok(&["a:1|q|x/y|1|-"]),
    );
    // A missing option, as Python writes it, keeps its place: letters count it.
    let text = "question,options,answer\nq,\"[NaN, \"\"one\"\", \"\"two\"\"]\",B\n";
    check("a.csv", text, "", Ok(&["a:1|q|NaN/one/two|1|-"]));
    check("a.csv", "question,options\nq,x or y\n", "", Err("FILE:2: `x or y` is not a JSON list"));
}

#[test]
fn records_of_other_shapes() {
    let alpaca = r#"[{"instruction": "Translate.", "input": "ja", "output": "yes"}, {"instruction": "Go.", "input": "", "output": ""}]"#;
    check("a.json", alpaca, "", Ok(&["a:1|Translate.\n\nja||'yes'|-", "a:2|Go.||-|-"]));
    check(
        "a.jsonl",
        r#"{"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}"#,
        "",
        Ok(&["a:1|Q||'A'|-"]),
    );
    check("a.jsonl", r#"{"conversations": [{"from": "human", "value": "Q"}]}"#, "", Ok(&["a:1|Q||-|-"]));
    check(
        "a.jsonl",
        r#"{"title": "T", "body": "B"}"#,
        r#"columns.question = "{title}\n{body}""#,
        Ok(&["a:1|T\nB||-|-"]),
    );
    let worked = "columns.answer = { column = 'answer', after = '####' }";
    check("a.jsonl", r#"{"question": "q", "answer": "so it is\n#### 42"}"#, worked, Ok(&["a:1|q||'42'|-"]));
}

const RATINGS: &str = r#"
    file = { format = "tsv", names = ["id", "rating", "question"] }
    [columns]
    options = { fixed = ["negative", "positive"] }
    answer = { column = "rating", bins = [{ label = "negative", below = -0.5 }, { label = "positive", above = 0.5 }] }
    group = { column = "id", before = "_" }
"#;

#[test]
fn ratings_become_classes() {
    let text = "1_1\t-0.51\ta \"quote\r\n1_2\t-0.5\tb\r\n2_1\t0.5\tc\r\n2_2\t3\td";
    check(
        "r.txt",
        text,
        RATINGS,
        Ok(&["1_1|a \"quote|negative/positive|0|1", "2_2|d|negative/positive|1|2"]),
    );
    check("r.txt", "1_1\tbad\ta\n", RATINGS, Err("FILE:1: `bad` is not a number"));
    check("r.txt", "1_1\tNaN\ta\n", RATINGS, Err("FILE:1: `NaN` is not a number"));
    check("r.txt", "1_1\t2\n", RATINGS, Err("FILE:1: 2 fields where 3 are expected, beginning `1_1 | 2`"));
    check(
        "r.txt",
        text,
        &RATINGS.replace("label = \"positive\"", "label = \"good\""),
        Err("bin `good` is none of"),
    );
}

#[test]
fn rows_left_out_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.txt");
    std::fs::write(&path, "1\t2\ta\n2\t0\tb\n3\t?\tc\n4\t0.1\td\n").unwrap();
    let config: DatasetConfig = toml::from_str(&format!("on_bad_row = 'skip'\n{RATINGS}")).unwrap();
    let dataset = Dataset::read([&path], &config).unwrap();
    assert_eq!(described(&dataset), ["1|a|negative/positive|1|1"]);
    let counts: Vec<_> = dataset.skip_counts().into_iter().collect();
    assert_eq!(counts, [(SkipReason::OutsideBins, 2), (SkipReason::BadRow, 1)]);
    assert!(dataset.skipped[1].detail.contains("`?` is not a number"));
}

#[test]
fn repeated_rows_may_be_left_out() {
    let text = "id,question\n1,Is it so?\n2,is it  SO\n3,Is it?\n";
    check("a.csv", text, "", Ok(&["1|Is it so?||-|-", "2|is it  SO||-|-", "3|Is it?||-|-"]));
    check("a.csv", text, "on_duplicate = 'skip'", Ok(&["1|Is it so?||-|-", "3|Is it?||-|-"]));
}

#[test]
fn encodings() {
    let latin1 = b"question,answer\ncaf\xe9,x\n";
    check("a.csv", latin1, "file.encoding = 'latin1'", Ok(&["a:1|café||'x'|-"]));
    check(
        "a.csv",
        latin1,
        "",
        Err("FILE:2: not UTF-8 near `caf\u{fffd}`; set data.file.encoding = \"latin1\""),
    );
    check("a.tsv", latin1.map(|b| if b == b',' { b'\t' } else { b }), "", Err("FILE:2: not UTF-8"));
    check("a.jsonl", b"{\"question\": \"q\"}\n{\"question\": \"\xff\"}", "", Err("FILE:2: not UTF-8"));
    check("a.csv", b"\xff\xfeq\0", "", Err("UTF-16"));
    check("a.jsonl", "\u{feff}{\"question\": \"q\"}\n\n", "", Ok(&["a:1|q||-|-"]));
}

#[test]
fn broken_files_say_where() {
    check(
        "a.csv",
        "question,answer\nq,a,b\n",
        "",
        Err("FILE:2: 3 fields where 2 are expected, beginning `q | a | b`"),
    );
    check("a.csv", "question,question\nq,a\n", "", Err("column `question` occurs twice"));
    check("a.csv", "", "", Err("FILE: holds no row"));
    check("a.csv", "question,answer\n", "", Err("FILE: holds no row"));
    check("a.jsonl", "\n\n", "", Err("FILE: holds no row"));
    check("a.json", "[]", "", Err("FILE: holds no row"));
    check(
        "a.csv",
        "text,label\nq,1\n",
        "",
        Err(
            "FILE:2: no column `question` for the question; the columns are `text`, `label`; set data.columns.question",
        ),
    );
    check("a.csv", "question,answer\n ,1\n", "", Err("FILE:2: the question is empty"));
    check(
        "a.jsonl",
        "{\"question\": \"q\"}\n{\"question\": \n",
        "",
        Err("FILE:2: not a JSON object: `{\"question\": `"),
    );
    check("a.jsonl", "{\"question\": \"q\"}\n7\n", "", Err("FILE:2: not a JSON object: `7`"));
    check("a.json", "[{\"question\": \"q\"}, 7]", "", Err("FILE:2: not a JSON object: `7`"));
    check("a.json", "[\n{\"question\": }]", "", Err("FILE:2: not a JSON object"));
    check("a.parquet", "PAR?", "", Err("FILE: broken or unsupported parquet"));
    check("a.txt", "x", "", Err("FILE: the extension does not say the format"));
    check("a.csv", "id,question\n1,q\n1,r\n", "", Err("id `1` stands at FILE:2 and at FILE:3"));
    check(
        "a.csv",
        "id,question\n1,q\n1,r\n",
        "columns.id = '{id}-{_line}'",
        Ok(&["1-2|q||-|-", "1-3|r||-|-"]),
    );
    check("a.csv", "question\nq\n", "columns.group = 'doc'", Err("no column `doc` for the group"));
    let missing = Dataset::read(["no/such.csv"], &DatasetConfig::default()).unwrap_err();
    assert!(matches!(missing, DataError::Io { .. }), "{missing}");
}

#[test]
fn labelled_data_needs_its_answers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    std::fs::write(&path, "id,question,answer\n1,q,x\n2,r,\n").unwrap();
    let dataset = Dataset::read([&path], &DatasetConfig::default()).unwrap();
    let message = dataset.labeled().unwrap_err().to_string();
    assert!(message.contains("sample `2` has no answer"), "{message}");
    assert_eq!(dataset.subset(&[0, 9]).labeled().unwrap().len(), 1);
}

#[test]
fn configurations_are_checked_and_survive_a_round_trip() {
    let config: DatasetConfig = toml::from_str(RATINGS).unwrap();
    assert_eq!(toml::from_str::<DatasetConfig>(&toml::to_string(&config).unwrap()).unwrap(), config);
    for wrong in
        ["colums = {}", "columns.qestion = 'q'", "file.format = 'xls'", "columns.options = { fixd = [] }"]
    {
        assert!(toml::from_str::<DatasetConfig>(wrong).is_err(), "{wrong}");
    }
}

fn minitask(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/minitask").join(name)
}

#[test]
fn the_mini_task_reads_by_default() {
    let read = |name| Dataset::read([minitask(name)], &DatasetConfig::default()).unwrap();
    let sets = [read("labeled.csv"), read("unlabeled.jsonl"), read("test.csv")];
    assert_eq!(sets.each_ref().map(Dataset::len), [15, 30, 15]);
    for set in &sets {
        for (row, answer) in set.answers.iter().enumerate() {
            assert_eq!(answer, &Some(Answer::Choice(row % 3)));
            assert_eq!(*set.samples[row].options, ["negative", "neutral", "positive"]);
        }
    }
    assert_eq!(
        described(&sets[0])[0],
        "l01|How does the buyer feel about the product?\nThe kettle lid cracked on the first boil.|negative/neutral/positive|0|-"
    );
    assert!(overlap(&[("l", &sets[0].samples), ("u", &sets[1].samples), ("t", &sets[2].samples)]).is_empty());
    assert_eq!(rows(&minitask("test.csv"), &Default::default()).unwrap().count(), 15);
}
