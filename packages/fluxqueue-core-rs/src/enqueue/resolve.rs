//! The ends of futures.

use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use super::outbox::Call;
use crate::errors::Error;

static FUTURE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// A new future; `arguments` names its loop.
pub fn create<'py>(py: Python<'py>, arguments: &Py<PyDict>) -> PyResult<Bound<'py, PyAny>> {
    let class = FUTURE.import(py, "fluxqueue_core.future", "EnqueueFuture")?;
    class.call((), Some(arguments.bind(py)))
}

/// Whether it was cancelled while it waited.
pub fn is_done(py: Python<'_>, future: &Py<PyAny>) -> bool {
    let done = future.call_method0(py, intern!(py, "done"));
    done.and_then(|done| done.is_truthy(py)).unwrap_or(false)
}

/// Redis has the calls. Fails only with what `interruption` lets through, and
/// when all have been told.
pub fn succeed(py: Python<'_>, calls: Vec<Call<Py<PyAny>>>) -> PyResult<()> {
    let none = py.None();
    let mut outcome = Ok(());
    for call in calls {
        let told = call.future.call_method1(py, intern!(py, "set_result"), (&none,));
        if let Err(error) = told {
            outcome = outcome.and(interruption(py, error));
        }
    }
    outcome
}

/// The calls have failed; each future gets an exception of its own.
pub fn fail(py: Python<'_>, calls: Vec<Call<Py<PyAny>>>, error: &Error) -> PyResult<()> {
    let mut outcome = Ok(());
    for call in calls {
        if is_done(py, &call.future) {
            continue;
        }
        let exception = PyErr::from(call.target.failure(again(error), call.count));
        let told = call.future.call_method1(py, intern!(py, "set_exception"), (exception.into_value(py),));
        if let Err(error) = told {
            outcome = outcome.and(interruption(py, error));
        }
    }
    outcome
}

/// A future that was cancelled meanwhile refuses its result, which is nothing to
/// raise. KeyboardInterrupt may come out of any code of the loop, and is.
pub fn interruption(py: Python<'_>, error: PyErr) -> PyResult<()> {
    if error.is_instance_of::<PyException>(py) { Ok(()) } else { Err(error) }
}

fn again(error: &Error) -> Error {
    match error {
        Error::Configuration(text) => Error::Configuration(text.clone()),
        Error::Unavailable(text) => Error::Unavailable(text.clone()),
        Error::Uncertain(text) => Error::Uncertain(text.clone()),
        Error::Unacknowledged(text) => Error::Unacknowledged(text.clone()),
        Error::Denied(text) => Error::Denied(text.clone()),
        Error::Broker(_) | Error::TooLarge(_) | Error::Malformed(_) | Error::Misuse(_) | Error::Python(_) => {
            Error::Broker(error.to_string())
        }
    }
}
