//! Ending the calls whose time is over.

use std::time::Instant;

use pyo3::prelude::*;

use super::connecting;
use super::turn::LoopTurn;
use crate::enqueue::resolve;
use crate::errors::Error;

/// The timer has fired.
pub fn tick(turn: &LoopTurn<'_, '_>) -> PyResult<()> {
    end_overdue(turn).inspect_err(|_| turn.state().tick_refused())
}

fn end_overdue(turn: &LoopTurn<'_, '_>) -> PyResult<()> {
    let (now, is_late) = turn.state().tick(Instant::now());
    if is_late {
        connecting::disconnect(turn, "no answer in time")?;
    }
    let (expired, reason) = turn.state().expire(now);
    let reason = if reason.is_empty() { "Redis could not be reached in time".to_owned() } else { reason };
    resolve::fail(turn.py(), expired, &Error::Unavailable(reason))?;
    let next = turn.state().next_tick();
    next.map_or(Ok(()), |delay| turn.event_loop.call_later(turn.owner, delay, "_tick"))
}
