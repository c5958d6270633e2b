//! One call, sent and answered in the calling thread.

use std::time::Instant;

use super::lpush;
use super::thread::{Line, interrupt};
use crate::config::Config;
use crate::connection::{Backoff, Connection};
use crate::errors::{Error, Result};

/// Sends `line.command` until Redis has executed or refused it, or the time is
/// over. A command that was written whole is not sent again, except where the
/// answer says that it was not executed.
pub fn deliver(config: &Config, line: &mut Line) -> Result<()> {
    let deadline = Instant::now() + config.timeout;
    let mut backoff = Backoff::new();
    loop {
        // Every way out but the good ones drops the connection: a late answer
        // must not be taken for that of the next command.
        let mut connection = match line.take() {
            Some(connection) => connection,
            None => Connection::open_until(config, deadline, &mut interrupt)?,
        };
        connection.outgoing().extend_from_slice(&line.command);
        let failure = match exchange(&mut connection, deadline) {
            Ok(reply) => {
                let outcome = lpush::outcome(&reply);
                if !matches!(outcome, Err(Error::Uncertain(_))) && !lpush::is_useless_after(&reply) {
                    line.keep(connection);
                }
                match outcome {
                    Err(not_ready @ Error::Unavailable(_)) => not_ready,
                    other => return other,
                }
            }
            // Redis has only a part of the command, and executes none of it.
            Err(cut @ Error::Unavailable(_)) => cut,
            Err(other) => return Err(other),
        };
        if !backoff.sleep(deadline, &mut interrupt)? {
            return Err(failure);
        }
    }
}

fn exchange(connection: &mut Connection, deadline: Instant) -> Result<crate::connection::Reply> {
    connection.send(deadline, &mut interrupt)?;
    lpush::receive(connection, deadline, &mut interrupt)
}
