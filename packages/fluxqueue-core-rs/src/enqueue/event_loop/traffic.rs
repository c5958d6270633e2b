//! Writing calls and reading replies.

use std::io::{self, ErrorKind};
use std::os::fd::RawFd;
use std::time::Instant;

use pyo3::prelude::*;

use super::{Calls, Link, LoopConnection, resolve, thread};
use crate::connection::{Backoff, Connection};
use crate::enqueue::command::{self, Naming};
use crate::enqueue::outbox::Answered;
use crate::enqueue::redirects::Pause;
use crate::enqueue::wrapping::{Replies, Wrapping};
use crate::errors::Error;

/// Writes as much as the socket takes. Returns whether that was all, and the descriptor.
fn write(connection: &mut Connection) -> io::Result<(bool, RawFd)> {
    let fd = connection.fd();
    match connection.write_some() {
        Err(e) if e.kind() == ErrorKind::Interrupted => Ok((false, fd)),
        written => written.map(|all| (all, fd)),
    }
}

impl LoopConnection {
    /// Writes waiting calls until the socket is full.
    pub(super) fn pump(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        loop {
            let taken = {
                let mut state = this.state();
                let state = &mut *state;
                let Link::Open(connection) = &state.link else { return Ok(()) };
                // Nothing is composed while the socket has not taken the last commands.
                if state.held || state.leaving.is_some() || connection.wants_write() || !state.outbox.has_waiting() {
                    return Ok(());
                }
                // Until Redis executes a command: one turn at a time, so that no call overtakes another.
                if state.doubtful && state.outbox.has_in_flight() {
                    return Ok(());
                }
                let rested = !state.outbox.has_in_flight() && state.last_used.elapsed() > thread::IDLE;
                if rested && connection.is_stale() { None } else { Some(state.outbox.take()) }
            };
            let Some(taken) = taken else { return Self::disconnect(slf, "Redis closed it") };
            let (calls, cancelled): (Calls, Calls) =
                taken.into_iter().partition(|call| !resolve::is_done(py, &call.future));
            drop(cancelled);
            let written = {
                let mut state = this.state();
                let state = &mut *state;
                let Link::Open(connection) = &mut state.link else {
                    state.outbox.give_back(calls);
                    return Ok(());
                };
                let wrapping = Wrapping { asking: state.asking, wait: this.deployment.config.wait };
                state.outbox.compose(calls, &wrapping, connection.outgoing());
                if state.asking {
                    state.leaving = Some(Pause::None);
                }
                state.last_used = Instant::now();
                write(connection)
            };
            match written {
                Ok((true, _)) => {}
                Ok((false, fd)) => return Self::watch_room(slf, fd),
                Err(e) => return Self::disconnect(slf, &e.to_string()),
            }
        }
    }

    fn watch_room(slf: &Bound<'_, Self>, fd: RawFd) -> PyResult<()> {
        if std::mem::replace(&mut slf.get().state().writer, true) {
            return Ok(());
        }
        Self::watch_with(slf, "add_writer", fd, "_writable")
    }

    /// The socket takes more bytes.
    pub(super) fn writable(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        let written = {
            let mut state = this.state();
            let Link::Open(connection) = &mut state.link else { return Ok(()) };
            let written = write(connection);
            if matches!(written, Ok((true, _))) {
                state.writer = false;
            }
            written
        };
        match written {
            Ok((true, fd)) => {
                this.unwatch(slf.py(), "remove_writer", fd)?;
                Self::pump(slf)
            }
            Ok((false, _)) => Ok(()),
            Err(e) => Self::disconnect(slf, &e.to_string()),
        }
    }

    /// Replies have arrived, or the end of the connection.
    pub(super) fn readable(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (answers, broken) = slf.get().read_answers();
        let mut useless = false;
        let mut confused = None;
        let mut interrupted = Ok(());
        for (calls, naming, answer) in answers {
            useless |= command::is_useless_after(&answer.reply);
            match Self::settle(slf, calls, naming, &answer) {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => confused = Some(reason),
                Err(error) => interrupted = Err(error),
            }
        }
        interrupted?;
        if let Some(reason) = broken.or(confused) {
            return Self::disconnect(slf, &reason);
        }
        if useless && !slf.get().state().outbox.has_in_flight() {
            return Self::disconnect(slf, "it leads to a replica");
        }
        if slf.get().state().leaving.is_some() {
            return Self::leave_if_answered(slf);
        }
        Self::pump(slf)?;
        Self::retire_if_idle(slf)
    }

    fn read_answers(&self) -> (Vec<(Calls, Naming, Replies)>, Option<String>) {
        let mut state = self.state();
        let state = &mut *state;
        let mut answers = Vec::new();
        let Link::Open(connection) = &mut state.link else { return (answers, None) };
        state.last_used = Instant::now();
        loop {
            match connection.read_some() {
                Ok(true) => {}
                Ok(false) => return (answers, None),
                Err(e) if e.kind() == ErrorKind::Interrupted => return (answers, None),
                Err(e) => return (answers, Some(e.to_string())),
            }
            loop {
                let reply = match connection.next_reply() {
                    Ok(Some(reply)) => reply,
                    Ok(None) => break,
                    Err(e) => return (answers, Some(e.to_string())),
                };
                state.proven = true;
                match state.outbox.answered(reply) {
                    Answered::Whole(calls, naming, answer) => answers.push((calls, naming, answer)),
                    Answered::InPart => {}
                    Answered::Stray => return (answers, Some("Redis sent what nobody had asked for".into())),
                }
            }
            if !state.outbox.has_in_flight() {
                return (answers, None);
            }
        }
    }

    /// Ends the calls of one command as its reply says. An inner error: the reply makes no
    /// sense, nor will the next ones.
    fn settle(slf: &Bound<'_, Self>, calls: Calls, naming: Naming, answer: &Replies) -> PyResult<Result<(), String>> {
        let py = slf.py();
        let this = slf.get();
        {
            let mut state = this.state();
            let state = &mut *state;
            let from = match &state.link {
                Link::Open(connection) => connection.node(),
                _ => None,
            };
            if let Some((pause, reason)) = state.redirects.follow(&this.deployment, &answer.reply, from) {
                state.outbox.give_back(calls);
                state.reason = reason.to_string();
                state.leaving = Some(pause);
                return Ok(Ok(()));
            }
        }
        let Some(first) = calls.first() else { return Ok(Ok(())) };
        let delivery = &first.target.delivery;
        if delivery.needs_text(naming, &answer.reply) {
            let mut state = this.state();
            state.outbox.give_back(calls);
            (state.outbox.naming, state.doubtful) = (Naming::Text, true);
            return Ok(Ok(()));
        }
        let wrapping = Wrapping { asking: false, wait: this.deployment.config.wait };
        match wrapping.verdicts(delivery, || calls.iter().map(|call| call.count).sum(), answer) {
            Ok(verdicts) => {
                {
                    let mut state = this.state();
                    state.backoff = Backoff::new();
                    state.doubtful = false;
                    state.outbox.naming = Naming::Digest;
                }
                resolve::succeed(py, calls, verdicts)?;
            }
            Err(Error::Unavailable(reason)) => return Self::hold(slf, calls, reason).map(Ok),
            Err(error) => {
                resolve::fail(py, calls, &error)?;
                if let Error::Uncertain(text) = error {
                    return Ok(Err(text));
                }
            }
        }
        Ok(Ok(()))
    }

    /// Redis was not ready and has executed nothing: the calls are written again after a
    /// pause.
    fn hold(slf: &Bound<'_, Self>, calls: Calls, reason: String) -> PyResult<()> {
        let pause = {
            let mut state = slf.get().state();
            state.outbox.give_back(calls);
            state.reason = reason;
            state.doubtful = true;
            (!std::mem::replace(&mut state.held, true)).then(|| state.backoff.next_pause())
        };
        let later = pause.map_or(Ok(()), |pause| Self::call_later(slf, pause, "_resume"));
        later.inspect_err(|_| slf.get().state().held = false)
    }
}
