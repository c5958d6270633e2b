//! A sync task's function, with a deadline for each call.
//!
//! At its deadline the thread gets an exception by `PyThreadState_SetAsyncExc`,
//! which CPython raises between two bytecodes. It must not be raised anywhere
//! but in the task. So what begins and ends the attempt is here, in native code:
//! from the task's last bytecode to the end of the attempt none runs in this
//! thread, and an exception that is still pending then is raised, and caught, in
//! a function of this module before any other code continues.

use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyBaseException;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

use super::shared::{Shared, Token};
use crate::fork;

/// The stand-in for a function whose calls have a deadline.
#[pyclass(frozen, module = "fluxqueue_core._core")]
pub struct TimedCall {
    function: Py<PyAny>,
    timeout: Duration,
    shared: Arc<Shared>,
}

impl TimedCall {
    pub(super) fn new(function: Py<PyAny>, timeout: Duration, shared: Arc<Shared>) -> TimedCall {
        TimedCall { function, timeout, shared }
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
        let id = self.shared.add(Token::Thread(thread), self.timeout);
        let result = self.function.bind(py).call(args, kwargs);
        // A child process that the task has forked has no deadlines: the thread that
        // held the lock at that moment does not exist there to release it.
        if fork::generation() != generation || !self.shared.remove(id) {
            return result;
        }
        deliver(py, thread)?;
        Err(timed_out(py, self.timeout, result.err())?)
    }
}

fn task_timeout(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "fluxqueue_core.errors", "TaskTimeout")
}

/// Imports what `interrupt` and `deliver` need, before they need it. An import releases
/// the GIL (so does the first look into a `PyOnceLock`), and `interrupt` is called under
/// the lock for which threads wait with the GIL. Nor does an import of traced code end
/// while the flag of `clear_flag` is set.
pub(super) fn prepare(py: Python<'_>) -> PyResult<()> {
    task_timeout(py)?;
    thread_ident(py)?;
    nothing(py).map(drop)
}

/// A function that does nothing.
fn nothing(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static NOTHING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let made = NOTHING.get_or_try_init(py, || py.eval(c"lambda: None", None, None).map(Bound::unbind));
    made.map(|nothing| nothing.bind(py))
}

/// `threading.get_ident()`, by which CPython finds a thread.
fn thread_ident(py: Python<'_>) -> PyResult<u64> {
    static GET_IDENT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    GET_IDENT.import(py, "_thread", "get_ident")?.call0()?.extract()
}

/// Makes the thread raise TaskTimeout at its next bytecode.
pub(super) fn interrupt(py: Python<'_>, thread: u64) -> PyResult<()> {
    let class = task_timeout(py)?;
    // SAFETY: the GIL is held, and the class is a live object, to which CPython takes
    // another reference. CPython does not find a thread that has ended.
    unsafe { ffi::PyThreadState_SetAsyncExc(thread as _, class.as_ptr()) };
    Ok(())
}

/// Clears the flag that says that some thread has an exception pending.
///
/// CPython 3.11 has one for all threads, and while it is set no traced function
/// gets past its start, whichever thread runs it (`DO_TRACING` in
/// `Python/ceval.c` looks at the flag before RESUME, and comes back to itself):
/// with coverage or a debugger all would wait for one thread that is blocked in
/// C. The delivery of another exception, to this thread, clears it, and nothing
/// is lost: the thread that is meant does not have the GIL, and when it takes it
/// CPython sets the flag again (`take_gil` in `Python/ceval_gil.h`).
///
/// From 3.12 on a function goes on past its start, and from 3.13 on each thread
/// has its own flag.
pub(super) fn clear_flag(py: Python<'_>) -> PyResult<()> {
    if py.version_info() >= (3, 12) {
        return Ok(());
    }
    deliver(py, thread_ident(py)?)
}

/// Raises a TaskTimeout that may be pending in this thread, and drops it.
///
/// It is set once more: whether or not the first has been raised in the task,
/// one is pending then, and with it the flag that makes CPython look, which the
/// delivery to another thread may have cleared. (Setting NULL would drop the
/// exception but leave the flag set, and every thread on the slow path.)
fn deliver(py: Python<'_>, thread: u64) -> PyResult<()> {
    let nothing = nothing(py)?;
    interrupt(py, thread)?;
    match nothing.call0() {
        Err(error) if error.is_instance(py, task_timeout(py)?) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

/// The exception for an attempt that ran past its deadline, whichever way it
/// ended: with the traceback of what it raised, which is its context if it is
/// another exception.
pub(super) fn timed_out(py: Python<'_>, timeout: Duration, raised: Option<PyErr>) -> PyResult<PyErr> {
    let class = task_timeout(py)?;
    let error = class.call1((format!("the task ran for longer than its timeout of {} s", timeout.as_secs_f64()),))?;
    if let Some(raised) = raised {
        let raised = raised.into_value(py).into_bound(py).cast_into::<PyBaseException>()?;
        error.setattr("__traceback__", raised.getattr("__traceback__")?)?;
        if !raised.is_instance(class)? {
            error.setattr("__context__", raised)?;
        }
    }
    Ok(PyErr::from_value(error))
}
