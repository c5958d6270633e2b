//! Ending the futures of calls.

use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};

use super::outbox::{Gives, LoopCall};
use super::verdict::{self, TaskId, Verdict, Verdicts};
use crate::errors::Error;

static FUTURE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// A new future; `arguments` names its loop.
pub fn create<'py>(py: Python<'py>, arguments: &Py<PyDict>) -> PyResult<Bound<'py, PyAny>> {
    let class = FUTURE.import(py, "fluxqueue_core.future", "EnqueueFuture")?;
    class.call((), Some(arguments.bind(py)))
}

/// Whether the application has cancelled it.
pub fn is_done(py: Python<'_>, future: &Py<PyAny>) -> bool {
    let done = future.call_method0(py, intern!(py, "done"));
    done.and_then(|done| done.is_truthy(py)).unwrap_or(false)
}

/// Redis has executed the calls. Fails only with what `interruption` lets through, and after all
/// futures have ended.
pub fn succeed(py: Python<'_>, calls: Vec<LoopCall<Py<PyAny>>>, verdicts: Verdicts) -> PyResult<()> {
    let (none, result) = (py.None(), intern!(py, "set_result"));
    let mut outcome = Ok(());
    let mut tell = |future: &Py<PyAny>, method: &Bound<'_, PyString>, value: &Py<PyAny>| {
        if let Err(error) = future.call_method1(py, method, (value,)) {
            let before = std::mem::replace(&mut outcome, Ok(()));
            outcome = before.and(interruption(py, error));
        }
    };
    let mut each = match verdicts {
        Verdicts::AllEnqueued => None,
        Verdicts::Each(each) => Some(each.into_iter()),
    };
    for call in &calls {
        let of_call = each.as_mut().map(|each| each.by_ref().take(call.count));
        match (&call.gives, of_call) {
            (Gives::Verdicts, Some(of_call)) => {
                let list = verdict::list(py, call.target.dispatch.ids(&call.body).zip(of_call))?;
                tell(&call.future, result, &list.into_any().unbind());
            }
            (Gives::Verdicts, None) => {
                let ids = call.target.dispatch.ids(&call.body);
                let list = verdict::list(py, ids.map(|id| (id, Verdict::Enqueued)))?;
                tell(&call.future, result, &list.into_any().unbind());
            }
            (Gives::Judged(judge), of_call) => {
                let present = of_call.into_iter().flatten().fold(None, |found, verdict| verdict.present().or(found));
                match judge.call1(py, (present.as_ref().map(TaskId::as_str),)) {
                    Ok(judged) => tell(&call.future, result, &judged),
                    Err(raised) => tell(&call.future, intern!(py, "set_exception"), &raised.into_value(py).into_any()),
                }
            }
            (gives, of_call) => {
                of_call.into_iter().flatten().for_each(drop);
                tell(&call.future, result, if let Gives::This(given) = gives { given } else { &none });
            }
        }
    }
    outcome
}

/// The calls have failed. Each future gets a separate exception.
pub fn fail(py: Python<'_>, calls: Vec<LoopCall<Py<PyAny>>>, error: &Error) -> PyResult<()> {
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

/// Swallows the error of a future that refuses its result, since the application has
/// cancelled it. KeyboardInterrupt, which any code of the loop may raise, is passed on.
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
