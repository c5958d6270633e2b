//! The attempts with their lock, and the thread that waits for their deadlines.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use super::deadlines::{Attempts, Stage};

/// The receiver of an attempt's deadline.
pub enum Token {
    /// The thread with this identifier: it gets an exception.
    Thread(u64),
    /// The object that `add` got, which `wait` hands out.
    Given(Py<PyAny>),
}

struct State {
    attempts: Attempts<Token>,
    /// Until when the watcher sleeps; None: until a thread wakes it.
    wakes_at: Option<Instant>,
    stopped: bool,
}

/// The attempts with their lock. A thread that holds it never waits for the GIL.
pub struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    /// No attempts yet. `grace` is the time that one has to end after its deadline.
    pub fn new(grace: Duration) -> Shared {
        let state = State { attempts: Attempts::new(grace), wakes_at: None, stopped: false };
        Shared { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Begins an attempt.
    pub fn add(&self, token: Token, timeout: Duration) -> u64 {
        let due = Instant::now() + timeout;
        let mut state = self.lock();
        if state.wakes_at.is_none_or(|at| due < at) {
            self.changed.notify_all();
        }
        state.attempts.add(token, due)
    }

    /// Ends it. Whether it had run past its deadline.
    pub fn remove(&self, id: u64) -> bool {
        self.lock().attempts.remove(id).is_some_and(|stage| stage != Stage::Running)
    }

    /// Whether it has not ended.
    pub fn runs(&self, id: u64) -> bool {
        self.lock().attempts.stage(id).is_some()
    }

    /// Moves what is due to its next stage and calls `tell` for it, under the lock.
    pub fn pass(&self, now: Instant, tell: impl FnMut(u64, &Token, Stage)) {
        self.lock().attempts.pass(now, tell);
    }

    /// Ends `wait`.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Waits until something may be due. False: stopped.
    pub fn wait(&self) -> bool {
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
                // No thread need wake it: it looks again before it sleeps.
                state.wakes_at = Some(now);
                return !state.stopped;
            }
        }
        false
    }
}
