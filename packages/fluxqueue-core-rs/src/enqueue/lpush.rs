//! The one command that enqueues, and what its answer means.

use std::time::Instant;

use crate::connection::{Connection, Interrupt, Reply, arg, begin, redis_error};
use crate::errors::{Error, Result};

/// How many messages one command carries at most.
pub const CHUNK_MESSAGES: usize = 1_000;

/// When a command is full; one message more may be larger.
pub const CHUNK_BYTES: usize = 1 << 20;

/// Appends all of the command that stands before its `messages`.
pub fn head(out: &mut Vec<u8>, key: &str, messages: usize) {
    begin(out, 2 + messages);
    arg(out, b"LPUSH");
    arg(out, key.as_bytes());
}

/// Waits for the answer. `Uncertain` where what comes is no answer.
pub fn receive(connection: &mut Connection, deadline: Instant, interrupt: &mut Interrupt) -> Result<Reply> {
    connection.receive(deadline, interrupt).map_err(no_answer)
}

/// The command was written, so bytes that can't be read leave its outcome open.
pub fn no_answer(error: Error) -> Error {
    match error {
        Error::Broker(text) => Error::Uncertain(text),
        other => other,
    }
}

/// Whether Redis has executed the command. `Unavailable`: not yet, send it again;
/// `Broker`: it refused; `Uncertain`: this answers something else.
pub fn outcome(reply: &Reply) -> Result<()> {
    match reply {
        Reply::Integer(_) => Ok(()),
        Reply::Error(text) => Err(redis_error(text)),
        other => Err(Error::Uncertain(format!("Redis answered an LPUSH with {}", kind(other)))),
    }
}

fn kind(reply: &Reply) -> &'static str {
    match reply {
        Reply::SimpleString(_) | Reply::BulkString(_) => "a string",
        Reply::Array(_) => "an array",
        Reply::Null => "null",
        Reply::Integer(_) | Reply::Error(_) => "something else",
    }
}

/// Whether this connection will refuse the next command as well: after a
/// failover it leads to a replica, and only a new one finds the new master.
pub fn is_useless_after(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(text) if text.starts_with("READONLY"))
}
