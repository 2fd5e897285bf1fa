//! The keys of the table: which item stands where.
//!
//! Names hold none of `#`, save for idempotency keys, which stand last: no two things share a key.

use crate::kernel::Place;
use atlas_schema::{JobId, JobKind, JobRecord, JobStatus, QueueName, TenantId, Timestamp, WorkerId};
use std::cmp::Reverse;
use std::str::FromStr;

/// The partition key and the sort key of the table.
pub(super) const PK: &str = "pk";
pub(super) const SK: &str = "sk";
/// The keys of the first index: a job is in it while it is ready or once it has ended, an outbox entry until it is
/// settled. No job is both, so that one index serves all three.
pub(super) const G1P: &str = "g1p";
pub(super) const G1S: &str = "g1s";
pub(super) const INDEX_1: &str = "atlas-1";
/// The keys of the second index: a job is in it while a deadline or an unanswered cancel stands before it.
pub(super) const G2P: &str = "g2p";
pub(super) const G2S: &str = "g2s";
pub(super) const INDEX_2: &str = "atlas-2";

/// A partition key with a sort key.
pub(super) type Key = (String, String);

/// Which of `shards` partitions a name belongs to, the same in every process and release: FNV-1a, whose bits are then
/// mixed as `SplitMix64` does, since short names differ in few of them.
pub(super) fn shard(name: &[u8], shards: u16) -> u16 {
    let hash = name
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    u16::try_from((hash ^ (hash >> 31)) % u64::from(shards.max(1))).unwrap_or(0)
}

pub(super) fn meta() -> Key {
    ("META".into(), "META".into())
}

pub(super) fn job(id: JobId) -> Key {
    (format!("J#{id}"), "M".into())
}

/// An event. The incarnation tells the jobs apart that had one id in turn.
pub(super) fn event(id: JobId, incarnation: &str, version: u64) -> Key {
    (format!("J#{id}"), format!("E#{incarnation}#{version:016}"))
}

/// A payload (`P`) or a result (`R`) that has an item of its own.
pub(super) fn body(id: JobId, incarnation: &str, part: &str) -> Key {
    (format!("J#{id}"), format!("{part}#{incarnation}"))
}

pub(super) fn idempotency(tenant: &TenantId, key: &str) -> Key {
    (format!("I#{tenant}#{key}"), "I".into())
}

pub(super) fn external(tenant: &TenantId, id: &str) -> Key {
    (format!("X#{tenant}#{id}"), "X".into())
}

/// The list that a job stands in: of everything, of a tenant, or of a batch.
pub(super) fn list(scope: &ListScope<'_>, shard: u16) -> String {
    match scope {
        ListScope::All => format!("L#{shard}"),
        ListScope::Tenant(tenant) => format!("T#{tenant}#{shard}"),
        ListScope::Parent(parent) => format!("C#{parent}#{shard}"),
    }
}

pub(super) enum ListScope<'a> {
    All,
    Tenant(&'a TenantId),
    Parent(JobId),
}

/// Sorts by creation time, then id.
pub(super) fn list_place(at: Timestamp, id: JobId) -> String {
    timed(at, id)
}

fn timed(at: Timestamp, id: JobId) -> String {
    format!("{:015}#{id}", at.as_millis())
}

/// What [`timed`] wrote.
pub(super) fn parse_timed(text: &str) -> Option<(Timestamp, JobId)> {
    let (at, id) = text.split_once('#')?;
    let at = Timestamp::from_millis(at.parse().ok()?).ok()?;
    Some((at, JobId::from_str(id).ok()?))
}

/// The queue of one kind in one shard.
pub(super) fn ready(queue: &QueueName, kind: &JobKind, shard: u16) -> String {
    format!("R#{queue}#{kind}#{shard}")
}

/// Sorts by the order of claims.
pub(super) fn ready_place<P>(record: &JobRecord<P>) -> String {
    place_text((Reverse(record.priority), record.run_at, record.id))
}

/// What [`parse_ready`] reads.
pub(super) fn place_text((Reverse(priority), run_at, id): Place) -> String {
    // The highest priority first: 0000 stands for 32767.
    let rank = i32::from(i16::MAX) - i32::from(priority);
    format!("{rank:05}#{}", timed(run_at, id))
}

/// What [`place_text`] wrote.
pub(super) fn parse_ready(text: &str) -> Option<Place> {
    let (rank, rest) = text.split_once('#')?;
    let rank: i32 = rank.parse().ok()?;
    let priority = i16::try_from(i32::from(i16::MAX) - rank).ok()?;
    let (run_at, id) = parse_timed(rest)?;
    Some((Reverse(priority), run_at, id))
}

/// Behind everything of the priority of a place.
pub(super) fn after_priority(place: &str) -> String {
    // `~` sorts behind every digit.
    format!("{}#~", place.split('#').next().unwrap_or(place))
}

/// Just before a sort key that ends with an id, and behind every one before it.
pub(super) fn just_before(key: &str) -> String {
    // The last character of an id is a hexadecimal digit, which follows at least one printable one.
    let mut bytes = key.as_bytes().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last -= 1;
    }
    bytes.push(b'~');
    String::from_utf8(bytes).unwrap_or_default()
}

/// Just behind what [`timed`] wrote; the beginning if there was nothing.
pub(super) fn behind(after: Option<(Timestamp, JobId)>) -> String {
    after.map_or_else(|| "\u{1}".to_owned(), |(at, id)| just_after(&timed(at, id)))
}

/// Just behind a sort key.
pub(super) fn just_after(key: &str) -> String {
    format!("{key}\u{1}")
}

pub(super) fn ended(status: JobStatus, shard: u16) -> String {
    format!("Z#{}#{shard}", status.as_str())
}

pub(super) fn ended_place(at: Timestamp, id: JobId) -> String {
    timed(at, id)
}

pub(super) fn due(shard: u16) -> String {
    format!("D#{shard}")
}

pub(super) fn due_place(at: Timestamp, id: JobId) -> String {
    timed(at, id)
}

/// Just behind everything at `at`.
pub(super) fn through(at: Timestamp) -> String {
    format!("{:015}#~", at.as_millis())
}

/// Just before everything at `at`.
pub(super) fn before(at: Timestamp) -> String {
    format!("{:015}", at.as_millis())
}

/// A worker's last sign of life.
pub(super) fn beat(worker: &WorkerId, shards: u16) -> Key {
    (beats(shard(worker.as_str().as_bytes(), shards)), worker.to_string())
}

pub(super) fn beats(shard: u16) -> String {
    format!("B#{shard}")
}

/// The lists of what a worker has claimed.
pub(super) fn leases(worker: &WorkerId) -> String {
    format!("W#{worker}")
}

/// A list of what a request claimed. `mark` is random: no key is used again.
pub(super) fn leases_list(worker: &WorkerId, mark: u128) -> Key {
    (leases(worker), format!("L#{mark:032x}"))
}

pub(super) fn queue(queue: &QueueName, shards: u16) -> Key {
    (queues(shard(queue.as_str().as_bytes(), shards)), queue.to_string())
}

pub(super) fn queues(shard: u16) -> String {
    format!("Q#{shard}")
}

/// How many jobs of a limited queue run.
pub(super) fn running(queue: &QueueName) -> Key {
    (format!("N#{queue}"), "N".into())
}

/// The counts of one lane.
pub(super) fn counts(shard: u16) -> String {
    format!("K#{shard}")
}

pub(super) fn outbox(key: &str) -> Key {
    (format!("O#{key}"), "O".into())
}

/// The entries of a topic that wait.
pub(super) fn outbox_due(topic: &str, shard: u16) -> String {
    format!("O#{topic}#{shard}")
}

/// What a purge has still to clear away.
pub(super) fn litter(shard: u16) -> String {
    format!("G#{shard}")
}

pub(super) fn litter_place(id: JobId, incarnation: &str) -> String {
    format!("{id}#{incarnation}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_sort_as_claims_do_and_read_back() {
        let at = |millis| Timestamp::from_millis(millis).unwrap();
        let id = JobId::from_parts(at(1_700_000_000_000), [7; 10]);
        let text = |priority: i16, run_at| {
            let rank = i32::from(i16::MAX) - i32::from(priority);
            format!("{rank:05}#{}", timed(at(run_at), id))
        };
        let mut places: Vec<(Place, String)> = [(0, 5), (i16::MIN, 1), (i16::MAX, 9), (0, 4), (-1, 0), (7, 2)]
            .map(|(priority, n)| {
                let run_at = 1_700_000_000_000 + n;
                ((Reverse(priority), at(run_at), id), text(priority, run_at))
            })
            .to_vec();
        places.sort_by_key(|one| one.0);
        assert!(places.windows(2).all(|pair| pair[0].1 < pair[1].1));
        for (place, text) in &places {
            assert_eq!(parse_ready(text), Some(*place));
            assert!(after_priority(text) > *text);
        }
    }

    #[test]
    fn shards_are_used_evenly_and_pinned() {
        let mut used = [0_u32; 4];
        for n in 0_u32..4000 {
            used[usize::from(shard(&n.to_be_bytes(), 4))] += 1;
        }
        assert!(used.iter().all(|n| (800..1200).contains(n)), "{used:?}");
        // A release that moved jobs to other shards would not find those of the last one.
        assert_eq!([&b"a"[..], b"b", b"c"].map(|name| shard(name, 4)), [0, 1, 2]);
        assert_eq!(shard(b"atlas", 256), 188);
    }
}
