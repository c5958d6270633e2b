//! The connection of one event loop. All of it runs in the thread of the loop, except
//! the attempt to connect.
//!
//! A call appends to the outbox. The first call of a turn of the loop schedules `flush`,
//! which writes all calls of the turn. When a reply arrives, the loop calls `readable`,
//! which ends the futures in their order.
//!
//! No Python code runs while the state is locked, not even that of a finalizer: it might
//! enqueue and wait for its own lock.

mod connect;
mod dial;
mod traffic;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use self::dial::Dial;
use super::live_clock::LiveClock;
use super::outbox::{LoopCall, Outbox};
use super::redirects::{Pause, Redirects};
use super::{resolve, thread};
use crate::connection::{Backoff, Connection, Deployment, Slot};
use crate::errors::Error;
use crate::fork;

enum Link {
    /// The next call connects.
    Closed,
    /// An attempt has failed, the next one is scheduled.
    Pausing,
    /// A thread is connecting.
    Connecting(Dial),
    /// Connected. The loop watches for replies.
    Open(Connection),
}

struct State {
    link: Link,
    outbox: Outbox<Py<PyAny>>,
    /// The loop watches for room to write.
    writer: bool,
    /// Redis was not ready; writing goes on after a pause.
    held: bool,
    /// Redis has executed nothing since it refused a command; see `pump`.
    doubtful: bool,
    /// Redis has answered on this connection.
    proven: bool,
    /// The connection leads to a node that ASK has named, for one turn of commands.
    asking: bool,
    /// Another server must get the commands: nothing more is written here, and the loop
    /// connects to the other one after the last reply.
    leaving: Option<Pause>,
    redirects: Redirects,
    flush_due: bool,
    timer_due: bool,
    retired: bool,
    last_used: Instant,
    clock: LiveClock,
    backoff: Backoff,
    /// Why nothing could be sent, for calls whose time is over.
    reason: String,
}

/// The connection of one event loop; the methods are the loop's callbacks.
#[pyclass(frozen, module = "fluxqueue_core._core")]
pub struct LoopConnection {
    deployment: Arc<Deployment>,
    event_loop: Py<PyAny>,
    future_arguments: Py<PyDict>,
    generation: u32,
    state: Mutex<State>,
}

type Calls = Vec<LoopCall<Py<PyAny>>>;

impl LoopConnection {
    pub fn new(deployment: Arc<Deployment>, slot: Slot, event_loop: Bound<'_, PyAny>) -> PyResult<LoopConnection> {
        let future_arguments = PyDict::new(event_loop.py());
        future_arguments.set_item("loop", &event_loop)?;
        let state = State {
            link: Link::Closed,
            outbox: Outbox::new(),
            writer: false,
            held: false,
            doubtful: false,
            proven: false,
            asking: false,
            leaving: None,
            redirects: Redirects::new(slot),
            flush_due: false,
            timer_due: false,
            retired: false,
            last_used: Instant::now(),
            clock: LiveClock::new(deployment.config.timeout),
            backoff: Backoff::new(),
            reason: String::new(),
        };
        Ok(LoopConnection {
            deployment,
            event_loop: event_loop.unbind(),
            future_arguments: future_arguments.unbind(),
            generation: fork::generation(),
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In a child of `fork` everything here belongs to the parent.
    fn is_ours(&self) -> bool {
        self.generation == fork::generation()
    }

    pub fn is_loop_closed(&self, py: Python<'_>) -> bool {
        // A loop that raises here counts as closed.
        let closed = self.event_loop.call_method0(py, intern!(py, "is_closed"));
        closed.and_then(|closed| closed.is_truthy(py)).unwrap_or(true)
    }

    pub fn leave_to_parent(&self) {
        // The lock is free: a thread holds it only with the GIL, which the forking thread had.
        if let Ok(mut state) = self.state.try_lock() {
            state.link = Link::Closed;
        }
    }

    /// A future of this loop.
    pub fn future<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        resolve::create(py, &self.future_arguments)
    }

    /// Adds a call. It is written at the end of this turn of the loop.
    pub fn push(slf: &Bound<'_, Self>, call: LoopCall<Py<PyAny>>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let now = Instant::now();
        let (flush, timer) = {
            let mut state = this.state();
            let timer = (!std::mem::replace(&mut state.timer_due, true)).then(|| {
                state.clock.start(now);
                state.clock.next_tick(Duration::MAX)
            });
            let deadline = state.clock.read(now) + this.deployment.config.timeout;
            state.outbox.push(LoopCall { deadline, ..call });
            (!std::mem::replace(&mut state.flush_due, true), timer)
        };
        if flush {
            let callback = slf.getattr(intern!(py, "_flush"))?;
            let soon = this.event_loop.call_method1(py, intern!(py, "call_soon"), (callback,));
            soon.inspect_err(|_| {
                let mut state = this.state();
                state.flush_due = false;
                state.timer_due &= timer.is_none();
            })?;
        }
        if let Some(delay) = timer {
            let later = Self::call_later(slf, delay, "_tick");
            later.inspect_err(|_| this.state().timer_due = false)?;
        }
        Ok(())
    }

    fn call_later(slf: &Bound<'_, Self>, delay: Duration, method: &str) -> PyResult<()> {
        let callback = slf.getattr(method)?;
        let event_loop = slf.get().event_loop.bind(slf.py());
        event_loop.call_method1(intern!(slf.py(), "call_later"), (delay.as_secs_f64(), callback))?;
        Ok(())
    }

    /// Makes the loop close the connection after the last reply. From any thread.
    pub fn schedule_retirement(slf: &Bound<'_, Self>) -> PyResult<()> {
        let callback = slf.getattr("_retire")?;
        slf.get().event_loop.call_method1(slf.py(), "call_soon_threadsafe", (callback,))?;
        Ok(())
    }

    fn retire_if_idle(slf: &Bound<'_, Self>) -> PyResult<()> {
        let is_due = {
            let state = slf.get().state();
            state.retired && !state.outbox.has_waiting() && !state.outbox.has_in_flight()
        };
        if is_due { Self::disconnect(slf, "the producer is closed") } else { Ok(()) }
    }

    /// Ends the calls whose time is over.
    fn end_overdue(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        let (now, is_late) = {
            let mut state = this.state();
            let now = state.clock.tick(Instant::now());
            (now, state.outbox.oldest_in_flight().is_some_and(|deadline| deadline <= now))
        };
        if is_late {
            Self::disconnect(slf, "no answer in time")?;
        }
        let (expired, reason) = {
            let mut state = this.state();
            (state.outbox.expire(now), state.reason.clone())
        };
        let reason = if reason.is_empty() { "Redis could not be reached in time".to_owned() } else { reason };
        resolve::fail(slf.py(), expired, &Error::Unavailable(reason))?;
        let next = {
            let mut state = this.state();
            let oldest = state.outbox.oldest();
            state.timer_due = oldest.is_some();
            oldest.map(|oldest| state.clock.next_tick(oldest))
        };
        next.map_or(Ok(()), |delay| Self::call_later(slf, delay, "_tick"))
    }
}

#[pymethods]
impl LoopConnection {
    fn _flush(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        if !this.is_ours() {
            return Ok(());
        }
        let is_closed = {
            let mut state = this.state();
            state.flush_due = false;
            matches!(state.link, Link::Closed)
        };
        if !is_closed {
            return Self::pump(slf);
        }
        this.state().backoff = Backoff::new();
        Self::connect(slf)
    }

    fn _connect(slf: &Bound<'_, Self>) -> PyResult<()> {
        if slf.get().is_ours() { Self::connect(slf) } else { Ok(()) }
    }

    fn _connected(slf: &Bound<'_, Self>) -> PyResult<()> {
        if slf.get().is_ours() { Self::connected(slf) } else { Ok(()) }
    }

    fn _readable(slf: &Bound<'_, Self>) -> PyResult<()> {
        if slf.get().is_ours() { Self::readable(slf) } else { Ok(()) }
    }

    fn _writable(slf: &Bound<'_, Self>) -> PyResult<()> {
        if slf.get().is_ours() { Self::writable(slf) } else { Ok(()) }
    }

    fn _resume(slf: &Bound<'_, Self>) -> PyResult<()> {
        if !slf.get().is_ours() {
            return Ok(());
        }
        slf.get().state().held = false;
        Self::pump(slf)
    }

    fn _tick(slf: &Bound<'_, Self>) -> PyResult<()> {
        if !slf.get().is_ours() {
            return Ok(());
        }
        Self::end_overdue(slf).inspect_err(|_| slf.get().state().timer_due = false)
    }

    fn _retire(slf: &Bound<'_, Self>) -> PyResult<()> {
        if !slf.get().is_ours() {
            return Ok(());
        }
        slf.get().state().retired = true;
        Self::retire_if_idle(slf)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        visit.call(&self.future_arguments)?;
        // Locked: the collector then takes it for referenced from outside.
        let Ok(state) = self.state.try_lock() else { return Ok(()) };
        state.outbox.futures().try_for_each(|future| visit.call(future))
    }

    fn __clear__(&self) {
        let outbox = std::mem::replace(&mut self.state().outbox, Outbox::new());
        drop(outbox);
    }
}
