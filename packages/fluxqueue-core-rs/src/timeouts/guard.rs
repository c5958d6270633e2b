//! The function of a sync task, with a deadline for each call.
//!
//! At the deadline the thread gets an exception by `PyThreadState_SetAsyncExc`, which CPython
//! raises between two bytecodes. CPython must not raise it outside the task. So the code that
//! begins and ends the attempt is here, in native code: between the last bytecode of the task
//! and the end of the attempt, this thread runs no bytecode. If the exception is still pending
//! then, a function of this module raises and catches it before any other code continues.
//!
//! Why: docs/decisions/0031-a-timeout-ends-at-the-next-bytecode.md

use std::sync::Arc;
use std::time::Duration;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

use super::watchlist::{Token, Watchlist};
use crate::fork;

/// A function whose calls have a deadline.
#[pyclass(frozen, module = "fluxqueue_core._core")]
pub struct TimedCall {
    function: Py<PyAny>,
    timeout: Duration,
    watchlist: Arc<Watchlist>,
}

impl TimedCall {
    pub(super) fn new(function: Py<PyAny>, timeout: Duration, watchlist: Arc<Watchlist>) -> TimedCall {
        TimedCall { function, timeout, watchlist }
    }
}

#[pymethods]
impl TimedCall {
    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let thread = thread_ident(py)?;
        let generation = fork::generation();
        let id = self.watchlist.add(py, Token::Thread(thread), self.timeout);
        let result = self.function.bind(py).call(args, kwargs);
        // In a child process that the task has forked there are no deadlines: the thread that
        // held the lock at the fork does not exist there to release it.
        if fork::generation() != generation || !self.watchlist.remove(py, id) {
            return result;
        }
        drop_pending(task_timeout(py)?, thread)?;
        Err(timed_out(py, self.timeout, result.err())?)
    }
}

pub(super) fn task_timeout(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "fluxqueue_core.errors", "TaskTimeout")
}

/// Imports everything that `interrupt` and `drop_pending` need, before they need it: an import of
/// traced code does not end while the flag of `clear_flag` is set.
pub(super) fn prepare(py: Python<'_>) -> PyResult<()> {
    task_timeout(py)?;
    thread_ident(py)?;
    nothing(py).map(drop)
}

/// A Python function that does nothing.
fn nothing(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static NOTHING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let made = NOTHING.get_or_try_init(py, || py.eval(c"lambda: None", None, None).map(Bound::unbind));
    made.map(|nothing| nothing.bind(py))
}

/// Returns `threading.get_ident()`, by which CPython finds a thread.
pub(super) fn thread_ident(py: Python<'_>) -> PyResult<u64> {
    static GET_IDENT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    GET_IDENT.import(py, "_thread", "get_ident")?.call0()?.extract()
}

/// Makes the thread raise `class` at its next bytecode.
pub(super) fn interrupt(class: &Bound<'_, PyType>, thread: u64) {
    // SAFETY: this thread is attached, and the class is a live object, to which CPython takes
    // another reference. If the thread has ended, CPython does not find it and does nothing.
    unsafe { ffi::PyThreadState_SetAsyncExc(thread as _, class.as_ptr()) };
}

/// Clears the flag that says that some thread has a pending exception.
///
/// CPython 3.11 has one flag for all threads. While it is set, no traced function gets past
/// its start, in any thread (`DO_TRACING` in `Python/ceval.c` checks the flag before RESUME,
/// and repeats itself). With coverage or a debugger, all threads would wait for one thread that
/// is blocked in C. Another exception, raised in this thread, clears the flag. No
/// exception is lost: the blocked thread does not hold the GIL, and when it takes the GIL,
/// CPython sets the flag again (`take_gil` in `Python/ceval_gil.h`).
///
/// From 3.12 on, a function gets past its start. From 3.13 on, each thread has its own flag.
pub(super) fn clear_flag(py: Python<'_>) -> PyResult<()> {
    if py.version_info() >= (3, 12) {
        return Ok(());
    }
    drop_pending(task_timeout(py)?, thread_ident(py)?)
}

/// Raises an exception of `class` that may be pending in this thread, and drops it.
///
/// First it sets the exception once more. Then one is pending, whether or not CPython has
/// raised the first one in the task. This also sets the flag that makes CPython check, which
/// an exception raised in another thread may have cleared. (NULL instead of the exception would
/// drop it, but leave the flag set, and every thread on the slow path.)
pub(super) fn drop_pending(class: &Bound<'_, PyType>, thread: u64) -> PyResult<()> {
    let py = class.py();
    let nothing = nothing(py)?;
    interrupt(class, thread);
    match nothing.call0() {
        Err(error) if error.is_instance(py, class) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

/// Makes the exception for an attempt that ran past its deadline. If the attempt `raised` an
/// exception, the new one has its traceback, and has it as its context if it is of another
/// class.
pub(super) fn timed_out(py: Python<'_>, timeout: Duration, raised: Option<PyErr>) -> PyResult<PyErr> {
    let class = task_timeout(py)?;
    let error = class.call1((format!("the task ran for longer than its timeout of {} s", timeout.as_secs_f64()),))?;
    if let Some(raised) = raised {
        // Asks CPython, not the exception: its class may have redefined these attributes.
        error.setattr("__traceback__", raised.traceback(py))?;
        if !raised.is_instance(py, class) {
            error.setattr("__context__", raised.into_value(py))?;
        }
    }
    Ok(PyErr::from_value(error))
}
