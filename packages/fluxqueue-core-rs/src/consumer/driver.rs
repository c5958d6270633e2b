//! The thread that talks to Redis: it never takes the GIL, so leases are
//! renewed whatever the tasks do.
//!
//! Each turn: read what came, decide for each queue what to send (`plan`),
//! write, sleep until something happens.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::clock;
use super::connector::Connector;
use super::conversation::{Conversation, Options, Request, Scripts};
use super::event::Event;
use super::pace::MOST_AHEAD;
use super::poll::{Poll, Side};
use super::replies::{self, Done, Exchanged, Opened};
use super::state::{Phase, Shared, State};
use crate::config::Config;
use crate::connection::{Connection, Reply};
use crate::errors::{Error, Result};
use crate::scripts::Script;

/// Outcomes are gathered for so long while work goes on.
const GATHER: Duration = Duration::from_millis(1);
/// So many outcomes are enough to send.
const ENOUGH: usize = 256;
/// What one exchange carries at most.
const MOST_SETTLED: usize = 500;
const MOST_CLAIMED: usize = 1000;
/// What has waited here for longer is given back.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often a paused queue is looked at.
const WHILE_PAUSED: Duration = Duration::from_millis(500);
/// No sweep for so long: no scheduler is alive.
const NO_SCHEDULER: Duration = Duration::from_secs(5);
/// The same news is told again after so long.
const TELL_AGAIN: Duration = Duration::from_secs(1);

/// The state of the thread.
pub struct Driver {
    shared: Arc<Shared>,
    options: Options,
    scripts: Scripts,
    flags: bool,
    conversations: Vec<Conversation>,
    told: Vec<Told>,
    connector: Connector,
    started: Duration,
    turn: usize,
}

/// When the control plane last heard of something, per queue.
#[derive(Default, Clone)]
struct Told {
    suspects: Duration,
    no_scheduler: Duration,
}

fn load(flags: bool) -> Result<Scripts> {
    Ok(Scripts { open: Script::load("open", flags)?, exchange: Script::load("exchange", flags)? })
}

impl Driver {
    /// For the queues of the shared state.
    pub fn new(shared: Arc<Shared>, config: Arc<Config>, options: Options) -> Result<Driver> {
        let conversations: Vec<_> =
            shared.lock().queues.iter().enumerate().map(|(i, q)| Conversation::new(i, &q.name)).collect();
        Ok(Driver {
            told: vec![Told::default(); conversations.len()],
            connector: Connector::new(config, shared.clone()),
            scripts: load(true)?,
            flags: true,
            conversations,
            options,
            shared,
            started: clock::now(),
            turn: 0,
        })
    }

    /// Runs until the phase is `Stopped`.
    pub fn run(mut self) {
        let shared = self.shared.clone();
        let mut poll = Poll::default();
        loop {
            let wait = {
                let mut state = shared.lock();
                if state.phase == Phase::Stopped {
                    return;
                }
                self.plan_all(&mut state)
            };
            self.write_all();
            poll.wait(shared.driver.fd(), &self.conversations, wait);
            if poll.woken() {
                shared.driver.clear();
            }
            for (queue, result) in self.connector.finished().collect::<Vec<_>>() {
                let now = clock::now();
                self.conversations[queue].connecting = false;
                match result {
                    Ok(pair) => self.conversations[queue].connected(pair),
                    Err(error) => self.broken(&mut shared.lock(), queue, &error.to_string(), now),
                }
            }
            for (queue, side) in poll.ready() {
                self.read(queue, side);
            }
        }
    }

    /// Decides what to send, queue by queue, and for how long to sleep then.
    fn plan_all(&mut self, state: &mut State) -> Duration {
        let now = clock::now();
        state.turned_at = now;
        state.pace.measure(now);
        let mut next = None;
        // Mostly by priority; now and then from behind, so that a full queue
        // does not starve the ones after it.
        self.turn = self.turn.wrapping_add(1);
        let n = self.conversations.len();
        for i in 0..n {
            let queue = if self.turn.is_multiple_of(8) { n - 1 - i } else { i };
            let due = self.plan(state, queue, now);
            next = next.into_iter().chain(due).min();
        }
        let idle_link = self.conversations.iter().any(|c| c.ready && c.request.is_none());
        let gathering = state.queues.iter().any(|q| !q.settlements.is_empty());
        state.wake_when_idle = idle_link;
        state.wake_at = match (idle_link, gathering) {
            (false, _) => usize::MAX,
            (true, true) => ENOUGH,
            (true, false) => 1,
        };
        // Even where nothing is due a turn now and then shows that this thread lives.
        next.map_or(Duration::MAX, |at: Duration| at.saturating_sub(now)).min(self.options.renewal())
    }

    /// One queue; when it wants to be looked at again.
    fn plan(&mut self, state: &mut State, queue: usize, now: Duration) -> Option<Duration> {
        if self.conversations[queue].closed {
            return None;
        }
        if state.phase == Phase::Draining && !self.conversations[queue].draining {
            // What has not begun is dropped here and sent home by `open`.
            self.conversations[queue].draining = true;
            let count = state.drop_waiting(queue);
            if count > 0 {
                self.shared.tell(state, queue, Event::Released { count });
            }
            self.conversations[queue].start_anew(state, now, false);
        }
        if let Some(problem) = self.conversations[queue].overdue(&self.options, now) {
            self.broken(state, queue, problem, now);
        }
        let conversation = &mut self.conversations[queue];
        if conversation.connecting {
            return None;
        }
        if now < conversation.not_before {
            return Some(conversation.not_before);
        }
        if conversation.scripts.is_none() {
            conversation.connecting = true;
            if let Err(error) = self.connector.begin(queue) {
                conversation.connecting = false;
                self.broken(state, queue, &error.to_string(), now);
                return Some(self.conversations[queue].not_before);
            }
            return None;
        }
        if conversation.request.is_none() {
            if conversation.ready {
                self.plan_exchange(state, queue, now);
            } else {
                conversation.send_open(state, &self.scripts, &self.options, now);
            }
        }
        self.plan_block(state, queue, now);
        self.next_look(state, queue, now)
    }

    /// How many tasks this queue may ask for: what the free slots take, one kept
    /// for a BLMOVE under way, and about 50 ms of work at the measured rate.
    fn wanted(&self, state: &State, queue: usize) -> usize {
        let conversation = &self.conversations[queue];
        let serving = state.phase == Phase::Serving && !conversation.paused;
        if !serving || (conversation.blocked_until.is_some() && !conversation.maybe_more) {
            return 0;
        }
        let reserve = usize::from(self.conversations.iter().any(|c| c.blocked_until.is_some()));
        let ahead = if self.options.suspects { 0 } else { state.pace.ahead(state.concurrency) };
        let asked: usize = self.conversations.iter().map(Conversation::asking).sum();
        let slots = state.concurrency.saturating_sub(state.running + reserve);
        (slots + ahead).min(MOST_AHEAD.max(state.concurrency)).saturating_sub(state.waiting() + asked).min(MOST_CLAIMED)
    }

    fn plan_exchange(&mut self, state: &mut State, queue: usize, now: Duration) {
        let released = state.shed(queue, now, PATIENCE);
        if released > 0 {
            self.shared.tell(state, queue, Event::Released { count: released });
        }
        let conversation = &self.conversations[queue];
        let q = &state.queues[queue];
        if state.phase == Phase::Draining && !q.holds_something() {
            self.conversations[queue].send_close(&self.scripts, &self.options, now);
            return;
        }
        let idle = state.running == 0 && state.waiting() == 0;
        let gathered = q.settlements.len();
        let settle = gathered > 0
            && (idle || gathered >= ENOUGH || state.phase == Phase::Draining || now >= q.waiting_since + GATHER);
        let renewal =
            if conversation.paused { WHILE_PAUSED.min(self.options.renewal()) } else { self.options.renewal() };
        let renew = now >= conversation.last_exchange + renewal;
        let wanted = self.wanted(state, queue);
        // Where the last exchange emptied the queue, a BLMOVE or the next outcome asks again.
        let claim = wanted > 0 && conversation.maybe_more && state.waiting() <= state.pace.ahead(state.concurrency) / 2;
        if settle || renew || q.has_doubles() || claim {
            let settlements = state.take_settlements(queue, MOST_SETTLED);
            self.conversations[queue].send_exchange(settlements, wanted, &self.scripts, &self.options, now);
        }
    }

    /// Blocks on the queue when it was empty and a slot is free.
    fn plan_block(&mut self, state: &State, queue: usize, now: Duration) {
        let asked: usize = self.conversations.iter().map(Conversation::asking).sum();
        let conversation = &mut self.conversations[queue];
        let fresh_until = state.queues[queue].fresh_until;
        let may = conversation.ready
            && state.phase == Phase::Serving
            && !conversation.paused
            && !conversation.maybe_more
            && conversation.blocked_until.is_none()
            && state.free() > asked
            && now + Duration::from_millis(50) < fresh_until;
        if may {
            conversation.send_block(&self.options, fresh_until, now);
        }
    }

    fn next_look(&self, state: &State, queue: usize, now: Duration) -> Option<Duration> {
        let conversation = &self.conversations[queue];
        let q = &state.queues[queue];
        let mut next = conversation.due(&self.options);
        let mut sooner = |at: Duration| next = Some(next.map_or(at, |n| n.min(at)));
        if conversation.ready && conversation.request.is_none() {
            let renewal =
                if conversation.paused { WHILE_PAUSED.min(self.options.renewal()) } else { self.options.renewal() };
            sooner(conversation.last_exchange + renewal);
            if !q.settlements.is_empty() {
                sooner(q.waiting_since + GATHER);
            }
            if q.waiting() > 0 {
                sooner(now + PATIENCE);
            }
        }
        next
    }

    fn write_all(&mut self) {
        for queue in 0..self.conversations.len() {
            let conversation = &mut self.conversations[queue];
            let links = [&mut conversation.scripts, &mut conversation.blocking];
            let failed =
                links.into_iter().flatten().filter(|link| link.wants_write()).find_map(|link| link.write_some().err());
            if let Some(error) = failed {
                let shared = self.shared.clone();
                self.broken(&mut shared.lock(), queue, &error.to_string(), clock::now());
            }
        }
    }

    fn link(&mut self, queue: usize, side: Side) -> Option<&mut Connection> {
        let conversation = &mut self.conversations[queue];
        match side {
            Side::Scripts => conversation.scripts.as_mut(),
            Side::Blocking => conversation.blocking.as_mut(),
        }
    }

    /// Reads what came and acts on every whole reply.
    fn read(&mut self, queue: usize, side: Side) {
        let shared = self.shared.clone();
        loop {
            let Some(link) = self.link(queue, side) else { return };
            let problem = match link.next_reply() {
                Ok(Some(reply)) => {
                    let mut state = shared.lock();
                    match self.reply(&mut state, queue, side, reply) {
                        Ok(()) => continue,
                        Err(error) => error.to_string(),
                    }
                }
                Ok(None) => match link.read_some() {
                    Ok(true) => continue,
                    Ok(false) => return,
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            self.broken(&mut shared.lock(), queue, &problem, clock::now());
            return;
        }
    }

    fn reply(&mut self, state: &mut State, queue: usize, side: Side, reply: Reply) -> Result<()> {
        let now = clock::now();
        let conversation = &mut self.conversations[queue];
        if side == Side::Scripts && conversation.ignore > 0 {
            conversation.ignore -= 1;
            return Ok(());
        }
        if let Reply::Error(text) = reply {
            return self.refused(state, queue, side, &text, now);
        }
        if side == Side::Blocking {
            conversation.blocked_until = None;
            if let Reply::BulkString(message) = reply {
                conversation.maybe_more = true;
                let redis_ms = conversation.redis_ms(now);
                state.admit_blocked(&self.shared, queue, message, now, redis_ms);
                self.shared.announce_work(state);
            }
            return Ok(());
        }
        match conversation.request.take() {
            Some(Request::Open(sent)) => self.opened(state, queue, sent, replies::opened(reply)?, now),
            Some(Request::Exchange { sent, settlements, asked }) => match replies::exchanged(reply) {
                Ok(Exchanged::Done(done)) => {
                    state.settled(queue, &settlements);
                    self.exchanged(state, queue, sent, asked, done, now);
                }
                Ok(Exchanged::Lost) => self.lease_lost(state, queue, now),
                Err(error) => {
                    state.return_settlements(queue, settlements);
                    return Err(error);
                }
            },
            Some(Request::Close(_)) => {
                self.conversations[queue].closed = true;
                self.conversations[queue].scripts = None;
                self.conversations[queue].blocking = None;
                state.closed += 1;
                self.shared.for_events.set();
            }
            None => return Err(Error::Broker("Redis sent a reply that nobody waits for".into())),
        }
        Ok(())
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
        conversation.told_broken = false;
        let consumer = conversation.current.clone();
        state.reopened(queue, &fields, sent + self.options.lease - self.options.margin());
        state.queues[queue].connected = true;
        self.shared.tell(state, queue, Event::Connected { consumer });
        self.shared.announce_work(state);
    }

    fn exchanged(&mut self, state: &mut State, queue: usize, sent: Duration, asked: usize, done: Done, now: Duration) {
        let conversation = &mut self.conversations[queue];
        conversation.set_redis_clock(done.redis_ms, now);
        conversation.paused = done.paused;
        if asked > 0 {
            conversation.maybe_more = done.claimed.len() == asked;
        }
        state.queues[queue].fresh_until = sent + self.options.lease - self.options.margin();
        // An entry of the dead set is the field, with a number where it was there already.
        let parked: HashSet<Bytes> =
            done.parked.iter().map(|e| e.slice(..memchr::memchr(b'#', e).unwrap_or(e.len()))).collect();
        state.resolve_doubles(&self.shared, queue, sent, &parked, done.redis_ms);
        for message in done.claimed {
            state.admit(&self.shared, queue, message, now, done.redis_ms);
        }
        for entry in &parked {
            let malformed = entry.starts_with(b"sha1:");
            let event = Event::Parked {
                task_id: String::from_utf8_lossy(entry.split(|b| *b == b'"').next().unwrap_or_default()).into_owned(),
                name: String::new(),
                reason: if malformed { "malformed" } else { "duplicate" }.into(),
            };
            self.shared.tell(state, queue, event);
        }
        self.look_around(state, queue, done.suspects, done.since_sweep_ms, now);
        self.shared.announce_work(state);
    }

    /// Suspects that need a process of their own, and a scheduler that is not there.
    fn look_around(&mut self, state: &mut State, queue: usize, suspects: i64, sweep: Option<u64>, now: Duration) {
        let told = &mut self.told[queue];
        if suspects > 0 && !self.options.suspects && now >= told.suspects + TELL_AGAIN {
            told.suspects = now;
            self.shared.tell(state, queue, Event::Suspects { count: suspects });
        }
        let late = sweep.is_none_or(|ms| Duration::from_millis(ms) > NO_SCHEDULER);
        if late && now > self.started + NO_SCHEDULER && now >= told.no_scheduler + TELL_AGAIN {
            told.no_scheduler = now;
            let seconds = sweep.map(|ms| ms as f64 / 1000.0);
            self.shared.tell(state, queue, Event::NoScheduler { seconds });
        }
    }

    fn lease_lost(&mut self, state: &mut State, queue: usize, now: Duration) {
        let consumer = self.conversations[queue].current.clone();
        let running = state.lost(queue);
        self.shared.tell(state, queue, Event::LeaseLost { consumer, running });
        self.conversations[queue].start_anew(state, now, false);
    }

    /// An error reply: the command was not executed, or the conversation ends.
    fn refused(&mut self, state: &mut State, queue: usize, side: Side, text: &str, now: Duration) -> Result<()> {
        let code = text.split_whitespace().next().unwrap_or_default();
        let conversation = &mut self.conversations[queue];
        let unflagged = self.flags && side == Side::Scripts && text.contains("ompiling script");
        let again = match code {
            "NOSCRIPT" => {
                conversation.send_text = true;
                true
            }
            "LOADING" | "TRYAGAIN" | "CLUSTERDOWN" | "OOM" | "NOREPLICAS" | "MISCONF" | "BUSY" | "MASTERDOWN" => {
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
            return Err(crate::connection::redis_error(text));
        }
        if let Some(Request::Exchange { settlements, .. }) = conversation.request.take() {
            state.return_settlements(queue, settlements);
        }
        Ok(())
    }

    /// The conversation ends; a new one begins as soon as Redis is there.
    fn broken(&mut self, state: &mut State, queue: usize, error: &str, now: Duration) {
        let conversation = &mut self.conversations[queue];
        if !conversation.told_broken {
            conversation.told_broken = true;
            self.shared.tell(state, queue, Event::Disconnected { error: error.to_owned() });
        }
        conversation.start_anew(state, now, true);
    }
}
