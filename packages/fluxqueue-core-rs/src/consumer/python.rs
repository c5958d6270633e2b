//! `Consumer`, the class whose methods the worker's threads call.

use std::sync::Arc;
use std::sync::Mutex;
use std::thread::{self, JoinHandle};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::attempt::Attempt;
use super::claimed;
use super::clock;
use super::driver::Driver;
use super::event::Event;
use super::leading::Leading;
use super::options::Options;
use super::outcome::Outcome;
use super::python_values::{WHO_MAX, arguments, caps_of, loads, register, seconds, short_name};
use super::shared::Shared;
use super::state::Phase;
use super::strike;
use super::work::{Raised, Tasks, Work};
use crate::config::{Address, Config, Wait};
use crate::connection::Deployment;
use crate::errors::{Error, Result};
use crate::ids;
use crate::message::{self, Condemned, Death, Ending, FailureCall};
use crate::names;
use crate::python::settings::Settings;
use crate::python::text::Name;

/// Claims, settles and keeps the lease of a worker process.
#[pyclass(frozen, module = "fluxqueue_core._core")]
pub struct Consumer {
    shared: Arc<Shared>,
    leading: Arc<Leading>,
    deployment: Arc<Deployment>,
    options: Mutex<Option<Options>>,
    driver: Mutex<Option<JoinHandle<()>>>,
    tasks: Vec<Py<PyAny>>,
    queues: Vec<Py<PyString>>,
    /// This worker as `host:pid`, for results.
    worker: String,
    /// The most bytes of a message.
    most: usize,
}

impl Consumer {
    /// Decodes the arguments of an attempt. Returns None if that fails or if the task is struck (the attempt is
    /// then dead), or if its task has expired while the thread waited for the GIL.
    fn decode(&self, py: Python<'_>, work: Work) -> PyResult<Option<Attempt>> {
        if self.shared.ends_expired(&work, clock::now()) {
            return Ok(None);
        }
        match arguments(py, &work.message) {
            Ok((args, kwargs)) => {
                if let Some(why) = strike::why_struck(py, &self.tasks[work.task], &work, &args, kwargs.as_ref())? {
                    self.settle_parked(py, &work, "struck", &why)?;
                    return Ok(None);
                }
                let queue = self.queues[work.queue].clone_ref(py).into_any();
                let task = self.tasks[work.task].clone_ref(py);
                let message::BodyTerms { timeout, timeout_wins, .. } = work.message.terms;
                let mut made = Attempt::new(work, self.shared.clone(), task, queue, args, kwargs);
                if made.work.message.keeps_result() {
                    made.task = made.task.call_method0(py, intern!(py, "keeping"))?;
                }
                if let Some(timeout) = timeout {
                    made.task = made.task.call_method1(py, intern!(py, "with_timeout"), (timeout, timeout_wins))?;
                }
                Ok(Some(made))
            }
            Err(error) => {
                self.settle_parked(py, &work, "malformed", &format!("its arguments can't be decoded: {error}"))?;
                Ok(None)
            }
        }
    }

    /// Ends an attempt that can't run, or may not.
    fn settle_parked(&self, py: Python<'_>, work: &Work, reason: &str, error: &str) -> PyResult<()> {
        let (task_id, name) = (work.message.task_id().to_owned(), work.message.name.clone());
        let ending = self.ending(work);
        let (outcome, event) = claimed::parked(reason, error, task_id, name, None, ending.as_ref());
        let call = self.failure_call(py, work, reason, error, None)?;
        self.shared.finish(work, outcome.following(call), clock::now());
        let mut state = self.shared.lock();
        state.tell(work.queue, event);
        self.shared.wake(state);
        Ok(())
    }

    /// The end, now, of the task of an attempt. None: its result is not kept.
    fn ending(&self, work: &Work) -> Option<Ending<'_>> {
        let finished = ids::unix_ms();
        let mut ending = Ending::of_message(&work.message, finished)?;
        let ran = clock::now().saturating_sub(work.begun_at);
        ending.started = Some(finished.saturating_sub(ran.as_millis() as u64));
        ending.worker = Some(&self.worker);
        Some(ending)
    }

    /// The call that follows if the task of an attempt is dead. None: it has no callback.
    fn failure_call(
        &self,
        py: Python<'_>,
        work: &Work,
        reason: &str,
        error: &str,
        traceback: Option<&str>,
    ) -> PyResult<Option<FailureCall>> {
        let (queue, has_begun) =
            (self.queues[work.queue].bind(py).to_str()?, !matches!(reason, "malformed" | "struck"));
        Ok(Death { queue, reason, error, traceback, has_begun, most: self.most }.call(&work.message))
    }

    fn finish(&self, attempt: &Attempt, outcome: Outcome) -> Result<bool> {
        attempt.settle()?;
        Ok(self.shared.finish(&attempt.work, outcome, clock::now()))
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

#[pymethods]
impl Consumer {
    #[new]
    #[pyo3(signature = (
        settings, queues, tasks, *, anywhere=None, concurrency=4, suspects=false, save_dead=true, lease=10.0,
        unknown_task_grace=300.0, max_tasks=None, max_message_bytes=None, who="", caps=None
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        settings: &Settings,
        queues: Vec<Name>,
        tasks: &Bound<'_, PyAny>,
        anywhere: Option<&Bound<'_, PyAny>>,
        concurrency: usize,
        suspects: bool,
        save_dead: bool,
        lease: f64,
        unknown_task_grace: f64,
        max_tasks: Option<u64>,
        max_message_bytes: Option<usize>,
        who: &str,
        caps: Option<Vec<(Py<PyAny>, usize)>>,
    ) -> PyResult<Consumer> {
        let queues: Vec<String> = queues.into_iter().map(|queue| queue.0).collect();
        if queues.is_empty() {
            return Err(Error::Configuration("no queue to serve; name at least one".into()).into());
        }
        if !(1..=10_000).contains(&concurrency) {
            let text = format!("concurrency is {concurrency}; give 1 to 10000");
            return Err(Error::Configuration(text).into());
        }
        if max_tasks == Some(0) {
            return Err(Error::Configuration("max_tasks is 0; give 1 or more, or None".into()).into());
        }
        if who.len() > WHO_MAX {
            let text = format!("who has {} bytes; give {WHO_MAX} at most", who.len());
            return Err(Error::Configuration(text).into());
        }
        let grace = seconds(unknown_task_grace, "unknown_task_grace", 0.0)?.as_millis() as u64;
        let lease = seconds(lease, "lease", 1.0)?;
        let is_cluster = matches!(settings.config.address, Address::Cluster(_));
        let options = Options { lease, suspects, save_dead, unknown_grace: grace, who: who.to_owned(), is_cluster };
        let (mut registered, mut per_queue) = (Vec::new(), Vec::new());
        let anywhere = anywhere.map(|table| register(table, &mut registered)).transpose()?;
        let anywhere = Arc::new(anywhere.unwrap_or_default());
        let largest = max_message_bytes.unwrap_or(settings.config.max_message_bytes);
        for queue in &queues {
            names::check_queue(queue)?;
            let own = register(&tasks.get_item(queue)?, &mut registered)?;
            let tasks = Tasks { own, anywhere: anywhere.clone(), queue: queue.clone(), most: largest };
            per_queue.push((queue.clone(), tasks));
        }
        loads(py)?;
        let shared = Shared::new(per_queue, concurrency, grace, largest)?;
        shared.lock().slots.left = max_tasks.unwrap_or(u64::MAX);
        shared.lock().caps = caps_of(&registered, caps.unwrap_or_default());
        let shared = Arc::new(shared);
        Ok(Consumer {
            leading: Arc::new(Leading::new(shared.clone())?),
            shared,
            // Only an enqueue waits for replicas.
            deployment: Arc::new(Deployment::new(Config { wait: Wait::default(), ..Config::clone(&settings.config) })),
            options: Mutex::new(Some(options)),
            driver: Mutex::new(None),
            tasks: registered,
            queues: queues.iter().map(|queue| PyString::intern(py, queue).unbind()).collect(),
            worker: short_name(who),
            most: largest,
        })
    }

    fn start(&self) -> PyResult<()> {
        let options = self.options.lock().unwrap_or_else(|p| p.into_inner()).take();
        let options = options.ok_or(Error::Misuse("the consumer has been started already"))?;
        let driver = Driver::new(self.shared.clone(), self.deployment.clone(), options)?;
        let leading = self.leading.clone();
        let handle = thread::Builder::new().name("fluxqueue-driver".into()).spawn(move || leading.run(driver))?;
        *self.driver.lock().unwrap_or_else(|p| p.into_inner()) = Some(handle);
        Ok(())
    }

    fn take(&self, py: Python<'_>) -> PyResult<Option<Attempt>> {
        loop {
            // If work waits already, takes it without releasing the GIL.
            let at_once = self.shared.try_lock().and_then(|mut state| self.shared.begin_sync(&mut state, clock::now()));
            let work = match at_once {
                Some(work) => Some(work),
                None => py.detach(|| self.leading.wait_for_work()),
            };
            let Some(work) = work else { return Ok(None) };
            if let Some(attempt) = self.decode(py, work)? {
                return Ok(Some(attempt));
            }
        }
    }

    fn wants_thread(&self) -> bool {
        self.shared.lock().wants_thread()
    }

    fn give_up_threads(&self, count: usize) {
        self.shared.lock().slots.give_up_threads(count);
    }

    fn take_async(&self, py: Python<'_>) -> PyResult<Option<Attempt>> {
        while let Some(work) = self.shared.begin_async(clock::now()) {
            if let Some(attempt) = self.decode(py, work)? {
                return Ok(Some(attempt));
            }
        }
        Ok(None)
    }

    #[getter]
    fn async_fd(&self) -> i32 {
        self.shared.for_loop.fd()
    }

    #[getter]
    fn event_fd(&self) -> i32 {
        self.shared.for_events.fd()
    }

    fn events(&self, py: Python<'_>) -> Vec<(Py<PyString>, Event)> {
        self.shared.for_events.clear();
        let events: Vec<_> = self.shared.lock().events.drain(..).collect();
        events.into_iter().map(|(queue, event)| (self.queues[queue].clone_ref(py), event)).collect()
    }

    fn succeed(&self, attempt: &Attempt) -> Result<bool> {
        let outcome = Outcome::of_success(&attempt.work.message);
        if outcome == Outcome::Succeeded {
            return self.finish(attempt, outcome);
        }
        let result = self.ending(&attempt.work).map(|ending| ending.succeeded(attempt.value()));
        self.finish(attempt, outcome.keeping(result))
    }

    fn retry(&self, attempt: &Attempt, delay: f64) -> PyResult<bool> {
        let delay = seconds(delay, "delay", 0.0)?.as_millis() as u64;
        Ok(self.finish(attempt, Outcome::Retry { message: message::with_retry(&attempt.message()), delay })?)
    }

    fn snooze(&self, attempt: &Attempt, delay: f64) -> PyResult<bool> {
        let delay = seconds(delay, "delay", 0.0)?.as_millis() as u64;
        Ok(self.finish(attempt, Outcome::Later { message: message::with_snooze(&attempt.message()), delay })?)
    }

    #[pyo3(signature = (attempt, reason, error, traceback=None))]
    fn make_dead(
        &self,
        py: Python<'_>,
        attempt: &Attempt,
        reason: &str,
        error: &str,
        traceback: Option<&str>,
    ) -> PyResult<bool> {
        // The worker's setting decides whether failed tasks are kept. Tasks that could not run
        // are always kept.
        let keep = !message::is_failure(reason);
        let result = self.ending(&attempt.work).map(|ending| ending.dead(reason, error, traceback));
        let call = self.failure_call(py, &attempt.work, reason, error, traceback)?;
        let outcome = Outcome::Dead { reason: message::dead_reason(reason, error, traceback), keep };
        Ok(self.finish(attempt, outcome.keeping(result).following(call))?)
    }

    fn cancel(&self, attempt: &Attempt) -> Result<bool> {
        let how = Condemned::Cancelled;
        let result = self.ending(&attempt.work).map(|ending| ending.dead(how.name(), "", None));
        self.finish(attempt, Outcome::Ended(how).keeping(result))
    }

    fn release(&self, attempt: &Attempt) -> Result<bool> {
        self.finish(attempt, Outcome::Release { message: Some(message::with_release(&attempt.message())) })
    }

    fn free_slot(&self, attempt: &Attempt) -> bool {
        let mut state = self.shared.lock();
        if attempt.is_settled() || !state.give_slot_away(&attempt.work, clock::now()) {
            return false;
        }
        self.shared.announce_work(&mut state);
        self.shared.wake(state);
        self.shared.driver.set();
        true
    }

    fn drain(&self) {
        let mut state = self.shared.lock();
        if state.phase == Phase::Serving {
            state.phase = Phase::Draining;
        }
        self.shared.work.notify_all();
        self.shared.driver.set();
    }

    fn release_running(&self, attempts: Vec<PyRef<'_, Attempt>>) {
        let now = clock::now();
        let raised: Raised = attempts
            .iter()
            .map(|each| ((each.work.queue, each.work.message.field_bytes()), message::with_release(&each.message())))
            .collect();
        let mut state = self.shared.lock();
        for queue in 0..state.queues.len() {
            let count = state.release_running(queue, &raised, now);
            if count > 0 {
                state.tell(queue, Event::Released { count });
            }
        }
        self.shared.wake(state);
        self.shared.driver.set();
    }

    #[getter]
    fn drained(&self) -> bool {
        let state = self.shared.lock();
        state.phase != Phase::Serving && state.closed == state.queues.len()
    }

    #[getter]
    fn exhausted(&self) -> bool {
        self.shared.lock().slots.left == 0
    }

    #[getter]
    fn running(&self) -> usize {
        self.shared.lock().slots.running
    }

    #[getter]
    fn idle_for(&self) -> Option<f64> {
        self.shared.lock().slots.idle_for(clock::now()).map(|idle| idle.as_secs_f64())
    }

    #[getter]
    fn turn_age(&self) -> f64 {
        let turned_at = self.shared.lock().turned_at;
        clock::now().saturating_sub(turned_at).as_secs_f64()
    }

    #[getter]
    fn disconnected(&self, py: Python<'_>) -> Vec<Py<PyString>> {
        self.shared.lock().disconnected(clock::now()).map(|queue| self.queues[queue].clone_ref(py)).collect()
    }

    fn stop(&self, py: Python<'_>) {
        self.shared.stop();
        let driver = self.driver.lock().unwrap_or_else(|p| p.into_inner()).take();
        if let Some(driver) = driver {
            // An event has reported a panic in the thread.
            py.detach(|| driver.join().unwrap_or_default());
        }
    }

    /// The tasks refer to the worker, and so to this object.
    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        self.tasks.iter().try_for_each(|task| visit.call(task))
    }
}
