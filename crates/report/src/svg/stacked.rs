//! Class mixes above each other.

use super::{Anchor, Drawing, WIDTH, nothing};
use crate::format::count;

/// Most segments of a bar that have colours of their own.
pub(crate) const MAX_SEGMENTS: usize = 7;

/// One bar.
pub(crate) struct Stack<'a> {
    /// What it shows.
    pub(crate) name: &'a str,
    /// The segments' sizes, in the order of the classes.
    pub(crate) sizes: Vec<usize>,
}

/// The style of a segment, for the bar and for its key.
pub(crate) fn segment_class(index: usize) -> String {
    format!("seg c{}", index.min(MAX_SEGMENTS))
}

/// One bar per stack, each as long as the others: shares, not sizes. Sizes stand in the segments that have room.
pub(crate) fn stacked(title: &str, stacks: &[Stack<'_>]) -> String {
    if stacks.is_empty() {
        return nothing(title, "There are no classes.");
    }
    let height = 4.0 + 46.0 * stacks.len() as f64;
    let names: Vec<String> = stacks
        .iter()
        .map(|stack| {
            format!(
                "{}: {}",
                stack.name,
                stack.sizes.iter().map(|n| count(*n)).collect::<Vec<_>>().join(", ")
            )
        })
        .collect();
    let mut drawing = Drawing::new("chart", WIDTH, height, title, &format!("{}.", names.join("; ")));
    for (row, stack) in stacks.iter().enumerate() {
        draw_stack(&mut drawing, 4.0 + 46.0 * row as f64, stack);
    }
    drawing.finish()
}

fn draw_stack(drawing: &mut Drawing, top: f64, stack: &Stack<'_>) {
    let total: usize = stack.sizes.iter().sum();
    let name = format!("{} ({})", stack.name, count(total));
    drawing.label("legend", (1.0, top + 11.0), Anchor::Start, &name);
    if total == 0 {
        drawing.rect("empty", (1.0, top + 16.0), (WIDTH - 2.0, 22.0));
        return;
    }
    let mut x = 1.0;
    for (index, n) in stack.sizes.iter().enumerate() {
        let width = (WIDTH - 2.0) * *n as f64 / total as f64;
        drawing.rect(&segment_class(index), (x, top + 16.0), (width, 22.0));
        let text = format!("{:.0}%", 100.0 * *n as f64 / total as f64);
        if width > 8.0 + 6.8 * text.len() as f64 {
            drawing.label("on-seg", (x + width / 2.0, top + 31.0), Anchor::Middle, &text);
        }
        x += width;
    }
}
