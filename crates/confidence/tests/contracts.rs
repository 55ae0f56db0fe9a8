//! Every estimator keeps what the trait promises.

use semievol_confidence::{Agreement, AgreementLikelihood, Margin, MeanNll, Mixture, OptionEntropy};
use semievol_testkit::contracts;

#[test]
fn mean_nll() {
    contracts::confidence(&MeanNll);
}

#[test]
fn option_entropy() {
    contracts::confidence(&OptionEntropy);
}

#[test]
fn margin() {
    contracts::confidence(&Margin);
}

#[test]
fn agreement() {
    contracts::confidence(&Agreement);
    contracts::confidence(&AgreementLikelihood);
}

#[test]
fn mixture() {
    contracts::confidence(&Mixture);
}
