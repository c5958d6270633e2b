//! The calls of a bulk: tuples of positional or mappings of keyword arguments.

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PySequence, PyTuple};

use super::encode::Arguments;
use super::per_call::{Due, PerCall};
use super::route::Target;

/// The parts that all calls of a bulk share.
pub struct BulkCalls<'a, 'py> {
    pub target: &'a Target,
    /// Raises if a call does not fit the function.
    pub check: &'a Bound<'py, PyAny>,
    /// Returns the headers and the id of a call.
    pub per_call: Option<&'a Bound<'py, PyAny>>,
    pub due: Option<Due>,
    pub max_bytes: usize,
}

impl<'py> BulkCalls<'_, 'py> {
    /// Appends a call. An error carries the call's `call_index`.
    pub fn append(&self, out: &mut Vec<u8>, call: &Bound<'py, PyAny>, index: usize) -> PyResult<()> {
        let py = call.py();
        let appended = encode(call, self.check).and_then(|arguments| {
            let per_call = PerCall::of_bulk(self.per_call)?.with_due(self.due);
            Ok(self.target.append(out, &arguments, &per_call, self.max_bytes)?)
        });
        appended.inspect_err(|error| {
            // Some exceptions take no attribute.
            let _ = error.value(py).setattr(intern!(py, "call_index"), index);
        })
    }
}

fn encode<'py>(call: &Bound<'py, PyAny>, check: &Bound<'py, PyAny>) -> PyResult<Arguments<'py>> {
    let py = call.py();
    if let Ok(args) = call.cast_exact::<PyTuple>() {
        check.call1(args.clone())?;
        return Arguments::from_tuple(args);
    }
    if let Ok(kwargs) = call.cast_exact::<PyDict>() {
        check.call((), Some(kwargs))?;
        return Arguments::from_dict(kwargs);
    }
    if call.is_instance_of::<PyTuple>() {
        // orjson refuses a namedtuple.
        let args = call.cast::<PySequence>()?.to_tuple()?;
        check.call1(args.clone())?;
        return Arguments::from_tuple(&args);
    }
    if let Ok(mapping) = call.cast::<PyMapping>() {
        let kwargs = PyDict::new(py);
        kwargs.update(mapping)?;
        check.call((), Some(&kwargs))?;
        return Arguments::from_dict(&kwargs);
    }
    Err(PyTypeError::new_err(format!(
        "a call is a {}; make it a tuple of positional arguments or a mapping of keyword arguments",
        call.get_type().name()?
    )))
}
