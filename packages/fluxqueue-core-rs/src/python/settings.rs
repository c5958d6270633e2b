//! `Settings`: the configuration as a Python object.

use std::sync::Arc;

use pyo3::prelude::*;

use crate::config::{Config, Overrides};

/// Where Redis is and how long to wait for it.
#[pyclass(frozen, module = "fluxqueue_core._core")]
pub struct Settings {
    pub(crate) config: Arc<Config>,
}

#[pymethods]
impl Settings {
    #[new]
    #[pyo3(signature = (redis_url=None, *, connect_timeout=None, timeout=None, max_message_bytes=None))]
    fn new(
        redis_url: Option<&str>,
        connect_timeout: Option<f64>,
        timeout: Option<f64>,
        max_message_bytes: Option<usize>,
    ) -> PyResult<Settings> {
        let overrides = Overrides { connect_timeout, timeout, max_message_bytes };
        Ok(Settings { config: Arc::new(Config::new(redis_url, &overrides)?) })
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
