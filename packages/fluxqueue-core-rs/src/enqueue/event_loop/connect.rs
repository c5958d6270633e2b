//! Connecting without stopping the loop, and what happens when it fails or the
//! connection is lost.

use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::{Link, LoopConnection, resolve};
use crate::config::Config;
use crate::connection::Connection;
use crate::errors::{Error, Result};

static CONTEXT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

type Mailbox = Arc<Mutex<Option<Result<Connection>>>>;

/// An attempt to connect, in a thread of its own. The loop's executor would
/// make it wait behind other work, and would be waited for when the loop ends.
/// The thread knows nothing of Python, so that it can outlive the interpreter.
pub struct Dial {
    /// Readable when the attempt is over.
    signal: UnixStream,
    mailbox: Mailbox,
}

impl Dial {
    fn start(config: Arc<Config>) -> std::io::Result<Dial> {
        let (signal, mut done) = UnixStream::pair()?;
        let mailbox = Mailbox::default();
        let result = mailbox.clone();
        std::thread::Builder::new().name("fluxqueue-connect".into()).spawn(move || {
            let outcome = Connection::open(&config, &mut || Ok(()));
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
            // A byte, not only the end: a forked child may hold a copy of `done`.
            let _ = done.write_all(b".");
        })?;
        Ok(Dial { signal, mailbox })
    }

    fn finish(self) -> Result<Connection> {
        let outcome = self.mailbox.lock().unwrap_or_else(PoisonError::into_inner).take();
        let connection = outcome.unwrap_or_else(|| Err(Error::Unavailable("the attempt to connect failed".into())))?;
        connection.set_nonblocking(true)?;
        Ok(connection)
    }
}

impl LoopConnection {
    /// Starts an attempt, if someone waits for it.
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
            Dial::start(this.config.clone()).map(|dial| {
                let fd = dial.signal.as_raw_fd();
                state.link = Link::Connecting(dial);
                fd
            })
        };
        let watched = match fd {
            Ok(fd) => Self::watch(slf, fd, "_connected"),
            Err(error) => return Self::connect_later(slf, format!("no thread to connect in: {error}")),
        };
        if let Err(error) = &watched {
            this.state().link = Link::Closed;
            this.fail_waiting(slf.py(), &Error::Unavailable(format!("the event loop can't watch a socket: {error}")));
        }
        Ok(())
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
        this.unwatch(slf.py(), "remove_reader", dial.signal.as_raw_fd());
        match dial.finish() {
            Ok(connection) => {
                let fd = connection.fd();
                {
                    let mut state = this.state();
                    state.link = Link::Open(connection);
                    (state.writer, state.held, state.proven) = (false, false, false);
                    state.reason.clear();
                }
                if let Err(error) = Self::watch(slf, fd, "_readable") {
                    return Self::disconnect(slf, &format!("the event loop can't watch a socket: {error}"));
                }
                Self::pump(slf)?;
                Self::retire_if_idle(slf)
            }
            Err(Error::Unavailable(reason)) => Self::connect_later(slf, reason),
            Err(error) => {
                // A wrong password stays wrong.
                this.fail_waiting(slf.py(), &error);
                Ok(())
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
        pause.map_or(Ok(()), |pause| Self::call_later(slf, pause, "_connect"))
    }

    /// Gives the connection up. Calls that were written whole fail as uncertain,
    /// the others wait for the next connection.
    pub(super) fn disconnect(slf: &Bound<'_, Self>, reason: &str) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let (connection, uncertain, writer, proven) = {
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
            (connection, uncertain, writer, state.proven)
        };
        // The descriptor is closed after the loop has let go of it.
        this.unwatch(py, "remove_reader", connection.fd());
        if writer {
            this.unwatch(py, "remove_writer", connection.fd());
        }
        drop(connection);
        let broke = format!("the connection to Redis broke before its answer came: {reason}");
        resolve::fail(py, uncertain, &Error::Uncertain(broke));
        if proven {
            this.state().reason = format!("the connection to Redis broke: {reason}");
            return Self::connect(slf);
        }
        Self::connect_later(slf, format!("the connection to Redis broke: {reason}"))
    }

    fn fail_waiting(&self, py: Python<'_>, error: &Error) {
        let waiting = self.state().outbox.take_all();
        resolve::fail(py, waiting, error);
    }

    /// In an empty context: the loop keeps the caller's as long as it watches.
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

    pub(super) fn unwatch(&self, py: Python<'_>, remove: &str, fd: RawFd) {
        // A loop that is closed watches nothing any more.
        if !self.is_loop_closed(py) {
            let _ = self.event_loop.call_method1(py, remove, (fd,));
        }
    }
}
