//! Limited-memory BFGS for smooth convex functions (Nocedal and Wright, Numerical Optimization, algorithm 7.5),
//! without randomness: the same function gives the same bits.

use std::collections::VecDeque;

/// No component of the gradient exceeds this at a solution.
pub(super) const GRADIENT_TOLERANCE: f64 = 1e-6;
/// Enough for any penalty worth trying; unit vectors of embeddings take some tens.
pub(super) const MAX_STEPS: usize = 2000;

const MEMORY: usize = 10;
/// Share of the decrease that the slope promises which a step has to bring.
const SUFFICIENT_DECREASE: f64 = 1e-4;
const MAX_HALVINGS: usize = 60;

/// Where the search ended.
pub(super) struct Minimum {
    pub(super) at: Vec<f64>,
    /// Largest absolute component of the gradient.
    pub(super) steepest: f64,
}

/// How one step changed the point and the gradient.
struct Change {
    point: Vec<f64>,
    gradient: Vec<f64>,
    /// 1 / (point . gradient)
    inverse: f64,
}

/// Walks downhill until the gradient is small enough, no step helps, or [`MAX_STEPS`] are done.
pub(super) fn minimise(start: Vec<f64>, function: impl Fn(&[f64]) -> (f64, Vec<f64>)) -> Minimum {
    let mut at = start;
    let (mut value, mut gradient) = function(&at);
    let mut memory: VecDeque<Change> = VecDeque::new();
    for _ in 0..MAX_STEPS {
        if steepest(&gradient) <= GRADIENT_TOLERANCE {
            break;
        }
        let direction = direction(&gradient, &memory);
        let slope = dot(&direction, &gradient);
        let mut length = if memory.is_empty() { 1.0 / norm(&gradient).max(1.0) } else { 1.0 };
        let step = (0..MAX_HALVINGS).find_map(|_| {
            let moved: Vec<f64> = at.iter().zip(&direction).map(|(x, d)| x + length * d).collect();
            let (moved_value, moved_gradient) = function(&moved);
            let enough = moved_value <= value + SUFFICIENT_DECREASE * length * slope;
            length /= 2.0;
            enough.then_some((moved, moved_value, moved_gradient))
        });
        // Close to the minimum rounding can hide the decrease: a fresh start, then the end.
        let Some((moved, moved_value, moved_gradient)) = step else {
            if memory.is_empty() {
                break;
            }
            memory.clear();
            continue;
        };
        remember(&mut memory, difference(&moved, &at), difference(&moved_gradient, &gradient));
        (at, value, gradient) = (moved, moved_value, moved_gradient);
    }
    Minimum { steepest: steepest(&gradient), at }
}

/// The two-loop recursion: minus the inverse Hessian, as far as it is known, times the gradient.
fn direction(gradient: &[f64], memory: &VecDeque<Change>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|slope| -slope).collect();
    let mut shares = Vec::with_capacity(memory.len());
    for change in memory.iter().rev() {
        let share = change.inverse * dot(&change.point, &direction);
        add(&mut direction, -share, &change.gradient);
        shares.push(share);
    }
    if let Some(last) = memory.back() {
        let scale = 1.0 / (last.inverse * dot(&last.gradient, &last.gradient));
        direction.iter_mut().for_each(|component| *component *= scale);
    }
    for (change, share) in memory.iter().zip(shares.into_iter().rev()) {
        let correction = change.inverse * dot(&change.gradient, &direction);
        add(&mut direction, share - correction, &change.point);
    }
    direction
}

/// Keeps a step that tells something about the curvature; rounding can make it vanish.
fn remember(memory: &mut VecDeque<Change>, point: Vec<f64>, gradient: Vec<f64>) {
    let curvature = dot(&point, &gradient);
    if curvature <= f64::EPSILON * norm(&point) * norm(&gradient) {
        return;
    }
    if memory.len() == MEMORY {
        memory.pop_front();
    }
    memory.push_back(Change { point, gradient, inverse: 1.0 / curvature });
}

fn steepest(gradient: &[f64]) -> f64 {
    gradient.iter().map(|slope| slope.abs()).fold(0.0, f64::max)
}

fn norm(vector: &[f64]) -> f64 {
    dot(vector, vector).sqrt()
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

fn add(target: &mut [f64], factor: f64, vector: &[f64]) {
    target.iter_mut().zip(vector).for_each(|(t, v)| *t += factor * v);
}

fn difference(one: &[f64], other: &[f64]) -> Vec<f64> {
    one.iter().zip(other).map(|(a, b)| a - b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretched_bowl_has_its_bottom_where_it_is() {
        let scales = [1e-3, 1.0, 1e3];
        let bottom = [3.0, -2.0, 0.5];
        let bowl = |x: &[f64]| {
            let away: Vec<f64> = difference(x, &bottom);
            let value = away.iter().zip(scales).map(|(d, s)| s * d * d / 2.0).sum();
            (value, away.iter().zip(scales).map(|(d, s)| s * d).collect())
        };
        let found = minimise(vec![0.0; 3], bowl);
        assert!(found.steepest <= GRADIENT_TOLERANCE);
        assert!(found.at.iter().zip(bottom).all(|(x, b)| (x - b).abs() < 2e-3), "{:?}", found.at);
    }
}
