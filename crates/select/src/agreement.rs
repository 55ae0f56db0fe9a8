use semievol_core::{Answer, Candidate};
use semievol_data::Task;

/// The answer all candidates gave, in the first one's words; absent if two differ, if there is no candidate,
/// and if one of them has no answer: responses that nobody could read are no agreement.
///
/// ```
/// use semievol_core::{Answer, Candidate};
/// use semievol_data::{ClosedSet, Task};
/// use semievol_select::agreed;
///
/// let said = |choice: Option<usize>| Candidate::new("c", choice.map(Answer::Choice));
/// let task = ClosedSet::default();
/// assert_eq!(agreed(&task, &[said(Some(1)), said(Some(1))]), Some(&Answer::Choice(1)));
/// assert_eq!(agreed(&task, &[said(Some(1)), said(None)]), None);
/// assert_eq!(agreed(&task, &[said(None), said(None)]), None);
/// ```
pub fn agreed<'a>(task: &dyn Task, candidates: &'a [Candidate]) -> Option<&'a Answer> {
    let answers: Option<Vec<&Answer>> =
        candidates.iter().map(|candidate| candidate.answer.as_ref()).collect();
    let answers = answers?;
    // Every pair: with a tolerance, two answers may both equal a third and not each other.
    let alike = |one: usize| answers[one + 1..].iter().all(|other| same(task, answers[one], other));
    (0..answers.len()).all(alike).then(|| answers.first().copied()).flatten()
}

/// For each candidate, whether it gave the final answer; one without an answer did not.
pub fn agrees(task: &dyn Task, candidates: &[Candidate], answer: &Answer) -> Vec<bool> {
    let gave = |candidate: &Candidate| candidate.answer.as_ref().is_some_and(|own| same(task, own, answer));
    candidates.iter().map(gave).collect()
}

/// Different answers in the order in which they first came, each with the number of candidates that gave it.
pub(crate) fn votes<'a>(task: &dyn Task, candidates: &'a [Candidate]) -> Vec<(&'a Answer, usize)> {
    let mut votes: Vec<(&Answer, usize)> = Vec::new();
    for answer in candidates.iter().filter_map(|candidate| candidate.answer.as_ref()) {
        match votes.iter_mut().find(|(known, _)| same(task, known, answer)) {
            Some((_, count)) => *count += 1,
            None => votes.push((answer, 1)),
        }
    }
    votes
}

/// Both ways, because a tolerance relative to the second answer is not symmetric.
fn same(task: &dyn Task, one: &Answer, other: &Answer) -> bool {
    task.is_correct(one, other) && task.is_correct(other, one)
}
