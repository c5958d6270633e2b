//! An event loop, for its connection: futures, callbacks, and watches on descriptors.

use std::os::fd::RawFd;
use std::time::Duration;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};

use crate::enqueue::resolve;

static CONTEXT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The event on a descriptor that the loop waits for.
#[derive(Clone, Copy)]
pub enum Watch {
    /// Bytes to read, or the end of the stream.
    Read,
    /// Room to write.
    Write,
}

impl Watch {
    const fn add(self) -> &'static str {
        match self {
            Watch::Read => "add_reader",
            Watch::Write => "add_writer",
        }
    }

    const fn remove(self) -> &'static str {
        match self {
            Watch::Read => "remove_reader",
            Watch::Write => "remove_writer",
        }
    }
}

/// An event loop of Python. A callback is a method of `owner`, by its name.
pub struct EventLoop {
    event_loop: Py<PyAny>,
    future_arguments: Py<PyDict>,
}

impl EventLoop {
    pub fn new(event_loop: Bound<'_, PyAny>) -> PyResult<EventLoop> {
        let future_arguments = PyDict::new(event_loop.py());
        future_arguments.set_item("loop", &event_loop)?;
        Ok(EventLoop { event_loop: event_loop.unbind(), future_arguments: future_arguments.unbind() })
    }

    /// A future of this loop.
    pub fn future<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        resolve::create(py, &self.future_arguments)
    }

    pub fn is_closed(&self, py: Python<'_>) -> bool {
        // A loop that raises here counts as closed.
        let closed = self.event_loop.call_method0(py, intern!(py, "is_closed"));
        closed.and_then(|closed| closed.is_truthy(py)).unwrap_or(true)
    }

    pub fn call_soon<'py>(&self, owner: &Bound<'py, PyAny>, method: &Bound<'py, PyString>) -> PyResult<()> {
        let callback = owner.getattr(method)?;
        self.event_loop.call_method1(owner.py(), intern!(owner.py(), "call_soon"), (callback,))?;
        Ok(())
    }

    /// From any thread.
    pub fn call_soon_threadsafe(&self, owner: &Bound<'_, PyAny>, method: &str) -> PyResult<()> {
        let callback = owner.getattr(method)?;
        self.event_loop.call_method1(owner.py(), "call_soon_threadsafe", (callback,))?;
        Ok(())
    }

    pub fn call_later(&self, owner: &Bound<'_, PyAny>, delay: Duration, method: &str) -> PyResult<()> {
        let py = owner.py();
        let callback = owner.getattr(method)?;
        self.event_loop.call_method1(py, intern!(py, "call_later"), (delay.as_secs_f64(), callback))?;
        Ok(())
    }

    /// In an empty context: the loop would keep the caller's as long as it watches.
    pub fn watch(&self, owner: &Bound<'_, PyAny>, watch: Watch, fd: RawFd, method: &str) -> PyResult<()> {
        let py = owner.py();
        let add = self.event_loop.bind(py).getattr(watch.add())?;
        let context = CONTEXT.import(py, "contextvars", "Context")?.call0()?;
        context.call_method1(intern!(py, "run"), (add, fd, owner.getattr(method)?))?;
        Ok(())
    }

    /// Fails only with what `resolve::interruption` lets through.
    pub fn unwatch(&self, py: Python<'_>, watch: Watch, fd: RawFd) -> PyResult<()> {
        // A closed loop watches nothing.
        if self.is_closed(py) {
            return Ok(());
        }
        let Err(error) = self.event_loop.call_method1(py, watch.remove(), (fd,)) else { return Ok(()) };
        // Interrupted: once more, since the descriptor is about to be closed.
        let _ = self.event_loop.call_method1(py, watch.remove(), (fd,));
        resolve::interruption(py, error)
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        visit.call(&self.future_arguments)
    }
}
