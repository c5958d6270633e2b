//! The errors of this crate, and the Python exceptions that they become.
//!
//! The exception classes are in Python (`fluxqueue_core/errors.py`), where users read
//! them. A `PyErr` of an interrupted call passes through unchanged.

use pyo3::PyErr;
use pyo3::exceptions::PyRuntimeError;
use pyo3::import_exception;

import_exception!(fluxqueue_core.errors, ConfigurationError);
import_exception!(fluxqueue_core.errors, BrokerError);
import_exception!(fluxqueue_core.errors, BrokerUnavailable);
import_exception!(fluxqueue_core.errors, EnqueueUncertain);
import_exception!(fluxqueue_core.errors, MessageTooLarge);
import_exception!(fluxqueue_core.errors, MalformedMessage);

/// An error of this crate. Its text never contains a password.
#[derive(Debug)]
pub enum Error {
    /// A URL, a setting or a name is not valid.
    Configuration(String),
    /// Redis replied with an error, and did not execute the command.
    Broker(String),
    /// Like `Broker`, but the next attempt fails in the same way. An operator must give the
    /// user of the URL the right, or correct the password.
    Denied(String),
    /// Redis can't be reached, or is not ready yet. Nothing was executed.
    Unavailable(String),
    /// The connection ended after the command was written and before its reply. Rule 13: a
    /// client never sends it again.
    Uncertain(String),
    /// Redis executed the command, but not all replicas and disks confirmed it in time.
    Unacknowledged(String),
    /// The message is larger than `max_message_bytes`.
    TooLarge(String),
    /// The bytes are not a message of this protocol.
    Malformed(String),
    /// The caller used the object in a way that its contract excludes.
    Misuse(&'static str),
    /// Python raised an exception, for example KeyboardInterrupt during a wait.
    Python(PyErr),
}

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Configuration(text)
            | Error::Broker(text)
            | Error::Denied(text)
            | Error::Unavailable(text)
            | Error::Uncertain(text)
            | Error::Unacknowledged(text)
            | Error::TooLarge(text)
            | Error::Malformed(text) => f.write_str(text),
            Error::Misuse(text) => f.write_str(text),
            Error::Python(error) => error.fmt(f),
        }
    }
}

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        match error {
            Error::Configuration(text) => ConfigurationError::new_err(text),
            Error::Broker(text) | Error::Denied(text) => BrokerError::new_err(text),
            Error::Unavailable(text) => BrokerUnavailable::new_err(text),
            Error::Uncertain(text) | Error::Unacknowledged(text) => EnqueueUncertain::new_err(text),
            Error::TooLarge(text) => MessageTooLarge::new_err(text),
            Error::Malformed(text) => MalformedMessage::new_err(text),
            Error::Misuse(text) => PyRuntimeError::new_err(text),
            Error::Python(error) => error,
        }
    }
}

impl From<PyErr> for Error {
    fn from(error: PyErr) -> Error {
        Error::Python(error)
    }
}
