//! One suite per trait: call it from the tests of an implementation.
//!
//! A suite tries every rule, then panics once with all that were broken, each with the values that show it.

mod adjudicator;
mod classifier;
mod confidence;
mod embedder;
mod language_model;
mod retriever;
mod selector;
mod trainer;
mod vector_index;

pub use adjudicator::adjudicator;
pub use classifier::classifier;
pub use confidence::confidence;
pub use embedder::embedder;
pub use language_model::language_model;
pub use retriever::retriever;
pub use selector::selector;
pub use trainer::trainer;
pub use vector_index::vector_index;

/// A promise of the trait, and how to try it.
struct Rule<'a> {
    promise: &'static str,
    test: Box<dyn Fn() -> Result<(), String> + 'a>,
}

fn rule<'a>(promise: &'static str, test: impl Fn() -> Result<(), String> + 'a) -> Rule<'a> {
    Rule { promise, test: Box::new(test) }
}

fn hold_to(what: &str, rules: &[Rule<'_>]) {
    let broken = broken(rules);
    let list: String = broken.iter().map(|(promise, found)| format!("\n- {promise}: {found}")).collect();
    assert!(broken.is_empty(), "{what} breaks {} of {} rules{list}", broken.len(), rules.len());
}

/// The promises that were not kept, each with what was found.
fn broken(rules: &[Rule<'_>]) -> Vec<(&'static str, String)> {
    rules.iter().filter_map(|rule| Some((rule.promise, (rule.test)().err()?))).collect()
}

fn ensure(kept: bool, found: impl FnOnce() -> String) -> Result<(), String> {
    if kept { Ok(()) } else { Err(found()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "the parrot breaks 2 of 3 rules\n- speaks: it said nothing\n- flies: no wings")]
    fn a_suite_lists_everything_that_is_broken() {
        let broken = |found: &'static str| move || Err(found.to_string());
        let rules = [
            rule("speaks", broken("it said nothing")),
            rule("eats", || Ok(())),
            rule("flies", broken("no wings")),
        ];
        hold_to("the parrot", &rules);
    }
}
