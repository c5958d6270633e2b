//! `Route`: what is the same for every call of one task.

use std::sync::Arc;

use pyo3::prelude::*;

use super::encode::Arguments;
use super::stamp::Stamp;
use crate::connection::{Slot, bulk, slot_of};
use crate::errors::{Error, Result};
use crate::message::{Envelope, Head, Terms};
use crate::python::text::Name;
use crate::{ids, keys, names};

/// Where a call goes, and its message but for id and arguments.
pub struct Target {
    pub queue: String,
    pub name: String,
    /// The key of the queue's pending list.
    pub key: String,
    /// Its slot, should Redis be a cluster.
    pub slot: Slot,
    terms: Terms,
    envelope: Envelope,
}

impl Target {
    pub fn new(queue: &str, name: &str, terms: Terms) -> Result<Target> {
        names::check_queue(queue)?;
        terms.check().map_err(|fault| fault.in_declaration(name))?;
        Ok(Target {
            queue: queue.to_owned(),
            name: name.to_owned(),
            slot: slot_of(&keys::pending(queue)),
            key: keys::pending(queue),
            envelope: Envelope::new(name, &terms)?,
            terms,
        })
    }

    /// Appends a message, as one argument of a command.
    pub fn append(&self, out: &mut Vec<u8>, arguments: &Arguments, stamp: &Stamp, max_bytes: usize) -> Result<()> {
        let (args, kwargs) = (arguments.positional(), arguments.keyword());
        let id = stamp.task_id.unwrap_or_else(|| ids::task_id(ids::unix_ms()));
        let head = Head::new(&id);
        let len = self.envelope.len(&head, args, kwargs, stamp.headers());
        if len > max_bytes {
            return Err(Error::TooLarge(format!(
                "{}: its message has {len} bytes, more than max_message_bytes allows ({max_bytes}); \
                 store the data elsewhere and pass a reference to it; nothing was sent",
                self.label()
            )));
        }
        out.reserve(len + 32);
        bulk(out, len);
        self.envelope.write(out, &head, args, kwargs, stamp.headers());
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn label(&self) -> String {
        format!("task '{}' (queue '{}')", self.name, self.queue)
    }

    /// The error as its caller is to see it: it names the task, and what has
    /// become of so many calls of it.
    pub fn failure(&self, error: Error, calls: usize) -> Error {
        let label = self.label();
        let (they, were) = match calls {
            1 => ("it".to_owned(), "was"),
            n => (format!("{n} calls"), "were"),
        };
        match error {
            Error::Uncertain(text) => Error::Uncertain(format!(
                "{label}: {text}; {they} may or may not be enqueued, and {were} not sent again: \
                 call again only where running the task twice does no harm"
            )),
            Error::Unacknowledged(text) => {
                let are = if calls == 1 { "is" } else { "are" };
                Error::Unacknowledged(format!(
                    "{label}: {they} {are} in Redis and will run, but can be lost with its master: {text}; nothing was \
                     sent again: call again only where running the task twice does no harm"
                ))
            }
            Error::Unavailable(text) => Error::Unavailable(format!("{label}: {text}; {they} {were} not enqueued")),
            Error::Broker(text) => Error::Broker(format!("{label}: {text}; {they} {were} not enqueued")),
            Error::Denied(text) => Error::Denied(format!("{label}: {text}; {they} {were} not enqueued")),
            other => other,
        }
    }
}

/// The part of a message that is the same for every call of one task.
#[pyclass(frozen, module = "fluxqueue_core._core")]
pub struct Route {
    pub(super) target: Arc<Target>,
}

#[pymethods]
impl Route {
    #[new]
    #[pyo3(signature = (queue, name, max_retries=None, timeout=None), text_signature = "(queue, name, max_retries=3, timeout=None)")]
    fn new(queue: Name, name: Name, max_retries: Option<&Bound<'_, PyAny>>, timeout: Option<f64>) -> PyResult<Route> {
        let mut terms = Terms { timeout, ..Terms::default() };
        if let Some(number) = max_retries {
            terms.max_retries = retries(number)?;
        }
        Ok(Route { target: Arc::new(Target::new(&queue, &name, terms)?) })
    }

    #[getter]
    fn queue(&self) -> &str {
        &self.target.queue
    }

    #[getter]
    fn name(&self) -> &str {
        &self.target.name
    }

    #[getter]
    fn max_retries(&self) -> u32 {
        self.target.terms.max_retries
    }

    #[getter]
    fn timeout(&self) -> Option<f64> {
        self.target.terms.timeout
    }

    fn __repr__(&self) -> String {
        format!("Route(queue={:?}, name={:?})", self.target.queue, self.target.name)
    }
}

/// A number below 0 or beyond 32 bits is a wrong setting, not an OverflowError.
fn retries(number: &Bound<'_, PyAny>) -> PyResult<u32> {
    let overflow = |e: PyErr| match e.is_instance_of::<pyo3::exceptions::PyOverflowError>(number.py()) {
        true => Error::Configuration(format!("max_retries is {number}; give 0 to {}", u32::MAX)).into(),
        false => e,
    };
    number.extract().map_err(overflow)
}
