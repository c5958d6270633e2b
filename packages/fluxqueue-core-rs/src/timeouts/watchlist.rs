//! The attempts with their lock, and the wait for their deadlines.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::sync::MutexExt;

use super::deadlines::{Attempts, Progress};

/// The receiver of a message that the deadline of an attempt has passed.
pub enum Token {
    /// The thread with this identifier, which gets an exception.
    Thread(u64),
    /// The object that `add` got and `wait` returns.
    Given(Py<PyAny>),
}

struct WatchState {
    attempts: Attempts<Token>,
    /// The time at which the watching thread wakes up. None: it sleeps until it is woken.
    wakes_at: Option<Instant>,
    stopped: bool,
}

/// The attempts with their lock.
///
/// A thread that is attached to the interpreter waits for the lock detached, so the holder may call
/// the C API, which may detach and attach again. No holder runs Python code.
pub struct Watchlist {
    state: Mutex<WatchState>,
    changed: Condvar,
}

impl Watchlist {
    /// Makes an empty set. `grace` is the time that an attempt has to end after its deadline.
    pub fn new(grace: Duration) -> Watchlist {
        let state = WatchState { attempts: Attempts::new(grace), wakes_at: None, stopped: false };
        Watchlist { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, WatchState> {
        self.state.lock_py_attached(py).unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Begins an attempt. Returns its number.
    pub fn add(&self, py: Python<'_>, token: Token, timeout: Duration) -> u64 {
        let due = Instant::now() + timeout;
        let mut state = self.lock(py);
        if state.wakes_at.is_none_or(|at| due < at) {
            self.changed.notify_all();
        }
        state.attempts.add(token, due)
    }

    /// Ends an attempt. Returns whether its deadline had passed.
    pub fn remove(&self, py: Python<'_>, id: u64) -> bool {
        // The token is dropped without the lock: that may run a finalizer.
        let removed = self.lock(py).attempts.remove(id);
        removed.is_some_and(|(progress, _)| progress != Progress::Running)
    }

    /// Whether the attempt still runs.
    pub fn runs(&self, py: Python<'_>, id: u64) -> bool {
        self.lock(py).attempts.progress(id).is_some()
    }

    /// Moves each due attempt to its next step and calls `tell` for it, under the lock.
    pub fn pass(&self, py: Python<'_>, now: Instant, tell: impl FnMut(u64, &Token, Progress)) {
        self.lock(py).attempts.pass(now, tell);
    }

    /// Makes all attempts due now whose deadline has not passed.
    pub fn expire(&self, py: Python<'_>) {
        self.lock(py).attempts.expire(Instant::now());
        self.changed.notify_all();
    }

    /// Makes `wait` return false.
    pub fn stop(&self, py: Python<'_>) {
        self.lock(py).stopped = true;
        self.changed.notify_all();
    }

    /// Waits until an attempt may be due, detached. False: `stop` was called.
    pub fn wait(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
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
                // No other thread needs to wake this one: it checks again before it sleeps.
                state.wakes_at = Some(now);
                return !state.stopped;
            }
        }
        false
    }
}
