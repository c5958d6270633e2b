//! The exception that a sync task gets when it is cancelled.
//!
//! CPython raises it between two bytecodes, and it must not be raised in the worker's own code. A
//! task without a timeout runs without a guard, because a guard costs every call. So this module
//! looks at the frames of the thread first. From that look until the exception is set, it runs no
//! bytecode, so the thread can't go on. A build without the GIL has `cancellable` instead.
//!
//! Why: docs/decisions/0100-a-sync-task-is-cancelled-between-two-bytecodes.md

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PySet, PyType};

pub(super) fn cancel_requested(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "fluxqueue_core.errors", "CancelRequested")
}

fn current_frames(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static FUNCTION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    FUNCTION.import(py, "sys", "_current_frames")
}

/// Until it is dropped, no collection runs finalizers, which are bytecode.
struct NoCollection(bool);

impl NoCollection {
    fn new(_py: Python<'_>) -> NoCollection {
        // SAFETY: the caller holds the GIL.
        NoCollection(unsafe { ffi::PyGC_Disable() } == 1)
    }
}

impl Drop for NoCollection {
    fn drop(&mut self) {
        if self.0 {
            // SAFETY: this thread has held the GIL since `new`.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}

/// Makes a thread of the worker raise `CancelRequested` in its task, if it runs `attempt` and is in
/// the task's code now. Returns whether it will.
///
/// `runner` has the attribute `attempt`. `base` is the code of the function that calls the task.
/// `wrappers` are the codes of the worker's functions between the two; all other code below
/// `folder` is the worker's own.
#[pyfunction]
pub fn raise_in_task(
    runner: &Bound<'_, PyAny>,
    attempt: &Bound<'_, PyAny>,
    thread: u64,
    base: &Bound<'_, PyAny>,
    wrappers: &Bound<'_, PySet>,
    folder: &str,
) -> PyResult<bool> {
    let py = runner.py();
    let (class, current_frames) = (cancel_requested(py)?, current_frames(py)?);
    let _pause = NoCollection::new(py);
    let frames = current_frames.call0()?.cast_into::<PyDict>()?;
    let mut frame = match frames.get_item(thread)? {
        Some(frame) => frame,
        None => return Ok(false),
    };
    // The code that `base` has called, if the thread is below it.
    let mut called = None;
    loop {
        let code = frame.getattr("f_code")?;
        if code.is(base) {
            break;
        }
        called = Some(code);
        frame = frame.getattr("f_back")?;
        if frame.is_none() {
            return Ok(false);
        }
    }
    let Some(called) = called else { return Ok(false) };
    let is_own = called.getattr("co_filename")?.extract::<String>()?.starts_with(folder);
    if (is_own && !wrappers.contains(&called)?) || !runner.getattr("attempt")?.is(attempt) {
        return Ok(false);
    }
    // SAFETY: this thread holds the GIL, and the class is a live object, to which CPython takes
    // another reference.
    Ok(unsafe { ffi::PyThreadState_SetAsyncExc(thread as _, class.as_ptr()) } == 1)
}
