//! Generators that run to a `yield` before something, and to their end after it.
//!
//! A generator that ends raises `StopIteration` in Python, which costs more than all the rest.
//! `PyIter_Send` raises nothing.

use pyo3::prelude::*;
use pyo3::types::iterator::PySendResult;
use pyo3::types::{PyList, PyNone, PyTuple};

/// Runs the generator of each function up to its `yield`.
#[pyfunction]
pub fn begin_generators(
    functions: &Bound<'_, PyTuple>,
    argument: &Bound<'_, PyAny>,
    begun: &Bound<'_, PyList>,
) -> PyResult<bool> {
    let nothing = PyNone::get(functions.py());
    for function in functions {
        let generator = function.call1((argument,))?.try_iter()?;
        match generator.send(&nothing)? {
            PySendResult::Next(_) => begun.append(generator)?,
            PySendResult::Return(_) => return Ok(false),
        }
    }
    Ok(true)
}

/// Runs the generators to their ends, the last one first.
#[pyfunction]
pub fn end_generators<'py>(
    begun: &Bound<'py, PyList>,
    value: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    while let Some(last) = begun.len().checked_sub(1) {
        let generator = begun.get_item(last)?;
        begun.del_item(last)?;
        if let PySendResult::Next(_) = generator.try_iter()?.send(value)? {
            return Ok(Some(generator));
        }
    }
    Ok(None)
}
