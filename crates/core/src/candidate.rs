use crate::Answer;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// What one collaborator answered to one sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Who answered: the collaborator's name in the configuration.
    pub collaborator: String,
    /// The answer; absent if the response could not be read or none was given. Never a label then.
    pub answer: Option<Answer>,
    /// The response after the prompt's prefix, as it was said; empty where a closed set was scored.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub response: String,
    /// The probability of every option in the sample's order, summing to 1; empty for open answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub distribution: Vec<f64>,
    /// Examples that the prompt showed.
    #[serde(default)]
    pub shots: usize,
    /// Why there is no answer, where the collaborator failed: a prompt that did not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Candidate {
    /// A collaborator's answer, with nothing else known.
    pub fn new(collaborator: impl Into<String>, answer: Option<Answer>) -> Self {
        Candidate {
            collaborator: collaborator.into(),
            answer,
            response: String::new(),
            distribution: Vec::new(),
            shots: 0,
            error: None,
        }
    }

    /// The same candidate with the probability of every option.
    pub fn with_distribution(mut self, distribution: Vec<f64>) -> Self {
        self.distribution = distribution;
        self
    }
}

/// What a confidence's number says beyond its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// A probability, from 0 to 1.
    Probability,
    /// The logarithm of one, or a negative entropy: at most 0.
    LogProbability,
    /// Nothing: larger is surer.
    #[default]
    Order,
}

/// How sure a pseudo-label is: finite, larger is surer. Its [`Scale`] is the estimator's own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Confidence(f64);

impl Confidence {
    /// `None` unless the value is finite.
    pub fn new(value: f64) -> Option<Self> {
        value.is_finite().then_some(Confidence(value))
    }

    /// The value.
    pub fn value(self) -> f64 {
        self.0
    }
}

impl Eq for Confidence {}

impl Ord for Confidence {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // -0.0 and 0.0 are one confidence, as `PartialEq` says; there is no NaN.
        self.0.partial_cmp(&other.0).unwrap_or(std::cmp::Ordering::Equal)
    }
}

impl PartialOrd for Confidence {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for Confidence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Confidence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        Confidence::new(value)
            .ok_or_else(|| D::Error::custom(format!("confidence {value} is not a finite number")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confidence_is_finite_and_ordered() {
        assert!(Confidence::new(f64::NAN).is_none() && Confidence::new(f64::INFINITY).is_none());
        let mut values: Vec<Confidence> = [0.5, -1.0, 3.0].into_iter().filter_map(Confidence::new).collect();
        values.sort();
        assert_eq!(values.iter().map(|c| c.value()).collect::<Vec<_>>(), [-1.0, 0.5, 3.0]);
    }
}
