//! Checks and reads the values that Python gives to a `Consumer`.

use std::collections::HashMap;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList};

use super::caps::Caps;
use super::work::Table;
use crate::errors::{Error, Result};
use crate::message::Message;

/// The most bytes of the text that describes the worker.
pub const WHO_MAX: usize = 4096;

/// The function that decodes arguments.
pub fn loads(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    Ok(LOADS
        .get_or_try_init(py, || Ok::<_, PyErr>(py.import("fluxqueue_core.json_codec")?.getattr("loads")?.unbind()))?
        .bind(py))
}

/// Decodes the arguments of a task.
pub fn arguments(py: Python<'_>, message: &Message) -> PyResult<(Py<PyList>, Option<Py<PyDict>>)> {
    let (loads, raw) = (loads(py)?, &message.raw);
    let args = loads.call1((PyBytes::new(py, &raw[message.args.clone()]),))?.cast_into::<PyList>()?;
    let kwargs = match message.kwargs.clone() {
        Some(range) => Some(loads.call1((PyBytes::new(py, &raw[range]),))?.cast_into::<PyDict>()?.unbind()),
        None => None,
    };
    Ok((args.unbind(), kwargs))
}

/// A duration that Python gives in seconds, at most a year.
pub fn seconds(value: f64, name: &str, least: f64) -> Result<Duration> {
    if value >= least && value <= 86_400.0 * 365.0 {
        return Ok(Duration::from_secs_f64(value));
    }
    Err(Error::Configuration(format!("{name} is {value}; give seconds, at least {least}")))
}

/// The worker as `host:pid`, of the text that describes it. Empty if that text does not say so.
pub fn short_name(who: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Who<'a> {
        #[serde(borrow)]
        host: std::borrow::Cow<'a, str>,
        pid: u32,
    }
    serde_json::from_str(who).map(|who: Who| format!("{}:{}", who.host, who.pid)).unwrap_or_default()
}

/// Reads a mapping from the name of a task to (whether it is async, the task), and adds the tasks
/// to `registered`.
pub fn register(table: &Bound<'_, PyAny>, registered: &mut Vec<Py<PyAny>>) -> PyResult<Table> {
    let mut known = Table::new();
    for item in table.call_method0("items")?.try_iter()? {
        let (name, (is_async, task)): (String, (bool, Py<PyAny>)) = item?.extract()?;
        known.insert(name, (registered.len(), is_async));
        registered.push(task);
    }
    Ok(known)
}

/// The caps of the tasks in `registered`, of pairs of a task and the most of it that may run at once.
/// A task that several queues serve has one cap.
pub fn caps_of(registered: &[Py<PyAny>], given: Vec<(Py<PyAny>, usize)>) -> Caps {
    let positions: HashMap<_, _> = given.iter().enumerate().map(|(at, (task, _))| (task.as_ptr(), at)).collect();
    let mut caps: Vec<(usize, Vec<usize>)> = given.iter().map(|(_, most)| (*most, Vec::new())).collect();
    for (index, task) in registered.iter().enumerate() {
        if let Some(at) = positions.get(&task.as_ptr()) {
            caps[*at].1.push(index);
        }
    }
    Caps::new(registered.len(), caps)
}
