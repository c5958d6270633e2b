//! How long an attempt may take: the deadlines, and the exception that a sync task
//! gets at its deadline.
//!
//! The clock is `Instant` (CLOCK_MONOTONIC on Linux): it can't be set, and time
//! in which the machine sleeps does not count against a task.

mod deadlines;
mod guard;
mod python;
mod shared;

pub use guard::TimedCall;
pub use python::Deadlines;
