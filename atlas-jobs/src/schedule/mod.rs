//! Schedules: jobs at the times of a cron expression.
//!
//! A schedule is a job of kind `schedule` that waits as long as the schedule lives and that no worker takes. Its next
//! time is a job of kind `schedule.tick`, which [`ScheduleHandler`] runs in any worker: it enqueues the work of the times
//! that are [`due`], and its own successor. Keys made of name and time make each of them once, whatever number of
//! processes run and wherever one dies: no tick is doubled, and none is lost.

mod cron;
mod due;
mod handler;
mod spec;

pub use cron::{Cron, CronError};
pub use due::{CatchUp, Due, MOST_CAUGHT_UP, due};
pub use handler::{ScheduleHandler, tick_of};
pub use spec::{Schedule, ScheduleError, ScheduleSpec, Scheduled};

pub(crate) use handler::{ensure_tick, is_tick_of};
pub(crate) use spec::{Stored, key, tick_key};
