//! Where the results for one caller arrive: an event loop, or a thread that waits.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;

use crate::connection::Sent;
use crate::connection::redis_error;
use crate::consumer::Wake;
use crate::errors::{Error, Result};

/// Why a wait ended without a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitFault(pub String);

impl WaitFault {
    /// The fault of an error reply to a command.
    pub fn of(text: &str, command: &str) -> WaitFault {
        WaitFault(redis_error(text, Sent::Command(command)).to_string())
    }

    /// The fault as an error.
    pub fn error(self) -> Error {
        Error::Broker(self.0)
    }
}

/// The end of a wait: the outcome as JSON, or a fault.
pub type Told = std::result::Result<Bytes, WaitFault>;

/// Results that have arrived, each with the token of its wait.
pub struct Arrivals {
    arrived: Mutex<VecDeque<(u64, Told)>>,
    some: Condvar,
    /// Readable while results wait here. None: a thread waits on `some`.
    wake: Option<Wake>,
}

impl Arrivals {
    /// No results yet. `has_fd`: an event loop will poll.
    pub fn new(has_fd: bool) -> Result<Arrivals> {
        let wake = if has_fd { Some(Wake::new()?) } else { None };
        Ok(Arrivals { arrived: Mutex::default(), some: Condvar::new(), wake })
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(u64, Told)>> {
        self.arrived.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The descriptor that is readable while results wait here.
    pub fn fd(&self) -> Option<i32> {
        self.wake.as_ref().map(Wake::fd)
    }

    /// Adds a result.
    pub fn push(&self, token: u64, told: Told) {
        let mut arrived = self.lock();
        arrived.push_back((token, told));
        let is_first = arrived.len() == 1;
        drop(arrived);
        if is_first {
            self.some.notify_one();
            if let Some(wake) = &self.wake {
                wake.set();
            }
        }
    }

    /// Takes all results.
    pub fn take(&self) -> Vec<(u64, Told)> {
        let mut arrived = self.lock();
        if let Some(wake) = &self.wake {
            wake.clear();
        }
        arrived.drain(..).collect()
    }

    /// Whether a result is here.
    pub fn has_some(&self) -> bool {
        !self.lock().is_empty()
    }

    /// Waits up to `most` for a result. Returns whether one is here.
    pub fn wait(&self, most: Duration) -> bool {
        let arrived = self.lock();
        let waited = self.some.wait_timeout_while(arrived, most, |arrived| arrived.is_empty());
        !waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0.is_empty()
    }
}
