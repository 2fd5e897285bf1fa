//! What reads answered before, so that they can answer it again.

use std::any::Any;
use std::collections::BTreeMap;

/// So many questions are remembered; then all are forgotten, which costs staleness and nothing else.
const QUESTIONS: usize = 1000;

/// Per question the last two answers, the older one first.
#[derive(Default)]
pub(super) struct Answers(BTreeMap<String, [Option<Box<dyn Any + Send>>; 2]>);

impl Answers {
    pub(super) fn note<T: Send + 'static>(&mut self, question: String, answer: T) {
        if self.0.len() >= QUESTIONS {
            self.0.clear();
        }
        let answers = self.0.entry(question).or_default();
        answers.swap(0, 1);
        answers[1] = Some(Box::new(answer));
    }

    /// The answer before the last, or the last one.
    pub(super) fn earlier<T: Clone + 'static>(&self, question: &str) -> Option<T> {
        self.0.get(question)?.iter().flatten().next()?.downcast_ref().cloned()
    }
}
