//! Taking a call, and sending all calls of a turn of the loop at its end.
//!
//! The first call of a turn schedules `flush`, which writes all of them. When a reply
//! arrives, the futures end in the order of their calls.

use std::time::Instant;

use pyo3::intern;
use pyo3::prelude::*;

use super::connecting;
use super::traffic;
use super::turn::LoopTurn;
use crate::enqueue::outbox::LoopCall;

/// Adds a call. It is written at the end of this turn of the loop. Returns whether its caller may
/// use `wait_at_once`.
pub fn push(turn: &LoopTurn<'_, '_>, call: LoopCall<Py<PyAny>>) -> PyResult<bool> {
    let now = Instant::now();
    let due = turn.state().push(call, now, turn.deployment.config.timeout);
    if due.flush {
        let soon = turn.event_loop.call_soon(turn.owner, intern!(turn.py(), "_flush"));
        soon.inspect_err(|_| turn.state().flush_refused(&due))?;
    }
    if let Some(delay) = due.tick {
        let later = turn.event_loop.call_later(turn.owner, delay, "_tick");
        later.inspect_err(|_| turn.state().tick_refused())?;
    }
    Ok(due.may_wait)
}

/// An asyncio task awaits the last call. If no other one makes calls, this writes the call and
/// spins for its reply.
pub fn wait_at_once(turn: &LoopTurn<'_, '_>, task: &Bound<'_, PyAny>) -> PyResult<()> {
    let may = turn.state().wait_now(task.as_ptr() as usize, Instant::now());
    if !may {
        return Ok(());
    }
    traffic::pump(turn)?;
    let taken = turn.state().take_spin();
    let Some((mut spin, fd)) = taken else { return Ok(()) };
    let has_come = turn.py().detach(|| spin.wait(fd));
    turn.state().put_spin(spin);
    if has_come { traffic::readable(turn) } else { Ok(()) }
}

/// The turn is over.
pub fn flush(turn: &LoopTurn<'_, '_>) -> PyResult<()> {
    let connects = turn.state().end_turn();
    if connects { connecting::connect(turn) } else { traffic::pump(turn) }
}
