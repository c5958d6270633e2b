//! Connecting without blocking the loop, and what happens if that fails or the connection
//! is lost.

use std::os::fd::RawFd;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::dial::Dial;
use super::{Link, LoopConnection, resolve};
use crate::connection::Connection;
use crate::enqueue::redirects::Pause;
use crate::errors::{Error, Result};

static CONTEXT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

impl LoopConnection {
    /// Starts an attempt if calls wait.
    pub(super) fn connect(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        let fd = {
            let mut state = this.state();
            if matches!(state.link, Link::Open(_) | Link::Connecting(_)) {
                return Ok(());
            }
            state.link = Link::Closed;
            if !state.outbox.has_waiting() {
                return Ok(());
            }
            let course = state.redirects.course(&this.deployment);
            state.asking = course.asking;
            Dial::start(this.deployment.clone(), state.redirects.goal(&course)).map(|dial| {
                let fd = dial.fd();
                state.link = Link::Connecting(dial);
                fd
            })
        };
        let watched = match fd {
            Ok(fd) => Self::watch(slf, fd, "_connected"),
            Err(error) => return Self::connect_later(slf, format!("no thread to connect in: {error}")),
        };
        let Err(error) = watched else { return Ok(()) };
        this.state().link = Link::Closed;
        this.fail_waiting(slf.py(), &Error::Unavailable(format!("the event loop can't watch a socket: {error}")))?;
        resolve::interruption(slf.py(), error)
    }

    /// The attempt is over.
    pub(super) fn connected(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        let dial = {
            let mut state = this.state();
            match std::mem::replace(&mut state.link, Link::Closed) {
                Link::Connecting(dial) => dial,
                other => {
                    state.link = other;
                    return Ok(());
                }
            }
        };
        let unwatched = this.unwatch(slf.py(), "remove_reader", dial.fd());
        let outcome = Self::use_outcome(slf, dial.finish());
        unwatched.and(outcome)
    }

    fn use_outcome(slf: &Bound<'_, Self>, outcome: Result<Connection>) -> PyResult<()> {
        let this = slf.get();
        match outcome {
            Ok(connection) => {
                let fd = connection.fd();
                {
                    let mut state = this.state();
                    state.link = Link::Open(connection);
                    (state.writer, state.held, state.doubtful, state.proven) = (false, false, false, false);
                    state.leaving = None;
                    state.reason.clear();
                }
                if let Err(error) = Self::watch(slf, fd, "_readable") {
                    Self::disconnect(slf, &format!("the event loop can't watch a socket: {error}"))?;
                    return resolve::interruption(slf.py(), error);
                }
                Self::pump(slf)?;
                // If every caller has given up, the next call asks the slot owner first.
                Self::leave_if_answered(slf)?;
                Self::retire_if_idle(slf)
            }
            Err(Error::Unavailable(reason)) => Self::connect_later(slf, reason),
            Err(error) => {
                // A wrong password stays wrong.
                this.fail_waiting(slf.py(), &error)
            }
        }
    }

    fn connect_later(slf: &Bound<'_, Self>, reason: String) -> PyResult<()> {
        let pause = {
            let mut state = slf.get().state();
            state.reason = reason;
            state.link = if state.outbox.has_waiting() { Link::Pausing } else { Link::Closed };
            matches!(state.link, Link::Pausing).then(|| state.backoff.next_pause())
        };
        let later = pause.map_or(Ok(()), |pause| Self::call_later(slf, pause, "_connect"));
        later.inspect_err(|_| slf.get().state().link = Link::Closed)
    }

    /// Gives up the connection. Rule 13: calls that were written whole fail as uncertain,
    /// the others wait for the next connection.
    pub(super) fn disconnect(slf: &Bound<'_, Self>, reason: &str) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let (connection, uncertain, writer, at_once) = {
            let mut state = this.state();
            let connection = match std::mem::replace(&mut state.link, Link::Closed) {
                Link::Open(connection) => connection,
                other => {
                    state.link = other;
                    return Ok(());
                }
            };
            let uncertain = state.outbox.break_off(connection.unsent(), connection.is_encrypted());
            let writer = std::mem::take(&mut state.writer);
            state.held = false;
            let at_once = match state.leaving.take() {
                Some(pause) => pause == Pause::None,
                None => state.proven,
            };
            (connection, uncertain, writer, at_once)
        };
        // The loop forgets the descriptor before it is closed.
        let mut outcome = this.unwatch(py, "remove_reader", connection.fd());
        if writer {
            outcome = outcome.and(this.unwatch(py, "remove_writer", connection.fd()));
        }
        drop(connection);
        let broke = format!("the connection to Redis broke before its answer came: {reason}");
        outcome.and(resolve::fail(py, uncertain, &Error::Uncertain(broke)))?;
        if at_once {
            this.state().reason = format!("the connection to Redis broke: {reason}");
            return Self::connect(slf);
        }
        Self::connect_later(slf, format!("the connection to Redis broke: {reason}"))
    }

    /// Connects to another server after the last reply of this one.
    pub(super) fn leave_if_answered(slf: &Bound<'_, Self>) -> PyResult<()> {
        let leaves = {
            let mut state = slf.get().state();
            if state.asking && state.leaving.is_none() {
                state.leaving = Some(Pause::None);
            }
            state.leaving.is_some() && !state.outbox.has_in_flight()
        };
        if leaves { Self::disconnect(slf, "another server serves this queue") } else { Ok(()) }
    }

    fn fail_waiting(&self, py: Python<'_>, error: &Error) -> PyResult<()> {
        let waiting = self.state().outbox.take_all();
        resolve::fail(py, waiting, error)
    }

    /// In an empty context: the loop would keep the caller's as long as it watches.
    fn watch(slf: &Bound<'_, Self>, fd: RawFd, method: &str) -> PyResult<()> {
        Self::watch_with(slf, "add_reader", fd, method)
    }

    pub(super) fn watch_with(slf: &Bound<'_, Self>, add: &str, fd: RawFd, method: &str) -> PyResult<()> {
        let py = slf.py();
        let add = slf.get().event_loop.bind(py).getattr(add)?;
        let context = CONTEXT.import(py, "contextvars", "Context")?.call0()?;
        context.call_method1(intern!(py, "run"), (add, fd, slf.getattr(method)?))?;
        Ok(())
    }

    pub(super) fn unwatch(&self, py: Python<'_>, remove: &str, fd: RawFd) -> PyResult<()> {
        // A closed loop watches nothing.
        if self.is_loop_closed(py) {
            return Ok(());
        }
        let Err(error) = self.event_loop.call_method1(py, remove, (fd,)) else { return Ok(()) };
        // Interrupted: once more, since the descriptor is about to be closed.
        let _ = self.event_loop.call_method1(py, remove, (fd,));
        resolve::interruption(py, error)
    }
}
