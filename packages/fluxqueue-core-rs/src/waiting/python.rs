//! The classes by which Python waits for results.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::listener::Listener;
use super::mailbox::{Arrivals, Told};
use super::waits::{AwaitedTask, Until};
use crate::config::{Config, Wait};
use crate::connection::{Deployment, hash_slot_of};
use crate::errors::Result;
use crate::keys::Namespace;
use crate::message::is_report;
use crate::python::settings::Settings;
use crate::python::signals::interrupt;
use crate::python::text::Name;
use crate::{fork, ids, names};

/// How often a thread that waits looks for signals.
const SLICE: Duration = Duration::from_millis(100);

/// Waits for the results of one deployment of Redis, for a whole process.
#[pyclass(frozen, module = "fluxqueue_core._core")]
pub struct ResultListener {
    listener: Arc<Listener>,
    generation: u32,
}

#[pymethods]
impl ResultListener {
    #[new]
    fn new(settings: &Settings) -> PyResult<ResultListener> {
        let config = Config { wait: Wait::default(), ..Config::clone(&settings.config) };
        let listener = Arc::new(Listener::new(Deployment::new(config))?);
        Ok(ResultListener { listener, generation: fork::generation() })
    }

    #[getter]
    fn waits(&self) -> usize {
        self.listener.count()
    }

    #[getter]
    fn problem(&self) -> Option<String> {
        self.listener.problem()
    }

    /// Whether a fork made this process after the object.
    #[getter]
    fn forked(&self) -> bool {
        self.generation != fork::generation()
    }

    #[pyo3(signature = (has_fd=false))]
    fn mailbox(&self, has_fd: bool) -> PyResult<Mailbox> {
        let arrivals = Arc::new(Arrivals::new(has_fd)?);
        Ok(Mailbox { listener: self.listener.clone(), arrivals, tasks: Mutex::default(), generation: self.generation })
    }
}

/// Where the results of some waits arrive.
#[pyclass(frozen, module = "fluxqueue_core._core")]
pub struct Mailbox {
    listener: Arc<Listener>,
    arrivals: Arc<Arrivals>,
    /// The waits that have not ended, by token.
    tasks: Mutex<HashMap<u64, (AwaitedTask, Until)>>,
    generation: u32,
}

type Arrived<'py> = (u64, Option<Bound<'py, PyBytes>>, Option<PyErr>);

impl Mailbox {
    fn tasks(&self) -> std::sync::MutexGuard<'_, HashMap<u64, (AwaitedTask, Until)>> {
        self.tasks.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn end(&self, token: u64) {
        let awaited = self.tasks().remove(&token);
        if let Some((task, _)) = awaited {
            self.listener.forget(&task, &self.arrivals, token);
        }
    }
}

#[pymethods]
impl Mailbox {
    #[getter]
    fn fd(&self) -> Option<i32> {
        self.arrivals.fd()
    }

    #[pyo3(signature = (namespace, queue, task_ids, first, until="outcome"))]
    fn watch(&self, namespace: Name, queue: Name, task_ids: Vec<String>, first: u64, until: &str) -> PyResult<()> {
        let until = match until {
            "outcome" => Until::Outcome,
            "look" => Until::Look,
            "reported" => Until::Reported,
            other => {
                let text = format!("until is {other:?}; give \"outcome\", \"look\" or \"reported\"");
                return Err(pyo3::exceptions::PyValueError::new_err(text));
            }
        };
        names::check_queue(&queue)?;
        let namespace = Namespace::new(&namespace)?;
        let (key, channel) = (namespace.result_prefix(&queue), namespace.done_prefix(&queue));
        let shard_key = self.listener.deployment.shard_key(hash_slot_of(&key));
        let awaited = |id: &String| -> PyResult<AwaitedTask> {
            let id = ids::read(id).ok_or_else(|| {
                pyo3::exceptions::PyValueError::new_err(format!("the task id {id:?} is not a UUID in lower case"))
            })?;
            let of = |prefix: &str| Bytes::from([prefix.as_bytes(), &id].concat());
            Ok(AwaitedTask { shard_key, channel: of(&channel), key: of(&key) })
        };
        let all = task_ids.iter().map(awaited).collect::<PyResult<Vec<_>>>()?;
        self.tasks().extend((first..).zip(all.iter().map(|task| (task.clone(), until))));
        Ok(self.listener.add(all, &self.arrivals, first, until)?)
    }

    fn collect<'py>(&self, py: Python<'py>) -> Vec<Arrived<'py>> {
        let arrived = self.arrivals.take();
        let mut tasks = self.tasks();
        let goes_on = |until: Until, told: &Told| until == Until::Reported && told.as_ref().is_ok_and(|k| is_report(k));
        let known = arrived.into_iter().filter(|(token, told)| match tasks.get(token) {
            Some((_, until)) if goes_on(*until, told) => true,
            Some(_) => tasks.remove(token).is_some(),
            None => false,
        });
        known
            .map(|(token, told)| match told {
                Ok(result) => (token, Some(PyBytes::new(py, &result)), None),
                Err(fault) => (token, None, Some(fault.error().into())),
            })
            .collect()
    }

    fn wait(&self, py: Python<'_>, timeout: f64) -> Result<bool> {
        let end = Duration::try_from_secs_f64(timeout).ok().and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let left = end.map_or(SLICE, |end| end.saturating_duration_since(Instant::now()));
            if py.detach(|| self.listener.wait(&self.arrivals, left.min(SLICE))) {
                return Ok(true);
            }
            interrupt()?;
            if left <= SLICE && end.is_some_and(|end| Instant::now() >= end) {
                return Ok(false);
            }
        }
    }

    fn forget(&self, token: u64) {
        self.end(token);
    }

    #[getter]
    fn problem(&self) -> Option<String> {
        self.listener.problem()
    }
}

impl Drop for Mailbox {
    /// No wait outlives its mailbox.
    fn drop(&mut self) {
        if self.generation != fork::generation() {
            return; // The waits are the parent's, and its lock may be held forever.
        }
        let tokens: Vec<u64> = self.tasks().keys().copied().collect();
        tokens.into_iter().for_each(|token| self.end(token));
    }
}
