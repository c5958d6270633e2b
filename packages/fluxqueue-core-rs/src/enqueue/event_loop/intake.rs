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

/// Adds a call. It is written at the end of this turn of the loop.
pub fn push(turn: &LoopTurn<'_, '_>, call: LoopCall<Py<PyAny>>) -> PyResult<()> {
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
    Ok(())
}

/// The turn is over.
pub fn flush(turn: &LoopTurn<'_, '_>) -> PyResult<()> {
    let connects = turn.state().end_turn();
    if connects { connecting::connect(turn) } else { traffic::pump(turn) }
}
