//! Connections to Redis: a socket, what is to be written, what was read.

mod backoff;
mod command;
mod denied;
mod dial;
mod framing;
mod link;
mod reach;
mod refusal;
mod stream;
mod topology;
mod watch;

pub use backoff::Backoff;
pub use command::{Arg, Args, Call, arg, begin, bulk, command};
pub use denied::remedy as missing_right;
pub use framing::{Frame, Reply};
pub use link::{Connection, Interrupt};
pub use refusal::{Refusal, can_not_work, redis_error};
pub use topology::{Deployment, Goal, Redirect, Slot, slot_of};
