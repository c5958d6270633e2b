//! Checks and reads the values that Python gives to a `Consumer`.

use std::time::Duration;

use pyo3::prelude::*;

use super::work::Table;
use crate::errors::{Error, Result};

/// The most bytes of the text that describes the worker.
pub const WHO_MAX: usize = 4096;

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
