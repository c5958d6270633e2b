//! One queue's conversation with Redis: its requests, and the changes that replies make.
//! `planning` decides when to send.

use std::time::Duration;

use super::connector::{Connected, Connector};
use super::event::Event;
use super::identity::Identity;
use super::link::{Answer, Link, Open, OpenSent, Opening, Request, Side};
use super::outcome::Settlement;
use super::release::Release;
use super::replies::{self, Done, Exchanged, Opened};
use super::report::Asked;
use super::reports::Reports;
use super::retry::Retry;
use super::scripts::Form;
use super::state::Phase;
use super::turn::{Consequence, Turn};
use super::unbegun;
use crate::connection::{Connection, Reply};
use crate::errors::{Error, Result};

/// The shortest BLMOVE that is worth sending.
pub const SHORTEST_BLOCK: Duration = Duration::from_millis(50);

/// One queue's side of the driver.
pub struct Conversation {
    /// Index of the queue.
    pub queue: usize,
    /// When the drain began for this queue.
    pub draining: Option<Duration>,
    /// The queue is paused.
    pub is_paused: bool,
    /// The conversation sends no BLMOVE before this moment, because Redis has refused one.
    pub block_not_before: Duration,
    /// Until then exchanges replace BLMOVE, because the server does not have it.
    no_blmove_until: Duration,
    identity: Identity,
    link: Link,
    retry: Retry,
    reports: Reports,
    release: Release,
    /// The server does not have the script of `exchange`: the next request carries its text.
    sends_text: bool,
    /// The form of the scripts that this server accepts.
    form: Form,
    /// The registry of queues is on the same server as the queue.
    registers: bool,
}

impl Conversation {
    /// Not connected. `registers`: the registry of queues is on the queue's server.
    pub fn new(queue: usize, identity: Identity, registers: bool, now: Duration) -> Conversation {
        Conversation {
            queue,
            identity,
            link: Link::Away,
            retry: Retry::default(),
            reports: Reports::new(now),
            draining: None,
            release: Release::new(queue),
            is_paused: false,
            sends_text: false,
            block_not_before: Duration::ZERO,
            no_blmove_until: Duration::ZERO,
            form: Form::default(),
            registers,
        }
    }

    /// The state of the conversation.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The state, to read from its connections and write to them.
    pub fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }

    /// The conversation sends nothing before this moment.
    pub fn not_before(&self) -> Duration {
        self.retry.not_before()
    }

    /// Whether the conversation can send an outcome now.
    pub fn can_send(&self, now: Duration) -> bool {
        self.link.open().is_some_and(|open| open.request.is_none()) && now >= self.retry.not_before()
    }

    /// Whether Redis may have a lease or tasks of this consumer, or must learn of tasks to
    /// release.
    pub fn has_something_to_say(&self, turn: &Turn) -> bool {
        self.release.is_owed() || self.link.open().is_some() || turn.state.queues[self.queue].holds_something()
    }

    /// Begins to connect. If that fails, returns when to try again.
    pub fn connect(&mut self, turn: &mut Turn, connector: &Connector) -> Option<Duration> {
        match connector.begin(self.queue, self.identity.queue_name()) {
            Ok(()) => {
                self.link = Link::Connecting;
                None
            }
            Err(error) => {
                self.broke(turn, &error.to_string());
                Some(self.retry.not_before())
            }
        }
    }

    /// Handles the end of an attempt to connect.
    pub fn connected(&mut self, turn: &mut Turn, result: Result<Connected>) {
        if !matches!(self.link, Link::Connecting) {
            return; // A drain has closed the conversation meanwhile.
        }
        self.link = Link::Away;
        match result {
            Ok(Connected { pair, not_registered }) => {
                if let Some(error) = not_registered {
                    self.tell(turn, |reports, now| reports.not_registered(&error, now));
                }
                // The server may be another one now.
                self.form = Form::default();
                self.link = Link::Opening(Opening { pair, sent: None });
            }
            Err(error) => self.failed(turn, &error),
        }
    }

    /// An error ends the conversation.
    pub fn failed(&mut self, turn: &mut Turn, error: &Error) {
        let is_denied = matches!(error, Error::Denied(_));
        if is_denied {
            self.reports.denied();
        }
        self.broke(turn, &error.to_string());
        if is_denied {
            self.retry.denied(turn.now);
        }
    }

    /// Ends the conversation after a break. The next one begins when Redis is reachable.
    pub fn broke(&mut self, turn: &mut Turn, problem: &str) {
        self.tell(turn, |reports, _| reports.broken(problem));
        self.begin_again(turn);
        // Prefetched messages may have been too large for a slow line.
        turn.state.rate.forget();
    }

    fn begin_again(&mut self, turn: &mut Turn) {
        self.end(turn);
        self.retry.broke(turn.now);
    }

    /// Ends the conversation. The next one needs a new consumer id.
    fn end(&mut self, turn: &mut Turn) {
        turn.state.queues[self.queue].connected = false;
        if let Some(settlements) = self.link.end() {
            turn.state.return_settlements(self.queue, settlements);
        }
        self.identity.renew();
    }

    /// Rule 10: a drain ends the conversation, and the next one keeps only running tasks.
    pub fn drain(&mut self, turn: &mut Turn) {
        if self.draining.is_none() {
            self.draining = Some(turn.now);
            self.release.drop_waiting(turn.state);
            self.end(turn);
        }
    }

    /// Drops tasks that have not begun if the lease has ended while the queue is cut off.
    pub fn drop_expired(&mut self, turn: &mut Turn) {
        // An `open` under way names these tasks, so the new consumer would keep them.
        if self.link.open().is_none() && !self.link.awaits_reply() {
            self.release.drop_expired(turn.state, turn.now);
        }
    }

    /// Ends the conversation for good after a drain.
    pub fn close(&mut self, turn: &mut Turn) {
        self.link = Link::Closed;
        turn.state.close();
    }

    /// Sends `open`, with the fields that this worker still holds.
    pub fn send_open(&mut self, turn: &mut Turn) {
        let Link::Opening(opening) = &mut self.link else { return };
        let out = opening.pair.scripts.outgoing();
        if self.registers {
            // The registration is a separate call, because the registry is not a key of the
            // queue.
            self.identity.write_registration(out);
        }
        let keeps = turn.state.queues[self.queue].fields();
        self.identity.write_open(out, turn.context.scripts.of(self.form), &turn.context.options, &keeps);
        opening.sent = Some(OpenSent { at: turn.now, registers: self.registers });
    }

    /// Sends the last request of a drained worker, which closes its consumer.
    pub fn send_close(&mut self, turn: &Turn) {
        let Link::Open(open) = &mut self.link else { return };
        let out = open.pair.scripts.outgoing();
        self.identity.write_close(out, turn.context.scripts.of(self.form), &turn.context.options);
        open.request = Some(Request::Close(turn.now));
    }

    /// Sends `exchange`.
    pub fn send_exchange(&mut self, turn: &mut Turn, settlements: Vec<Settlement>, asked: usize) {
        let Link::Open(open) = &mut self.link else { return };
        let text = std::mem::take(&mut self.sends_text);
        let (scripts, options) = (turn.context.scripts.of(self.form), &turn.context.options);
        let asks = Asked::of(&mut turn.state.queues[self.queue], turn.now, options.renewal(), asked);
        self.identity.write_exchange(open.pair.scripts.outgoing(), scripts, options, &settlements, &asks, text);
        open.last_exchange = turn.now;
        open.request = Some(Request::Exchange { sent: turn.now, settlements, asked });
    }

    /// Sends BLMOVE, whose reply wakes the driver when a task arrives.
    pub fn send_block(&mut self, turn: &Turn, fresh_until: Duration) {
        if turn.now < self.no_blmove_until {
            return self.ask_instead(turn.now);
        }
        let Link::Open(open) = &mut self.link else { return };
        let options = &turn.context.options;
        let latest = fresh_until.min(turn.now + options.lease / 2);
        let until = turn.context.pace.meet(latest, self.queue);
        let until = if until < turn.now + SHORTEST_BLOCK { latest } else { until };
        let timeout = until.saturating_sub(turn.now).as_secs_f64();
        self.identity.write_block(open.pair.blocking.outgoing(), options.suspects, timeout);
        open.blocks_until(until);
    }

    /// Acts on a reply. The caller must end the conversation if this returns an error.
    pub fn act(&mut self, turn: &mut Turn, side: Side, answer: Answer) -> Result<()> {
        let reply = match answer {
            Answer::Exchange(exchanged) => return self.exchange_answered(turn, exchanged),
            Answer::Moved(claimed) => {
                let Some(open) = self.link.open_mut() else { return Err(unexpected()) };
                open.block_ended(claimed.wants_exchange().then_some(turn.now));
                self.reports.blmove_succeeded();
                let redis_ms = turn.state.queues[self.queue].redis_clock.ms(turn.now);
                turn.state.admit_blocked(self.queue, claimed, turn.now, redis_ms);
                return Ok(());
            }
            Answer::Other(reply) => reply,
        };
        if side == Side::Scripts
            && let Link::Opening(Opening { sent: Some(sent), .. }) = &mut self.link
            && std::mem::take(&mut sent.registers)
        {
            if let Reply::Error(text) = reply {
                self.tell(turn, |reports, now| reports.registration_refused(&text, now));
            }
            return Ok(());
        }
        match (side, reply, &mut self.link) {
            (_, Reply::Error(text), _) => self.refused(turn, side, &text)?,
            (Side::Blocking, _, Link::Open(open)) => {
                open.blocked_until = None;
                self.reports.blmove_succeeded();
            }
            (Side::Scripts, reply, Link::Opening(Opening { sent: Some(sent), .. })) => {
                let sent = sent.at;
                self.opened(turn, sent, replies::opened(reply)?);
            }
            (Side::Scripts, _, Link::Open(Open { request: Some(Request::Close(_)), .. })) => self.close(turn),
            _ => return Err(unexpected()),
        }
        Ok(())
    }

    fn opened(&mut self, turn: &mut Turn, sent: Duration, opened: Opened) {
        let Opened::Holds(redis_ms, fields) = opened else {
            // The id is taken. The next one will be free.
            return self.begin_again(turn);
        };
        turn.state.queues[self.queue].redis_clock.set(redis_ms, sent);
        self.identity.forget_olds();
        self.release.done();
        turn.state.reopened(self.queue, &fields, turn.context.options.fresh_until(sent));
        self.link.opened();
        if !self.retry.in_doubt() {
            self.serves(turn);
        }
    }

    /// Records that Redis serves the queue.
    fn serves(&mut self, turn: &mut Turn) {
        turn.state.queues[self.queue].connected = true;
        turn.state.slots.connected(turn.now);
        // A drain opens a conversation too, but that is not worth an event.
        if turn.state.phase == Phase::Serving {
            let consumer = self.identity.current().to_owned();
            turn.state.tell(self.queue, Event::Connected { consumer });
        }
    }

    fn exchange_answered(&mut self, turn: &mut Turn, exchanged: Result<Exchanged>) -> Result<()> {
        let Some((sent, settlements, asked)) = self.link.take_exchange() else { return Ok(()) };
        if let Ok(Exchanged::Done(done)) = exchanged {
            turn.state.queues[self.queue].settled(&settlements);
            self.exchanged(turn, sent, asked, done);
            return Ok(());
        }
        turn.state.return_settlements(self.queue, settlements);
        exchanged.map(|_lost| self.lease_lost(turn))
    }

    fn exchanged(&mut self, turn: &mut Turn, sent: Duration, asked: usize, mut done: Done) {
        self.reports.succeeded();
        if self.retry.succeeded() {
            self.serves(turn);
        }
        turn.state.queues[self.queue].redis_clock.set(done.redis_ms, sent);
        self.is_paused = done.paused;
        let claimed = std::mem::take(&mut done.claimed);
        if let Some(open) = self.link.open_mut() {
            open.exchanged(sent, (asked > 0).then_some(done.more || claimed.len() == asked));
        }
        let of_queue = &mut turn.state.queues[self.queue];
        of_queue.fresh_until = turn.context.options.fresh_until(sent);
        of_queue.hear_stops(&mut done);
        of_queue.measures.answered(done.watched, turn.now);
        let parked = done.parked_fields();
        turn.state.resolve_doubles(self.queue, sent, &parked, done.redis_ms);
        for message in claimed {
            turn.state.admit(self.queue, message, turn.now, done.redis_ms);
        }
        if let Some(cancelled) = done.cancelled.take() {
            unbegun::cancel(turn.state, self.queue, &cancelled, turn.now);
        }
        turn.state.tell_all(self.queue, self.reports.news(&parked, &done, turn.context.options.suspects, turn.now));
    }

    fn lease_lost(&mut self, turn: &mut Turn) {
        turn.state.lose(self.queue, self.identity.current());
        self.end(turn);
    }

    /// Handles an error reply: Redis has not executed the command. The conversation sends it
    /// again or ends with an error.
    fn refused(&mut self, turn: &mut Turn, side: Side, text: &str) -> Result<()> {
        let from = self.link.connection(side).and_then(Connection::node).map(AsRef::as_ref);
        match turn.context.judge(self.link.sent(side), text, from) {
            Consequence::Ends(error) => return Err(error),
            Consequence::Never(error) if side == Side::Blocking => {
                self.no_blmove_until = turn.now + Retry::WHILE_DENIED;
                self.ask_instead(turn.now);
                self.tell(turn, |reports, _| reports.no_blmove(&error));
                return Ok(());
            }
            // A server before Redis 7 does not know the line of flags.
            Consequence::Never(_) if self.form == Form::Flags && matches!(self.link, Link::Opening(_)) => {
                self.form = Form::Plain;
            }
            Consequence::Never(error) => return Err(error),
            Consequence::Elsewhere(error) => {
                if matches!(self.link, Link::Opening(Opening { sent: Some(_), .. })) {
                    self.identity.is_unknown();
                }
                return Err(error);
            }
            Consequence::Later if side == Side::Blocking => {
                self.ask_instead(turn.now);
                return Ok(());
            }
            Consequence::Later => self.retry.refused(turn.now),
            Consequence::WithText => self.sends_text = true,
        }
        self.send_again(turn);
        Ok(())
    }

    /// Withdraws a request that Redis has not executed. The next plan sends it again.
    fn send_again(&mut self, turn: &mut Turn) {
        if let Some(settlements) = self.link.withdraw() {
            turn.state.return_settlements(self.queue, settlements);
        }
    }

    /// Lets an exchange ask for tasks in place of a BLMOVE that Redis refuses.
    fn ask_instead(&mut self, now: Duration) {
        self.block_not_before = now + Retry::LONGEST;
        if let Some(open) = self.link.open_mut() {
            open.block_ended(None);
        }
    }

    fn tell(&mut self, turn: &mut Turn, report: impl FnOnce(&mut Reports, Duration) -> Option<Event>) {
        if let Some(event) = report(&mut self.reports, turn.now) {
            turn.state.tell(self.queue, event);
        }
    }
}

fn unexpected() -> Error {
    Error::Broker("Redis sent a reply to no request".into())
}
