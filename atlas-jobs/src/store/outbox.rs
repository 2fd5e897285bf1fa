//! Taking and settling what must follow from transitions.

use crate::clock::Moment;
use crate::state::OutboxEntry;
use std::time::Duration;

/// What a deliverer hands in and wants.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxExchange {
    /// When.
    pub now: Moment,
    /// What became of entries taken before.
    pub settlements: Vec<Settlement>,
    /// Wanted topics by their names, such as `callback`.
    pub topics: Vec<&'static str>,
    /// At most so many entries, 0 to [`MAX_PAGE`](super::MAX_PAGE).
    pub limit: usize,
    /// How long an entry stays hidden from others while it is being delivered. A wrong clock doubles deliveries,
    /// which is allowed, and loses none.
    pub visibility: Duration,
}

impl OutboxExchange {
    /// Takes up to `limit` entries of `topics`.
    pub const fn new(topics: Vec<&'static str>, limit: usize, visibility: Duration, now: Moment) -> Self {
        Self { now, settlements: Vec::new(), topics, limit, visibility }
    }

    /// With what became of entries taken before.
    #[must_use]
    pub fn with_settlements(mut self, settlements: Vec<Settlement>) -> Self {
        self.settlements = settlements;
        self
    }
}

/// An entry taken for delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxItem {
    /// What is to be done.
    pub entry: OutboxEntry,
    /// How often it was taken, this time included.
    pub tries: u32,
}

impl OutboxItem {
    /// For stores: an entry that was taken so often.
    pub const fn new(entry: OutboxEntry, tries: u32) -> Self {
        Self { entry, tries }
    }
}

/// What became of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The entry's [`key`](OutboxEntry::key).
    pub key: String,
    /// [`OutboxItem::tries`] as it was handed out: a late deliverer's word does not count.
    pub tries: u32,
    /// How it went.
    pub delivery: Delivery,
}

/// How a delivery went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It is done, or given up: the entry is deleted.
    Done,
    /// Again, after so long.
    Again(Duration),
}
