//! Every input that is kept, through its target.

use std::path::Path;

#[test]
fn no_input_of_the_corpora_breaks_its_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in semievol_fuzz::TARGETS {
        let entries = std::fs::read_dir(corpus.join(name)).into_iter().flatten().flatten();
        let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
        files.sort();
        assert!(files.len() >= 3, "{name}: {} inputs", files.len());
        for file in files {
            println!("{}", file.display());
            target(&std::fs::read(&file).unwrap_or_default());
        }
    }
}
