//! The parts of a call that the other calls of its route do not share.
//!
//! Why: docs/decisions/0056-parts-of-a-call-are-arguments.md

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::wants::Wants;
use crate::connection::arg;
use crate::ids;
use crate::message::headers_fault;

/// When a call is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// This many milliseconds from now, by the clock of Redis. 0: at once.
    In(u64),
    /// At this time, in milliseconds since 1970.
    At(u64),
}

impl Default for Due {
    fn default() -> Due {
        Due::In(0)
    }
}

impl Due {
    /// The same, `ms` later.
    pub fn later(self, ms: u64) -> Due {
        match self {
            Due::In(delay) => Due::In(delay.saturating_add(ms)),
            Due::At(at) => Due::At(at.saturating_add(ms)),
        }
    }

    /// The time at which a task that was enqueued at `now` is due, ms since 1970. None: at once.
    pub fn moment(self, now: impl FnOnce() -> u64) -> Option<u64> {
        match self {
            Due::In(0) => None,
            Due::In(ms) => Some(now().saturating_add(ms)),
            Due::At(at) => Some(at),
        }
    }

    /// Appends it, as the script `enqueue` reads it: `+1500` or `1764430000000`. The text of a limit
    /// and the wish for a lock follow; empty for none.
    pub fn write(self, out: &mut Vec<u8>, wish: &str) {
        match self {
            Due::In(ms) => arg(out, format!("+{ms}{wish}").as_bytes()),
            Due::At(ms) => arg(out, format!("{ms}{wish}").as_bytes()),
        }
    }
}

/// Id and headers of one call, and its position in a bulk that is spread; most calls have none of them.
#[derive(Default)]
pub struct PerCall<'py> {
    /// The task's id, as its 36 characters. None: a new one.
    pub id: Option<[u8; 36]>,
    headers: Option<Bound<'py, PyBytes>>,
    /// It is due this many milliseconds after the time that its route says.
    pub later: u64,
    pub wants: Option<Box<Wants>>,
}

impl<'py> PerCall<'py> {
    /// `headers` is a JSON object.
    pub fn new(headers: Option<Bound<'py, PyBytes>>, task_id: Option<&str>) -> PyResult<PerCall<'py>> {
        if let Some(json) = &headers {
            let fault = std::str::from_utf8(json.as_bytes()).map_or_else(|e| Some(e.to_string()), headers_fault);
            if let Some(fault) = fault {
                return Err(PyValueError::new_err(format!(
                    "a message with these headers can't be read: {fault}; pass a JSON object of strings as bytes"
                )));
            }
        }
        Ok(PerCall { id: task_id.map(checked_id).transpose()?, headers, ..PerCall::default() })
    }

    /// One call of a bulk: `per_call` takes the headers and the id that the caller gave it, and
    /// returns those of the message.
    pub fn of_bulk(
        per_call: Option<&Bound<'py, PyAny>>,
        headers: Option<Bound<'py, PyBytes>>,
        task_id: Option<String>,
    ) -> PyResult<PerCall<'py>> {
        let (headers, task_id): (Option<Bound<'py, PyBytes>>, Option<String>) = match per_call {
            None => (headers, task_id),
            Some(per_call) => per_call.call1((headers, task_id))?.extract()?,
        };
        PerCall::new(headers, task_id.as_deref())
    }

    /// The same call, which wants this.
    pub fn wanting(self, wants: Option<Box<Wants>>) -> PerCall<'py> {
        PerCall { wants, ..self }
    }

    /// A JSON object.
    pub fn headers(&self) -> Option<&[u8]> {
        self.headers.as_ref().map(|json| json.as_bytes())
    }
}

/// The characters of a task id. Another spelling of a UUID is refused, because ids are compared
/// as text.
pub fn checked_id(text: &str) -> PyResult<[u8; 36]> {
    ids::read(text).ok_or_else(|| {
        PyValueError::new_err(format!(
            "the task id {text:?} is not a UUID in lower case with hyphens; take one of new_task_id()"
        ))
    })
}
