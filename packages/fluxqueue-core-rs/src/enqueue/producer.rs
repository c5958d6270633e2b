//! `Producer`: what Python calls.

use std::sync::Arc;

use pyo3::exceptions::PyException;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PySequence, PyTuple};

use super::bulk::{IN_FLIGHT, Sender};
use super::calls;
use super::encode::Arguments;
use super::event_loop::LoopConnection;
use super::loops::Loops;
use super::lpush;
use super::outbox::Call;
use super::route::{Route, Target};
use super::stamp::Stamp;
use super::sync;
use super::thread::{self, Line};
use crate::config::{Config, Place};
use crate::connection::Deployment;
use crate::errors::{EnqueueUncertain, Error, Result};
use crate::python::settings::Settings;

/// Sends tasks: one connection per thread, one per event loop.
#[pyclass(frozen, module = "fluxqueue_core._core")]
pub struct Producer {
    /// Our own copy: it also tells this producer from others in the tables.
    deployment: Arc<Deployment>,
    loops: Loops,
}

impl Producer {
    fn send_many(
        &self,
        py: Python<'_>,
        sender: &mut Sender<'_>,
        target: &Target,
        calls: &Bound<'_, PyAny>,
        check: &Bound<'_, PyAny>,
        stamp: Option<&Bound<'_, PyAny>>,
    ) -> Result<()> {
        let mut chunk = sender.blank();
        for (index, call) in calls.try_iter()?.enumerate() {
            calls::append(
                &mut chunk.body,
                target,
                &call?,
                check,
                stamp,
                index,
                self.deployment.config.max_message_bytes,
            )?;
            chunk.count += 1;
            if chunk.is_full() {
                sender.push(chunk);
                py.detach(|| sender.advance(IN_FLIGHT))?;
                // An iterator written in C gives Ctrl+C no other chance.
                py.check_signals()?;
                chunk = sender.blank();
            }
        }
        if chunk.count > 0 {
            sender.push(chunk);
        }
        py.detach(|| sender.advance(0))
    }

    fn enqueue_all(
        &self,
        py: Python<'_>,
        line: &mut Line,
        target: &Target,
        calls: &Bound<'_, PyAny>,
        check: &Bound<'_, PyAny>,
        stamp: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let mut sender = Sender::new(&self.deployment, target, line);
        let Err(error) = self.send_many(py, &mut sender, target, calls, check, stamp) else {
            return Ok(sender.acknowledged);
        };
        // Ctrl+C does not wait for the answers that are still to come.
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
        // An exception that takes no attribute goes without.
        let _ = error.value(py).setattr(intern!(py, "enqueued"), sender.acknowledged);
        Err(error)
    }
}

#[pymethods]
impl Producer {
    #[new]
    fn new(settings: &Bound<'_, Settings>) -> Producer {
        Producer { deployment: Arc::new(Deployment::new(Config::clone(&settings.get().config))), loops: Loops::new() }
    }

    #[pyo3(signature = (route, args, kwargs, headers=None, task_id=None))]
    fn enqueue(
        &self,
        py: Python<'_>,
        route: &Bound<'_, Route>,
        args: &Bound<'_, PyTuple>,
        kwargs: &Bound<'_, PyDict>,
        headers: Option<Bound<'_, PyBytes>>,
        task_id: Option<&str>,
    ) -> PyResult<()> {
        let target = &*route.get().target;
        let stamp = Stamp::new(headers, task_id)?;
        let arguments = Arguments::encode(args, kwargs)?;
        let mut line = thread::take(&self.deployment);
        lpush::head(&mut line.command, &target.key, 1);
        let sent = target
            .append(&mut line.command, &arguments, &stamp, self.deployment.config.max_message_bytes)
            .and_then(|()| py.detach(|| sync::deliver(&self.deployment, target.slot, &mut line)));
        thread::put(&self.deployment, line);
        sent.map_err(|error| target.failure(error, 1).into())
    }

    #[pyo3(signature = (route, args, kwargs, headers=None, task_id=None))]
    fn enqueue_async<'py>(
        &self,
        py: Python<'py>,
        route: &Bound<'py, Route>,
        args: &Bound<'py, PyTuple>,
        kwargs: &Bound<'py, PyDict>,
        headers: Option<Bound<'py, PyBytes>>,
        task_id: Option<&str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let target = &route.get().target;
        let connection = self.loops.running(py, &self.deployment, target.slot)?;
        let stamp = Stamp::new(headers, task_id)?;
        let arguments = Arguments::encode(args, kwargs)?;
        let mut body = Vec::new();
        target.append(&mut body, &arguments, &stamp, self.deployment.config.max_message_bytes)?;
        submit(&connection, target, body, 1)
    }

    #[pyo3(signature = (route, calls, check, stamp=None))]
    fn enqueue_many(
        &self,
        py: Python<'_>,
        route: &Bound<'_, Route>,
        calls: &Bound<'_, PyAny>,
        check: &Bound<'_, PyAny>,
        stamp: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let mut line = thread::take(&self.deployment);
        let outcome = self.enqueue_all(py, &mut line, &route.get().target, calls, check, stamp);
        thread::put(&self.deployment, line);
        outcome
    }

    #[pyo3(signature = (route, calls, check, stamp=None))]
    fn enqueue_chunk_async<'py>(
        &self,
        py: Python<'py>,
        route: &Bound<'py, Route>,
        calls: &Bound<'py, PySequence>,
        check: &Bound<'py, PyAny>,
        stamp: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let target = &route.get().target;
        let connection = self.loops.running(py, &self.deployment, target.slot)?;
        let mut body = Vec::new();
        let mut count = 0;
        for call in calls.try_iter()? {
            calls::append(&mut body, target, &call?, check, stamp, count, self.deployment.config.max_message_bytes)?;
            count += 1;
        }
        if count == 0 {
            let future = connection.get().future(py)?;
            future.call_method1(intern!(py, "set_result"), (py.None(),))?;
            return Ok(future);
        }
        submit(&connection, target, body, count)
    }

    #[getter]
    fn max_message_bytes(&self) -> usize {
        self.deployment.config.max_message_bytes
    }

    #[getter]
    fn server(&self) -> (String, Option<u16>) {
        match (&self.deployment.config.place, self.deployment.config.place.nodes()) {
            (Place::Unix(path), _) => (path.to_string_lossy().into_owned(), None),
            (_, [node, ..]) => (node.host.clone(), Some(node.port)),
            (_, []) => (String::new(), None),
        }
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
    target: &Arc<Target>,
    body: Vec<u8>,
    count: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let future = connection.get().future(connection.py())?;
    let target = target.clone();
    let call =
        Call { future: future.clone().unbind(), target, body, count, deadline: std::time::Duration::ZERO, number: 0 };
    LoopConnection::push(connection, call).inspect_err(|_| {
        // The caller gets the error and no future: what was appended is withdrawn.
        let _ = future.call_method0("cancel");
    })?;
    Ok(future)
}

impl Drop for Producer {
    /// Other threads close theirs when they open the next connection, or end.
    fn drop(&mut self) {
        drop(thread::take(&self.deployment));
        let _ = Python::try_attach(|py| {
            // An exception may be on its way while objects die.
            let pending = PyErr::take(py);
            self.loops.retire(py);
            if let Some(error) = pending {
                error.restore(py);
            }
        });
    }
}
