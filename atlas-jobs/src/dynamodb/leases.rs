//! What this process knows of leases and of the lists that name them.
//!
//! A claim request writes one list of the jobs that it takes, in the transaction that takes them: no job is leased
//! without standing on a list of its worker. A list never changes, and its key is used once. It is deleted some time after
//! everything on it is over, which stays so: an epoch that has ended never comes back. A list that outlives its jobs
//! leads to nothing but a read.
//!
//! This process remembers the lists that it wrote or read, and what is over on them. What it does not know, since it began
//! later or others ended the jobs, is found by reading a worker's lists: see [`super::lists`].
//!
//! It also remembers the lists in requests that no answer came to. Such a request may be decided and not be done on all its items,
//! for a time that nothing bounds: a plain read would miss its list. A transaction does not. See `hand_back`.

use super::item::Stored;
use super::keys::Key;
use atlas_schema::{JobId, JobStatus, WorkerId};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

/// So many lists of a worker may be open beyond twice those that were when its lists were last read, before they are read again.
const SLACK: usize = 64;
/// The most lists that wait to be deleted. Others are found again by reading a worker's lists.
const MAX_SPENT: usize = 4096;
/// The most workers that this process remembers having read the lists of.
const MAX_WORKERS: usize = 1024;

/// The most lists of which no answer came, that this process looks for again. Only a caller that never reconciles leaves so many,
/// or workers that end: the leases of those end by silence.
const MAX_UNANSWERED: usize = 1024;

/// The lists of a worker that were open here when its lists began to be read.
#[derive(Debug, Default)]
pub(super) struct Before(BTreeSet<Key>);

/// One epoch of one job, held by a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) worker: WorkerId,
    pub(super) job: JobId,
    pub(super) incarnation: String,
    pub(super) epoch: u64,
}

impl Lease {
    pub(super) fn of(job: &Stored) -> Option<Self> {
        job.record.lease.as_ref().map(|lease| Self {
            worker: lease.worker.clone(),
            job: job.id(),
            incarnation: job.incarnation.clone(),
            epoch: job.record.epoch,
        })
    }

    /// Whether it has ended, as a job shows that was read after the list. A job that was read at the same time as the claim
    /// was written may not show the claim yet: a lower epoch says nothing.
    pub(super) fn is_over(&self, job: &Stored) -> bool {
        job.incarnation != self.incarnation || self.has_ended(job)
    }

    /// Whether the job does not show yet that it was claimed.
    pub(super) fn is_ahead_of(&self, job: &Stored) -> bool {
        job.incarnation == self.incarnation && job.record.epoch < self.epoch
    }

    fn has_ended(&self, job: &Stored) -> bool {
        let (record, own) = (&job.record, job.incarnation == self.incarnation);
        let same = record.epoch == self.epoch && record.status != JobStatus::Processing;
        own && (record.epoch > self.epoch || same)
    }
}

#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    held: HashMap<JobId, Vec<Holding>>,
    open: HashMap<Key, usize>,
    spent: BTreeSet<Key>,
    /// Lists in requests that were sent, and not answered so far.
    unanswered: BTreeSet<Key>,
    workers: HashMap<String, Seen>,
}

/// A lease on an open list.
#[derive(Debug)]
struct Holding {
    lease: Lease,
    list: Key,
    /// The job as the claim left it.
    job: Option<Box<Stored>>,
}

/// A worker, by the partition of its lists.
#[derive(Debug, Default)]
struct Seen {
    open: usize,
    /// With so many open lists they are read again.
    read_at: usize,
}

impl Leases {
    fn with<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// These lists are about to be sent.
    pub(super) fn sending<'a>(&self, lists: impl Iterator<Item = &'a Key>) {
        self.with(|known| {
            for list in lists {
                if known.unanswered.len() >= MAX_UNANSWERED {
                    known.unanswered.pop_first();
                }
                known.unanswered.insert(list.clone());
            }
        });
    }

    /// Whether these lists were written is known: what was, shows.
    pub(super) fn answered<'a>(&self, lists: impl Iterator<Item = &'a Key>) {
        self.with(|known| {
            for list in lists {
                known.unanswered.remove(list);
            }
        });
    }

    /// The lists of a worker of which no answer told whether they were written.
    pub(super) fn unanswered(&self, partition: &str) -> Vec<Key> {
        self.with(|known| {
            let from = (partition.to_owned(), String::new());
            known.unanswered.range(from..).take_while(|list| list.0 == partition).cloned().collect()
        })
    }

    /// A list was written. Those of a worker that this process does not serve are not its concern.
    pub(super) fn opened(&self, list: &Key, leases: Vec<Lease>) {
        self.with(|known| {
            if known.workers.contains_key(&list.0) {
                known.open(list, leases);
            }
        });
    }

    /// What jobs look like now, or did some time ago.
    pub(super) fn saw<'a>(&self, jobs: impl Iterator<Item = &'a Stored>) {
        self.with(|known| jobs.for_each(|job| known.close(job.id(), |lease| lease.has_ended(job))));
    }

    /// A lease has ended.
    pub(super) fn ended(&self, over: &Lease) {
        self.with(|known| known.close(over.job, |lease| lease == over));
    }

    /// Keeps a job as its claim left it, for [`recall`](Self::recall).
    pub(super) fn remember(&self, job: &Stored) {
        self.with(|known| {
            let of_job = known.held.get_mut(&job.id()).into_iter().flatten();
            for holding in of_job.filter(|holding| Lease::of(job).as_ref() == Some(&holding.lease)) {
                holding.job = Some(Box::new(job.clone()));
            }
        });
    }

    /// Some jobs as their claims left them, each at most once: a guess that a condition must judge.
    pub(super) fn recall(&self, jobs: impl Iterator<Item = JobId>) -> HashMap<JobId, Stored> {
        self.with(|known| {
            let recalled = jobs.filter_map(|id| {
                let newest = known.held.get_mut(&id)?.iter_mut().max_by_key(|holding| holding.lease.epoch)?;
                Some((id, *newest.job.take()?))
            });
            recalled.collect()
        })
    }

    /// Whether a worker's lists are to be read: nothing is known of it here, or more of them are open than it seems to need.
    pub(super) fn must_read(&self, partition: &str) -> bool {
        self.with(|known| known.workers.get(partition).is_none_or(|seen| seen.open >= seen.read_at))
    }

    /// A worker's lists are about to be read, all of them.
    pub(super) fn begin_read(&self, partition: &str) -> Before {
        self.with(|known| Before(known.open.keys().filter(|list| list.0 == partition).cloned().collect()))
    }

    /// A worker's lists have been read: what may still be held by each. Those that were not found any more have been
    /// deleted by others, and those that were shut here meanwhile stay so.
    pub(super) fn read(&self, partition: &str, before: &Before, lists: Vec<(Key, Vec<Lease>)>) {
        self.with(|known| {
            if known.workers.len() >= MAX_WORKERS && !known.workers.contains_key(partition) {
                // It is read again when it comes back.
                if let Some(another) = known.workers.keys().next().cloned() {
                    known.forget(&another);
                }
            }
            known.workers.entry(partition.to_owned()).or_default();
            let found: BTreeSet<&Key> = lists.iter().map(|(list, _)| list).collect();
            known.drop_lists(&before.0.iter().filter(|list| !found.contains(list)).collect());
            for (list, leases) in lists {
                if !before.0.contains(&list) && !known.spent.contains(&list) {
                    known.open(&list, leases);
                }
            }
            if let Some(seen) = known.workers.get_mut(partition) {
                seen.read_at = seen.open * 2 + SLACK;
            }
        });
    }

    /// Everything on these lists is over.
    pub(super) fn spent(&self, lists: Vec<Key>) {
        self.with(|known| {
            known.drop_lists(&lists.iter().collect());
            for list in lists {
                known.spend(list);
            }
        });
    }

    /// At least `least` lists that may be deleted; none if there are not so many.
    pub(super) fn take_spent(&self, least: usize) -> Spent<'_> {
        let lists = self.with(|known| {
            let enough = known.spent.len() >= least;
            if enough { std::mem::take(&mut known.spent).into_iter().collect() } else { Vec::new() }
        });
        Spent { leases: self, lists }
    }
}

/// Lists that are being deleted. Those that are left when it is dropped are deleted another time.
#[derive(Debug)]
pub(super) struct Spent<'a> {
    leases: &'a Leases,
    pub(super) lists: Vec<Key>,
}

impl Drop for Spent<'_> {
    fn drop(&mut self) {
        let left = std::mem::take(&mut self.lists);
        self.leases.with(|known| left.into_iter().for_each(|list| known.spend(list)));
    }
}

impl Known {
    fn open(&mut self, list: &Key, leases: Vec<Lease>) {
        if leases.is_empty() || self.open.contains_key(list) {
            return;
        }
        self.open.insert(list.clone(), leases.len());
        if let Some(seen) = self.workers.get_mut(&list.0) {
            seen.open += 1;
        }
        for lease in leases {
            let holding = Holding { list: list.clone(), job: None, lease };
            self.held.entry(holding.lease.job).or_default().push(holding);
        }
    }

    /// Ends the leases of a job that `over` names.
    fn close(&mut self, job: JobId, over: impl Fn(&Lease) -> bool) {
        let Some(of_job) = self.held.get_mut(&job) else { return };
        let mut lists = Vec::new();
        of_job.retain(|holding| {
            let ends = over(&holding.lease);
            if ends {
                lists.push(holding.list.clone());
            }
            !ends
        });
        if of_job.is_empty() {
            self.held.remove(&job);
        }
        for list in lists {
            let Some(left) = self.open.get_mut(&list) else { continue };
            *left -= 1;
            if *left == 0 {
                self.shut(&list);
                self.spend(list);
            }
        }
    }

    /// Takes lists for shut, whatever is left on them.
    fn drop_lists(&mut self, lists: &BTreeSet<&Key>) {
        let lists: BTreeSet<&Key> = lists.iter().copied().filter(|list| self.open.contains_key(*list)).collect();
        if lists.is_empty() {
            return;
        }
        self.held.retain(|_, of_job| {
            of_job.retain(|holding| !lists.contains(&holding.list));
            !of_job.is_empty()
        });
        for list in lists {
            self.shut(list);
        }
    }

    /// Forgets that the lists of a worker were ever read.
    fn forget(&mut self, partition: &str) {
        let open: Vec<Key> = self.open.keys().filter(|list| list.0 == partition).cloned().collect();
        self.drop_lists(&open.iter().collect());
        self.workers.remove(partition);
    }

    fn shut(&mut self, list: &Key) {
        self.open.remove(list);
        if let Some(seen) = self.workers.get_mut(&list.0) {
            seen.open = seen.open.saturating_sub(1);
        }
    }

    fn spend(&mut self, list: Key) {
        if self.spent.len() < MAX_SPENT {
            self.spent.insert(list);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(worker: usize, mark: usize) -> Key {
        (format!("W#{worker}"), format!("L#{mark}"))
    }

    fn lease(worker: usize, job: usize) -> Lease {
        let mut id = [0; 10];
        id[..8].copy_from_slice(&job.to_be_bytes());
        Lease {
            worker: WorkerId::new(format!("{worker}")).unwrap(),
            job: JobId::from_parts(atlas_schema::Timestamp::MIN, id),
            incarnation: "i".into(),
            epoch: 1,
        }
    }

    fn sizes(leases: &Leases) -> (usize, usize, usize) {
        leases.with(|known| (known.held.len(), known.open.len(), known.workers.values().map(|seen| seen.open).sum()))
    }

    /// Reads the lists of worker 0, of which there are `there`.
    fn read(leases: &Leases, there: &[usize], meanwhile: impl FnOnce()) {
        let before = leases.begin_read("W#0");
        meanwhile();
        leases.read("W#0", &before, there.iter().map(|mark| (list(0, *mark), vec![lease(0, *mark)])).collect());
    }

    #[test]
    fn lists_that_another_process_deleted_are_not_remembered() {
        let leases = Leases::default();
        let mut most = 0;
        for mark in 0..10_000 {
            if leases.must_read("W#0") {
                // All others were ended and deleted elsewhere.
                read(&leases, &[mark], || ());
                assert_eq!(sizes(&leases), (1, 1, 1));
            }
            leases.opened(&list(0, mark), vec![lease(0, mark)]);
            most = most.max(sizes(&leases).0);
        }
        assert!(most <= 2 + SLACK, "{most}");
    }

    #[test]
    fn a_list_that_is_shut_while_lists_are_read_is_not_opened_again() {
        let leases = Leases::default();
        read(&leases, &[1, 2], || ());
        read(&leases, &[1, 2], || leases.ended(&lease(0, 1)));
        assert_eq!(sizes(&leases), (1, 1, 1));
        assert_eq!(leases.take_spent(1).lists, [list(0, 1)]);
        // One that is opened meanwhile stays, whether it was found or not.
        read(&leases, &[2, 3], || [3, 4].into_iter().for_each(|n| leases.opened(&list(0, n), vec![lease(0, n)])));
        assert_eq!(sizes(&leases), (3, 3, 3));
    }

    #[test]
    fn unanswered_lists_are_looked_for_by_worker_and_are_not_too_many() {
        let leases = Leases::default();
        let lists = [list(0, 1), list(1, 2), list(0, 3)];
        leases.sending(lists.iter());
        assert_eq!(leases.unanswered("W#0"), [list(0, 1), list(0, 3)]);
        leases.answered(lists[..1].iter());
        assert_eq!(leases.unanswered("W#0"), [list(0, 3)]);
        leases.sending((0..MAX_UNANSWERED * 2).map(|mark| list(2, mark)).collect::<Vec<_>>().iter());
        assert_eq!(leases.unanswered("W#2").len(), MAX_UNANSWERED);
    }

    #[test]
    fn of_too_many_workers_one_is_forgotten_and_no_more() {
        let leases = Leases::default();
        for worker in 0..=MAX_WORKERS {
            let partition = format!("W#{worker}");
            leases.read(&partition, &Before::default(), vec![(list(worker, worker), vec![lease(worker, worker)])]);
        }
        assert_eq!(sizes(&leases), (MAX_WORKERS, MAX_WORKERS, MAX_WORKERS));
        let unread = (0..=MAX_WORKERS).filter(|worker| leases.must_read(&format!("W#{worker}")));
        assert_eq!(unread.count(), 1);
    }
}
