//! Connections to Redis: sockets, commands, replies, and the search for the server of a
//! queue.
//!
//! Why: docs/decisions/0005-sockets-without-a-runtime.md

mod backoff;
mod command;
mod connect;
mod dial;
mod framing;
mod link;
mod refusal;
mod spin;
mod stream;
mod topology;

pub use backoff::Backoff;
pub use command::{Arg, Args, Call, arg, begin, bulk, command};
pub use framing::{Frame, Reply};
pub use link::{Connection, Interrupt};
pub use refusal::{Refusal, can_not_work, missing_right, redis_error};
pub use topology::{Deployment, Goal, HashSlot, Redirect, hash_slot_of};
