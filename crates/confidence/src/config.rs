use crate::{Agreement, AgreementLikelihood, ConfidenceEstimator, Margin, MeanNll, Mixture, OptionEntropy};
use serde::{Deserialize, Serialize};

/// Which estimator, as a configuration says it.
///
/// ```
/// use semievol_confidence::ConfidenceConfig;
///
/// let config: ConfidenceConfig = toml::from_str("kind = 'margin'")?;
/// assert_eq!(config.build().id(), "margin");
/// assert!(toml::from_str::<ConfidenceConfig>("kind = 'margin'\nscale = 'log'").is_err());
/// # Ok::<(), toml::de::Error>(())
/// ```
// The variants have braces because serde lets unknown fields pass beside a tag without them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ConfidenceConfig {
    /// [`MeanNll`], the paper's and the default.
    MeanNll {},
    /// [`OptionEntropy`].
    OptionEntropy {},
    /// [`Margin`].
    Margin {},
    /// [`Agreement`].
    Agreement {},
    /// [`AgreementLikelihood`].
    AgreementLikelihood {},
    /// [`Mixture`].
    Mixture {},
}

impl Default for ConfidenceConfig {
    fn default() -> Self {
        ConfidenceConfig::MeanNll {}
    }
}

impl ConfidenceConfig {
    /// Every estimator, the paper's first.
    pub const ALL: [ConfidenceConfig; 6] = [
        ConfidenceConfig::MeanNll {},
        ConfidenceConfig::OptionEntropy {},
        ConfidenceConfig::Margin {},
        ConfidenceConfig::Agreement {},
        ConfidenceConfig::AgreementLikelihood {},
        ConfidenceConfig::Mixture {},
    ];

    /// The estimator.
    pub fn build(&self) -> Box<dyn ConfidenceEstimator> {
        match self {
            ConfidenceConfig::MeanNll {} => Box::new(MeanNll),
            ConfidenceConfig::OptionEntropy {} => Box::new(OptionEntropy),
            ConfidenceConfig::Margin {} => Box::new(Margin),
            ConfidenceConfig::Agreement {} => Box::new(Agreement),
            ConfidenceConfig::AgreementLikelihood {} => Box::new(AgreementLikelihood),
            ConfidenceConfig::Mixture {} => Box::new(Mixture),
        }
    }
}
