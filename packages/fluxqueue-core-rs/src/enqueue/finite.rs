//! Finds NaN and infinities, which orjson silently writes as null.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString, PyTuple, PyType};

static ENUM: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static FIELDS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
/// The class `frozendict` of Python 3.15.
static FROZEN: PyOnceLock<Option<Py<PyAny>>> = PyOnceLock::new();

/// orjson refuses a deeper nesting.
const DEEPEST: u32 = 256;

/// Raises ValueError if a value that orjson has written holds a float that JSON can't carry.
pub fn check(value: &Bound<'_, PyAny>) -> PyResult<()> {
    if has_non_finite(value, DEEPEST)? {
        return Err(PyValueError::new_err(
            "an argument holds NaN or an infinity, which JSON can't carry; pass None or a string in its place",
        ));
    }
    Ok(())
}

fn any<'py>(values: impl IntoIterator<Item = Bound<'py, PyAny>>, depth: u32) -> PyResult<bool> {
    for value in values {
        if has_non_finite(&value, depth)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Visits the values that orjson visits.
fn has_non_finite(value: &Bound<'_, PyAny>, depth: u32) -> PyResult<bool> {
    let py = value.py();
    if let Ok(float) = value.cast_exact::<PyFloat>() {
        return Ok(!float.value().is_finite());
    }
    if value.is_none()
        || value.is_exact_instance_of::<PyString>()
        || value.is_exact_instance_of::<PyInt>()
        || value.is_exact_instance_of::<PyBool>()
    {
        return Ok(false);
    }
    // Only an object that changed after orjson visited it can be deeper.
    let Some(depth) = depth.checked_sub(1) else { return Ok(false) };
    if let Ok(list) = value.cast::<PyList>() {
        return any(list, depth);
    }
    if let Ok(tuple) = value.cast_exact::<PyTuple>() {
        return any(tuple, depth);
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        // A copy: reading attributes further down may run code that changes the dict.
        return any(dict.values(), depth);
    }
    let frozen = FROZEN
        .get_or_try_init(py, || Ok::<_, PyErr>(py.import("builtins")?.getattr_opt("frozendict")?.map(Bound::unbind)))?;
    if frozen.as_ref().is_some_and(|class| value.get_type().is(class)) {
        return any(value.cast::<PyMapping>()?.values()?, depth);
    }
    if value.is_instance(ENUM.import(py, "enum", "Enum")?)? {
        return has_non_finite(&value.getattr("value")?, depth);
    }
    if value.getattr_opt("__dataclass_fields__")?.is_some() {
        return in_dataclass(value, depth);
    }
    Ok(false)
}

fn in_dataclass(value: &Bound<'_, PyAny>, depth: u32) -> PyResult<bool> {
    let py = value.py();
    let has_slots = value.get_type().getattr("__dict__")?.contains("__slots__")?;
    if !has_slots
        && let Some(attributes) = value.getattr_opt("__dict__")?
        && let Ok(attributes) = attributes.cast::<PyDict>()
    {
        for (name, attribute) in attributes.items().iter().filter_map(|pair| pair.extract().ok()) {
            let (name, attribute): (String, Bound<'_, PyAny>) = (name, attribute);
            if !name.starts_with('_') && has_non_finite(&attribute, depth)? {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    for field in FIELDS.import(py, "dataclasses", "fields")?.call1((value,))?.try_iter()? {
        let name: String = field?.getattr("name")?.extract()?;
        if !name.starts_with('_')
            && let Some(attribute) = value.getattr_opt(name.as_str())?
            && has_non_finite(&attribute, depth)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}
