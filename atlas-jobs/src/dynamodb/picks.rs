//! Which jobs the claims of this process are about to take: another of them passes over these, as they would be lost to it.

use atlas_schema::JobId;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A pick counts for so long, many times what a claim takes: a request that hangs keeps no job from the others.
const LASTS: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Picks(Mutex<Picked>);

#[derive(Debug, Default)]
struct Picked {
    jobs: HashMap<JobId, (u64, Instant)>,
    claims: u64,
}

/// What one claim is about to take, until it is dropped.
#[derive(Debug)]
pub(super) struct Pick<'a> {
    picks: &'a Picks,
    claim: u64,
    jobs: Vec<JobId>,
}

impl Picks {
    fn with<T>(&self, change: impl FnOnce(&mut Picked) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Those that other claims are about to take.
    pub(super) fn others(&self) -> HashSet<JobId> {
        let fresh = |(_, (_, since)): &(&JobId, &(u64, Instant))| since.elapsed() < LASTS;
        self.with(|picked| picked.jobs.iter().filter(fresh).map(|(job, _)| *job).collect())
    }

    /// Takes out the candidates that another claim picked first, and picks the others. `job` gives those that can be picked.
    pub(super) fn pick<T>(&self, candidates: &mut Vec<T>, job: impl Fn(&T) -> Option<JobId>) -> Pick<'_> {
        self.with(|picked| {
            picked.claims += 1;
            let (claim, now) = (picked.claims, Instant::now());
            let mut jobs = Vec::new();
            candidates.retain(|candidate| {
                let Some(job) = job(candidate) else { return true };
                let free = picked.jobs.get(&job).is_none_or(|(_, since)| now.duration_since(*since) >= LASTS);
                if free {
                    picked.jobs.insert(job, (claim, now));
                    jobs.push(job);
                }
                free
            });
            Pick { picks: self, claim, jobs }
        })
    }
}

impl Drop for Pick<'_> {
    fn drop(&mut self) {
        self.picks.with(|picked| {
            for job in &self.jobs {
                // Another claim may have picked it since.
                if picked.jobs.get(job).is_some_and(|(claim, _)| *claim == self.claim) {
                    picked.jobs.remove(job);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atlas_schema::Timestamp;

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_hung_and_ends_frees_no_job_that_another_one_picked_since() {
        let picks = Picks::default();
        let jobs: Vec<JobId> = (0..3).map(|n| JobId::from_parts(Timestamp::MIN, [n; 10])).collect();
        let hung = picks.pick(&mut jobs.clone(), |job| Some(*job));
        tokio::time::advance(LASTS).await;
        let mut free = jobs[..2].to_vec();
        let other = picks.pick(&mut free, |job| Some(*job));
        assert_eq!(free, jobs[..2], "they are free again");
        drop(hung);
        assert_eq!(picks.others(), jobs[..2].iter().copied().collect());
        drop(other);
        assert_eq!(picks.others(), HashSet::new());
    }
}
