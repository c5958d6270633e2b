//! `Route`: the parts that all calls of one task share.

use std::sync::Arc;

use pyo3::prelude::*;

use super::command::Delivery;
use super::encode::Arguments;
use super::per_call::PerCall;
use crate::connection::{Slot, bulk, slot_of};
use crate::errors::{Error, Result};
use crate::message::{Envelope, Head, Terms};
use crate::python::text::Name;
use crate::{ids, names};

/// Where and how the calls of a task go, and the part that their messages share.
pub struct Target {
    pub queue: String,
    pub name: String,
    pub delivery: Delivery,
    /// The slot of the queue's keys, for a cluster.
    pub slot: Slot,
    terms: Terms,
    envelope: Envelope,
}

impl Target {
    /// `delivery` makes the delivery to a queue whose name is good.
    pub fn new(queue: &str, name: &str, terms: Terms, delivery: fn(&str) -> Delivery) -> Result<Target> {
        names::check_queue(queue)?;
        terms.check().map_err(|fault| fault.in_declaration(name))?;
        let delivery = delivery(queue);
        Ok(Target {
            queue: queue.to_owned(),
            name: name.to_owned(),
            slot: slot_of(delivery.key()),
            delivery,
            envelope: Envelope::new(name, &terms)?,
            terms,
        })
    }

    /// Appends a call, as arguments of a command.
    pub fn append(&self, out: &mut Vec<u8>, arguments: &Arguments, call: &PerCall, max_bytes: usize) -> Result<()> {
        let (args, kwargs) = (arguments.positional(), arguments.keyword());
        let id = call.id.unwrap_or_else(|| ids::task_id(ids::unix_ms()));
        let head = Head::new(&id);
        let len = self.envelope.len(&head, args, kwargs, call.headers());
        if len > max_bytes {
            return Err(Error::TooLarge(format!(
                "{}: its message has {len} bytes, more than max_message_bytes allows ({max_bytes}); \
                 store the data elsewhere and pass a reference to it; nothing was sent",
                self.label()
            )));
        }
        self.delivery.begin_call(out, call.due)?;
        out.reserve(len + 32);
        bulk(out, len);
        self.envelope.write(out, &head, args, kwargs, call.headers());
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn label(&self) -> String {
        format!("task '{}' (queue '{}')", self.name, self.queue)
    }

    /// The error as the caller will see it: with the task, and with what has happened to
    /// `calls` calls of it.
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

/// The parts that all calls of one task share.
#[pyclass(frozen, module = "fluxqueue_core._core")]
pub struct Route {
    pub(super) target: Arc<Target>,
}

impl Route {
    fn with_delivery(
        queue: &str,
        name: &str,
        max_retries: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
        delivery: fn(&str) -> Delivery,
    ) -> PyResult<Route> {
        let mut terms = Terms { timeout, ..Terms::default() };
        if let Some(number) = max_retries {
            terms.max_retries = retries(number)?;
        }
        Ok(Route { target: Arc::new(Target::new(queue, name, terms, delivery)?) })
    }
}

#[pymethods]
impl Route {
    #[new]
    #[pyo3(signature = (queue, name, max_retries=None, timeout=None), text_signature = "(queue, name, max_retries=3, timeout=None)")]
    fn new(queue: Name, name: Name, max_retries: Option<&Bound<'_, PyAny>>, timeout: Option<f64>) -> PyResult<Route> {
        Route::with_delivery(&queue, &name, max_retries, timeout, Delivery::push)
    }

    /// A route whose calls the script `enqueue` delivers. For tests of the core: no
    /// option of a task needs the script yet.
    #[staticmethod]
    #[pyo3(signature = (queue, name, max_retries=None, timeout=None))]
    fn _scripted(
        queue: Name,
        name: Name,
        max_retries: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<Route> {
        Route::with_delivery(&queue, &name, max_retries, timeout, Delivery::script)
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

/// A number below 0 or above 32 bits is a wrong setting, not an OverflowError.
fn retries(number: &Bound<'_, PyAny>) -> PyResult<u32> {
    let overflow = |e: PyErr| match e.is_instance_of::<pyo3::exceptions::PyOverflowError>(number.py()) {
        true => Error::Configuration(format!("max_retries is {number}; give 0 to {}", u32::MAX)).into(),
        false => e,
    };
    number.extract().map_err(overflow)
}
