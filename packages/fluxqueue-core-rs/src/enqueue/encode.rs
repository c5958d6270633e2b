//! Arguments as JSON. orjson writes the bytes; this code borrows them.

use memchr::memmem;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use super::finite;

static DUMPS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The arguments of one call as JSON. By default there are none.
#[derive(Default)]
pub struct Arguments<'py> {
    positional: Option<Bound<'py, PyBytes>>,
    keyword: Option<Bound<'py, PyBytes>>,
}

impl<'py> Arguments<'py> {
    /// Raises the errors of orjson, and ValueError for NaN and infinities.
    ///
    /// May run Python code of the application (orjson reads attributes of dataclasses),
    /// which may enqueue. So the caller holds no lock and no borrow.
    pub fn encode(args: &Bound<'py, PyTuple>, kwargs: &Bound<'py, PyDict>) -> PyResult<Arguments<'py>> {
        let Arguments { positional, .. } = Arguments::from_tuple(args)?;
        Ok(Arguments { positional, ..Arguments::from_dict(kwargs)? })
    }

    /// The arguments of a call without keyword arguments.
    pub fn from_tuple(args: &Bound<'py, PyTuple>) -> PyResult<Arguments<'py>> {
        Ok(Arguments { positional: if args.is_empty() { None } else { Some(dumps(args)?) }, keyword: None })
    }

    /// The arguments of a call with only keyword arguments.
    pub fn from_dict(kwargs: &Bound<'py, PyDict>) -> PyResult<Arguments<'py>> {
        Ok(Arguments { positional: None, keyword: if kwargs.is_empty() { None } else { Some(dumps(kwargs)?) } })
    }

    /// A JSON array.
    pub fn positional(&self) -> &[u8] {
        self.positional.as_ref().map_or(b"[]", |json| json.as_bytes())
    }

    /// A JSON object; None for a call without keyword arguments.
    pub fn keyword(&self) -> Option<&[u8]> {
        self.keyword.as_ref().map(|json| json.as_bytes())
    }
}

fn dumps<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let py = value.py();
    let json = DUMPS.import(py, "fluxqueue_core.json_codec", "dumps")?.call1((value,))?.cast_into::<PyBytes>()?;
    // orjson writes NaN and infinities as null. Without a null, the arguments had neither.
    if memmem::find(json.as_bytes(), b"null").is_some() {
        finite::check(value)?;
    }
    Ok(json)
}
