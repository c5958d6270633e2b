//! How long an attempt may take: the deadlines, and the exception that a sync
//! task gets at its own.
//!
//! The clock is `Instant` (CLOCK_MONOTONIC on Linux): nobody sets it, and time
//! in which the machine sleeps does not count against a task.

mod deadlines;
mod guard;
mod python;
mod shared;

pub use guard::TimedCall;
pub use python::Deadlines;
