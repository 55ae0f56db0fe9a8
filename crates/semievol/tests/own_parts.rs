//! What the example shows keeps the contracts that it implements.

use semievol_testkit::contracts;

#[path = "../examples/own_parts.rs"]
#[allow(dead_code)]
mod own_parts;

#[test]
fn the_examples_parts_keep_their_contracts() {
    contracts::selector(&own_parts::KeepAgreed);
    contracts::classifier(&own_parts::Lexicon);
}
