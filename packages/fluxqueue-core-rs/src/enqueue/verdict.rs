//! The verdict on a call: whether its task is in Redis now.

use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::connection::Reply;

/// The id of a task, as text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TaskId(pub [u8; 36]);

impl TaskId {
    /// The id at its fixed position in a message.
    pub fn of_message(message: &[u8]) -> Option<TaskId> {
        message.get(13..49)?.try_into().ok().map(TaskId)
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Debug for TaskId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The verdict on one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The task is in Redis.
    Enqueued,
    /// Nothing was enqueued, since this task is there in its place.
    Present(TaskId),
}

impl Verdict {
    /// The task that is there in the place of the call.
    pub fn present(self) -> Option<TaskId> {
        match self {
            Verdict::Enqueued => None,
            Verdict::Present(id) => Some(id),
        }
    }

    /// Reads what the script `enqueue` returns for one call.
    pub fn read(reply: &Reply) -> Option<Verdict> {
        match reply {
            Reply::Integer(1) => Some(Verdict::Enqueued),
            Reply::BulkString(id) => Some(Verdict::Present(TaskId(id[..].try_into().ok()?))),
            _ => None,
        }
    }
}

/// The verdicts on all calls of one command, in their order.
#[derive(Debug)]
pub enum Verdicts {
    /// The usual case, which needs no list.
    AllEnqueued,
    Each(Vec<Verdict>),
}

impl Verdicts {
    /// How many of `calls` calls were enqueued.
    pub fn enqueued(&self, calls: usize) -> usize {
        match self {
            Verdicts::AllEnqueued => calls,
            Verdicts::Each(each) => each.iter().filter(|verdict| **verdict == Verdict::Enqueued).count(),
        }
    }
}

/// For Python: a list with a pair for each call, its id and None, or the id of the task
/// that is there in its place.
pub fn list<'py>(py: Python<'py>, verdicts: impl Iterator<Item = (TaskId, Verdict)>) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for (id, verdict) in verdicts {
        let present = match &verdict {
            Verdict::Enqueued => None,
            Verdict::Present(id) => Some(id.as_str()),
        };
        list.append((id.as_str(), present))?;
    }
    Ok(list)
}
