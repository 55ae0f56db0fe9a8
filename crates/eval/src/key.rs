use crate::error::EvalError;
use crate::graded::{Graded, Item};
use semievol_core::{Answer, Groups, Labeled, Sample};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fmt;

/// Classes that are counted where nobody says how many there are.
const MOST_CLASSES: usize = 1 << 16;

/// What a method answered to one sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The sample.
    pub id: String,
    /// The answer; `None` if the response could not be read, which counts as wrong.
    pub answer: Option<Answer>,
}

impl Prediction {
    /// A prediction for a sample.
    pub fn new(id: impl Into<String>, answer: Option<Answer>) -> Self {
        Prediction { id: id.into(), answer }
    }
}

/// Gold answers by sample id. They go in, and only grades and the oracle set come out.
pub struct AnswerKey {
    entries: HashMap<String, Entry>,
    /// The options, if all samples have the same in the same order.
    options: Option<Vec<String>>,
}

struct Entry {
    gold: Answer,
    category: Option<String>,
    group: Option<String>,
    /// Options of the sample; of one without any, answers that are a choice are those of some list that nobody knows.
    n_options: usize,
}

impl Entry {
    /// The class of an answer.
    ///
    /// # Errors
    /// If there are not so many options.
    fn class(&self, id: &str, answer: &Answer) -> Result<Option<usize>, EvalError> {
        let Answer::Choice(class) = *answer else { return Ok(None) };
        let options = if self.n_options == 0 { MOST_CLASSES } else { self.n_options };
        if class < options {
            return Ok(Some(class));
        }
        Err(EvalError::Choice { id: id.to_owned(), class, options })
    }

    fn is_right(&self, answer: Option<&Answer>, is_correct: &dyn Fn(&Answer, &Answer) -> bool) -> bool {
        answer.is_some_and(|answer| is_correct(answer, &self.gold))
    }
}

/// Shows how many answers there are, and none of them.
impl fmt::Debug for AnswerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerKey").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl AnswerKey {
    /// A key from samples and their answers, one for each; samples without an answer are left out.
    ///
    /// # Errors
    /// If there are not as many answers as samples, an id occurs twice, or an answer is none of its sample's options.
    pub fn new(samples: &[Sample], answers: &[Option<Answer>]) -> Result<AnswerKey, EvalError> {
        if samples.len() != answers.len() {
            let (left_len, right_len) = (samples.len(), answers.len());
            return Err(EvalError::Lengths { left: "samples", left_len, right: "answers", right_len });
        }
        let first = samples.first().map(|sample| &sample.options).filter(|options| !options.is_empty());
        let options = first.filter(|first| samples.iter().all(|sample| sample.options == **first));
        let options = options.map(|options| options.to_vec());
        let mut entries = HashMap::new();
        for (sample, answer) in samples.iter().zip(answers) {
            let Some(gold) = answer.clone() else { continue };
            let entry = Entry {
                gold,
                category: sample.category.clone(),
                group: sample.group.clone(),
                n_options: sample.options.len(),
            };
            entry.class(&sample.id, &entry.gold)?;
            if entries.insert(sample.id.clone(), entry).is_some() {
                return Err(EvalError::Duplicate { what: "sample", id: sample.id.clone() });
            }
        }
        Ok(AnswerKey { entries, options })
    }

    /// Number of answers.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no answer.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether there is an answer for a sample.
    pub fn knows(&self, id: &str) -> bool {
        self.entries.contains_key(id)
    }

    /// Whether an answer to a sample is right, none being wrong; `None` where the key has no answer. `is_correct` as for
    /// [`AnswerKey::grade`].
    pub fn is_right(
        &self,
        id: &str,
        answer: Option<&Answer>,
        is_correct: &dyn Fn(&Answer, &Answer) -> bool,
    ) -> Option<bool> {
        self.entries.get(id).map(|entry| entry.is_right(answer, is_correct))
    }

    /// The id and the answer of the first of these samples whose own answer does not count as right: one that nobody can read
    /// (`n/a` where numbers are asked for), so that everybody would be wrong.
    pub fn unreadable<'s>(
        &'s self,
        samples: &'s [Sample],
        is_correct: &dyn Fn(&Answer, &Answer) -> bool,
    ) -> Option<(&'s str, &'s Answer)> {
        let known = samples.iter().filter_map(|sample| Some((sample, self.entries.get(&sample.id)?)));
        let mut odd = known.filter(|(_, entry)| !entry.is_right(Some(&entry.gold), is_correct));
        odd.next().map(|(sample, entry)| (sample.id.as_str(), &entry.gold))
    }

    /// Grades predictions for any of the key's samples, in the order given. `is_correct` takes the predicted
    /// and the gold answer, as `Task::is_correct` does.
    ///
    /// # Errors
    /// For an id that occurs twice or that the key does not know, and for an answer that is none of the sample's options.
    pub fn grade(
        &self,
        predictions: &[Prediction],
        is_correct: &dyn Fn(&Answer, &Answer) -> bool,
    ) -> Result<Graded, EvalError> {
        let mut met = HashSet::new();
        let mut groups = Vec::with_capacity(predictions.len());
        let items = predictions.iter().map(|Prediction { id, answer }| {
            if !met.insert(id) {
                return Err(EvalError::Duplicate { what: "prediction", id: id.clone() });
            }
            let entry = self.entries.get(id).ok_or_else(|| EvalError::NoAnswer { id: id.clone() })?;
            groups.push(entry.group.as_deref());
            Ok(Item {
                id: id.clone(),
                category: entry.category.clone(),
                correct: entry.is_right(answer.as_ref(), is_correct),
                parsed: answer.is_some(),
                predicted: answer.as_ref().map_or(Ok(None), |answer| entry.class(id, answer))?,
                gold: entry.class(id, &entry.gold)?,
            })
        });
        let items = items.collect::<Result<_, _>>()?;
        Ok(Graded::new(items, &Groups::keyed(groups), self.options.clone()))
    }

    /// The samples with their gold answers: training data of the upper-bound control, and for nothing else.
    ///
    /// # Errors
    /// For a sample that the key has no answer to.
    pub fn oracle(&self, samples: &[Sample]) -> Result<Vec<Labeled>, EvalError> {
        let labelled = samples.iter().map(|sample| {
            let entry = self.entries.get(&sample.id);
            let entry = entry.ok_or_else(|| EvalError::NoAnswer { id: sample.id.clone() })?;
            Ok(Labeled { sample: sample.clone(), answer: entry.gold.clone() })
        });
        labelled.collect()
    }
}
