//! Which jobs the claims of this process are about to take: another of them passes over these, as they would be lost to it.

use atlas_schema::JobId;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

#[derive(Debug, Default)]
pub(super) struct Picks(Mutex<HashSet<JobId>>);

/// What one claim is about to take, until it is dropped.
#[derive(Debug)]
pub(super) struct Picked<'a> {
    picks: &'a Picks,
    jobs: Vec<JobId>,
}

impl Picks {
    fn with<T>(&self, change: impl FnOnce(&mut HashSet<JobId>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Those that other claims are about to take.
    pub(super) fn others(&self) -> HashSet<JobId> {
        self.with(|picked| picked.clone())
    }

    /// Keeps those candidates that no other claim picked first, and picks them.
    pub(super) fn pick<T>(&self, candidates: &mut Vec<T>, job: impl Fn(&T) -> JobId) -> Picked<'_> {
        self.with(|picked| candidates.retain(|candidate| picked.insert(job(candidate))));
        Picked { picks: self, jobs: candidates.iter().map(job).collect() }
    }
}

impl Drop for Picked<'_> {
    fn drop(&mut self) {
        self.picks.with(|picked| self.jobs.iter().for_each(|job| _ = picked.remove(job)));
    }
}
