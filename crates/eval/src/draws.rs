use crate::error::EvalError;
use crate::interval::Stream;
use semievol_core::Groups;

/// What chance draws: single rows, or whole groups of them.
#[derive(Clone)]
pub(crate) struct Draws {
    n_rows: usize,
    /// The rows of each group; `None` where rows are single.
    groups: Option<Vec<Vec<usize>>>,
}

/// How far the mean of a value would vary from draw to draw.
pub(crate) struct Variance {
    /// Of the mean, over draws of what is drawn; at least that of single rows, for groups that are more alike than rows
    /// would be are so by chance.
    pub(crate) drawn: f64,
    /// Of the mean, over draws of single rows.
    pub(crate) rows: f64,
}

impl Draws {
    pub(crate) fn rows(n_rows: usize) -> Self {
        Draws { n_rows, groups: None }
    }

    /// Of a single group nothing tells how groups differ: its rows count one by one.
    pub(crate) fn of(groups: &Groups) -> Self {
        let single = groups.are_single() || groups.n_groups() == 1;
        Draws { n_rows: groups.numbers().len(), groups: (!single).then(|| groups.members()) }
    }

    /// An error unless there are so many rows.
    pub(crate) fn check(self, n_rows: usize) -> Result<Self, EvalError> {
        if self.n_rows == n_rows {
            return Ok(self);
        }
        let (left_len, right_len) = (n_rows, self.n_rows);
        Err(EvalError::Lengths { left: "rows", left_len, right: "rows with groups", right_len })
    }

    /// Of all that is drawn.
    pub(crate) fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// How many are drawn.
    pub(crate) fn len(&self) -> usize {
        self.groups.as_ref().map_or(self.n_rows, Vec::len)
    }

    /// The rows of each group; `None` where rows are single.
    pub(crate) fn groups(&self) -> Option<&[Vec<usize>]> {
        self.groups.as_deref()
    }

    /// As many groups as rows of these sizes are worth if all rows of a group are alike (Kish, Survey Sampling, 1965): their
    /// number where they are equal, near 1 where one has nearly all rows.
    pub(crate) fn effective(&self) -> f64 {
        let n = self.n_rows as f64;
        let square = |rows: &Vec<usize>| (rows.len() as f64 / n).powi(2);
        self.groups.as_ref().map_or(n, |groups| 1.0 / groups.iter().map(square).sum::<f64>())
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

    /// Degrees of freedom of what is drawn: as many as there are effective groups less one, and at least one of groups.
    pub(crate) fn freedom(&self) -> f64 {
        match self.groups {
            None => self.n_rows as f64 - 1.0,
            Some(_) => (self.effective() - 1.0).max(1.0),
        }
    }

    /// The variance of the mean of a value over rows: of groups by a jackknife that leaves out each, which is not misled by one
    /// group that has most rows.
    pub(crate) fn variance(&self, value: impl Fn(usize) -> f64) -> Variance {
        let n = self.n_rows as f64;
        let mean = (0..self.n_rows).map(&value).sum::<f64>() / n;
        let surplus = |row: usize| value(row) - mean;
        let rows = (0..self.n_rows).map(|row| surplus(row).powi(2)).sum::<f64>() / n / (n - 1.0).max(1.0);
        let Some(groups) = &self.groups else { return Variance { drawn: rows, rows } };
        let without = |group: &Vec<usize>| {
            group.iter().map(|row| surplus(*row)).sum::<f64>() / (n - group.len() as f64)
        };
        let n_groups = groups.len() as f64;
        let drawn =
            groups.iter().map(|group| without(group).powi(2)).sum::<f64>() * (n_groups - 1.0) / n_groups;
        Variance { drawn: drawn.max(rows), rows }
    }

    /// The least variance that the mean of such a value has by what is drawn: the one with which, as in an exact test of
    /// signs, five of one sign and none of the other are not told from 0, and never less than that of one single row of
    /// each.
    pub(crate) fn least_variance(&self, value: impl Fn(usize) -> f64) -> f64 {
        let drawn: Vec<f64> = match &self.groups {
            None => (0..self.n_rows).map(value).collect(),
            Some(groups) => groups.iter().map(|group| group.iter().map(|row| value(*row)).sum()).collect(),
        };
        let squares: Vec<f64> = drawn.iter().filter(|one| **one != 0.0).map(|one| one * one).collect();
        let square = squares.iter().sum::<f64>() / squares.len().max(1) as f64;
        ((5.0 / 1.96f64).powi(2) * square).max(2.0) / (self.n_rows as f64).powi(2)
    }
}
