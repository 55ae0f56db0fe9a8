//! Accuracy on parts of the test rows: those of each class, and those of each category.

use super::{ArmResults, Results};
use crate::Arm;
use crate::pseudo::RightOf;
use semievol_eval::{Align, Table};

/// Right answers of each arm among parts of the test rows, over all seeds.
pub(crate) struct Breakdown {
    /// What tells the parts apart: `class` or `category`.
    pub(crate) by: &'static str,
    pub(crate) arms: Vec<Arm>,
    pub(crate) parts: Vec<Part>,
}

/// The test rows of one class or category.
pub(crate) struct Part {
    pub(crate) name: String,
    /// Of each arm.
    pub(crate) right: Vec<RightOf>,
}

impl Results {
    /// By class, then by category, each where there are several.
    pub(crate) fn breakdowns(&self) -> Vec<Breakdown> {
        let of_classes = |arm: &ArmResults| -> Vec<(String, RightOf)> {
            let Some(confusion) = &arm.confusion else { return Vec::new() };
            let rows = confusion.classes.iter().zip(&confusion.counts).enumerate();
            rows.map(|(class, (name, row))| {
                (name.clone(), RightOf { right: row[class], of: row.iter().sum() })
            })
            .collect()
        };
        let of_categories = |arm: &ArmResults| -> Vec<(String, RightOf)> {
            let all = arm.by_category.iter();
            all.map(|(name, &(right, of))| (name.clone(), RightOf { right, of })).collect()
        };
        let all = [self.breakdown("class", of_classes), self.breakdown("category", of_categories)];
        all.into_iter().flatten().collect()
    }

    fn breakdown(
        &self,
        by: &'static str,
        parts_of: impl Fn(&ArmResults) -> Vec<(String, RightOf)>,
    ) -> Option<Breakdown> {
        let arms: Vec<Arm> = self.summary.iter().map(|arm| arm.arm.clone()).collect();
        let mut parts: Vec<Part> = Vec::new();
        for run in self.seeds.iter().flat_map(|seed| &seed.arms) {
            let Some(column) = arms.iter().position(|arm| *arm == run.arm) else { continue };
            for (name, more) in parts_of(run) {
                let at = parts.iter().position(|part| part.name == name).unwrap_or_else(|| {
                    parts.push(Part { name, right: vec![RightOf { right: 0, of: 0 }; arms.len()] });
                    parts.len() - 1
                });
                let sum = &mut parts[at].right[column];
                *sum = RightOf { right: sum.right + more.right, of: sum.of + more.of };
            }
        }
        (parts.len() > 1).then_some(Breakdown { by, arms, parts })
    }
}

impl Breakdown {
    /// A row per part, a column per arm; shares are in percent.
    pub(super) fn table(&self) -> Table {
        let arms: Vec<String> = self.arms.iter().map(Arm::to_string).collect();
        let numbers = ["rows"].into_iter().chain(arms.iter().map(String::as_str));
        let mut table =
            Table::new([(self.by, Align::Left)].into_iter().chain(numbers.map(|name| (name, Align::Right))));
        for part in &self.parts {
            let rows = part.right.iter().map(|right| right.of).max().unwrap_or(0);
            let shares = part.right.iter().map(|right| right.share().map(super::markdown::percent));
            let cells = [part.name.clone(), rows.to_string()].into_iter();
            table.row(cells.chain(shares.map(Option::unwrap_or_default)));
        }
        table
    }
}
