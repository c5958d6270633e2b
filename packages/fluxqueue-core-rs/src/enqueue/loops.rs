//! The event loops that a producer serves, each with its connection. In a cluster a loop
//! has one for each hash slot.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::event_loop::LoopConnection;
use crate::connection::{Deployment, HashSlot};
use crate::fork;

static RUNNING_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static WATCH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static REPORT_LOST: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// By the address of the loop, which its connection keeps alive, and the shard key
/// (`Deployment::shard_key`).
type LoopTable = HashMap<(usize, HashSlot), Py<LoopConnection>>;

/// No Python code runs while the table is locked, or it could wait for itself.
pub struct Loops {
    table: Mutex<LoopTable>,
    generation: AtomicU32,
}

impl Loops {
    pub fn new() -> Loops {
        Loops { table: Mutex::default(), generation: AtomicU32::new(fork::generation()) }
    }

    fn lock(&self) -> MutexGuard<'_, LoopTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection of the loop that runs in this thread, for keys of that hash slot.
    /// RuntimeError: no loop runs here.
    pub fn running<'py>(
        &self,
        py: Python<'py>,
        deployment: &Arc<Deployment>,
        hash_slot: HashSlot,
    ) -> PyResult<Bound<'py, LoopConnection>> {
        let running = RUNNING_LOOP.import(py, "asyncio", "get_running_loop")?.call0()?;
        self.leave_to_parent();
        let shard_key = deployment.shard_key(hash_slot);
        let key = (running.as_ptr() as usize, shard_key);
        if let Some(known) = self.lock().get(&key) {
            return Ok(known.clone_ref(py).into_bound(py));
        }
        self.forget_closed(py);
        let new = Bound::new(py, LoopConnection::new(deployment.clone(), shard_key, running)?)?;
        let connection = self.lock().entry(key).or_insert_with(|| new.clone().unbind()).clone_ref(py);
        if connection.is(&new) {
            WATCH.import(py, "fluxqueue_core.loop_end", "watch")?.call1((&new,))?;
        }
        Ok(connection.into_bound(py))
    }

    /// Forgets closed loops and their connections.
    pub fn forget_closed(&self, py: Python<'_>) {
        self.leave_to_parent();
        let known: Vec<_> = self.lock().iter().map(|(key, c)| (*key, c.clone_ref(py))).collect();
        for (key, connection) in known {
            if connection.get().is_loop_closed(py) {
                let forgotten = self.lock().remove(&key);
                drop(forgotten);
                report_lost(py, connection);
            }
        }
    }

    /// In a child of `fork`: closes its copies of the descriptors and never touches the
    /// loops. Their finalizers would remove the parent's descriptors from the selector,
    /// which parent and child share.
    fn leave_to_parent(&self) {
        let now = fork::generation();
        if self.generation.swap(now, Ordering::Relaxed) != now {
            let table = std::mem::take(&mut *self.lock());
            for connection in table.into_values() {
                connection.get().leave_to_parent();
                std::mem::forget(connection);
            }
        }
    }

    /// The producer is gone: each loop closes its connection after the last reply.
    pub fn retire(&self, py: Python<'_>) {
        self.leave_to_parent();
        let table = std::mem::take(&mut *self.lock());
        for connection in table.into_values() {
            let connection = connection.into_bound(py);
            if !connection.get().is_loop_closed(py) {
                // A loop that closes at this moment closes the connection itself.
                let _ = LoopConnection::schedule_retirement(&connection);
            }
        }
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Ok(table) = self.table.try_lock() else { return Ok(()) };
        table.values().try_for_each(|connection| visit.call(connection))
    }
}

/// Warns of the calls whose loop was closed before Redis answered them.
fn report_lost(py: Python<'_>, connection: Py<LoopConnection>) {
    let report = REPORT_LOST.import(py, "fluxqueue_core.loop_end", "report_lost");
    if let Err(error) = report.and_then(|report| report.call1((connection.clone_ref(py),))) {
        // The warning is an error here (`python -W error`), and not one of the next call.
        error.write_unraisable(py, Some(connection.bind(py)));
    }
}
