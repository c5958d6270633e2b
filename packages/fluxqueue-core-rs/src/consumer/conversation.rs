//! One queue's conversation with Redis: its consumer id, its two connections
//! and what is under way on them. The driver says when; this says what.

use std::time::Duration;

use bytes::Bytes;

use super::connector::Pair;
use super::outcome::Settlement;
use super::poll::Side;
use super::requests;
use super::state::State;
use crate::connection::{Args, Call, Connection, command};
use crate::ids;
use crate::keys;
use crate::scripts::Script;

/// How long to wait before connecting again, growing from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(400));
/// How often a paused queue is looked at.
const WHILE_PAUSED: Duration = Duration::from_millis(500);
/// How long after the lost answer of a BLMOVE its connection counts as broken.
const BLOCK_MARGIN: Duration = Duration::from_secs(2);
/// How long to wait for an operator who has to give us a right.
const WHILE_DENIED: Duration = Duration::from_secs(5);

/// What is fixed for all queues of the worker.
pub struct Options {
    /// How long a consumer lives without an exchange.
    pub lease: Duration,
    /// Serve the suspects.
    pub suspects: bool,
    /// Keep dead tasks.
    pub save_dead: bool,
    /// How long messages of newer versions are put off before they are parked, ms.
    pub unknown_grace: u64,
}

impl Options {
    /// Nothing begins after this moment, where `sent` is that of the last success:
    /// a little before the lease ends, since clocks run at slightly different speeds.
    pub fn fresh_until(&self, sent: Duration) -> Duration {
        sent + self.lease - self.lease / 20
    }

    /// A lease is renewed after a third of it.
    pub fn renewal(&self) -> Duration {
        self.lease / 3
    }

    /// How long a script may take to answer before the connection counts as broken.
    pub fn patience(&self) -> Duration {
        (self.lease * 3 / 10).max(Duration::from_millis(500))
    }
}

/// What the script connection waits for.
pub enum Request {
    /// `open`, sent at that time.
    Open(Duration),
    /// `exchange`, with the outcomes it carries and how many tasks it asks for.
    Exchange { sent: Duration, settlements: Vec<Settlement>, asked: usize },
    /// `open` with nothing to open.
    Close(Duration),
}

impl Request {
    fn sent(&self) -> Duration {
        match self {
            Request::Open(sent) | Request::Exchange { sent, .. } | Request::Close(sent) => *sent,
        }
    }
}

/// The scripts that a worker calls.
pub struct Scripts {
    /// open.lua
    pub open: Script,
    /// exchange.lua
    pub exchange: Script,
}

/// One queue's side of the driver.
pub struct Conversation {
    /// Index of the queue.
    pub queue: usize,
    /// Its name.
    pub name: String,
    /// The keys that every call of a script begins with.
    keys: Args,
    /// This conversation's consumer id.
    pub current: String,
    olds: Vec<String>,
    /// The connection for scripts.
    pub scripts: Option<Connection>,
    /// The connection that blocks.
    pub blocking: Option<Connection>,
    /// Somebody connects right now.
    pub connecting: bool,
    /// `open` has answered.
    pub ready: bool,
    /// Replies on the script connection that say nothing to us.
    pub ignore: usize,
    /// What the script connection waits for.
    pub request: Option<Request>,
    /// When the answer of the BLMOVE under way is overdue.
    pub blocked_until: Option<Duration>,
    /// When something was last read from the script connection.
    pub heard: Duration,
    /// When an exchange was last sent.
    pub last_exchange: Duration,
    /// Redis may have more tasks than we have asked for.
    pub maybe_more: bool,
    /// The queue is paused.
    pub paused: bool,
    /// Nothing is sent before: Redis has refused something, or is away.
    pub not_before: Duration,
    /// The control plane knows that we are cut off.
    pub told_broken: bool,
    told_denied: bool,
    /// Redis is to be sent the text of the script.
    pub send_text: bool,
    /// Nothing is held any more, and Redis knows.
    pub closed: bool,
    /// When the drain reached this queue.
    pub draining: Option<Duration>,
    /// Tasks that had not begun are still to be given back.
    pub owes: bool,
    /// No BLMOVE is sent before: Redis has refused one.
    pub block_not_before: Duration,
    /// An exchange of this conversation has succeeded, or it is the first one.
    pub proven: bool,
    pause: Duration,
    opened: bool,
    redis_ahead: i64,
    registers: bool,
}

impl Conversation {
    /// Of that queue, not connected. `registers`: the registry of queues is on the
    /// same server as the queue.
    pub fn new(queue: usize, name: &str, registers: bool) -> Conversation {
        let mut keys = Args::default();
        for key in keys::of_queue(name) {
            keys.push(key.as_bytes());
        }
        Conversation {
            queue,
            name: name.to_owned(),
            keys,
            current: ids::consumer_id(),
            olds: Vec::new(),
            scripts: None,
            blocking: None,
            connecting: false,
            ready: false,
            ignore: 0,
            request: None,
            blocked_until: None,
            heard: Duration::ZERO,
            last_exchange: Duration::ZERO,
            maybe_more: false,
            paused: false,
            not_before: Duration::ZERO,
            told_broken: false,
            told_denied: false,
            send_text: false,
            closed: false,
            draining: None,
            owes: false,
            block_not_before: Duration::ZERO,
            proven: true,
            pause: Duration::ZERO,
            opened: false,
            redis_ahead: 0,
            registers,
        }
    }

    /// The clock of Redis, as far as we know it; ms since 1970.
    pub fn redis_ms(&self, now: Duration) -> u64 {
        (now.as_millis() as i64 + self.redis_ahead) as u64
    }

    /// Redis has said what time it is.
    pub fn set_redis_clock(&mut self, redis_ms: u64, now: Duration) {
        self.redis_ahead = redis_ms as i64 - now.as_millis() as i64;
    }

    /// When the next exchange is due, whatever else is to be said.
    pub fn renew_at(&self, options: &Options) -> Duration {
        let renewal = options.renewal();
        self.last_exchange + if self.paused { WHILE_PAUSED.min(renewal) } else { renewal }
    }

    /// How many tasks the exchange under way asks for.
    pub fn asking(&self) -> usize {
        match &self.request {
            Some(Request::Exchange { asked, .. }) => *asked,
            _ => 0,
        }
    }

    /// Ends the conversation, at any break, a lost lease or the drain: a
    /// consumer id stands for one conversation only. Outcomes under way go back;
    /// the next `open` tells which of them were executed.
    pub fn start_anew(&mut self, state: &mut State, now: Duration, wait: bool) {
        self.scripts = None;
        self.blocking = None;
        self.ready = false;
        state.queues[self.queue].connected = false;
        self.ignore = 0;
        self.blocked_until = None;
        if let Some(Request::Exchange { settlements, .. }) = self.request.take() {
            state.return_settlements(self.queue, settlements);
        }
        if self.opened {
            self.olds.push(std::mem::replace(&mut self.current, ids::consumer_id()));
            self.opened = false;
        }
        if wait {
            self.not_before = now + self.pause;
            self.pause = (self.pause * 2).clamp(PAUSES.0, PAUSES.1);
            self.proven = false;
        }
    }

    /// It is worth telling also where a break was told: this one does not end by itself.
    pub fn tell_denied(&mut self) {
        if !std::mem::replace(&mut self.told_denied, true) {
            self.told_broken = false;
        }
    }

    /// The next conversation would be refused what this one was: it begins later.
    pub fn is_denied(&mut self, now: Duration) {
        self.not_before = self.not_before.max(now + WHILE_DENIED);
    }

    /// Both connections are there.
    pub fn connected(&mut self, pair: Pair) {
        self.scripts = Some(pair.scripts);
        self.blocking = Some(pair.blocking);
    }

    /// `open` has answered: the old ids are behind us, and what had not begun is given back.
    pub fn is_open(&mut self) {
        self.ready = true;
        self.owes = false;
        self.olds.clear();
        self.maybe_more = true;
    }

    /// An exchange has succeeded: only now it is known that Redis serves us. True
    /// where that was in doubt.
    pub fn prove(&mut self) -> bool {
        self.pause = Duration::ZERO;
        self.told_broken = false;
        self.told_denied = false;
        !std::mem::replace(&mut self.proven, true)
    }

    /// Redis has refused a BLMOVE and executed nothing. Until the next one an
    /// exchange asks.
    pub fn block_refused(&mut self, now: Duration) {
        self.blocked_until = None;
        self.block_not_before = now + PAUSES.1;
        self.maybe_more = true;
    }

    /// This server has refused what is under way, since it is not the one to ask.
    /// An `open` has not made the consumer known then.
    pub fn is_elsewhere(&mut self) {
        if matches!(self.request, Some(Request::Open(_))) {
            self.opened = false;
        }
    }

    /// Redis refuses for the moment: the same again, later.
    pub fn back_off(&mut self, now: Duration) {
        self.pause = (self.pause * 2).clamp(PAUSES.0, PAUSES.1);
        self.not_before = now + self.pause;
    }

    /// A call with the keys of the queue and of that consumer.
    fn call_for(&self, consumer: &str) -> Call {
        let mut call = Call::new(&self.keys);
        self.add_keys_of(consumer, &mut call);
        call
    }

    fn add_keys_of(&self, consumer: &str, call: &mut Call) {
        for key in keys::of_consumer(&self.name, consumer) {
            call.keys.push(key.as_bytes());
        }
    }

    fn call_open(&mut self, script: &Script, new: &str, options: &Options, keep: &[Bytes]) {
        let mut call = self.call_for(new);
        for old in &self.olds {
            self.add_keys_of(old, &mut call);
        }
        requests::open(&mut call, new, options.lease.as_millis() as u64, &self.olds, keep);
        let Some(connection) = &mut self.scripts else { return };
        call.eval(connection.outgoing(), script);
    }

    /// Sends `open`, with all that we still hold.
    pub fn send_open(&mut self, state: &State, scripts: &Scripts, options: &Options, now: Duration) {
        // Two commands at once: the registry is no key of the queue.
        if let Some(connection) = self.scripts.as_mut().filter(|_| self.registers) {
            command(connection.outgoing(), [b"SADD".as_slice(), keys::QUEUES.as_bytes(), self.name.as_bytes()]);
            self.ignore += 1;
        }
        let new = self.current.clone();
        self.call_open(&scripts.open, &new, options, &state.queues[self.queue].fields());
        self.opened = true;
        self.request = Some(Request::Open(now));
    }

    /// Sends `open` with no new id: the last word of a drained worker.
    pub fn send_close(&mut self, scripts: &Scripts, options: &Options, now: Duration) {
        self.olds.push(self.current.clone());
        self.call_open(&scripts.open, "", options, &[]);
        self.olds.pop();
        self.request = Some(Request::Close(now));
    }

    /// Sends `exchange`.
    pub fn send_exchange(
        &mut self,
        settlements: Vec<Settlement>,
        asked: usize,
        scripts: &Scripts,
        options: &Options,
        now: Duration,
    ) {
        let what = requests::Exchange {
            consumer: &self.current,
            lease_ms: options.lease.as_millis() as u64,
            claim: asked,
            suspects: options.suspects,
            save_dead: options.save_dead,
            grace_ms: options.unknown_grace,
        };
        let mut call = self.call_for(&self.current);
        requests::exchange(&mut call, &what, &settlements);
        let text = std::mem::take(&mut self.send_text);
        if let Some(connection) = &mut self.scripts {
            let write = if text { Call::eval } else { Call::evalsha };
            write(&call, connection.outgoing(), &scripts.exchange);
        }
        self.last_exchange = now;
        self.request = Some(Request::Exchange { sent: now, settlements, asked });
    }

    /// Sends BLMOVE: the next task will wake us.
    pub fn send_block(&mut self, options: &Options, fresh_until: Duration, now: Duration) {
        let timeout = fresh_until.saturating_sub(now).min(options.lease / 2);
        let source = if options.suspects { keys::suspects(&self.name) } else { keys::pending(&self.name) };
        let inbox = keys::inbox(&self.name, &self.current);
        let seconds = format!("{:.3}", timeout.as_secs_f64());
        let Some(connection) = &mut self.blocking else { return };
        let parts: [&[u8]; 6] = [b"BLMOVE", source.as_bytes(), inbox.as_bytes(), b"RIGHT", b"LEFT", seconds.as_bytes()];
        command(connection.outgoing(), parts);
        self.blocked_until = Some(now + timeout + BLOCK_MARGIN);
    }

    /// A large answer on a slow line is not late while it comes.
    fn answer_due(&self, options: &Options) -> Option<Duration> {
        self.request.as_ref().map(|request| request.sent().max(self.heard) + options.patience())
    }

    /// Something was read, though perhaps no whole answer.
    pub fn hear(&mut self, side: Side, now: Duration) {
        match side {
            Side::Scripts => self.heard = now,
            Side::Blocking => self.blocked_until = self.blocked_until.map(|until| until.max(now + BLOCK_MARGIN)),
        }
    }

    /// What has waited for an answer for too long.
    pub fn overdue(&self, options: &Options, now: Duration) -> Option<&'static str> {
        if self.answer_due(options).is_some_and(|due| now >= due) {
            return Some("Redis does not answer");
        }
        match self.blocked_until {
            Some(until) if now >= until => Some("Redis does not answer a BLMOVE"),
            _ => None,
        }
    }

    /// When `overdue` may next say something.
    pub fn due(&self, options: &Options) -> Option<Duration> {
        self.answer_due(options).into_iter().chain(self.blocked_until).min()
    }
}
