//! Connections to Redis: a socket, what is to be written, what was read.

mod command;
mod dial;
mod link;
mod stream;

pub use command::{Arg, command, eval, evalsha};
pub use link::{Connection, Interrupt, Reply, redis_error};
