//! The steps that follow an attempt to connect.

use pyo3::prelude::*;

use super::callbacks::Watch;
use super::connecting;
use super::link::DialAttempt;
use super::traffic;
use super::turn::LoopTurn;
use crate::connection::Connection;
use crate::enqueue::resolve;
use crate::errors::Error;

/// The attempt is over.
pub fn connected(turn: &LoopTurn<'_, '_>) -> PyResult<()> {
    let attempt = turn.state().take_attempt();
    let Some(DialAttempt { dial, asking }) = attempt else { return Ok(()) };
    // The loop forgets the descriptor before it is closed.
    let unwatched = turn.event_loop.unwatch(turn.py(), Watch::Read, dial.fd());
    let outcome = match dial.finish() {
        Ok(connection) => begin(turn, connection, asking),
        Err(Error::Unavailable(reason)) => connecting::connect_later(turn, reason),
        // A wrong password stays wrong.
        Err(error) => connecting::fail_waiting(turn, &error),
    };
    unwatched.and(outcome)
}

/// Sends the calls that have waited for the connection.
fn begin(turn: &LoopTurn<'_, '_>, connection: Connection, asking: bool) -> PyResult<()> {
    let fd = connection.fd();
    turn.state().open(connection, asking);
    if let Err(error) = turn.event_loop.watch(turn.owner, Watch::Read, fd, "_readable") {
        connecting::disconnect(turn, &format!("the event loop can't watch a socket: {error}"))?;
        return resolve::interruption(turn.py(), error);
    }
    traffic::pump(turn)?;
    // If every caller has given up, the next call asks the owner of the hash slot first.
    connecting::leave_if_answered(turn)?;
    connecting::retire_if_idle(turn)
}
