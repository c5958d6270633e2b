//! `Deadlines`: what the worker's threads, its event loop and the thread that
//! watches them call.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use super::deadlines::{Attempts, Stage};
use super::guard::{self, TimedCall};
use crate::errors::Error;

/// Whom to tell.
pub enum Token {
    /// The thread with this identifier, which gets an exception.
    Thread(u64),
    /// What was given to `add`, which is handed out by `wait`.
    Given(Py<PyAny>),
}

struct State {
    attempts: Attempts<Token>,
    /// Until when the watcher sleeps; None: until it is woken.
    wakes_at: Option<Instant>,
    stopped: bool,
}

/// The attempts with their lock. Whoever holds it never waits for the GIL.
pub struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// An attempt begins.
    pub fn add(&self, token: Token, timeout: Duration) -> u64 {
        let due = Instant::now() + timeout;
        let mut state = self.lock();
        if state.wakes_at.is_none_or(|at| due < at) {
            self.changed.notify_all();
        }
        state.attempts.add(token, due)
    }

    /// It has ended. Whether it had run past its deadline.
    pub fn remove(&self, id: u64) -> bool {
        self.lock().attempts.remove(id).is_some_and(|stage| stage != Stage::Running)
    }

    /// Waits until something may be due. False: stopped.
    fn wait(&self) -> bool {
        let mut state = self.lock();
        while !state.stopped {
            let now = Instant::now();
            state.wakes_at = state.attempts.next(now);
            let Some(next) = state.wakes_at else {
                state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
                continue;
            };
            let left = next.saturating_duration_since(now);
            let (woken, result) =
                self.changed.wait_timeout(state, left).unwrap_or_else(|poisoned| poisoned.into_inner());
            state = woken;
            if result.timed_out() {
                // Nobody need wake it: it looks again before it sleeps.
                state.wakes_at = Some(now);
                return !state.stopped;
            }
        }
        false
    }
}

/// The deadlines of a worker's attempts.
#[pyclass(frozen, module = "fluxqueue_core._core")]
pub struct Deadlines {
    shared: Arc<Shared>,
}

type Due = (u64, Py<PyAny>, bool);

fn duration(seconds: f64, name: &str) -> PyResult<Duration> {
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if seconds <= 86_400.0 * 365.0 => Ok(duration),
        _ => Err(Error::Configuration(format!("{name} is {seconds}; give seconds, at most a year")).into()),
    }
}

#[pymethods]
impl Deadlines {
    #[new]
    fn new(grace: f64) -> PyResult<Deadlines> {
        let attempts = Attempts::new(duration(grace, "grace")?);
        let state = State { attempts, wakes_at: None, stopped: false };
        Ok(Deadlines { shared: Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }) })
    }

    fn guard(&self, function: Py<PyAny>, timeout: f64) -> PyResult<TimedCall> {
        Ok(TimedCall::new(function, duration(timeout, "timeout")?, self.shared.clone()))
    }

    fn add(&self, token: Py<PyAny>, timeout: f64) -> PyResult<u64> {
        Ok(self.shared.add(Token::Given(token), duration(timeout, "timeout")?))
    }

    fn remove(&self, id: u64) -> bool {
        self.shared.remove(id)
    }

    fn runs(&self, id: u64) -> bool {
        self.shared.lock().attempts.stage(id).is_some()
    }

    fn wait(&self, py: Python<'_>) -> PyResult<Option<Vec<Due>>> {
        guard::prepare(py)?;
        guard::clear_flag(py)?;
        loop {
            if !py.detach(|| self.shared.wait()) {
                return Ok(None);
            }
            let mut found: Vec<Due> = Vec::new();
            let mut failure = None;
            // With the GIL: between the look at an attempt and the exception
            // for its thread, that thread can't end it.
            self.shared.lock().attempts.pass(Instant::now(), |id, token, stage| match (token, stage) {
                (Token::Thread(thread), Stage::TimedOut) => failure = guard::interrupt(py, *thread).err(),
                (Token::Thread(thread), _) => match thread.into_pyobject(py) {
                    Ok(thread) => found.push((id, thread.into_any().unbind(), true)),
                    Err(never) => match never {},
                },
                (Token::Given(token), stage) => found.push((id, token.clone_ref(py), stage == Stage::Stuck)),
            });
            if let Some(error) = failure {
                return Err(error);
            }
            // Without the lock, as it may release the GIL. Each time: a blocked
            // thread sets the flag again where it takes the GIL in between.
            guard::clear_flag(py)?;
            if !found.is_empty() {
                return Ok(Some(found));
            }
        }
    }

    fn stop(&self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
    }
}
