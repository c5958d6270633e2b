//! The event loops that a producer serves, each with its connection; to a
//! cluster with one for each slot.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::event_loop::LoopConnection;
use crate::connection::{Deployment, Slot};
use crate::fork;

static RUNNING_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// By the address of the loop, which its connection keeps alive, and the lane
/// (`Deployment::lane`).
type Table = HashMap<(usize, Slot), Py<LoopConnection>>;

/// No Python code runs while the table is locked, or it could wait for itself.
pub struct Loops {
    table: Mutex<Table>,
    generation: AtomicU32,
}

impl Loops {
    pub fn new() -> Loops {
        Loops { table: Mutex::default(), generation: AtomicU32::new(fork::generation()) }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection of the loop that runs in this thread, for keys of that
    /// slot. RuntimeError: none runs.
    pub fn running<'py>(
        &self,
        py: Python<'py>,
        deployment: &Arc<Deployment>,
        slot: Slot,
    ) -> PyResult<Bound<'py, LoopConnection>> {
        let running = RUNNING_LOOP.import(py, "asyncio", "get_running_loop")?.call0()?;
        self.leave_to_parent();
        let lane = deployment.lane(slot);
        let place = (running.as_ptr() as usize, lane);
        if let Some(known) = self.lock().get(&place) {
            return Ok(known.clone_ref(py).into_bound(py));
        }
        self.forget_closed(py);
        let new = Bound::new(py, LoopConnection::new(deployment.clone(), lane, running)?)?;
        let connection = self.lock().entry(place).or_insert_with(|| new.clone().unbind()).clone_ref(py);
        Ok(connection.into_bound(py))
    }

    /// Forgets the loops that were closed, with their connections.
    pub fn forget_closed(&self, py: Python<'_>) {
        self.leave_to_parent();
        let known: Vec<_> = self.lock().iter().map(|(place, c)| (*place, c.clone_ref(py))).collect();
        for (place, connection) in known {
            if connection.get().is_loop_closed(py) {
                let forgotten = self.lock().remove(&place);
                drop(forgotten);
            }
        }
    }

    /// In a child of `fork`: closes its copies of the descriptors and leaves the
    /// loops alone for ever. Their finalizers would take the parent's
    /// descriptors out of the selector, which parent and child share.
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

    /// The producer is gone: each loop is to close its connection when the last
    /// answer has come.
    pub fn retire(&self, py: Python<'_>) {
        self.leave_to_parent();
        let table = std::mem::take(&mut *self.lock());
        for connection in table.into_values() {
            let connection = connection.into_bound(py);
            if !connection.get().is_loop_closed(py) {
                // A loop that is closed just now has no connection to close.
                let _ = LoopConnection::schedule_retirement(&connection);
            }
        }
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Ok(table) = self.table.try_lock() else { return Ok(()) };
        table.values().try_for_each(|connection| visit.call(connection))
    }
}

/// Whether a loop is closed; one that can't say counts as closed.
pub fn is_closed(event_loop: &Bound<'_, PyAny>) -> bool {
    let closed = event_loop.call_method0(intern!(event_loop.py(), "is_closed"));
    closed.and_then(|closed| closed.is_truthy()).unwrap_or(true)
}
