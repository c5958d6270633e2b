//! Connections to Redis: a socket, what is to be written, what was read.

mod backoff;
mod command;
mod dial;
mod link;
mod reach;
mod stream;

pub use backoff::Backoff;
pub use command::{Arg, arg, begin, bulk, command, eval, evalsha};
pub use link::{Connection, Interrupt, Reply, redis_error};
