use crate::sample::Sample;
use std::collections::HashMap;
use std::hash::Hash;

/// Which rows come together, such as sentences of one document: what is drawn as a whole counts as a whole.
///
/// ```
/// use semievol_core::{Groups, Sample};
///
/// let of = |group: Option<&str>| Sample { group: group.map(str::to_owned), ..Sample::new("id", "?") };
/// let samples = [of(Some("one")), of(None), of(Some("two")), of(Some("one"))];
/// let groups = Groups::of(&samples);
/// assert_eq!(groups.numbers(), [0, 1, 2, 0]);
/// assert_eq!(groups.members(), [vec![0, 3], vec![1], vec![2]]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    numbers: Vec<usize>,
    n_groups: usize,
}

impl Groups {
    /// The groups of samples; one without a group is a group of its own.
    pub fn of<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> Self {
        Groups::keyed(samples.into_iter().map(|sample| sample.group.as_deref()))
    }

    /// The same by what names a row's group; a row without a name is a group of its own.
    pub fn keyed<K: Eq + Hash>(names: impl IntoIterator<Item = Option<K>>) -> Self {
        let mut known: HashMap<K, usize> = HashMap::new();
        let mut n_groups = 0;
        let mut next = || {
            n_groups += 1;
            n_groups - 1
        };
        let number = |name: Option<K>| match name {
            Some(name) => *known.entry(name).or_insert_with(&mut next),
            None => next(),
        };
        let numbers = names.into_iter().map(number).collect();
        Groups { numbers, n_groups }
    }

    /// So many rows, each of them a group of its own.
    pub fn single(rows: usize) -> Self {
        Groups { numbers: (0..rows).collect(), n_groups: rows }
    }

    /// How many groups there are.
    pub fn n_groups(&self) -> usize {
        self.n_groups
    }

    /// The group of each row, counted from 0 in the order in which they first occur.
    pub fn numbers(&self) -> &[usize] {
        &self.numbers
    }

    /// Whether no two rows are of one group.
    pub fn are_single(&self) -> bool {
        self.n_groups == self.numbers.len()
    }

    /// The rows of each group, in their order.
    pub fn members(&self) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.n_groups];
        self.numbers.iter().enumerate().for_each(|(row, group)| members[*group].push(row));
        members
    }
}
