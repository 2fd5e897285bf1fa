//! Effort: how much one page may be worked on, so that no page can hold a thread for long.
//!
//! What a page states can refer to itself, and one label can stand on it ten thousand times. Loops whose length is not
//! the page's size pay here for each step, and end with what they have once nothing is left.

use crate::strategy::Task;
use atlas_schema::Warning;
use std::cell::Cell;

/// Steps of one page, of which a step looks at one property, element, line or value. The most that a page of those
/// measured takes is 46,000.
const MAX_STEPS: u64 = 10_000_000;
/// Steps between two looks at the task's own end.
const BETWEEN_LOOKS: u64 = 2_000;

/// What is left for a page.
#[derive(Debug)]
pub(super) struct Effort<'a> {
    task: &'a Task<'a>,
    left: Cell<u64>,
    next_look: Cell<u64>,
    end: Cell<Option<End>>,
    left_out: Cell<bool>,
}

/// Why the work ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The page takes too many steps.
    Steps,
    /// The task is to end.
    Told,
}

impl<'a> Effort<'a> {
    /// All that one page may take.
    pub(super) fn of(task: &'a Task<'a>) -> Self {
        Self {
            task,
            left: Cell::new(MAX_STEPS),
            next_look: Cell::new(MAX_STEPS),
            end: Cell::new(None),
            left_out: Cell::new(false),
        }
    }

    /// Takes steps; `false` if the work is to end.
    pub(super) fn spend(&self, steps: usize) -> bool {
        if self.end.get().is_some() {
            return false;
        }
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        let Some(left) = self.left.get().checked_sub(steps) else {
            self.end.set(Some(End::Steps));
            return false;
        };
        self.left.set(left);
        if left <= self.next_look.get() {
            self.next_look.set(left.saturating_sub(BETWEEN_LOOKS));
            if self.task.should_stop() {
                self.end.set(Some(End::Told));
                return false;
            }
        }
        true
    }

    /// Takes a step of the work on each of `items`, and ends with the work.
    pub(super) fn each<T>(&self, items: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        items.take_while(|_| self.spend(1))
    }

    /// Notes that a part of the page was left out to keep the steps few.
    pub(super) fn leave_out(&self) {
        self.left_out.set(true);
    }

    /// Whether the work is to end.
    pub(super) fn is_over(&self) -> bool {
        self.end.get().is_some()
    }

    /// What a reader of the result should know. That the time ran out is the engine's to say.
    pub(super) fn warning(&self) -> Option<Warning> {
        let message = "the page takes more work than one page may (its data refer to themselves, or it repeats one \
                       label over and over), so reading it ended early and there may be more than was found";
        (self.left_out.get() || self.end.get() == Some(End::Steps)).then(|| cut_short(message))
    }
}

/// A warning that the page's own size or form ended the work on it.
pub(super) fn cut_short(message: &str) -> Warning {
    Warning { code: "work_cut_short".into(), pointer: None, message: message.into() }
}
