//! The connection of one event loop, as Python sees it.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::callbacks::EventLoop;
use super::connecting;
use super::deadlines;
use super::intake;
use super::opening;
use super::state::LoopState;
use super::traffic;
use super::turn::LoopTurn;
use crate::connection::{Deployment, HashSlot};
use crate::enqueue::outbox::LoopCall;
use crate::fork;

/// The connection of one event loop; the methods are the loop's callbacks.
#[pyclass(frozen, weakref, module = "fluxqueue_core._core")]
pub struct LoopConnection {
    deployment: Arc<Deployment>,
    event_loop: EventLoop,
    generation: u32,
    state: Mutex<LoopState<Py<PyAny>>>,
}

impl LoopConnection {
    pub fn new(
        deployment: Arc<Deployment>,
        hash_slot: HashSlot,
        event_loop: Bound<'_, PyAny>,
    ) -> PyResult<LoopConnection> {
        let state = Mutex::new(LoopState::new(hash_slot, deployment.config.timeout));
        let event_loop = EventLoop::new(event_loop)?;
        Ok(LoopConnection { deployment, event_loop, generation: fork::generation(), state })
    }

    fn turn<'a, 'py>(slf: &'a Bound<'py, Self>) -> LoopTurn<'a, 'py> {
        let Self { deployment, event_loop, state, .. } = slf.get();
        LoopTurn { owner: slf.as_any(), event_loop, deployment, state }
    }

    /// Runs a callback. In a child of `fork` everything here belongs to the parent.
    fn run(slf: &Bound<'_, Self>, callback: impl FnOnce(&LoopTurn<'_, '_>) -> PyResult<()>) -> PyResult<()> {
        let is_ours = slf.get().generation == fork::generation();
        if is_ours { callback(&Self::turn(slf)) } else { Ok(()) }
    }

    pub fn is_loop_closed(&self, py: Python<'_>) -> bool {
        self.event_loop.is_closed(py)
    }

    pub fn leave_to_parent(&self) {
        // The lock is free: a thread holds it only with the GIL, which the forking thread had.
        if let Ok(mut state) = self.state.try_lock() {
            state.close();
        }
    }

    /// A future of this loop.
    pub fn future<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.event_loop.future(py)
    }

    /// Adds a call. It is written at the end of this turn of the loop. Returns whether its caller
    /// may use `_wait_at_once`.
    pub fn push(slf: &Bound<'_, Self>, call: LoopCall<Py<PyAny>>) -> PyResult<bool> {
        intake::push(&Self::turn(slf), call)
    }

    /// Makes the loop close the connection after the last reply. From any thread.
    pub fn schedule_retirement(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().event_loop.call_soon_threadsafe(slf.as_any(), "_retire")
    }
}

#[pymethods]
impl LoopConnection {
    /// Whether the loop is closed, so that no call will be answered.
    fn _is_loop_closed(&self, py: Python<'_>) -> bool {
        self.is_loop_closed(py)
    }

    /// The calls without an answer: for each its future, and what to call its task in
    /// messages. Empty in a child of `fork`, whose calls are the parent's.
    fn _unanswered(&self, py: Python<'_>) -> Vec<(Py<PyAny>, String)> {
        if self.generation != fork::generation() {
            return Vec::new();
        }
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.calls().map(|call| (call.future.clone_ref(py), call.target.label())).collect()
    }

    /// An asyncio task awaits the last call.
    fn _wait_at_once(slf: &Bound<'_, Self>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::run(slf, |turn| intake::wait_at_once(turn, task))
    }

    fn _flush(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::run(slf, intake::flush)
    }

    fn _connect(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::run(slf, connecting::connect)
    }

    fn _connected(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::run(slf, opening::connected)
    }

    fn _readable(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::run(slf, traffic::readable)
    }

    fn _writable(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::run(slf, traffic::writable)
    }

    fn _resume(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::run(slf, traffic::resume)
    }

    fn _tick(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::run(slf, deadlines::tick)
    }

    fn _retire(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::run(slf, connecting::retire)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.event_loop.traverse(&visit)?;
        // Locked: the collector then takes it for referenced from outside.
        let Ok(state) = self.state.try_lock() else { return Ok(()) };
        state.calls().flat_map(|call| call.held()).try_for_each(|held| visit.call(held))
    }

    fn __clear__(&self) {
        let outbox = self.state.lock().unwrap_or_else(PoisonError::into_inner).take_outbox();
        drop(outbox);
    }
}
