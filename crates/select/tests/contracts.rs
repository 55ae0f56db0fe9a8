//! Every adjudicator and selector keeps what its trait promises.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use semievol_select::classify::{CrossValidatedRegression, NearestNeighbours};
use semievol_select::{
    All, Balanced, ErrorControlled, Majority, Mixture, NoiseAware, Over, PerClass, Percentile, Random, Rule,
    SelfJustify, Weighted,
};
use semievol_testkit::contracts;

#[test]
fn self_justify() {
    contracts::adjudicator(&SelfJustify::new(8).unwrap());
}

#[test]
fn majority() {
    contracts::adjudicator(&Majority);
}

#[test]
fn mixture() {
    contracts::adjudicator(&Mixture);
}

#[test]
fn regression() {
    for folds in [2, 3, 5] {
        contracts::classifier(&CrossValidatedRegression { folds });
    }
}

#[test]
fn neighbours() {
    for k in [1, 5, 50] {
        contracts::classifier(&NearestNeighbours { k });
    }
}

#[test]
fn percentile() {
    for over in [Over::Unlabelled, Over::Labelled] {
        for theta in [0.1, 10.0, 50.0, 100.0] {
            contracts::selector(&Percentile::new(theta, over).unwrap());
        }
    }
}

#[test]
fn per_class() {
    for theta in [0.1, 50.0, 100.0] {
        contracts::selector(&PerClass::new(theta).unwrap());
    }
}

#[test]
fn balanced() {
    for theta in [0.1, 50.0, 100.0] {
        contracts::selector(&Balanced::new(theta).unwrap());
    }
}

#[test]
fn weighted() {
    contracts::selector(&Weighted);
}

#[test]
fn all() {
    contracts::selector(&All);
}

#[test]
fn noise_aware() {
    contracts::selector(&NoiseAware);
}

#[test]
fn error_controlled() {
    for rule in [Rule::Conformal, Rule::Lec] {
        for alpha in [0.01, 0.2, 0.9] {
            let plain = ErrorControlled::new(alpha, rule).unwrap();
            contracts::selector(&plain);
            contracts::selector(&plain.otherwise(50.0).unwrap());
        }
    }
}

#[test]
fn random() {
    contracts::selector(&Random::new(50.0).unwrap());
}
