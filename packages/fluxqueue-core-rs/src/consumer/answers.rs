//! What the driver does about an answer of Redis.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;

use super::claimed::Claimed;
use super::clock;
use super::conversation::Request;
use super::driver::{Driver, load};
use super::event::Event;
use super::poll::Side;
use super::replies::{self, Done, Exchanged, Opened};
use super::state::{Phase, State};
use crate::connection::{Connection, Detour, Refusal, Reply, redis_error};
use crate::errors::{Error, Result};

/// No sweep for so long: no scheduler is alive.
const NO_SCHEDULER: Duration = Duration::from_secs(5);
/// The same news is told again after so long.
const TELL_AGAIN: Duration = Duration::from_secs(1);
/// The same for what only an operator can change.
const TELL_REFUSAL_AGAIN: Duration = Duration::from_secs(60);

/// An answer as far as it can be read without the state.
pub(super) enum Answer {
    /// Of an exchange, with its messages.
    Exchange(Result<Exchanged>),
    /// Of a BLMOVE, with its message.
    Moved(Claimed),
    /// Any other.
    Other(Reply),
}

impl Driver {
    pub(super) fn understand(&self, queue: usize, side: Side, reply: Reply) -> Answer {
        let conversation = &self.conversations[queue];
        let is_of_exchange = side == Side::Scripts
            && conversation.ignore == 0
            && matches!(conversation.request, Some(Request::Exchange { .. }))
            && !matches!(reply, Reply::Error(_));
        let most = self.shared.max_message_bytes;
        match reply {
            reply if is_of_exchange => Answer::Exchange(replies::exchanged(reply, most)),
            Reply::BulkString(message) if side == Side::Blocking => Answer::Moved(Claimed::read(message, most)),
            reply => Answer::Other(reply),
        }
    }

    pub(super) fn act(&mut self, state: &mut State, queue: usize, side: Side, answer: Answer) -> Result<()> {
        let now = clock::now();
        let reply = match answer {
            Answer::Exchange(exchanged) => return self.exchange_answered(state, queue, exchanged, now),
            Answer::Moved(claimed) => {
                let conversation = &mut self.conversations[queue];
                conversation.blocked_until = None;
                conversation.maybe_more = true;
                let redis_ms = conversation.redis_ms(now);
                state.admit_blocked(queue, claimed, now, redis_ms);
                self.shared.announce_work(state);
                return Ok(());
            }
            Answer::Other(reply) => reply,
        };
        let conversation = &mut self.conversations[queue];
        if side == Side::Scripts && conversation.ignore > 0 {
            conversation.ignore -= 1;
            if let Reply::Error(text) = &reply {
                self.not_registered(state, queue, text, now);
            }
            return Ok(());
        }
        if let Reply::Error(text) = reply {
            return self.refused(state, queue, side, &text, now);
        }
        if side == Side::Blocking {
            conversation.blocked_until = None;
            return Ok(());
        }
        match conversation.request.take() {
            Some(Request::Open(sent)) => self.opened(state, queue, sent, replies::opened(reply)?, now),
            Some(Request::Close(_)) => self.close(state, queue),
            other => {
                conversation.request = other;
                return Err(Error::Broker("Redis sent a reply that nobody waits for".into()));
            }
        }
        Ok(())
    }

    fn exchange_answered(
        &mut self,
        state: &mut State,
        queue: usize,
        exchanged: Result<Exchanged>,
        now: Duration,
    ) -> Result<()> {
        let Some(Request::Exchange { sent, settlements, asked }) = self.conversations[queue].request.take() else {
            return Ok(());
        };
        match exchanged {
            Ok(Exchanged::Done(done)) => {
                state.queues[queue].settled(&settlements);
                self.exchanged(state, queue, sent, asked, done, now);
            }
            Ok(Exchanged::Lost) => {
                state.return_settlements(queue, settlements);
                self.lease_lost(state, queue, now);
            }
            Err(error) => {
                state.return_settlements(queue, settlements);
                return Err(error);
            }
        }
        Ok(())
    }

    /// The worker goes on without: only retries and rescues depend on it.
    fn not_registered(&mut self, state: &mut State, queue: usize, text: &str, now: Duration) {
        // What is not ready yet refuses the `open` behind it as well, which comes again.
        let refusal = Refusal::read(text);
        if !refusal.is_temporary() && refusal != Refusal::ReadOnly {
            self.tell_not_registered(state, queue, &redis_error(text), now);
        }
    }

    pub(super) fn tell_not_registered(&mut self, state: &mut State, queue: usize, error: &Error, now: Duration) {
        let told = &mut self.told[queue].not_registered;
        if told.is_none_or(|at| now >= at + TELL_REFUSAL_AGAIN) {
            *told = Some(now);
            state.tell(queue, Event::NotRegistered { error: error.to_string() });
        }
    }

    fn opened(&mut self, state: &mut State, queue: usize, sent: Duration, opened: Opened, now: Duration) {
        let conversation = &mut self.conversations[queue];
        let Opened::Holds(redis_ms, fields) = opened else {
            // The id was taken: the next one will not be.
            conversation.start_anew(state, now, true);
            return;
        };
        conversation.set_redis_clock(redis_ms, now);
        conversation.is_open();
        conversation.last_exchange = sent;
        let proven = conversation.proven;
        state.reopened(queue, &fields, self.options.fresh_until(sent));
        if proven {
            self.tell_connected(state, queue, now);
        }
        self.shared.announce_work(state);
    }

    fn tell_connected(&mut self, state: &mut State, queue: usize, now: Duration) {
        state.queues[queue].connected = true;
        state.slots.connected(now);
        // The conversation of a drain is no news.
        if state.phase == Phase::Serving {
            let consumer = self.conversations[queue].current.clone();
            state.tell(queue, Event::Connected { consumer });
        }
    }

    fn exchanged(&mut self, state: &mut State, queue: usize, sent: Duration, asked: usize, done: Done, now: Duration) {
        if self.conversations[queue].prove() {
            self.tell_connected(state, queue, now);
        }
        let conversation = &mut self.conversations[queue];
        conversation.set_redis_clock(done.redis_ms, now);
        conversation.paused = done.paused;
        if asked > 0 {
            conversation.maybe_more = done.more || done.claimed.len() == asked;
        }
        state.queues[queue].fresh_until = self.options.fresh_until(sent);
        // An entry of the dead set is the field, with a number where it was there already.
        let parked: HashSet<Bytes> =
            done.parked.iter().map(|e| e.slice(..memchr::memchr(b'#', e).unwrap_or(e.len()))).collect();
        state.resolve_doubles(queue, sent, &parked, done.redis_ms);
        for message in done.claimed {
            state.admit(queue, message, now, done.redis_ms);
        }
        for entry in &parked {
            let reason = match () {
                () if entry.starts_with(b"sha1:") => "malformed",
                () if entry.starts_with(b"newer:") => "unknown_version",
                () => "duplicate",
            };
            let event = Event::Parked {
                task_id: String::from_utf8_lossy(entry.split(|b| *b == b'"').next().unwrap_or_default()).into_owned(),
                name: String::new(),
                reason: reason.into(),
                traceparent: None,
            };
            state.tell(queue, event);
        }
        let told = &mut self.told[queue];
        if done.put_off > 0 && now >= told.newer + TELL_AGAIN {
            told.newer = now;
            state.tell(queue, Event::NewerVersion { count: done.put_off });
        }
        self.look_around(state, queue, done.suspects, done.since_sweep_ms, now);
        self.shared.announce_work(state);
    }

    /// Suspects that need a process of their own, and a scheduler that is not there.
    fn look_around(&mut self, state: &mut State, queue: usize, suspects: i64, sweep: Option<u64>, now: Duration) {
        let told = &mut self.told[queue];
        if suspects > 0 && !self.options.suspects && now >= told.suspects + TELL_AGAIN {
            told.suspects = now;
            state.tell(queue, Event::Suspects { count: suspects });
        }
        let late = sweep.is_none_or(|ms| Duration::from_millis(ms) > NO_SCHEDULER);
        if late && now > self.started + NO_SCHEDULER && now >= told.no_scheduler + TELL_AGAIN {
            told.no_scheduler = now;
            let seconds = sweep.map(|ms| ms as f64 / 1000.0);
            state.tell(queue, Event::NoScheduler { seconds });
        }
    }

    fn lease_lost(&mut self, state: &mut State, queue: usize, now: Duration) {
        let consumer = self.conversations[queue].current.clone();
        let (running, void) = state.lost(queue);
        state.tell(queue, Event::LeaseLost { consumer, running });
        for field in void {
            let task_id = String::from_utf8_lossy(&field[..36]).into_owned();
            state.tell(queue, Event::OutcomeVoid { task_id });
        }
        self.conversations[queue].start_anew(state, now, false);
    }

    /// An error reply: the command was not executed, or the conversation ends.
    fn refused(&mut self, state: &mut State, queue: usize, side: Side, text: &str, now: Duration) -> Result<()> {
        let conversation = &mut self.conversations[queue];
        let link = match side {
            Side::Scripts => &conversation.scripts,
            Side::Blocking => &conversation.blocking,
        };
        let from = link.as_ref().and_then(Connection::node).map(AsRef::as_ref);
        // The slot is on its way, and its keys are in two places: no script can run
        // before it has arrived.
        let on_its_way = match self.deployment.detour(text, from) {
            None => false,
            Some(Detour::Ask(_)) => true,
            Some(Detour::Moved | Detour::Astray) => {
                conversation.is_elsewhere();
                return Err(Error::Unavailable(format!("this server does not serve the queue (now): {text}")));
            }
        };
        let unflagged = self.flags && side == Side::Scripts && text.contains("ompiling script");
        let again = match Refusal::read(text) {
            Refusal::NoScript => {
                conversation.send_text = true;
                true
            }
            refusal if on_its_way || refusal.is_temporary() => {
                if side == Side::Blocking {
                    conversation.block_refused(now);
                    return Ok(());
                }
                conversation.back_off(now);
                true
            }
            _ => unflagged,
        };
        if unflagged {
            // A server older than 7 does not know the line with the flags.
            self.flags = false;
            self.scripts = load(false)?;
        }
        if !again || side == Side::Blocking {
            return Err(redis_error(text));
        }
        if let Some(Request::Exchange { settlements, .. }) = conversation.request.take() {
            state.return_settlements(queue, settlements);
        }
        Ok(())
    }
}
