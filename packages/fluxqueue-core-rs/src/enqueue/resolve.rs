//! The ends of futures.

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

/// Redis has the calls.
pub fn succeed(py: Python<'_>, calls: Vec<Call<Py<PyAny>>>) {
    let none = py.None();
    for call in calls {
        // Refused only by a future that was cancelled meanwhile.
        let _ = call.future.call_method1(py, intern!(py, "set_result"), (&none,));
    }
}

/// The calls have failed; each future gets an exception of its own.
pub fn fail(py: Python<'_>, calls: Vec<Call<Py<PyAny>>>, error: &Error) {
    for call in calls {
        if is_done(py, &call.future) {
            continue;
        }
        let exception = PyErr::from(call.target.failure(again(error), call.count));
        let _ = call.future.call_method1(py, intern!(py, "set_exception"), (exception.into_value(py),));
    }
}

fn again(error: &Error) -> Error {
    match error {
        Error::Configuration(text) => Error::Configuration(text.clone()),
        Error::Unavailable(text) => Error::Unavailable(text.clone()),
        Error::Uncertain(text) => Error::Uncertain(text.clone()),
        other => Error::Broker(other.to_string()),
    }
}
