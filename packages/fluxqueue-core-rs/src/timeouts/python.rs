//! The class `Deadlines`, which the worker's threads, its event loop and the thread that
//! watches them share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use super::deadlines::Progress;
use super::guard::{self, TimedCall};
use super::watchlist::{Token, Watchlist};
use crate::errors::Error;

/// The deadlines of a worker's attempts.
#[pyclass(frozen, module = "fluxqueue_core._core")]
pub struct Deadlines {
    watchlist: Arc<Watchlist>,
}

type Expired = (u64, Py<PyAny>, bool);

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
        Ok(Deadlines { watchlist: Arc::new(Watchlist::new(duration(grace, "grace")?)) })
    }

    fn guard(&self, function: Py<PyAny>, timeout: f64) -> PyResult<TimedCall> {
        Ok(TimedCall::new(function, duration(timeout, "timeout")?, self.watchlist.clone()))
    }

    fn add(&self, py: Python<'_>, token: Py<PyAny>, timeout: f64) -> PyResult<u64> {
        Ok(self.watchlist.add(py, Token::Given(token), duration(timeout, "timeout")?))
    }

    fn remove(&self, py: Python<'_>, id: u64) -> bool {
        self.watchlist.remove(py, id)
    }

    fn runs(&self, py: Python<'_>, id: u64) -> bool {
        self.watchlist.runs(py, id)
    }

    fn wait(&self, py: Python<'_>) -> PyResult<Option<Vec<Expired>>> {
        guard::prepare(py)?;
        guard::clear_flag(py)?;
        let class = guard::task_timeout(py)?;
        loop {
            if !py.detach(|| self.watchlist.wait()) {
                return Ok(None);
            }
            let mut found: Vec<Expired> = Vec::new();
            let mut stuck = Vec::new();
            // The lock keeps the attempt's thread from ending the attempt between the check of its
            // deadline and the exception.
            self.watchlist.pass(py, Instant::now(), |id, token, progress| match (token, progress) {
                (Token::Thread(thread), Progress::TimedOut) => guard::interrupt(class, *thread),
                (Token::Thread(thread), _) => stuck.push((id, *thread)),
                (Token::Given(token), progress) => found.push((id, token.clone_ref(py), progress == Progress::Stuck)),
            });
            for (id, thread) in stuck {
                found.push((id, thread.into_py_any(py)?, true));
            }
            // It happens each time: a blocked thread sets the flag again if it takes the GIL in
            // between.
            guard::clear_flag(py)?;
            if !found.is_empty() {
                return Ok(Some(found));
            }
        }
    }

    fn expire(&self, py: Python<'_>) {
        self.watchlist.expire(py);
    }

    fn stop(&self, py: Python<'_>) {
        self.watchlist.stop(py);
    }
}
