//! `Producer`: what Python calls.

use std::sync::Arc;

use pyo3::exceptions::PyException;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyList, PySequence, PyTuple};

use super::bulk::{IN_FLIGHT, Sender};
use super::calls::{Body, BulkCalls, Spread};
use super::cancel;
use super::command::Naming;
use super::encode::Arguments;
use super::event_loop::LoopConnection;
use super::limit::CallLimit;
use super::lock::CallLock;
use super::loops::Loops;
use super::outbox::{Gives, LoopCall};
use super::per_call::{PerCall, checked_id};
use super::route::{Route, Target};
use super::script_call;
use super::sync;
use super::thread;
use super::verdict::{self, TaskId, Verdict, Verdicts};
use super::wants::Wants;
use crate::config::{Address, Config};
use crate::connection::Deployment;
use crate::errors::{EnqueueUncertain, Error, Result};
use crate::python::settings::Settings;
use crate::python::text::Name;
use crate::{names, scripts};

/// Sends tasks: one connection per thread, one per event loop.
#[pyclass(frozen, subclass, module = "fluxqueue_core._core")]
pub struct Producer {
    /// A copy for this producer, which the tables know it by.
    deployment: Arc<Deployment>,
    loops: Loops,
}

impl Producer {
    /// Sends one call from the calling thread.
    fn send(&self, py: Python<'_>, target: &Target, arguments: &Arguments, call: &PerCall) -> Result<Verdicts> {
        let mut own = thread::take(&self.deployment);
        target.dispatch.begin(&mut own.command, 1, Naming::Digest);
        let sent = target
            .append(&mut own.command, &target.dispatch, arguments, call, self.deployment.config.max_message_bytes)
            .and_then(|()| py.detach(|| sync::dispatch(&self.deployment, target, &mut own)));
        thread::put(&self.deployment, own);
        sent.map_err(|error| target.failure(error, 1))
    }

    /// Gives one call to the running loop.
    fn submit<'py>(
        &self,
        py: Python<'py>,
        target: &Arc<Target>,
        args: &Bound<'py, PyTuple>,
        kwargs: &Bound<'py, PyDict>,
        call: impl FnOnce() -> PyResult<PerCall<'py>>,
        gives: Gives<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.loops.running(py, &self.deployment, target.hash_slot)?;
        let call = call()?;
        let arguments = Arguments::encode(args, kwargs)?;
        let mut body = Body::new(Vec::new(), target);
        target.append(
            &mut body.bytes,
            &target.dispatch,
            &arguments,
            &call,
            self.deployment.config.max_message_bytes,
        )?;
        body.count = 1;
        submit(&connection, body, gives)
    }

    fn send_many(
        &self,
        py: Python<'_>,
        sender: &mut Sender<'_>,
        bulk: &BulkCalls<'_, '_>,
        calls: &Bound<'_, PyAny>,
    ) -> Result<()> {
        let mut chunk = sender.blank();
        for (index, call) in calls.try_iter()?.enumerate() {
            bulk.append(&mut chunk.body, &call?, index)?;
            if chunk.is_full() {
                sender.push(chunk);
                py.detach(|| sender.advance(IN_FLIGHT))?;
                // An iterator written in C gives Ctrl+C no other chance.
                py.check_signals()?;
                chunk = sender.blank();
            }
        }
        if chunk.body.count > 0 {
            sender.push(chunk);
        }
        py.detach(|| sender.advance(0))
    }

    /// Sends all calls of an iterable. Returns how many were enqueued, and their verdicts
    /// if the script enqueued them.
    fn send_all(
        &self,
        py: Python<'_>,
        bulk: &BulkCalls<'_, '_>,
        calls: &Bound<'_, PyAny>,
        wants_all: bool,
    ) -> PyResult<(usize, Vec<(TaskId, Verdict)>)> {
        let mut own = thread::take(&self.deployment);
        let mut sender = Sender::new(&self.deployment, bulk.target, &mut own);
        sender.wants_all = wants_all;
        let outcome = match self.send_many(py, &mut sender, bulk, calls) {
            Ok(()) => Ok((sender.enqueued, sender.verdicts)),
            Err(error) => Err(explain(py, bulk.target, sender, error).unwrap_or_else(|raised| raised)),
        };
        thread::put(&self.deployment, own);
        outcome
    }

    fn calls<'a, 'py>(
        &self,
        route: &'a Bound<'py, Route>,
        check: &'a Bound<'py, PyAny>,
        per_call: Option<&'a Bound<'py, PyAny>>,
    ) -> BulkCalls<'a, 'py> {
        let max_bytes = self.deployment.config.max_message_bytes;
        let target = &route.get().target;
        BulkCalls { target, check, resolve: None, per_call, headers: None, spread: None, max_bytes }
    }
}

/// The error of a bulk as the caller will see it, after the replies that are still to come.
fn explain(py: Python<'_>, target: &Target, mut sender: Sender<'_>, error: Error) -> PyResult<PyErr> {
    // Ctrl+C does not wait for these replies.
    let interrupted = matches!(&error, Error::Python(raised) if !raised.is_instance_of::<PyException>(py));
    let unknown = if interrupted { sender.unanswered() } else { py.detach(|| sender.settle()) };
    let failed = if matches!(error, Error::Uncertain(_) | Error::Unacknowledged(_)) {
        unknown
    } else {
        sender.taken - sender.acknowledged - unknown
    };
    let error = PyErr::from(target.failure(error, failed));
    if unknown > 0 && !error.is_instance_of::<EnqueueUncertain>(py) {
        error.add_note(py, format!("no answer was read for {unknown} calls, which may or may not be enqueued"))?;
    }
    // Some exceptions take no attribute.
    let _ = error.value(py).setattr(intern!(py, "enqueued"), sender.enqueued);
    Ok(error)
}

#[pymethods]
impl Producer {
    #[new]
    fn new(settings: &Bound<'_, Settings>) -> Producer {
        Producer { deployment: Arc::new(Deployment::new(Config::clone(&settings.get().config))), loops: Loops::new() }
    }

    #[pyo3(signature = (route, args, kwargs, headers=None, task_id=None, lock=None, limit=None))]
    #[expect(clippy::too_many_arguments, reason = "Python passes them by name")]
    fn enqueue(
        &self,
        py: Python<'_>,
        route: &Bound<'_, Route>,
        args: &Bound<'_, PyTuple>,
        kwargs: &Bound<'_, PyDict>,
        headers: Option<Bound<'_, PyBytes>>,
        task_id: Option<&str>,
        lock: Option<CallLock>,
        limit: Option<CallLimit>,
    ) -> PyResult<Option<String>> {
        let call = PerCall::new(headers, task_id)?.wanting(Wants::new(lock, limit)?);
        let arguments = Arguments::encode(args, kwargs)?;
        let present = match self.send(py, &route.get().target, &arguments, &call)? {
            Verdicts::Each(each) => each.first().and_then(|verdict| verdict.present()),
            Verdicts::AllEnqueued => None,
        };
        Ok(present.map(|id| id.as_str().to_owned()))
    }

    #[pyo3(signature = (route, args, kwargs, headers=None, task_id=None, result=None, lock=None, limit=None))]
    #[expect(clippy::too_many_arguments, reason = "Python passes them by name")]
    fn enqueue_async<'py>(
        &self,
        py: Python<'py>,
        route: &Bound<'py, Route>,
        args: &Bound<'py, PyTuple>,
        kwargs: &Bound<'py, PyDict>,
        headers: Option<Bound<'py, PyBytes>>,
        task_id: Option<&str>,
        result: Option<Bound<'py, PyAny>>,
        lock: Option<CallLock>,
        limit: Option<CallLimit>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let gives = match (result, &lock) {
            (None, _) => Gives::Nothing,
            (Some(result), None) => Gives::This(result.unbind()),
            (Some(judge), Some(_)) => Gives::Judged(judge.unbind()),
        };
        let call = || Ok(PerCall::new(headers, task_id)?.wanting(Wants::new(lock, limit)?));
        self.submit(py, &route.get().target, args, kwargs, call, gives)
    }

    #[pyo3(signature = (route, calls, check, per_call=None, *, resolve=None, headers=None, spread=None, verdicts=false))]
    #[expect(clippy::too_many_arguments, reason = "Python passes them by name")]
    fn enqueue_many<'py>(
        &self,
        py: Python<'py>,
        route: &Bound<'py, Route>,
        calls: &Bound<'py, PyAny>,
        check: &Bound<'py, PyAny>,
        per_call: Option<&Bound<'py, PyAny>>,
        resolve: Option<&Bound<'py, PyAny>>,
        headers: Option<Bound<'py, PyBytes>>,
        spread: Option<Spread>,
        verdicts: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let bulk = BulkCalls { resolve, headers, spread, ..self.calls(route, check, per_call) };
        let (enqueued, each) = self.send_all(py, &bulk, calls, verdicts)?;
        if verdicts {
            return Ok(verdict::list(py, each.into_iter())?.into_any());
        }
        Ok(enqueued.into_pyobject(py)?.into_any())
    }

    #[pyo3(signature = (route, calls, check, per_call=None, *, resolve=None, headers=None, spread=None, verdicts=false))]
    #[expect(clippy::too_many_arguments, reason = "Python passes them by name")]
    fn enqueue_chunk_async<'py>(
        &self,
        py: Python<'py>,
        route: &Bound<'py, Route>,
        calls: &Bound<'py, PySequence>,
        check: &Bound<'py, PyAny>,
        per_call: Option<&Bound<'py, PyAny>>,
        resolve: Option<&Bound<'py, PyAny>>,
        headers: Option<Bound<'py, PyBytes>>,
        spread: Option<Spread>,
        verdicts: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let bulk = BulkCalls { resolve, headers, spread, ..self.calls(route, check, per_call) };
        let connection = self.loops.running(py, &self.deployment, bulk.target.hash_slot)?;
        let mut body = Body::new(Vec::new(), bulk.target);
        for (index, call) in calls.try_iter()?.enumerate() {
            bulk.append(&mut body, &call?, index)?;
        }
        if body.count == 0 {
            let future = connection.get().future(py)?;
            let nothing = if verdicts { PyList::empty(py).into_any() } else { py.None().into_bound(py) };
            future.call_method1(intern!(py, "set_result"), (nothing,))?;
            return Ok(future);
        }
        submit(&connection, body, if verdicts { Gives::Verdicts } else { Gives::Nothing })
    }

    fn cancel(&self, py: Python<'_>, queue: Name, task_id: &str) -> PyResult<String> {
        names::check_queue(&queue)?;
        let id = checked_id(task_id)?;
        let namespace = &self.deployment.config.namespace;
        Ok(py.detach(|| cancel::cancel(&self.deployment, namespace, &queue, &id))?)
    }

    fn schedule(&self, py: Python<'_>, queue: Name, arguments: Vec<PyBackedBytes>) -> PyResult<Vec<String>> {
        names::check_queue(&queue)?;
        let keys = self.deployment.config.namespace.of_periodic(&queue);
        let (deployment, script) = (&self.deployment, scripts::schedule());
        Ok(py.detach(|| script_call::words(deployment, script, "schedule", &keys, &arguments))?)
    }

    fn limit_rules(&self, py: Python<'_>, queue: Name, arguments: Vec<PyBackedBytes>) -> PyResult<Vec<String>> {
        names::check_queue(&queue)?;
        let keys = self.deployment.config.namespace.of_rules(&queue);
        let (deployment, script) = (&self.deployment, scripts::limit_rules());
        Ok(py.detach(|| script_call::words(deployment, script, "limit_rules", &keys, &arguments))?)
    }

    #[pyo3(signature = (route, args, kwargs, headers=None, task_id=None, lock=None, limit=None))]
    #[expect(clippy::too_many_arguments, reason = "Python passes them by name")]
    fn message<'py>(
        &self,
        py: Python<'py>,
        route: &Bound<'py, Route>,
        args: &Bound<'py, PyTuple>,
        kwargs: &Bound<'py, PyDict>,
        headers: Option<Bound<'py, PyBytes>>,
        task_id: Option<&str>,
        lock: Option<CallLock>,
        limit: Option<CallLimit>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let call = PerCall::new(headers, task_id)?.wanting(Wants::new(lock, limit)?);
        let arguments = Arguments::encode(args, kwargs)?;
        let max_bytes = self.deployment.config.max_message_bytes;
        Ok(PyBytes::new(py, &route.get().target.message(&arguments, &call, max_bytes)?))
    }

    #[getter]
    fn max_message_bytes(&self) -> usize {
        self.deployment.config.max_message_bytes
    }

    #[getter]
    fn server(&self) -> (String, Option<u16>) {
        match (&self.deployment.config.address, self.deployment.config.address.nodes()) {
            (Address::Unix(path), _) => (path.to_string_lossy().into_owned(), None),
            (_, [node, ..]) => (node.host.clone(), Some(node.port)),
            (_, []) => (String::new(), None),
        }
    }

    #[getter]
    fn namespace(&self) -> &str {
        self.deployment.config.namespace.name()
    }

    fn close(&self, py: Python<'_>) {
        drop(thread::take(&self.deployment));
        self.loops.forget_closed(py);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        self.loops.traverse(&visit)
    }

    fn __clear__(&self, py: Python<'_>) {
        self.loops.retire(py);
    }
}

fn submit<'py>(
    connection: &Bound<'py, LoopConnection>,
    Body { bytes: body, count, target }: Body,
    gives: Gives<Py<PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let future = connection.get().future(connection.py())?;
    let call = LoopCall {
        future: future.clone().unbind(),
        gives,
        target,
        body,
        count,
        deadline: std::time::Duration::ZERO,
        number: 0,
    };
    let may_wait = LoopConnection::push(connection, call).inspect_err(|_| {
        // The caller gets the error and no future, so the call is withdrawn.
        let _ = future.call_method0("cancel");
    })?;
    if may_wait {
        future.setattr(intern!(connection.py(), "_connection"), connection)?;
    }
    Ok(future)
}

impl Drop for Producer {
    /// Other threads close their connections when they open the next one, or end.
    fn drop(&mut self) {
        drop(thread::take(&self.deployment));
        let _ = Python::try_attach(|py| {
            // The interpreter may be raising an exception while it drops objects.
            let pending = PyErr::take(py);
            self.loops.retire(py);
            if let Some(error) = pending {
                error.restore(py);
            }
        });
    }
}
