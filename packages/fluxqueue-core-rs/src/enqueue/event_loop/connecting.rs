//! Starting attempts to connect without blocking the loop, and giving up a connection.

use pyo3::prelude::*;

use super::callbacks::Watch;
use super::turn::LoopTurn;
use crate::enqueue::resolve;
use crate::errors::Error;

/// Starts an attempt if calls wait.
pub fn connect(turn: &LoopTurn<'_, '_>) -> PyResult<()> {
    let dialled = turn.state().dial(turn.deployment);
    let watched = match dialled {
        Ok(Some(fd)) => turn.event_loop.watch(turn.owner, Watch::Read, fd, "_connected"),
        Ok(None) => return Ok(()),
        Err(error) => return connect_later(turn, format!("no thread to connect in: {error}")),
    };
    let Err(error) = watched else { return Ok(()) };
    turn.state().close();
    fail_waiting(turn, &Error::Unavailable(format!("the event loop can't watch a socket: {error}")))?;
    resolve::interruption(turn.py(), error)
}

/// Starts the next attempt after a pause, if calls wait.
pub fn connect_later(turn: &LoopTurn<'_, '_>, reason: String) -> PyResult<()> {
    let pause = turn.state().pause(reason);
    let later = pause.map_or(Ok(()), |pause| turn.event_loop.call_later(turn.owner, pause, "_connect"));
    later.inspect_err(|_| turn.state().close())
}

/// Ends all waiting calls.
pub fn fail_waiting(turn: &LoopTurn<'_, '_>, error: &Error) -> PyResult<()> {
    let waiting = turn.state().take_waiting();
    resolve::fail(turn.py(), waiting, error)
}

/// Gives up the connection, if there is one. Rule 13: calls that were written whole fail as
/// uncertain, the others wait for the next connection.
pub fn disconnect(turn: &LoopTurn<'_, '_>, reason: &str) -> PyResult<()> {
    let broken = turn.state().break_off();
    let Some((open, uncertain)) = broken else { return Ok(()) };
    let at_once = open.reconnects_at_once();
    // The loop forgets the descriptor before it is closed.
    let fd = open.connection.fd();
    let mut outcome = turn.event_loop.unwatch(turn.py(), Watch::Read, fd);
    if open.is_watched_for_room() {
        outcome = outcome.and(turn.event_loop.unwatch(turn.py(), Watch::Write, fd));
    }
    drop(open);
    let broke = format!("the connection to Redis broke before its answer came: {reason}");
    outcome.and(resolve::fail(turn.py(), uncertain, &Error::Uncertain(broke)))?;
    let reason = format!("the connection to Redis broke: {reason}");
    if at_once {
        turn.state().set_reason(reason);
        return connect(turn);
    }
    connect_later(turn, reason)
}

/// Connects to another server after the last reply of this one.
pub fn leave_if_answered(turn: &LoopTurn<'_, '_>) -> PyResult<()> {
    let leaves = turn.state().leaves_now();
    if leaves { disconnect(turn, "another server serves this queue") } else { Ok(()) }
}

/// The producer is closed: the connection ends after the last reply.
pub fn retire(turn: &LoopTurn<'_, '_>) -> PyResult<()> {
    turn.state().retire();
    retire_if_idle(turn)
}

pub fn retire_if_idle(turn: &LoopTurn<'_, '_>) -> PyResult<()> {
    let is_due = turn.state().is_retirement_due();
    if is_due { disconnect(turn, "the producer is closed") } else { Ok(()) }
}
