//! The class `Settings`: the configuration as a Python object.

use std::collections::HashMap;
use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString};

use crate::config::{Address, Certificates, Config, Overrides, Sentinels};
use crate::errors::ConfigurationError;
use crate::python::text::{self, Name};

/// The address of Redis, and how long to wait for it.
#[pyclass(frozen, module = "fluxqueue_core._core")]
pub struct Settings {
    pub(crate) config: Arc<Config>,
}

fn wrong_type(name: &str, wanted: &str, value: &Bound<'_, PyAny>) -> PyErr {
    // The error does not repeat the value: a URL contains a password.
    let kind = value.get_type().name().map_or_else(|_| "an object".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("{name} must be {wanted}, not {kind}"))
}

/// Reads an optional number. `wanted` and `least` describe it in the error.
fn number<'py, T>(name: &str, wanted: &str, least: &str, value: Option<&Bound<'py, PyAny>>) -> PyResult<Option<T>>
where
    T: for<'a> FromPyObject<'a, 'py>,
{
    let Some(value) = value else { return Ok(None) };
    match value.extract::<T>() {
        Ok(number) => Ok(Some(number)),
        Err(_) if value.is_instance_of::<PyInt>() => {
            Err(ConfigurationError::new_err(format!("{name} is {}; give {wanted}, {least}", text::shown(value))))
        }
        Err(_) => Err(wrong_type(name, wanted, value)),
    }
}

impl Settings {
    fn sentinels(&self) -> Option<&Sentinels> {
        match &self.config.address {
            Address::Sentinel(sentinels) => Some(sentinels),
            _ => None,
        }
    }
}

#[pymethods]
impl Settings {
    #[new]
    #[pyo3(signature = (
        redis_url=None, *, connect_timeout=None, timeout=None, max_message_bytes=None,
        wait_replicas=None, wait_aof=None, wait_timeout=None, namespace=None
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        redis_url: Option<&Bound<'_, PyAny>>,
        connect_timeout: Option<&Bound<'_, PyAny>>,
        timeout: Option<&Bound<'_, PyAny>>,
        max_message_bytes: Option<&Bound<'_, PyAny>>,
        wait_replicas: Option<&Bound<'_, PyAny>>,
        wait_aof: Option<&Bound<'_, PyAny>>,
        wait_timeout: Option<&Bound<'_, PyAny>>,
        namespace: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Settings> {
        let url = match redis_url {
            Some(url) => Some(text::url(url).unwrap_or_else(|| Err(wrong_type("redis_url", "a str or None", url)))?),
            None => None,
        };
        let (seconds, above) = ("seconds", "above 0");
        let overrides = Overrides {
            connect_timeout: number("connect_timeout", seconds, above, connect_timeout)?,
            timeout: number("timeout", seconds, above, timeout)?,
            max_message_bytes: number("max_message_bytes", "a whole number of bytes", above, max_message_bytes)?,
            wait_replicas: number("wait_replicas", "a whole number of replicas", "0 or more", wait_replicas)?,
            wait_aof: match wait_aof {
                Some(value) => Some(value.extract().map_err(|_| wrong_type("wait_aof", "True, False or None", value))?),
                None => None,
            },
            wait_timeout: number("wait_timeout", seconds, above, wait_timeout)?,
            namespace: match namespace {
                Some(value) if value.is_instance_of::<PyString>() => Some(value.extract::<Name>()?.0),
                Some(value) => return Err(wrong_type("namespace", "a str or None", value)),
                None => None,
            },
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
    fn kind(&self) -> &'static str {
        self.config.address.kind()
    }

    #[getter]
    fn nodes(&self) -> Vec<(String, u16)> {
        self.config.address.nodes().iter().map(|node| (node.host.clone(), node.port)).collect()
    }

    #[getter]
    fn service(&self) -> Option<&str> {
        self.sentinels().map(|sentinels| sentinels.service.as_str())
    }

    #[getter]
    fn sentinel_username(&self) -> Option<&str> {
        self.sentinels()?.username.as_deref()
    }

    #[getter]
    fn sentinel_password(&self) -> Option<&str> {
        self.sentinels()?.password.as_deref()
    }

    #[getter]
    fn username(&self) -> Option<&str> {
        self.config.username.as_deref()
    }

    #[getter]
    fn password(&self) -> Option<&str> {
        self.config.password.as_deref()
    }

    #[getter]
    fn database(&self) -> u32 {
        self.config.database
    }

    #[getter]
    fn encrypted(&self) -> bool {
        self.config.encrypted
    }

    #[getter]
    fn certificates(&self) -> HashMap<&'static str, String> {
        let Certificates { ca, cert, key } = self.config.certificates.clone();
        let named = [("ssl_ca_certs", ca), ("ssl_certfile", cert), ("ssl_keyfile", key)];
        named.into_iter().filter_map(|(name, path)| Some((name, path?.to_string_lossy().into_owned()))).collect()
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

    #[getter]
    fn wait_replicas(&self) -> u32 {
        self.config.wait.replicas
    }

    #[getter]
    fn wait_aof(&self) -> bool {
        self.config.wait.aof
    }

    #[getter]
    fn wait_timeout(&self) -> f64 {
        self.config.wait.timeout.as_secs_f64()
    }

    #[getter]
    fn namespace(&self) -> &str {
        self.config.namespace.name()
    }

    fn __repr__(&self) -> String {
        format!("Settings({:?})", self.config.display_url)
    }
}
