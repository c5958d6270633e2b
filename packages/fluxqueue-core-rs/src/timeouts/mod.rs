//! The deadlines of attempts, and the exception that a sync task gets at its deadline.
//!
//! The clock is `Instant` (CLOCK_MONOTONIC on Linux). An operator can't set it, and it does
//! not count the time while the machine sleeps.
//!
//! Why: docs/decisions/0031-a-timeout-ends-at-the-next-bytecode.md

mod cancellable;
mod deadlines;
mod guard;
mod interrupt;
mod python;
mod watchlist;

pub use cancellable::{CancellableCall, cancel_call};
pub use guard::TimedCall;
pub use interrupt::raise_in_task;
pub use python::Deadlines;
