use crate::error::EvalError;
use crate::interval::Stream;
use semievol_core::Groups;

/// What chance draws: single rows, or whole groups of them.
pub(crate) struct Draws {
    n_rows: usize,
    /// The rows of each group; `None` where rows are single.
    groups: Option<Vec<Vec<usize>>>,
}

impl Draws {
    pub(crate) fn rows(n_rows: usize) -> Self {
        Draws { n_rows, groups: None }
    }

    /// Of a single group nothing tells how groups differ: its rows count one by one.
    pub(crate) fn of(groups: &Groups, n_rows: usize) -> Result<Self, EvalError> {
        let grouped = groups.numbers().len();
        if grouped != n_rows {
            return Err(EvalError::Lengths {
                left: "rows",
                left_len: n_rows,
                right: "rows with groups",
                right_len: grouped,
            });
        }
        let single = groups.are_single() || groups.n_groups() == 1;
        Ok(Draws { n_rows, groups: (!single).then(|| groups.members()) })
    }

    /// How many are drawn.
    pub(crate) fn len(&self) -> usize {
        self.groups.as_ref().map_or(self.n_rows, Vec::len)
    }

    /// As many as there are, with replacement: their rows.
    pub(crate) fn draw(&self, stream: &mut Stream, rows: &mut Vec<usize>) {
        rows.clear();
        for _ in 0..self.len() {
            let drawn = stream.below(self.len());
            match &self.groups {
                None => rows.push(drawn),
                Some(groups) => rows.extend(&groups[drawn]),
            }
        }
    }

    /// The sum over each group's rows; `None` where rows are single.
    pub(crate) fn sums(&self, value: impl Fn(usize) -> f64) -> Option<Vec<f64>> {
        let of = |rows: &Vec<usize>| rows.iter().map(|row| value(*row)).sum();
        self.groups.as_ref().map(|groups| groups.iter().map(of).collect())
    }
}
