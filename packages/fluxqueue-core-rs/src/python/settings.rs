//! `Settings`: the configuration as a Python object.

use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyInt;

use crate::config::{Config, Overrides};
use crate::errors::ConfigurationError;

/// Where Redis is and how long to wait for it.
#[pyclass(frozen, module = "fluxqueue_core._core")]
pub struct Settings {
    pub(crate) config: Arc<Config>,
}

fn wrong_type(name: &str, wanted: &str, value: &Bound<'_, PyAny>) -> PyErr {
    // Not its text: a URL has a password in it.
    let kind = value.get_type().name().map_or_else(|_| "an object".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("{name} must be {wanted}, not {kind}"))
}

/// A number, where one is given.
fn number<'py, T>(name: &str, wanted: &str, value: Option<&Bound<'py, PyAny>>) -> PyResult<Option<T>>
where
    T: for<'a> FromPyObject<'a, 'py>,
{
    let Some(value) = value else { return Ok(None) };
    match value.extract::<T>() {
        Ok(number) => Ok(Some(number)),
        Err(_) if value.is_instance_of::<PyInt>() => {
            Err(ConfigurationError::new_err(format!("{name} is {value}; give {wanted}, above 0")))
        }
        Err(_) => Err(wrong_type(name, wanted, value)),
    }
}

#[pymethods]
impl Settings {
    #[new]
    #[pyo3(signature = (redis_url=None, *, connect_timeout=None, timeout=None, max_message_bytes=None))]
    fn new(
        redis_url: Option<&Bound<'_, PyAny>>,
        connect_timeout: Option<&Bound<'_, PyAny>>,
        timeout: Option<&Bound<'_, PyAny>>,
        max_message_bytes: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Settings> {
        let url = match redis_url {
            Some(url) => Some(url.extract::<String>().map_err(|_| wrong_type("redis_url", "a str or None", url))?),
            None => None,
        };
        let overrides = Overrides {
            connect_timeout: number("connect_timeout", "seconds", connect_timeout)?,
            timeout: number("timeout", "seconds", timeout)?,
            max_message_bytes: number("max_message_bytes", "a whole number of bytes", max_message_bytes)?,
        };
        Ok(Settings { config: Arc::new(Config::new(url.as_deref(), &overrides)?) })
    }

    #[getter]
    fn url(&self) -> &str {
        &self.config.url
    }

    #[getter]
    fn display_url(&self) -> &str {
        &self.config.display_url
    }

    #[getter]
    fn connect_timeout(&self) -> f64 {
        self.config.connect_timeout.as_secs_f64()
    }

    #[getter]
    fn timeout(&self) -> f64 {
        self.config.timeout.as_secs_f64()
    }

    #[getter]
    fn max_message_bytes(&self) -> usize {
        self.config.max_message_bytes
    }

    fn __repr__(&self) -> String {
        format!("Settings({:?})", self.config.display_url)
    }
}
