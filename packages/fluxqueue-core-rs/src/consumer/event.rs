//! What the control plane is told: it writes the log and starts the child
//! process for suspects.

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Something that has happened to a queue's consumer.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A conversation has begun.
    Connected { consumer: String },
    /// The connection broke, or Redis refuses.
    Disconnected { error: String },
    /// Somebody else has this consumer's tasks now; `running` of them still run here.
    LeaseLost { consumer: String, running: usize },
    /// A task ended here, but after the lease: somebody else runs it again.
    OutcomeVoid { task_id: String },
    /// A message that can't be run is in the dead set.
    Parked { task_id: String, name: String, reason: String, traceparent: Option<String> },
    /// The name is not known here; given back for `delay` seconds.
    UnknownTask { task_id: String, name: String, delay: f64, traceparent: Option<String> },
    /// So many messages that a newer version of FluxQueue has written were put off.
    NewerVersion { count: i64 },
    /// Tasks that have lost two workers wait.
    Suspects { count: i64 },
    /// No scheduler has looked at this queue for so long; None: never.
    NoScheduler { seconds: Option<f64> },
    /// So many tasks that had not begun were given back.
    Released { count: usize },
    /// Redis refuses to take the queue's name into the registry: no scheduler knows it.
    NotRegistered { error: String },
    /// The thread that talks to Redis has ended by a fault of its own.
    Failed { error: String },
}

impl Event {
    /// The event as a dict with `kind` and `queue`.
    pub fn to_dict<'py>(&self, py: Python<'py>, queue: &str) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        let kind = match self {
            Event::Connected { consumer } => {
                dict.set_item("consumer", consumer)?;
                "connected"
            }
            Event::Disconnected { error } => {
                dict.set_item("error", error)?;
                "disconnected"
            }
            Event::LeaseLost { consumer, running } => {
                dict.set_item("consumer", consumer)?;
                dict.set_item("running", running)?;
                "lease_lost"
            }
            Event::OutcomeVoid { task_id } => {
                dict.set_item("task_id", task_id)?;
                "outcome_void"
            }
            Event::Parked { task_id, name, reason, traceparent } => {
                dict.set_item("task_id", task_id)?;
                dict.set_item("name", name)?;
                dict.set_item("reason", reason)?;
                set_traceparent(&dict, traceparent)?;
                "parked"
            }
            Event::UnknownTask { task_id, name, delay, traceparent } => {
                dict.set_item("task_id", task_id)?;
                dict.set_item("name", name)?;
                dict.set_item("delay", delay)?;
                set_traceparent(&dict, traceparent)?;
                "unknown_task"
            }
            Event::NewerVersion { count } => {
                dict.set_item("count", count)?;
                "newer_version"
            }
            Event::Suspects { count } => {
                dict.set_item("count", count)?;
                "suspects"
            }
            Event::NoScheduler { seconds } => {
                dict.set_item("seconds", seconds)?;
                "no_scheduler"
            }
            Event::Released { count } => {
                dict.set_item("count", count)?;
                "released"
            }
            Event::NotRegistered { error } => {
                dict.set_item("error", error)?;
                "not_registered"
            }
            Event::Failed { error } => {
                dict.set_item("error", error)?;
                "failed"
            }
        };
        dict.set_item("kind", kind)?;
        dict.set_item("queue", queue)?;
        Ok(dict)
    }
}

fn set_traceparent(dict: &Bound<'_, PyDict>, traceparent: &Option<String>) -> PyResult<()> {
    traceparent.as_ref().map_or(Ok(()), |header| dict.set_item("traceparent", header))
}
