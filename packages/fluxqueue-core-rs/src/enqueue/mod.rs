//! Putting tasks into Redis.
//!
//! ```text
//! producer     what Python sees          route     what all calls of a task share
//! encode       arguments to JSON         per_call  what one call adds
//! command      the command, and the verdict of its reply on each call
//! wrapping     ASKING before the command, WAIT behind it
//! redirects    where a command goes, and where it goes next
//! sync         in the calling thread, on this thread's connection (thread)
//! bulk         many calls, two chunks on their way
//! event_loop   one connection per loop, in a cluster one per hash slot (loops)
//! script_call  calls of other scripts: cancel, schedule, limit_rules
//! outbox       the calls of a loop; live_clock says how long they have waited
//! ```

mod bulk;
mod calls;
mod cancel;
mod command;
mod encode;
mod event_loop;
mod finite;
mod limit;
mod live_clock;
mod lock;
mod loops;
mod outbox;
#[cfg(test)]
mod outbox_tests;
mod per_call;
mod producer;
mod redirects;
mod resolve;
mod route;
mod script_call;
mod sync;
mod thread;
mod verdict;
mod wants;
mod wrapping;

pub use producer::Producer;
pub use route::Route;
