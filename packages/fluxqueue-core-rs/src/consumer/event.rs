//! The events that the consumer reports to the worker's main thread, which logs them and
//! starts the child process for suspects.
//!
//! Why a class per kind: docs/decisions/0052-an-event-is-an-object-of-its-kind.md.

use pyo3::prelude::*;

/// An event of a queue's consumer. Python sees a class per variant, with its fields as
/// attributes.
#[pyclass(frozen, eq, module = "fluxqueue_core._core")]
#[derive(Debug, Clone, PartialEq)]
// The text of a variant describes its fields.
#[allow(missing_docs)]
pub enum Event {
    /// A conversation has begun.
    Connected { consumer: String },
    /// The connection broke, or Redis refuses to serve.
    Disconnected { error: String },
    /// Other workers have this consumer's tasks now. `running` of these tasks still run here.
    LeaseLost { consumer: String, running: usize },
    /// A task ended here, but after the lease: another worker runs it again.
    OutcomeVoid { task_id: String },
    /// A message that can't run was parked in the dead set.
    Parked { task_id: String, name: String, reason: String, traceparent: Option<String> },
    /// The worker has no task of this name and deferred the message by `delay` seconds.
    UnknownTask { task_id: String, name: String, delay: f64, traceparent: Option<String> },
    /// A task has expired, so the worker ended it without an attempt.
    Expired { task_id: String, name: String, traceparent: Option<String> },
    /// A task was cancelled, so the worker ended it without an attempt.
    Cancelled { task_id: String, name: String, traceparent: Option<String> },
    /// A task that runs here was cancelled.
    CancelRequested { task_id: String },
    /// The worker deferred `count` messages that a newer version of FluxQueue has written.
    NewerVersion { count: i64 },
    /// `count` tasks that have lost two workers wait.
    Suspects { count: i64 },
    /// The last sweep of this queue was `seconds` ago, or is unknown (None).
    NoScheduler { seconds: Option<f64> },
    /// The worker released `count` tasks that had not begun.
    Released { count: usize },
    /// Redis refuses the queue's name in the registry, so no scheduler knows the queue.
    NotRegistered { error: String },
    /// The server does not have BLMOVE, so the worker polls.
    NoBlmove { error: String },
    /// The thread that talks to Redis has ended because of a fault in it.
    Failed { error: String },
}
