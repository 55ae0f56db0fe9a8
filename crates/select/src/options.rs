//! The exact distribution of a model's answer over a closed set of options.

use semievol_core::{Sample, Seed, TokenLogprob};
use serde::{Deserialize, Serialize};

/// How probable an option is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OptionScore {
    /// Its text.
    pub option: String,
    /// `ln P(option's string and end of turn | prompt)`: the sum over their tokens.
    pub logprob: f64,
    /// Tokens of that sum.
    pub n_tokens: usize,
    /// `exp(logprob)`, normalised over the options.
    pub probability: f64,
}

/// Scores of a sample's options, in their order.
///
/// # Errors
/// Says what does not fit: another number of options, a number that is not finite.
pub fn option_scores(sample: &Sample, scores: &[Vec<TokenLogprob>]) -> Result<Vec<OptionScore>, String> {
    let totals: Vec<f64> =
        scores.iter().map(|tokens| tokens.iter().map(|token| f64::from(token.logprob)).sum()).collect();
    if totals.len() != sample.options.len() || totals.iter().any(|total| !total.is_finite()) {
        return Err(format!(
            "sample `{}`: the log-probabilities {totals:?} do not match its {} options",
            sample.id,
            sample.options.len()
        ));
    }
    let probabilities = normalised(&totals, 1.0);
    let scored = sample.options.iter().zip(scores).zip(totals.iter().zip(probabilities));
    Ok(scored
        .map(|((option, tokens), (total, probability))| OptionScore {
            option: option.clone(),
            logprob: *total,
            n_tokens: tokens.len(),
            probability,
        })
        .collect())
}

/// An option drawn at a temperature; at 0, and at what is no temperature, the most probable, the first of equals.
pub fn draw(scores: &[OptionScore], temperature: f64, seed: Seed) -> Option<usize> {
    let totals: Vec<f64> = scores.iter().map(|score| score.logprob).collect();
    if temperature.is_nan() || temperature <= 0.0 {
        return most_probable(&totals);
    }
    let mut rest = seed.uniform();
    let probabilities = normalised(&totals, temperature);
    let hit = probabilities.iter().position(|probability| {
        rest -= probability;
        rest < 0.0
    });
    // Rounding may leave a sliver behind the last option.
    hit.or(totals.len().checked_sub(1))
}

/// The mean of distributions over the same options; empty for none.
pub fn mean(distributions: &[&[f64]]) -> Vec<f64> {
    let mut mean = vec![0.0; distributions.first().map_or(0, |first| first.len())];
    for distribution in distributions {
        for (sum, p) in mean.iter_mut().zip(*distribution) {
            *sum += p / distributions.len() as f64;
        }
    }
    mean
}

/// The position of the largest value, of probabilities or their logarithms; the first of equals.
pub fn most_probable(values: &[f64]) -> Option<usize> {
    let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    values.iter().position(|value| *value == highest)
}

/// `exp(total / temperature)`, summing to 1.
fn normalised(totals: &[f64], temperature: f64) -> Vec<f64> {
    let best = totals.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let masses: Vec<f64> = totals.iter().map(|total| ((total - best) / temperature).exp()).collect();
    let sum: f64 = masses.iter().sum();
    masses.into_iter().map(|mass| mass / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(probabilities: &[f64]) -> Vec<OptionScore> {
        let score =
            |p: &f64| OptionScore { option: String::new(), logprob: p.ln(), n_tokens: 1, probability: *p };
        probabilities.iter().map(score).collect()
    }

    #[test]
    fn draws_follow_the_distribution_and_its_temperature() {
        let scores = scores(&[0.1, 0.7, 0.2]);
        let share = |temperature: f64, option: usize| {
            let drawn =
                (0..20_000).filter(|i| draw(&scores, temperature, Seed(3).child("draw", *i)) == Some(option));
            drawn.count() as f64 / 20_000.0
        };
        assert!((share(1.0, 1) - 0.7).abs() < 0.01 && (share(1.0, 0) - 0.1).abs() < 0.01);
        // 0.49 / (0.01 + 0.49 + 0.04)
        assert!((share(0.5, 1) - 0.907).abs() < 0.01);
        assert_eq!(share(0.0, 1), 1.0);
    }

    #[test]
    fn the_first_of_equals_is_the_most_probable() {
        assert_eq!(draw(&scores(&[0.4, 0.4, 0.2]), 0.0, Seed(1)), Some(0));
        assert_eq!(draw(&[], 1.0, Seed(1)), None);
        assert_eq!(draw(&scores(&[0.4, 0.6]), f64::NAN, Seed(1)), Some(1));
        assert_eq!(draw(&scores(&[0.4, 0.6]), -1.0, Seed(1)), Some(1));
    }
}
