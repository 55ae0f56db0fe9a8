//! Results of an experiment as one HTML file that needs nothing else.
//!
//! [`render`] turns a [`Report`] into a page: no network, no other file, charts drawn here as inline SVG. There
//! is no script in it either: the buttons that filter prompts are radio buttons with styles.
//!
//! The decision that shaped it: the input is plain data of this crate, so a page can be made from any results, of
//! today's run or of a file. The cost: whoever has results copies them into these structs.
//!
//! ```
//! let report = semievol_report::Report { name: "first try".into(), ..Default::default() };
//! let page = semievol_report::render(&report)?;
//! assert!(page.starts_with("<!DOCTYPE html>"));
//! # Ok::<(), semievol_report::ReportError>(())
//! ```

mod data;
mod format;
mod html;
mod stats;
mod svg;
mod verdict;

pub use data::{
    Agreement, ArmOverSeeds, ArmRole, ArmRow, Breakdown, ClassCount, Collaborator, CollaboratorAnswer, Cost,
    Difference, Interval, LossCurve, LossPoint, Neighbour, Part, PromptSample, PseudoLabel, PseudoReport,
    Report, SeedReport, SetSizes, Share, Sure, Tested,
};
pub use verdict::verdict;

use thiserror::Error;

/// Why there is no page.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The page's template failed, which no report should make it do.
    #[error("the report's template failed")]
    Template(#[from] minijinja::Error),
}

/// The page. The same report gives the same bytes.
///
/// # Errors
/// If the template fails, which no report should make it do.
pub fn render(report: &Report) -> Result<String, ReportError> {
    Ok(html::page(report)?)
}
