//! Conversion of a Python `str` to Rust text. A `str` may have lone surrogates, which UTF-8
//! can't carry: for example, if a command line or a variable has bytes that are not UTF-8.

use std::ops::Deref;

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::errors::{ConfigurationError, Error};

/// The name of a namespace, a queue, a task or a consumer that a function gets from Python.
pub struct Name(pub String);

impl<'py> FromPyObject<'_, 'py> for Name {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Name> {
        let text = value.cast::<PyString>()?;
        if let Ok(name) = text.to_str() {
            return Ok(Name(name.to_owned()));
        }
        let shown: String = text.repr()?.to_string_lossy().chars().take(60).collect();
        let problem = "has lone surrogates, which UTF-8 can't carry";
        Err(Error::Configuration(format!("the name {shown} {problem}; use letters, digits and . _ - : /")).into())
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A number as text, for errors. Python refuses to print an int of thousands of digits.
pub fn shown(number: &Bound<'_, PyAny>) -> String {
    number.str().map_or_else(|_| "too large to print".to_owned(), |text| text.to_string_lossy().into_owned())
}

/// The text of a URL; None if the value is not a `str`. The error does not repeat the URL,
/// which contains a password.
pub fn url(value: &Bound<'_, PyAny>) -> Option<PyResult<String>> {
    let text = value.cast::<PyString>().ok()?;
    Some(text.to_str().map(str::to_owned).map_err(|_| {
        ConfigurationError::new_err(
            "the Redis URL can't be read: it has bytes that are no UTF-8, or lone surrogates; write it in UTF-8",
        )
    }))
}
