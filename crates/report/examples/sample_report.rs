//! Writes a report from made-up data, to look at: `cargo run -p semievol-report --example sample_report -- PATH`.

use semievol_report::*;
use std::error::Error;

const CLASSES: [&str; 3] = ["negative", "neutral", "positive"];
const OPENINGS: [&str; 4] = [
    "Net sales of the group rose to EUR 41.2 million from EUR 38.9 million a year earlier.",
    "The company said that it would cut about 120 jobs at its plant in the north by the end of March.",
    "The board has decided on the terms of the share issue and will publish them on Tuesday.",
    "Operating profit fell short of what analysts had expected, mostly because of higher prices for energy and a weaker order book in two of the five divisions.",
];

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: sample_report PATH [JSON]")?;
    let report = match std::env::args().nth(2) {
        Some(input) => serde_json::from_str(&std::fs::read_to_string(input)?)?,
        None => sample(),
    };
    let page = render(&report)?;
    std::fs::write(&path, &page)?;
    println!("{path}: {} bytes", page.len());
    println!("{}", verdict(&report));
    Ok(())
}

fn sample() -> Report {
    let seeds: Vec<SeedReport> = [17, 42, 2024].map(seed).into();
    let summary = vec![
        mean("vanilla", ArmRole::Base, 0.712, Some(-0.131)),
        mean("sft", ArmRole::LabelsOnly, 0.829, Some(-0.014)),
        mean("sft-matched", ArmRole::LabelsOnly, 0.843, None),
        mean("semievol", ArmRole::SemiSupervised, 0.861, Some(0.018)),
        mean("oracle", ArmRole::Other, 0.894, Some(0.051)),
    ];
    Report {
        name: "financial-phrases".into(),
        description: "Does the sentence sound good or bad for the company? Made-up numbers, to look at the page.".into(),
        model: "SmolLM2-360M-Instruct (sha256 4f1c…9be2)".into(),
        seeds,
        summary,
        breakdowns: vec![breakdown()],
        next: vec!["Label next: the first rows of seed-1/to-label.csv.".into()],
        findings: vec!["SemiEvol: cannot certify 5.0% wrong pseudo-labels with 32 labels.".into()],
        notes: vec![
            "Interval of a run: Wilson, over test rows. p: exact McNemar test of the same rows.".into(),
            "Mean: mean ± standard deviation over seeds, with Student's t interval.".into(),
            "Mean difference: bootstrap over test rows and seeds; p-values of seeds are not pooled.".into(),
        ],
        config: "name = \"financial-phrases\"\nseeds = [17, 42, 2024]\n\n[model]\nid = \"SmolLM2-360M-Instruct\"\n\n[selection]\ntheta = 0.5\n".into(),
    }
}

fn breakdown() -> Breakdown {
    let part = |(name, rights): (&str, [usize; 5])| Part {
        name: name.into(),
        right: rights.map(|part| Share { part, whole: 480 }).into(),
    };
    Breakdown {
        by: "class".into(),
        arms: ["vanilla", "sft", "sft-matched", "semievol", "oracle"].map(String::from).into(),
        parts: [("negative", [301, 371, 388, 402, 425]), ("neutral", [388, 421, 425, 428, 433])]
            .map(part)
            .into(),
    }
}

fn tested(random: &mut Random, arm: &str) -> Tested {
    let answer = |_| {
        let probability = (-0.2 * (1.6 * random.normal() - 0.8).exp()).exp();
        Sure { probability, correct: random.uniform() < 0.2 + 0.75 * probability }
    };
    Tested { arm: arm.into(), answers: (0..485).map(answer).collect() }
}

fn mean(arm: &str, role: ArmRole, accuracy: f64, difference: Option<f64>) -> ArmOverSeeds {
    let around = |value: f64, half| Some(Interval { low: value - half, high: value + half });
    let against =
        |mean| Difference { against: "sft-matched".into(), mean, interval: around(mean, 0.015), p: None };
    ArmOverSeeds {
        arm: arm.into(),
        role,
        accuracy,
        sd: Some(0.011),
        interval: around(accuracy, 0.027),
        macro_f1: Some(accuracy - 0.03),
        macro_f1_sd: Some(0.014),
        difference: difference.map(against),
    }
}

fn seed(seed: u64) -> SeedReport {
    let mut random = Random(seed);
    let count = |(class, n): (&str, usize)| ClassCount { class: class.into(), n };
    SeedReport {
        seed,
        sizes: SetSizes { labelled: 64, unlabelled: 1200, test: 485 },
        overlap: vec!["no row stands in two sets".into()],
        labelled_classes: CLASSES.into_iter().zip([9, 38, 17]).map(count).collect(),
        arms: arms(&mut random),
        pseudo: vec![pseudo(&mut random)],
        tested: ["vanilla", "sft", "semievol"].map(|arm| tested(&mut random, arm)).into(),
        losses: losses(&mut random),
    }
}

fn arms(random: &mut Random) -> Vec<ArmRow> {
    let all = [
        ("vanilla", ArmRole::Base, 0.712, Some(-0.131)),
        ("sft", ArmRole::LabelsOnly, 0.829, Some(-0.014)),
        ("sft-matched", ArmRole::LabelsOnly, 0.843, None),
        ("semievol", ArmRole::SemiSupervised, 0.861, Some(0.018)),
        ("oracle", ArmRole::Other, 0.894, Some(0.051)),
    ];
    let shift = 0.01 * random.normal();
    let row = |(arm, role, accuracy, difference): (&str, ArmRole, f64, Option<f64>)| {
        let accuracy = accuracy + shift;
        let against = |mean: f64| Difference {
            against: "sft-matched".into(),
            mean,
            interval: Some(Interval { low: mean - 0.022, high: mean + 0.021 }),
            p: Some((-(mean.abs() * 60.0)).exp()),
        };
        ArmRow {
            cost: None,
            arm: arm.into(),
            role,
            n: 485,
            n_unparsed: if role == ArmRole::Base { 7 } else { 0 },
            accuracy,
            interval: Some(Interval { low: accuracy - 0.034, high: accuracy + 0.03 }),
            macro_f1: Some(accuracy - 0.03),
            difference: difference.map(against),
        }
    };
    all.into_iter().map(row).collect()
}

fn losses(random: &mut Random) -> Vec<LossCurve> {
    let curve = |(name, steps, floor): (&str, usize, f64)| {
        let point = |step| {
            let fall = (-(step as f64) / (0.12 * steps as f64)).exp();
            LossPoint { step, loss: (1.6 * fall + floor) * (0.35 * random.normal()).exp() }
        };
        LossCurve { name: name.into(), points: (0..steps).map(point).collect() }
    };
    [("sft", 48, 0.03), ("warm", 48, 0.035), ("sft-matched", 332, 0.002), ("evolved", 332, 0.02)]
        .map(curve)
        .into()
}

fn pseudo(random: &mut Random) -> PseudoReport {
    let mut labels: Vec<PseudoLabel> = (0..1200).map(|_| label(random)).collect();
    let mut sorted: Vec<f64> = labels.iter().filter_map(|label| label.confidence).collect();
    sorted.sort_by(f64::total_cmp);
    let threshold = sorted[sorted.len() / 2];
    for label in &mut labels {
        label.kept = label.confidence.is_some_and(|confidence| confidence >= threshold);
    }
    let sample = labels.iter().take(60).enumerate().map(|(row, label)| prompt(random, row, label, threshold));
    let sample = sample.collect();
    let names = ["base, 0 examples", "base, 3 examples", "warm, 1 example", "kNN vote over embeddings"];
    let collaborator = |(index, name): (usize, &str)| Collaborator {
        name: name.into(),
        answered: Share { part: 1200 - 3 * index, whole: 1200 },
        correct: Some(Share { part: 850 + 45 * index, whole: 1200 }),
    };
    PseudoReport {
        title: "semievol".into(),
        labels,
        collaborators: names.into_iter().enumerate().map(collaborator).collect(),
        combined: false,
        confidence_name: "confidence (minus mean NLL)".into(),
        threshold: Some(threshold),
        sample,
    }
}

fn label(random: &mut Random) -> PseudoLabel {
    if random.uniform() < 0.01 {
        return PseudoLabel { agreement: Agreement::Unanswered, correct: Some(false), ..Default::default() };
    }
    let nll = 0.12 * (1.6 * random.normal() - 0.8).exp();
    let probability = (-2.0 * nll).exp();
    let correct = random.uniform() < 0.25 + 0.73 * probability;
    let disputed = random.uniform() > probability;
    let class = match random.uniform() {
        u if u < 0.12 => 0,
        u if u < 0.70 => 1,
        _ => 2,
    };
    let decider = if random.uniform() < 0.8 { "self-justify" } else { "majority" };
    PseudoLabel {
        agreement: if disputed { Agreement::Disputed } else { Agreement::Agreed },
        class: Some(CLASSES[class].into()),
        decided_by: disputed.then(|| decider.into()),
        confidence: Some(-nll),
        probability: Some(probability),
        correct: Some(correct),
        kept: false,
    }
}

fn prompt(random: &mut Random, row: usize, label: &PseudoLabel, threshold: f64) -> PromptSample {
    let names = ["base, 0 examples", "base, 3 examples", "warm, 1 example", "kNN vote over embeddings"];
    let given = |(index, name): (usize, &str)| CollaboratorAnswer {
        name: name.into(),
        answer: match label.agreement {
            Agreement::Agreed => label.class.clone(),
            Agreement::Unanswered => None,
            Agreement::Disputed if index == row % 4 => Some(CLASSES[row % 3].into()),
            Agreement::Disputed => label.class.clone(),
        },
        probability: label.probability.map(|p| p * (1.0 - 0.1 * index as f64)),
    };
    let neighbour = |place: usize| Neighbour {
        question: OPENINGS[(row + place) % 4].into(),
        label: CLASSES[(row + place) % 3].into(),
        similarity: Some(0.9 - 0.07 * place as f64 - 0.02 * random.uniform()),
    };
    let confidence = label.confidence.unwrap_or(f64::NEG_INFINITY);
    let sign = if label.kept { "≥" } else { "<" };
    PromptSample {
        id: format!("train-{:05}", 7 * row + 13),
        question: question(row),
        options: CLASSES.map(String::from).into(),
        neighbours: (0..3).map(neighbour).collect(),
        answers: names.into_iter().enumerate().map(given).collect(),
        final_answer: label.class.clone(),
        decided_by: label.decided_by.clone(),
        agreement: label.agreement,
        confidence: label.confidence,
        kept: label.kept,
        reason: match label.confidence {
            Some(_) => format!("confidence {confidence:.4} {sign} {threshold:.4}, the median"),
            None => "no collaborator's response could be read".into(),
        },
        gold: label.correct.filter(|correct| !correct).map(|_| CLASSES[(row + 1) % 3].into()),
        correct: label.correct,
    }
}

/// Questions with what pages stumble over.
fn question(row: usize) -> String {
    match row {
        3 => "هل هذه الجملة إيجابية؟ ارتفعت مبيعات الشركة (12%) 📈 هذا العام.".into(),
        5 => "Ends the script </script><script>alert(1)</script> \"quotes\" 'and' &amp; <b>tags</b>".into(),
        7 => format!("A long one. {}", OPENINGS.join(" ").repeat(24)),
        9 => "x".repeat(400),
        11 => "Left to right \u{202e}turned around and never turned back 👩‍👩‍👧‍👦".into(),
        _ => OPENINGS[row % 4].into(),
    }
}

/// A small generator (splitmix64), so that the page is the same on every machine.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as f64 / u64::MAX as f64
    }

    /// About normal: the sum of twelve.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}
