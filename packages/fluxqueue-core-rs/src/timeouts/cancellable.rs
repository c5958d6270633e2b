//! The function of a sync task that can be cancelled, on a build of Python without the GIL.
//!
//! There a thread goes on while another one looks at its frames, so `interrupt` can't tell whether
//! it still runs the task. Instead each call of the function registers its thread. Under the lock of
//! that register, a call can't end between the look and the exception. If the exception is still
//! pending when the call ends, it is raised and caught here.
//!
//! Why: docs/decisions/0276-without-the-gil-a-call-can-be-cancelled.md

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard};

use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyDict, PyTuple};

use super::guard::{drop_pending, interrupt, thread_ident};
use super::interrupt::cancel_requested;
use crate::fork;

/// The threads that are in such a call, each with whether it was told to end.
static CALLS: LazyLock<Mutex<HashMap<u64, bool>>> = LazyLock::new(Mutex::default);

fn calls(py: Python<'_>) -> MutexGuard<'static, HashMap<u64, bool>> {
    CALLS.lock_py_attached(py).unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A function whose calls can be cancelled.
#[pyclass(frozen, module = "fluxqueue_core._core")]
pub struct CancellableCall {
    function: Py<PyAny>,
}

#[pymethods]
impl CancellableCall {
    #[new]
    fn new(function: Py<PyAny>) -> CancellableCall {
        CancellableCall { function }
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let thread = thread_ident(py)?;
        let class = cancel_requested(py)?;
        let generation = fork::generation();
        calls(py).insert(thread, false);
        let result = self.function.bind(py).call(args, kwargs);
        // See `guard`: a child process has no thread that would release the lock.
        if fork::generation() == generation && calls(py).remove(&thread) == Some(true) {
            drop_pending(class, thread)?;
        }
        result
    }
}

/// Makes a thread of the worker raise `CancelRequested` in its task, if it runs `attempt` and is in
/// a `CancellableCall`. Returns whether it will. `runner` has the attribute `attempt`.
#[pyfunction]
pub fn cancel_call(runner: &Bound<'_, PyAny>, attempt: &Bound<'_, PyAny>, thread: u64) -> PyResult<bool> {
    let py = runner.py();
    let class = cancel_requested(py)?;
    let mut calls = calls(py);
    let Some(told) = calls.get_mut(&thread) else { return Ok(false) };
    // The worker sets the attribute before the call and after it.
    if !runner.getattr("attempt")?.is(attempt) {
        return Ok(false);
    }
    *told = true;
    interrupt(class, thread);
    Ok(true)
}
