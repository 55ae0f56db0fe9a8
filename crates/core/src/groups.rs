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

    /// The same rows, of which those are together that are in either.
    ///
    /// # Panics
    /// If they are not as many rows.
    pub fn joined(&self, other: &Groups) -> Self {
        assert_eq!(self.numbers.len(), other.numbers.len(), "groups of other rows");
        let mut parent: Vec<usize> = (0..self.n_groups).collect();
        fn root(parent: &mut [usize], mut group: usize) -> usize {
            while parent[group] != group {
                parent[group] = parent[parent[group]];
                group = parent[group];
            }
            group
        }
        let mut first: Vec<Option<usize>> = vec![None; other.n_groups];
        for (own, of_other) in self.numbers.iter().zip(&other.numbers) {
            let met = *first[*of_other].get_or_insert(*own);
            let (one, two) = (root(&mut parent, met), root(&mut parent, *own));
            parent[one.max(two)] = one.min(two);
        }
        Groups::keyed(self.numbers.iter().map(|own| Some(root(&mut parent, *own))))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_groups_hold_what_either_does() {
        let names =
            |names: [&'static str; 6]| Groups::keyed(names.map(|name| (!name.is_empty()).then_some(name)));
        let one = names(["a", "a", "", "b", "", "b"]);
        let other = names(["", "x", "x", "", "y", ""]);
        assert_eq!(one.joined(&other).numbers(), [0, 0, 0, 1, 2, 1]);
        assert_eq!(one.joined(&Groups::single(6)), one);
        assert_eq!(Groups::single(6).joined(&other), other);
        // A chain across both.
        let chain = names(["a", "b", "b", "c", "c", ""]).joined(&names(["x", "x", "y", "y", "", "z"]));
        assert_eq!(chain.numbers(), [0, 0, 0, 0, 0, 1]);
    }
}
