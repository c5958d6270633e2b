//! Whether an operator has stopped a task by its name and its arguments, before it begins.
//!
//! Why: docs/decisions/0187-workers-judge-strikes.md

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use super::work::Work;

/// Why a task may not begin; None if it may. The registered task decides, which knows the names of
/// its parameters. Without strikes this costs nothing.
pub fn why_struck(
    py: Python<'_>,
    task: &Py<PyAny>,
    work: &Work,
    args: &Py<PyList>,
    kwargs: Option<&Py<PyDict>>,
) -> PyResult<Option<String>> {
    let Some(records) = &work.strikes else { return Ok(None) };
    let records: Vec<_> = records.iter().map(|record| PyBytes::new(py, record)).collect();
    let judged = (work.message.name.as_str(), records, args.bind(py), kwargs.map(|kwargs| kwargs.bind(py)));
    task.call_method1(py, intern!(py, "why_struck"), judged)?.extract(py)
}
