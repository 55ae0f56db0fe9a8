//! Drawing a token from logits.

use crate::kernels::vector::softmax_terms;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use semievol_core::TokenLogprob;
use semievol_model::GenerateRequest;

/// Temperature, nucleus and a stream of randomness of its own, so that other requests change nothing.
pub(crate) struct Sampler {
    temperature: f32,
    top_p: f32,
    rng: ChaCha8Rng,
}

impl Sampler {
    pub fn new(request: &GenerateRequest) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(request.seed.0);
        Sampler { temperature: request.temperature, top_p: request.top_p, rng }
    }

    /// Draws a token and gives its natural-log probability before temperature and top-p, which is NaN if a
    /// logit is. Overwrites `logits`.
    pub fn sample(&mut self, logits: &mut [f32]) -> TokenLogprob {
        let token = if self.temperature == 0.0 { most_probable(logits) } else { self.draw(logits) };
        let logit = logits[token];
        let logprob = logit - softmax_terms(logits).0;
        TokenLogprob { token: token as u32, logprob }
    }

    fn draw(&mut self, logits: &[f32]) -> usize {
        // Subtracting first keeps the smallest temperatures from overflowing.
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut weights: Vec<f32> = logits.iter().map(|logit| (logit - most) / self.temperature).collect();
        let (_, total) = softmax_terms(&mut weights);
        let uniform: f64 = self.rng.random();
        if self.top_p >= 1.0 {
            return pick(
                weights.iter().copied().enumerate(),
                uniform * weights.iter().map(|&w| f64::from(w)).sum::<f64>(),
            );
        }
        let mut nucleus: Vec<(usize, f32)> = weights.into_iter().enumerate().collect();
        nucleus.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let wanted = f64::from(self.top_p) * f64::from(total);
        let mut mass = 0.0;
        let enough = nucleus.iter().position(|(_, w)| {
            mass += f64::from(*w);
            mass >= wanted
        });
        nucleus.truncate(enough.map_or(nucleus.len(), |last| last + 1));
        pick(nucleus.into_iter(), uniform * mass)
    }
}

/// The lowest id among the most probable.
fn most_probable(logits: &[f32]) -> usize {
    let better = |best: usize, i: usize| if logits[i] > logits[best] { i } else { best };
    (0..logits.len()).fold(0, better)
}

/// The item at which the running sum of weights passes `at`.
fn pick(weights: impl Iterator<Item = (usize, f32)>, at: f64) -> usize {
    let mut sum = 0.0;
    let mut last = 0;
    for (token, weight) in weights {
        if weight > 0.0 {
            last = token;
            sum += f64::from(weight);
            if sum > at {
                break;
            }
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use semievol_core::{Prompt, Seed};

    fn sampler(temperature: f32, top_p: f32, seed: u64) -> Sampler {
        let request =
            GenerateRequest { temperature, top_p, ..GenerateRequest::new(Prompt::user("x"), Seed(seed)) };
        Sampler::new(&request)
    }

    fn logits() -> Vec<f32> {
        [0.5f32, 0.3, 0.15, 0.05].iter().map(|p| p.ln() + 3.0).collect()
    }

    fn shares(temperature: f32, top_p: f32) -> [f64; 4] {
        let mut counts = [0.0; 4];
        let mut sampler = sampler(temperature, top_p, 5);
        for _ in 0..20_000 {
            counts[sampler.sample(&mut logits()).token as usize] += 1.0 / 20_000.0;
        }
        counts
    }

    #[test]
    fn draws_follow_the_distribution() {
        let close = |found: [f64; 4], expected: [f64; 4]| {
            assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 0.015), "{found:?} {expected:?}");
        };
        close(shares(1.0, 1.0), [0.5, 0.3, 0.15, 0.05]);
        close(shares(1.0, 0.8), [0.625, 0.375, 0.0, 0.0]);
        close(shares(0.0, 1.0), [1.0, 0.0, 0.0, 0.0]);
        close(shares(f32::MIN_POSITIVE, 1.0), [1.0, 0.0, 0.0, 0.0]);
        let squares = [0.25, 0.09, 0.0225, 0.0025].map(|p: f64| p / 0.365);
        close(shares(0.5, 1.0), squares);
    }

    #[test]
    fn a_broken_model_is_not_certain() {
        for temperature in [0.0, 1.0] {
            assert!(sampler(temperature, 1.0, 1).sample(&mut [0.0, f32::NAN, 1.0]).logprob.is_nan());
        }
    }

    #[test]
    fn the_reported_probability_is_before_temperature_and_top_p() {
        for (temperature, top_p) in [(0.0, 1.0), (0.3, 0.4), (2.0, 1.0)] {
            let drawn = sampler(temperature, top_p, 1).sample(&mut logits());
            let expected = [0.5f32, 0.3, 0.15, 0.05][drawn.token as usize].ln();
            assert!((drawn.logprob - expected).abs() < 1e-5);
        }
    }
}
