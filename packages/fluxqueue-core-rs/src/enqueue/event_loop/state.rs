//! The state of a loop's connection, and its decisions. This file knows no Python: `F` is the
//! future of a call.

use std::io::{self, ErrorKind};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::alone::Alone;
use super::dial::Dial;
use super::link::{DialAttempt, LoopLink, OpenLink, Written};
use crate::config::Wait;
use crate::connection::{Backoff, Connection, Deployment, HashSlot, Reply, Spin};
use crate::enqueue::command::Naming;
use crate::enqueue::live_clock::LiveClock;
use crate::enqueue::outbox::{Answered, LoopCall, Outbox};
use crate::enqueue::redirects::Redirects;
use crate::enqueue::thread::IDLE;
use crate::enqueue::wrapping::Replies;

/// Dropping a future may run code of the application, so no method drops a call: it returns
/// the call, and the caller drops it after it has unlocked the state.
pub struct LoopState<F> {
    link: LoopLink,
    outbox: Outbox<F>,
    redirects: Redirects,
    alone: Alone,
    flush_due: bool,
    timer_due: bool,
    retired: bool,
    last_used: Instant,
    clock: LiveClock,
    backoff: Backoff,
    /// Why nothing could be sent, for calls whose time is over.
    reason: String,
}

/// The callbacks that the loop must schedule after a new call.
pub struct Schedule {
    pub flush: bool,
    pub tick: Option<Duration>,
    /// The caller may wait for the reply at once, if it awaits the call.
    pub may_wait: bool,
}

/// The next thing to write.
pub enum NextWrite<F> {
    Nothing,
    /// The server has closed the connection.
    Stale,
    Calls(Vec<LoopCall<F>>),
}

/// The calls of one command, and its reply.
pub struct Replied<F> {
    pub calls: Vec<LoopCall<F>>,
    pub naming: Naming,
    pub replies: Replies,
}

impl<F> LoopState<F> {
    pub fn new(hash_slot: HashSlot, timeout: Duration) -> LoopState<F> {
        LoopState {
            link: LoopLink::Closed,
            outbox: Outbox::new(),
            redirects: Redirects::new(hash_slot),
            alone: Alone::default(),
            flush_due: false,
            timer_due: false,
            retired: false,
            last_used: Instant::now(),
            clock: LiveClock::new(timeout),
            backoff: Backoff::new(),
            reason: String::new(),
        }
    }

    /// Adds a call, which has `timeout` from `now` on.
    pub fn push(&mut self, call: LoopCall<F>, now: Instant, timeout: Duration) -> Schedule {
        let tick = (!std::mem::replace(&mut self.timer_due, true)).then(|| {
            self.clock.start(now);
            self.clock.next_tick(Duration::MAX)
        });
        let deadline = self.clock.read(now) + timeout;
        self.outbox.push(LoopCall { deadline, ..call });
        let may_wait = self.alone.push(now) && self.link.open().is_some();
        Schedule { flush: !std::mem::replace(&mut self.flush_due, true), tick, may_wait }
    }

    /// The loop did not take the flush, so it was not asked for the tick either.
    pub fn flush_refused(&mut self, due: &Schedule) {
        self.flush_due = false;
        self.alone.end_turn();
        self.timer_due &= due.tick.is_none();
    }

    /// The loop did not take the tick, or the tick has failed.
    pub fn tick_refused(&mut self) {
        self.timer_due = false;
    }

    /// A turn of the loop is over. Returns whether to connect first.
    pub fn end_turn(&mut self) -> bool {
        self.flush_due = false;
        self.alone.end_turn();
        let is_closed = matches!(self.link, LoopLink::Closed);
        if is_closed {
            self.backoff = Backoff::new();
        }
        is_closed
    }

    /// The asyncio task at this address awaits the last call. Returns whether to write it now and
    /// to wait for the reply.
    pub fn wait_now(&mut self, task: usize, now: Instant) -> bool {
        !self.outbox.has_in_flight() && self.alone.wait_now(task, now)
    }

    /// The record of the connection's spins, and its descriptor, if a call is in flight.
    pub fn take_spin(&mut self) -> Option<(Spin, RawFd)> {
        let open = self.link.open_mut().filter(|_| self.outbox.has_in_flight())?;
        Some((std::mem::take(open.connection.spin()), open.connection.fd()))
    }

    /// Gives back what `take_spin` returned.
    pub fn put_spin(&mut self, spin: Spin) {
        if let Some(open) = self.link.open_mut() {
            *open.connection.spin() = spin;
        }
    }

    /// Starts an attempt to connect if calls wait. Some: the loop must watch this descriptor
    /// until the attempt is over.
    pub fn dial(&mut self, deployment: &Arc<Deployment>) -> io::Result<Option<RawFd>> {
        if matches!(self.link, LoopLink::Open(_) | LoopLink::Connecting(_)) {
            return Ok(None);
        }
        self.link = LoopLink::Closed;
        if !self.outbox.has_waiting() {
            return Ok(None);
        }
        let course = self.redirects.course(deployment);
        let dial = Dial::start(deployment.clone(), self.redirects.goal(&course))?;
        let fd = dial.fd();
        self.link = LoopLink::Connecting(DialAttempt { dial, asking: course.asking });
        Ok(Some(fd))
    }

    /// The attempt to connect, which is over.
    pub fn take_attempt(&mut self) -> Option<DialAttempt> {
        self.link.take_attempt()
    }

    /// The attempt has succeeded.
    pub fn open(&mut self, connection: Connection, asking: bool) {
        self.link = LoopLink::Open(OpenLink::new(connection, asking));
        self.reason.clear();
    }

    /// The attempt has failed. Returns the pause before the next one, if calls wait.
    pub fn pause(&mut self, reason: String) -> Option<Duration> {
        self.reason = reason;
        let waits = self.outbox.has_waiting();
        self.link = if waits { LoopLink::Pausing } else { LoopLink::Closed };
        waits.then(|| self.backoff.next_pause())
    }

    /// No descriptor of the link is watched: the next call connects.
    pub fn close(&mut self) {
        self.link = LoopLink::Closed;
    }

    /// Gives up the connection, if there is one. Rule 13: returns the calls that were written
    /// whole; the others wait for the next connection.
    pub fn break_off(&mut self) -> Option<(OpenLink, Vec<LoopCall<F>>)> {
        let open = self.link.take_open()?;
        let uncertain = self.outbox.break_off(open.connection.unsent(), open.connection.is_encrypted());
        Some((open, uncertain))
    }

    pub fn set_reason(&mut self, reason: String) {
        self.reason = reason;
    }

    /// Whether to connect to another server now.
    pub fn leaves_now(&mut self) -> bool {
        let in_flight = self.outbox.has_in_flight();
        self.link.open_mut().is_some_and(|open| open.leaves_now(in_flight))
    }

    pub fn is_leaving(&self) -> bool {
        self.link.open().is_some_and(OpenLink::is_leaving)
    }

    pub fn retire(&mut self) {
        self.retired = true;
    }

    /// Whether the producer is closed and no call is left.
    pub fn is_retirement_due(&self) -> bool {
        self.retired && !self.outbox.has_waiting() && !self.outbox.has_in_flight()
    }

    pub fn has_in_flight(&self) -> bool {
        self.outbox.has_in_flight()
    }

    /// The calls to write next.
    pub fn next(&mut self) -> NextWrite<F> {
        let Some(open) = self.link.open() else { return NextWrite::Nothing };
        let in_flight = self.outbox.has_in_flight();
        if !self.outbox.has_waiting() || !open.takes_commands(in_flight) {
            return NextWrite::Nothing;
        }
        let rested = !in_flight && self.last_used.elapsed() > IDLE;
        if rested && open.connection.is_stale() { NextWrite::Stale } else { NextWrite::Calls(self.outbox.take()) }
    }

    /// Writes as much of these calls as the socket takes.
    pub fn write(&mut self, calls: Vec<LoopCall<F>>, wait: Wait) -> io::Result<Written> {
        let Some(open) = self.link.open_mut() else {
            self.outbox.give_back(calls);
            return Ok(Written::Later(None));
        };
        let wrapping = open.begin_commands(wait);
        self.outbox.compose(calls, &wrapping, open.connection.outgoing());
        self.last_used = Instant::now();
        open.write()
    }

    /// Writes more, when the socket has room. Some: that was all, and the loop must no longer
    /// watch this descriptor for room.
    pub fn write_rest(&mut self) -> io::Result<Option<RawFd>> {
        self.link.open_mut().map_or(Ok(None), OpenLink::write_rest)
    }

    /// Reads what has arrived. The text says why no further reply can be read.
    pub fn read(&mut self) -> (Vec<Replied<F>>, Option<String>) {
        let mut replied = Vec::new();
        let Some(open) = self.link.open_mut() else { return (replied, None) };
        self.last_used = Instant::now();
        loop {
            match open.connection.read_some() {
                Ok(true) => {}
                Ok(false) => return (replied, None),
                Err(e) if e.kind() == ErrorKind::Interrupted => return (replied, None),
                Err(e) => return (replied, Some(e.to_string())),
            }
            loop {
                let reply = match open.connection.next_reply() {
                    Ok(Some(reply)) => reply,
                    Ok(None) => break,
                    Err(e) => return (replied, Some(e.to_string())),
                };
                open.prove();
                match self.outbox.answered(reply) {
                    Answered::Whole(calls, naming, replies) => replied.push(Replied { calls, naming, replies }),
                    Answered::InPart => {}
                    Answered::Stray => return (replied, Some("Redis sent a reply to no request".into())),
                }
            }
            if !self.outbox.has_in_flight() {
                return (replied, None);
            }
        }
    }

    /// If the reply is a redirect, the calls wait for another server. Otherwise returns them.
    pub fn redirect(
        &mut self,
        deployment: &Deployment,
        reply: &Reply,
        calls: Vec<LoopCall<F>>,
    ) -> Result<(), Vec<LoopCall<F>>> {
        let from = self.link.open().and_then(|open| open.connection.node());
        let Some((pause, reason)) = self.redirects.follow(deployment, reply, from) else { return Err(calls) };
        self.outbox.give_back(calls);
        self.reason = reason.to_string();
        if let Some(open) = self.link.open_mut() {
            open.leave(pause);
        }
        Ok(())
    }

    /// Redis doesn't know the script by its digest: the calls wait for a command with the
    /// script's text.
    pub fn name_by_text(&mut self, calls: Vec<LoopCall<F>>) {
        self.outbox.give_back(calls);
        self.outbox.naming = Naming::Text;
        if let Some(open) = self.link.open_mut() {
            open.doubt();
        }
    }

    /// Redis has executed a command.
    pub fn executed(&mut self) {
        self.backoff = Backoff::new();
        self.outbox.naming = Naming::Digest;
        if let Some(open) = self.link.open_mut() {
            open.trust();
        }
    }

    /// Redis was not ready: the calls wait. Some: the loop must call `resume` after this
    /// pause.
    pub fn hold(&mut self, calls: Vec<LoopCall<F>>, reason: String) -> Option<Duration> {
        self.outbox.give_back(calls);
        self.reason = reason;
        let begins = self.link.open_mut().is_some_and(OpenLink::hold);
        begins.then(|| self.backoff.next_pause())
    }

    /// The pause is over.
    pub fn resume(&mut self) {
        if let Some(open) = self.link.open_mut() {
            open.resume();
        }
    }

    /// The timer has fired. Returns the time on the clock of calls, and whether a call that is
    /// in flight had no reply in time.
    pub fn tick(&mut self, now: Instant) -> (Duration, bool) {
        let now = self.clock.tick(now);
        (now, self.outbox.oldest_in_flight().is_some_and(|deadline| deadline <= now))
    }

    /// The waiting calls whose time is over, and why they could not be sent.
    pub fn expire(&mut self, now: Duration) -> (Vec<LoopCall<F>>, String) {
        (self.outbox.expire(now), self.reason.clone())
    }

    /// The time until the next tick, if there are calls.
    pub fn next_tick(&mut self) -> Option<Duration> {
        let oldest = self.outbox.oldest();
        self.timer_due = oldest.is_some();
        oldest.map(|oldest| self.clock.next_tick(oldest))
    }

    /// All calls that wait.
    pub fn take_waiting(&mut self) -> Vec<LoopCall<F>> {
        self.outbox.take_all()
    }

    /// All calls, with what is known about them.
    pub fn take_outbox(&mut self) -> Outbox<F> {
        std::mem::replace(&mut self.outbox, Outbox::new())
    }

    /// All calls without an answer.
    pub fn calls(&self) -> impl Iterator<Item = &LoopCall<F>> {
        self.outbox.calls()
    }
}
