//! Lanes: how the requests of one process stay out of each other's way.
//!
//! Two transactions that write one item at a time conflict, and every transaction counts. So each counter is kept in
//! several lanes, whose sum it is, and a request counts in a lane that no other request of this process uses.
//! Processes begin at random lanes.

use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug, Clone)]
pub(super) struct Lanes(Arc<Mutex<Vec<u16>>>);

/// A lane, until it is dropped.
#[derive(Debug)]
pub(super) struct Lane {
    number: u16,
    lanes: Option<Lanes>,
}

impl Lanes {
    pub(super) fn new(lanes: u16, random: u64) -> Self {
        let lanes = lanes.max(1);
        let start = u16::try_from(random % u64::from(lanes)).unwrap_or(0);
        Self(Arc::new(Mutex::new((0..lanes).map(|n| (n + start) % lanes).collect())))
    }

    /// A lane of its own, or the first one if all are in use: then two may conflict, and one is sent again.
    pub(super) fn take(&self) -> Lane {
        let number = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Lane { number: number.unwrap_or(0), lanes: number.map(|_| self.clone()) }
    }
}

impl Lane {
    pub(super) const fn number(&self) -> u16 {
        self.number
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(Lanes(free)) = &self.lanes {
            free.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
        }
    }
}
