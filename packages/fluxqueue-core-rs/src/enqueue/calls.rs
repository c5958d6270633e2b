//! The calls of a bulk: tuples of positional or mappings of keyword arguments.

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PySequence, PyTuple};

use super::encode::Arguments;
use super::route::Target;
use super::stamp::Stamp;

/// Appends the message of one call; `check` raises where the call does not fit
/// the function, `stamp` returns what telemetry adds. An error carries the call's
/// `call_index`.
pub fn append<'py>(
    out: &mut Vec<u8>,
    target: &Target,
    call: &Bound<'py, PyAny>,
    check: &Bound<'py, PyAny>,
    stamp: Option<&Bound<'py, PyAny>>,
    index: usize,
    max_bytes: usize,
) -> PyResult<()> {
    let py = call.py();
    let appended = encode(call, check).and_then(|arguments| {
        let stamp = Stamp::of_call(stamp)?;
        Ok(target.append(out, &arguments, &stamp, max_bytes)?)
    });
    appended.inspect_err(|error| {
        // An exception that takes no attribute goes without.
        let _ = error.value(py).setattr(intern!(py, "call_index"), index);
    })
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
