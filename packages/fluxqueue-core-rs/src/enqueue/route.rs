//! `Route`: the parts that all calls of one task share.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::command::Dispatch;
use super::encode::Arguments;
use super::limit::LimitTerms;
use super::lock::LockTerms;
use super::per_call::{Due, PerCall};
use super::wants::WantedTerms;
use crate::connection::{HashSlot, bulk, hash_slot_of};
use crate::errors::{Error, Result};
use crate::keys::Namespace;
use crate::message::{Envelope, Head, Tail, Terms};
use crate::python::text::Name;
use crate::{ids, names};

/// Makes the dispatch of a queue whose name is good.
pub type MakeDispatch = fn(&Namespace, &str) -> Dispatch;

/// Where and how the calls of a task go, and the part that their messages share.
pub struct Target {
    pub queue: String,
    pub name: String,
    pub dispatch: Dispatch,
    /// The hash slot of the queue's keys, for a cluster.
    pub hash_slot: HashSlot,
    /// When its calls are due.
    due: Due,
    terms: Terms,
    /// The terms of locks and limits.
    wants: Option<Box<WantedTerms>>,
    /// The options in the heads of the messages.
    opts: Option<String>,
    envelope: Envelope,
}

impl Target {
    /// The target of a task, of which `dispatch` makes the dispatch.
    pub fn new(namespace: &Namespace, queue: &str, name: &str, terms: Terms, dispatch: MakeDispatch) -> Result<Target> {
        names::check_queue(queue)?;
        terms.check().map_err(|fault| fault.in_declaration(name))?;
        let dispatch = dispatch(namespace, queue);
        Ok(Target {
            queue: queue.to_owned(),
            name: name.to_owned(),
            hash_slot: hash_slot_of(dispatch.key()),
            dispatch,
            due: Due::default(),
            envelope: Envelope::new(name, &terms)?,
            wants: None,
            opts: terms.opts(),
            terms,
        })
    }

    /// Appends a call, as arguments of a command that `dispatch` has begun: that of this target, or
    /// of another one of the queue.
    pub fn append(
        &self,
        out: &mut Vec<u8>,
        dispatch: &Dispatch,
        arguments: &Arguments,
        call: &PerCall,
        max_bytes: usize,
    ) -> Result<()> {
        let begin = |out: &mut Vec<u8>, wish: &str| dispatch.begin_call(out, self.due.later(call.later), wish);
        self.write(out, begin, arguments, call, max_bytes)
    }

    /// Writes a message as a bulk string, behind what `begin` writes of what the call wants.
    fn write(
        &self,
        out: &mut Vec<u8>,
        begin: impl FnOnce(&mut Vec<u8>, &str),
        arguments: &Arguments,
        call: &PerCall,
        max_bytes: usize,
    ) -> Result<()> {
        let opts = self.opts.as_deref();
        match (&self.wants, &call.wants) {
            (None, None) => self.write_with(out, |out| begin(out, ""), opts, arguments, call, max_bytes),
            (Some(terms), Some(wants)) => {
                let (opts, wish) = terms.of_call(opts, wants)?;
                self.write_with(out, |out| begin(out, &wish), opts.as_deref(), arguments, call, max_bytes)
            }
            _ => Err(Error::Misuse("a route and its calls want a lock or a limit, or neither")),
        }
    }

    fn write_with(
        &self,
        out: &mut Vec<u8>,
        begin: impl FnOnce(&mut Vec<u8>),
        opts: Option<&str>,
        arguments: &Arguments,
        call: &PerCall,
        max_bytes: usize,
    ) -> Result<()> {
        let (args, kwargs) = (arguments.positional(), arguments.keyword());
        let id = call.id.unwrap_or_else(|| ids::task_id(ids::unix_ms()));
        let head = Head { opts: opts.map(str::as_bytes), ..Head::new(&id) };
        let enqueued_at = call.id.as_ref().and_then(enqueued_at);
        let due = self.due.later(call.later).moment(|| enqueued_at.unwrap_or_else(|| ids::time_of(&id)));
        let tail = Tail { headers: call.headers(), enqueued_at, due };
        let len = self.envelope.len(&head, args, kwargs, &tail);
        if len > max_bytes {
            return Err(Error::TooLarge(format!(
                "{}: its message has {len} bytes, more than max_message_bytes allows ({max_bytes}); \
                 store the data elsewhere and pass a reference to it; nothing was sent",
                self.label()
            )));
        }
        begin(out);
        out.reserve(len + 32);
        bulk(out, len);
        self.envelope.write(out, &head, args, kwargs, &tail);
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// The message of a call, which is not sent.
    pub fn message(&self, arguments: &Arguments, call: &PerCall, max_bytes: usize) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.write(&mut out, |_, _| (), arguments, call, max_bytes)?;
        let begin = out.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        out.truncate(out.len() - 2);
        Ok(out.split_off(begin))
    }

    /// The task's name and queue, for error messages and warnings.
    pub fn label(&self) -> String {
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

/// The time for the message of a call whose id has none.
fn enqueued_at(id: &[u8; 36]) -> Option<u64> {
    (!ids::has_time(id)).then(ids::unix_ms)
}

/// The parts that all calls of one task share, or those with the same options.
#[pyclass(frozen, module = "fluxqueue_core._core")]
pub struct Route {
    pub(super) target: Arc<Target>,
}

fn script_for(terms: &Terms) -> MakeDispatch {
    if terms.priority > 0 { Dispatch::ranked } else { Dispatch::script }
}

#[pymethods]
impl Route {
    #[new]
    #[pyo3(
        signature = (queue, name, *, namespace=None, delay=None, at=None, lock=None, limit=None, **terms),
        text_signature = "(queue, name, *, namespace='', delay=None, at=None, lock=None, limit=None, **terms)"
    )]
    #[expect(clippy::too_many_arguments, reason = "Python passes them by name")]
    fn new(
        queue: Name,
        name: Name,
        namespace: Option<Name>,
        delay: Option<u64>,
        at: Option<u64>,
        lock: Option<(String, u64, bool, u64)>,
        limit: Option<(u64, u64, u64)>,
        terms: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Route> {
        let due = match (delay, at) {
            (Some(_), Some(_)) => return Err(PyValueError::new_err("a route has a delay or a time, not both")),
            (delay, at) => delay.map(Due::In).or(at.map(Due::At)),
        };
        let terms = Terms::read(terms)?;
        let lock = lock.map(|(conflict, ttl, start, most)| LockTerms::new(conflict, ttl, start, most)).transpose()?;
        let limit = limit.map(|(most, period, burst)| LimitTerms::new(most, period, burst)).transpose()?;
        let wants = WantedTerms::new(lock, limit);
        let dispatch = match &wants {
            Some(_) => Dispatch::locking,
            None if due.is_some() || terms.need_script() => script_for(&terms),
            None => Dispatch::push,
        };
        let namespace = Namespace::new(namespace.as_deref().unwrap_or_default())?;
        let target = Target::new(&namespace, &queue, &name, terms, dispatch)?;
        Ok(Route { target: Arc::new(Target { due: due.unwrap_or_default(), wants, ..target }) })
    }

    /// Whether the script `enqueue` writes the calls.
    #[getter]
    fn scripted(&self) -> bool {
        self.target.dispatch.is_script()
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
    fn terms(&self) -> Terms {
        self.target.terms.clone()
    }

    /// When the calls are due: milliseconds from now, and the time; one of them is None.
    #[getter]
    fn due(&self) -> (Option<u64>, Option<u64>) {
        match self.target.due {
            Due::In(ms) => (Some(ms), None),
            Due::At(ms) => (None, Some(ms)),
        }
    }

    /// The lock that the calls want, as the route got it.
    #[getter]
    fn lock(&self) -> Option<(&str, u64, bool, u64)> {
        self.target.wants.as_ref()?.lock()
    }

    fn __repr__(&self) -> String {
        format!("Route(queue={:?}, name={:?})", self.target.queue, self.target.name)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::Message;

    #[test]
    fn each_message_of_a_route_has_its_options() {
        for (result_ttl, opts) in [(None, None), (Some(5.0), Some(r#"{"r":5000}"#))] {
            let terms = Terms { result_ttl, ..Terms::default() };
            let target = Target::new(&Namespace::default(), "q", "task", terms, Dispatch::push).expect("good names");
            let mut out = Vec::new();
            let append = |out| target.append(out, &target.dispatch, &Arguments::default(), &PerCall::default(), 1_000);
            append(&mut out).expect("a short message");
            let (len, rest) = out.split_at(out.iter().position(|b| *b == b'\n').expect("a bulk string") + 1);
            let raw = rest.strip_suffix(b"\r\n").expect("a whole one");
            assert_eq!(len, format!("${}\r\n", raw.len()).as_bytes());
            let message = Message::parse(Bytes::copy_from_slice(raw)).expect("a message");
            assert_eq!(message.opts_json(), opts.map(str::as_bytes));
            assert_eq!(message.name, "task");
        }
    }
}
