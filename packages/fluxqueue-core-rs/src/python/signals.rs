//! Signals during calls that wait without the GIL.

use pyo3::prelude::*;

use crate::errors::{Error, Result};

/// A waiting call polls this. It raises KeyboardInterrupt, or what a signal handler
/// raises.
pub fn interrupt() -> Result<()> {
    match Python::try_attach(|py| py.check_signals()) {
        Some(outcome) => outcome.map_err(Error::Python),
        None => Err(Error::Unavailable("the interpreter is shutting down".into())),
    }
}
