//! Results as a table, with the words that it needs.

use super::{ArmResults, ArmSummary, Gain, GainMethod, Results, SeedResults};
use crate::Arm;
use crate::pseudo::{PseudoResults, RightOf};
use crate::sets::ClassCount;
use crate::worth::WorthResults;
use semievol_eval::{Align, Interval, SeedSummary, Table};
use semievol_pipeline::{HeldOut, Tried, TriedSelector};
use semievol_select::Rule;
use std::cmp::Reverse;

/// What is to be known of [`Results::methods_table`].
const METHODS: &str = "\
What a method changes against another that learns from the same unlabelled rows, in points of accuracy on the same seeds and test
rows. With one seed the interval is about other test rows alone, and not about other labels.

";

/// What is to be known of a breakdown.
const PARTS: &str =
    "Of these test rows, over all seeds, the share that each arm answers right, in percent.\n\n";

/// What a cross-validation says of something that was tried.
fn tried(HeldOut { right, of, nll }: &HeldOut, chosen: bool) -> String {
    let nll = nll.map(|nll| format!(", -ln P {nll:.3}")).unwrap_or_default();
    let chosen = if chosen { "; chosen" } else { "" };
    format!("{right} of {of} held-out labels right{nll}{chosen}")
}

impl Results {
    /// One row per arm and seed, and with several seeds one per arm over them. Shares are in percent.
    pub fn table(&self) -> Table {
        let several = self.seeds.len() > 1;
        let (left, right) = (Align::Left, Align::Right);
        let seed_column = several.then_some(("seed", left));
        let columns = [
            ("arm", left),
            ("accuracy", right),
            ("95% interval", left),
            ("macro-F1", right),
            ("gain", right),
            ("over", left),
            ("p", right),
        ];
        let mut table = Table::new(seed_column.into_iter().chain(columns));
        for seed in &self.seeds {
            for arm in &seed.arms {
                let name = several.then(|| seed.seed.to_string());
                table.row(name.into_iter().chain(arm.cells()));
            }
        }
        if several {
            for arm in &self.summary {
                table.row(["mean".to_owned()].into_iter().chain(arm.cells()));
            }
        }
        table
    }

    /// How the numbers of [`Results::table`] were made, one sentence a line.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = vec![
            "Interval of a run: Wilson, over test rows. Gain: accuracy less that of the better arm with labels alone (of the vanilla model where there is none) on the same rows; p: exact McNemar test of the two.".to_owned(),
        ];
        let grouped = |seed: &SeedResults| !seed.test_groups.is_empty();
        let of_one_group = |seed: &SeedResults| seed.groups().n_groups() == 1;
        if self.seeds.iter().any(|seed| grouped(seed) && !of_one_group(seed)) {
            notes.push("Test rows come in groups: intervals, variances and the test take whole groups, for rows of one group are alike.".into());
        }
        if self.seeds.iter().any(|seed| grouped(seed) && of_one_group(seed)) {
            notes.push(
                "All test rows are of one group: they count one by one, and say nothing of other groups."
                    .into(),
            );
        }
        if self.seeds.len() > 1 {
            let about = match self.seeds.windows(2).all(|pair| pair[0].test_ids == pair[1].test_ids) {
                true => "seeds, not about other test rows",
                false => "seeds, each with test rows of its own",
            };
            notes.push(format!(
                "Mean: mean ± standard deviation over seeds, with Student's t interval; it is about {about}."
            ));
        }
        let alone = |arm: &&ArmResults| matches!(arm.arm, Arm::Sft | Arm::SftMatched);
        if self.seeds.iter().any(|seed| seed.arms.iter().filter(alone).count() > 1) {
            notes.push("The better arm with labels alone is the better one of the test rows, so p is strict for a gain; by chance alone, losses are found up to twice as often as it says.".into());
        }
        let methods: Vec<GainMethod> =
            self.summary.iter().filter_map(|arm| arm.gain.as_ref()).map(|gain| gain.method).collect();
        if methods.contains(&GainMethod::RowsAndSeeds) {
            notes.push("Mean gain: half widths by Student's t for the variance of the seeds and for that of the test rows, which all seeds share, their squares added; p is one less the level at which the interval would end at 0. p-values of seeds are not pooled.".into());
        }
        if methods.contains(&GainMethod::Seeds) {
            notes.push("Mean gain: Student's t over seeds, each with test rows of its own (what rows that several share add is added), or the interval for those rows where that is wider; p is one less the level at which the interval would end at 0. p-values of seeds are not pooled.".into());
        }
        if self.seeds.iter().any(|seed| seed.arms.iter().any(|arm| arm.arm == Arm::SftMatched)) {
            notes.push("sft_matched: labels alone, for as many optimiser steps from the base model as the last training on pseudo-labels took, the longest of them.".into());
        }
        let arms = self.seeds.iter().flat_map(|seed| seed.arms.iter().map(move |arm| (seed.seed, arm)));
        let unparsed = arms.filter(|(_, arm)| arm.n_unparsed > 0);
        let unparsed: Vec<String> =
            unparsed.map(|(seed, arm)| format!("{} by {} (seed {seed})", arm.n_unparsed, arm.arm)).collect();
        if !unparsed.is_empty() {
            notes.push(format!(
                "Responses that could not be read count as wrong: {}. A clearer instruction and a larger max_answer_tokens help.",
                unparsed.join(", ")
            ));
        }
        notes
    }

    /// Each arm's accuracy under other words of the instruction, a row per arm and seed; `None` without paraphrases.
    pub fn paraphrase_table(&self) -> Option<Table> {
        let n = self.seeds.iter().flat_map(|seed| &seed.arms).map(|arm| arm.paraphrased.len()).max()?;
        if n == 0 {
            return None;
        }
        let numbers = (1..=n).map(|number| format!("paraphrase {number}"));
        let (left, right) = (Align::Left, Align::Right);
        let columns: Vec<(String, Align)> = [("seed".to_owned(), left), ("arm".to_owned(), left)]
            .into_iter()
            .chain(["as trained".to_owned()].into_iter().chain(numbers).map(|name| (name, right)))
            .chain([("mean".to_owned(), right), ("worst".to_owned(), right)])
            .collect();
        let mut table = Table::new(columns.iter().map(|(name, align)| (name.as_str(), *align)));
        for (seed, arm) in self.seeds.iter().flat_map(|seed| seed.arms.iter().map(|arm| (seed.seed, arm))) {
            if arm.paraphrased.len() == n {
                let mean = arm.paraphrased.iter().sum::<f64>() / n as f64;
                let worst = arm.paraphrased.iter().copied().fold(f64::INFINITY, f64::min);
                let shares =
                    [arm.accuracy].into_iter().chain(arm.paraphrased.iter().copied()).chain([mean, worst]);
                table.row([seed.to_string(), arm.arm.to_string()].into_iter().chain(shares.map(percent)));
            }
        }
        Some(table)
    }

    /// By how much each method that learns from the unlabelled rows differs from one of them, in points; `None` where
    /// there are not two.
    pub fn methods_table(&self) -> Option<Table> {
        let others: Vec<(&Arm, &Gain)> =
            self.summary.iter().filter_map(|arm| Some((&arm.arm, arm.over_method.as_ref()?))).collect();
        let over = format!("over {}", others.first()?.1.against);
        let mut table =
            Table::new([("method", Align::Left), (&over, Align::Right), ("95% interval", Align::Left)]);
        for (arm, gain) in others {
            table.row([arm.to_string(), format!("{:+.1}", 100.0 * gain.mean), interval(&gain.interval)]);
        }
        Some(table)
    }

    /// What is to be known of the pseudo-labels, one line each: a promise that could not be made, a round that was undone.
    pub fn said(&self) -> Vec<String> {
        self.of_pseudo(|pseudo| pseudo.notes.clone())
    }

    /// What more labels and more prompts would be worth, one line for each seed and arm that learns from prompts.
    pub fn worth(&self) -> Vec<String> {
        self.of_pseudo(|pseudo| pseudo.worth.iter().map(WorthResults::sentence).collect())
    }

    /// Lines on what became of the unlabelled rows, each with the seed and the arms that it is about.
    fn of_pseudo(&self, lines: impl Fn(&PseudoResults) -> Vec<String>) -> Vec<String> {
        let mut all = Vec::new();
        for seed in &self.seeds {
            let of = if self.seeds.len() > 1 { format!("seed {}, ", seed.seed) } else { String::new() };
            let mut told: Vec<(String, Vec<&str>)> = Vec::new();
            for pseudo in &seed.pseudo {
                for line in lines(pseudo) {
                    match told.iter_mut().find(|(other, _)| *other == line) {
                        Some((_, arms)) => arms.push(pseudo.arm.as_str()),
                        None => told.push((line, vec![pseudo.arm.as_str()])),
                    }
                }
            }
            all.extend(told.iter().map(|(line, arms)| format!("{of}{}: {line}", arms.join(", "))));
        }
        all
    }

    /// The sizes of the sets and what stands in two of them, one line each.
    pub fn sizes(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for seed in &self.seeds {
            let sizes = &seed.sizes;
            let of = if self.seeds.len() > 1 { format!("seed {}: ", seed.seed) } else { String::new() };
            let of_groups = |groups: Option<usize>, rows: usize| match groups.filter(|groups| *groups < rows)
            {
                None => String::new(),
                Some(1) => " of one group".to_owned(),
                Some(groups) => format!(" of {groups} groups"),
            };
            lines.push(format!(
                "{of}{} labelled{}{}, {} unlabelled, {} test{}{}",
                sizes.labelled,
                of_groups(sizes.labelled_groups, sizes.labelled),
                mix(&sizes.labelled_classes),
                sizes.unlabelled,
                sizes.test,
                of_groups(sizes.test_groups, sizes.test),
                mix(&sizes.test_classes)
            ));
            // What a model has to beat that has learnt nothing but which answer is frequent.
            if let Some(most) = sizes.test_classes.iter().min_by_key(|class| Reverse(class.rows)) {
                let share = percent(most.rows as f64 / sizes.test.max(1) as f64);
                lines.push(format!("{of}{} for every test row would be right in {share}%", most.class));
            }
            lines.extend(seed.tuned.iter().map(|Tried { epochs, lr, held_out, chosen }| {
                format!("{of}tried {epochs} epochs at {lr}: {}", tried(held_out, *chosen))
            }));
            if let Some(selectors) = &seed.selectors {
                lines.push(format!("{of}tried the labels alone: {}", tried(&selectors.labels_alone, false)));
                lines.extend(selectors.tried.iter().map(|TriedSelector { selector, held_out, chosen }| {
                    format!("{of}tried {selector}: {}", tried(held_out, *chosen))
                }));
            }
            lines.extend(format!("overlap: {}", seed.overlap).lines().map(|line| format!("{of}{line}")));
        }
        lines
    }

    /// What became of the unlabelled rows: tables with their headings for each seed and each arm that learns from them.
    pub fn pseudo_tables(&self) -> Vec<(String, Table)> {
        let all = self.seeds.iter().flat_map(|seed| seed.pseudo.iter().map(|pseudo| (seed.seed, pseudo)));
        let heading = |seed: u64, arm: &Arm| {
            let of_arm = if *arm == Arm::Semievol { String::new() } else { format!(" of {arm}") };
            let of_seed = if self.seeds.len() == 1 { String::new() } else { format!(", seed {seed}") };
            format!("pseudo-labels{of_arm}{of_seed}")
        };
        all.flat_map(|(seed, pseudo)| {
            let heading = heading(seed, &pseudo.arm);
            let sure = pseudo
                .confidence_table()
                .map(|table| (heading.replacen("pseudo-labels", "confidence", 1), table));
            let promised = pseudo
                .certified_table()
                .map(|table| (heading.replacen("pseudo-labels", "promises", 1), table));
            [(heading, pseudo.table())].into_iter().chain(sure).chain(promised)
        })
        .collect()
    }

    /// What `table.md` holds.
    pub fn to_markdown(&self) -> String {
        let list = |lines: Vec<String>| lines.iter().map(|line| format!("- {line}\n")).collect::<String>();
        let section = |heading: &str, text: &str, table: &Table| {
            format!("\n## {heading}\n\n{text}{}", table.to_markdown())
        };
        let methods = self.methods_table().map(|table| section("methods", METHODS, &table));
        let breakdowns = self.breakdowns();
        let parts = breakdowns.iter().map(|one| section(&format!("by {}", one.by), PARTS, &one.table()));
        let words = self.paraphrase_table().map(|table| section("in other words", "", &table));
        let pseudo = self.pseudo_tables().into_iter().map(|(heading, table)| section(&heading, "", &table));
        let sections: String = methods.into_iter().chain(parts).chain(words).chain(pseudo).collect();
        format!(
            "# {}\n\n{}\n\nModel: {}\n\n{}\n{}{}{}\n{}{sections}",
            self.name,
            self.verdict(),
            self.model,
            self.table().to_markdown(),
            list(self.said()),
            list(self.worth()),
            list(self.sizes()),
            list(self.notes())
        )
    }
}

impl ArmResults {
    fn cells(&self) -> [String; 7] {
        let difference = self.against.as_ref().map(|against| &against.comparison);
        [
            self.arm.to_string(),
            percent(self.accuracy),
            interval(&self.interval),
            self.macro_f1.map(percent).unwrap_or_default(),
            difference.map(|c| format!("{:+.1}", 100.0 * c.difference)).unwrap_or_default(),
            self.against.as_ref().map(|against| against.arm.to_string()).unwrap_or_default(),
            difference.map(|c| p_value(c.mcnemar.p)).unwrap_or_default(),
        ]
    }
}

impl ArmSummary {
    fn cells(&self) -> [String; 7] {
        let gain =
            self.gain.as_ref().map(|gain| format!("{:+.1} {}", 100.0 * gain.mean, interval(&gain.interval)));
        [
            self.arm.to_string(),
            spread(&self.accuracy),
            self.accuracy.interval.as_ref().map(interval).unwrap_or_default(),
            self.macro_f1.as_ref().map(spread).unwrap_or_default(),
            gain.unwrap_or_default(),
            self.gain.as_ref().map(|gain| gain.against.to_string()).unwrap_or_default(),
            self.gain.as_ref().and_then(|gain| gain.p).map(p_value).unwrap_or_default(),
        ]
    }
}

impl PseudoResults {
    /// Counts, accuracies and class mix before and after selection, and each collaborator.
    fn table(&self) -> Table {
        let (left, right) = (Align::Left, Align::Right);
        let mut table = Table::new([
            ("of the unlabelled rows", left),
            ("rows", right),
            ("right, %", right),
            ("classes", left),
        ]);
        let cells = |name: &str, rows: usize, right: Option<RightOf>, classes: &[ClassCount]| {
            let right = right.and_then(RightOf::share).map(percent).unwrap_or_default();
            [name.to_owned(), rows.to_string(), right, counts(classes)]
        };
        let answered = self.n - self.n_unanswered;
        table.row(cells("with a final answer", answered, self.before, &self.classes_before));
        table.row(cells("as all collaborators answered", self.n_agreed, self.agreed, &[]));
        table.row(cells(
            "decided where they differ, or combined to another",
            self.n_adjudicated,
            self.adjudicated,
            &[],
        ));
        table.row(cells("kept", self.n_kept, self.kept, &self.classes_kept));
        for (number, round) in self.rounds.iter().enumerate().filter(|_| self.rounds.len() > 1) {
            let undone = if round.rolled_back { ", undone" } else { "" };
            table.row(cells(&format!("kept in round {}{undone}", number + 1), round.kept, None, &[]));
        }
        for collaborator in &self.collaborators {
            let name = format!("collaborator: {}", collaborator.name);
            table.row(cells(&name, collaborator.n_answered, collaborator.right, &[]));
        }
        table
    }
}

impl PseudoResults {
    /// How well each estimator tells right answers from wrong ones.
    fn confidence_table(&self) -> Option<Table> {
        let (left, right) = (Align::Left, Align::Right);
        let columns = [
            ("how sure, by", left),
            ("AUROC", right),
            ("AURC", right),
            ("right in the surer half, %", right),
        ];
        let mut table = Table::new(columns);
        for one in &self.confidences {
            let half = one.surer_half.share().map(percent).unwrap_or_default();
            table.row([one.name.clone(), format!("{:.3}", one.auroc), format!("{:.3}", one.aurc), half]);
        }
        (!self.confidences.is_empty()).then_some(table)
    }
}

impl PseudoResults {
    /// What each promise on the share of wrong pseudo-labels would have kept.
    fn certified_table(&self) -> Option<Table> {
        let right = Align::Right;
        let columns = [
            ("at most wrong, %", right),
            ("rule", Align::Left),
            ("kept", right),
            ("wrong of them, %", right),
            ("an oracle keeps", right),
        ];
        let mut table = Table::new(columns);
        for one in &self.certified {
            let rule = match one.rule {
                Rule::Conformal => "conformal",
                Rule::Lec => "lec",
            };
            table.row([
                format!("{:.0}", 100.0 * one.alpha),
                rule.to_owned(),
                if one.kept.of == 0 { "cannot certify".to_owned() } else { one.kept.of.to_string() },
                one.error().map(percent).unwrap_or_default(),
                one.oracle.to_string(),
            ]);
        }
        (!self.certified.is_empty()).then_some(table)
    }
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

fn spread(summary: &SeedSummary) -> String {
    let sd = summary.sd.map(|sd| format!(" ± {:.1}", 100.0 * sd));
    percent(summary.mean) + &sd.unwrap_or_default()
}

fn interval(ends: &Interval) -> String {
    format!("[{:.1}, {:.1}]", 100.0 * ends.low, 100.0 * ends.high)
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "<0.001".into() } else { format!("{p:.3}") }
}

fn mix(classes: &[ClassCount]) -> String {
    if classes.is_empty() {
        return String::new();
    }
    format!(" ({})", counts(classes))
}

fn counts(classes: &[ClassCount]) -> String {
    let counts: Vec<String> = classes.iter().map(|count| format!("{} {}", count.rows, count.class)).collect();
    counts.join(", ")
}
