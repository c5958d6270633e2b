//! Writing calls and reading replies.

use pyo3::prelude::*;

use super::callbacks::Watch;
use super::connecting;
use super::link::Written;
use super::state::{NextWrite, Replied};
use super::turn::LoopTurn;
use crate::enqueue::command;
use crate::enqueue::outbox::LoopCall;
use crate::enqueue::resolve;
use crate::enqueue::wrapping::Wrapping;
use crate::errors::Error;

type Calls = Vec<LoopCall<Py<PyAny>>>;

/// Writes waiting calls until the socket is full.
pub fn pump(turn: &LoopTurn<'_, '_>) -> PyResult<()> {
    loop {
        let next = turn.state().next();
        let taken = match next {
            NextWrite::Nothing => return Ok(()),
            NextWrite::Stale => return connecting::disconnect(turn, "Redis closed it"),
            NextWrite::Calls(calls) => calls,
        };
        let (calls, cancelled): (Calls, Calls) =
            taken.into_iter().partition(|call| !resolve::is_done(turn.py(), &call.future));
        drop(cancelled);
        let written = turn.state().write(calls, turn.deployment.config.wait);
        match written {
            Ok(Written::All) => {}
            Ok(Written::Later(None)) => return Ok(()),
            Ok(Written::Later(Some(fd))) => {
                return turn.event_loop.watch(turn.owner, Watch::Write, fd, "_writable");
            }
            Err(e) => return connecting::disconnect(turn, &e.to_string()),
        }
    }
}

/// The socket takes more bytes.
pub fn writable(turn: &LoopTurn<'_, '_>) -> PyResult<()> {
    let written = turn.state().write_rest();
    match written {
        Ok(Some(fd)) => {
            turn.event_loop.unwatch(turn.py(), Watch::Write, fd)?;
            pump(turn)
        }
        Ok(None) => Ok(()),
        Err(e) => connecting::disconnect(turn, &e.to_string()),
    }
}

/// Replies have arrived, or the end of the connection.
pub fn readable(turn: &LoopTurn<'_, '_>) -> PyResult<()> {
    let (replied, broken) = turn.state().read();
    let mut useless = false;
    let mut confused = None;
    let mut interrupted = Ok(());
    for replied in replied {
        useless |= command::is_useless_after(&replied.replies.reply);
        match settle(turn, replied) {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => confused = Some(reason),
            Err(error) => interrupted = Err(error),
        }
    }
    interrupted?;
    if let Some(reason) = broken.or(confused) {
        return connecting::disconnect(turn, &reason);
    }
    if useless && !turn.state().has_in_flight() {
        return connecting::disconnect(turn, "it leads to a replica");
    }
    if turn.state().is_leaving() {
        return connecting::leave_if_answered(turn);
    }
    pump(turn)?;
    connecting::retire_if_idle(turn)
}

/// Ends the calls of one command as its reply says. An inner error: the reply makes no
/// sense, and later replies can't be trusted.
fn settle(turn: &LoopTurn<'_, '_>, replied: Replied<Py<PyAny>>) -> PyResult<Result<(), String>> {
    let Replied { calls, naming, replies } = replied;
    let redirected = turn.state().redirect(turn.deployment, &replies.reply, calls);
    let Err(calls) = redirected else { return Ok(Ok(())) };
    let Some(first) = calls.first() else { return Ok(Ok(())) };
    let dispatch = &first.target.dispatch;
    if dispatch.needs_text(naming, &replies.reply) {
        turn.state().name_by_text(calls);
        return Ok(Ok(()));
    }
    let wrapping = Wrapping { asking: false, wait: turn.deployment.config.wait };
    match wrapping.verdicts(dispatch, || calls.iter().map(|call| call.count).sum(), &replies) {
        Ok(verdicts) => {
            turn.state().executed();
            resolve::succeed(turn.py(), calls, verdicts)?;
        }
        Err(Error::Unavailable(reason)) => return hold(turn, calls, reason).map(Ok),
        Err(error) => {
            resolve::fail(turn.py(), calls, &error)?;
            if let Error::Uncertain(text) = error {
                return Ok(Err(text));
            }
        }
    }
    Ok(Ok(()))
}

/// Redis was not ready and has executed nothing: the calls are written again after a
/// pause.
fn hold(turn: &LoopTurn<'_, '_>, calls: Calls, reason: String) -> PyResult<()> {
    let pause = turn.state().hold(calls, reason);
    let later = pause.map_or(Ok(()), |pause| turn.event_loop.call_later(turn.owner, pause, "_resume"));
    later.inspect_err(|_| turn.state().resume())
}

/// The pause is over.
pub fn resume(turn: &LoopTurn<'_, '_>) -> PyResult<()> {
    turn.state().resume();
    pump(turn)
}
