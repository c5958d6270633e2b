//! The thread that talks to Redis: it never takes the GIL, so leases are
//! renewed whatever the tasks do.
//!
//! Each turn: read what came, decide for each queue what to send (`plan`),
//! write, sleep until something happens.

use std::sync::Arc;
use std::time::Duration;

use super::batching::ENOUGH;
use super::claiming::{self, PATIENCE, Room};
use super::clock;
use super::connector::Connector;
use super::conversation::{Conversation, Options, Scripts};
use super::event::Event;
use super::fairness::Fairness;
use super::poll::{Poll, Side};
use super::shared::Shared;
use super::state::{Phase, State};
use crate::connection::{Connection, Deployment};
use crate::errors::{Error, Result};
use crate::scripts::Script;

/// What one exchange carries at most.
const MOST_SETTLED: usize = 1000;
/// So many bytes of outcomes are enough for one exchange: those of failed tasks carry
/// their messages, and a slow line has to get them across before an answer is late.
const ENOUGH_BYTES: usize = 1 << 20;
/// How long a drained worker with nothing to say tries to reach Redis.
const FAREWELL: Duration = Duration::from_secs(1);

/// The state of the thread.
pub struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) options: Options,
    pub(super) scripts: Scripts,
    pub(super) flags: bool,
    pub(super) conversations: Vec<Conversation>,
    pub(super) told: Vec<Told>,
    pub(super) deployment: Arc<Deployment>,
    connector: Connector,
    pub(super) started: Duration,
    claims: Fairness,
}

/// When the control plane last heard of something, per queue.
#[derive(Default, Clone)]
pub(super) struct Told {
    pub(super) suspects: Duration,
    pub(super) no_scheduler: Duration,
    pub(super) newer: Duration,
    pub(super) not_registered: Option<Duration>,
}

pub(super) fn load(flags: bool) -> Result<Scripts> {
    Ok(Scripts { open: Script::load("open", flags)?, exchange: Script::load("exchange", flags)? })
}

impl Driver {
    /// For the queues of the shared state.
    pub fn new(shared: Arc<Shared>, deployment: Arc<Deployment>, options: Options) -> Result<Driver> {
        let registers = !deployment.is_cluster();
        let conversations: Vec<_> =
            shared.lock().queues.iter().enumerate().map(|(i, q)| Conversation::new(i, &q.name, registers)).collect();
        Ok(Driver {
            told: vec![Told::default(); conversations.len()],
            connector: Connector::new(deployment.clone(), shared.clone()),
            deployment,
            scripts: load(true)?,
            flags: true,
            conversations,
            options,
            shared,
            started: clock::now(),
            claims: Fairness::default(),
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
                let wait = self.plan_all(&mut state);
                shared.wake(state);
                wait
            };
            self.write_all();
            poll.wait(shared.driver.fd(), &self.conversations, wait);
            if poll.woken() {
                shared.driver.clear();
            }
            for (queue, result) in self.connector.finished().collect::<Vec<_>>() {
                let now = clock::now();
                self.conversations[queue].connecting = false;
                let mut state = shared.lock();
                match result {
                    Ok(pair) => {
                        if let Some(error) = &pair.not_registered {
                            self.tell_not_registered(&mut state, queue, error, now);
                        }
                        self.conversations[queue].connected(pair);
                    }
                    Err(error) => self.broken_by(&mut state, queue, &error, now),
                }
                shared.wake(state);
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
        if state.measure(now) {
            self.shared.announce_work(state);
        }
        for queue in 0..self.conversations.len() {
            self.let_go(state, queue, now);
        }
        let mut next = state.stall_at();
        for queue in self.claims.order(self.conversations.len()) {
            let due = self.plan(state, queue, now);
            next = next.into_iter().chain(due).chain(self.farewell(queue, now)).min();
        }
        let can_send = |c: &&Conversation| c.ready && c.request.is_none() && now >= c.not_before;
        let gathered = |c: &Conversation| state.queues[c.queue].settlements.len();
        let leaving = self.conversations.iter().filter(can_send).map(gathered).reduce(|sum, n| sum + n);
        state.batching.plan(state.outcomes(), leaving);
        state.rate.awaits = self.conversations.iter().any(|c| c.request.is_some());
        // Even where nothing is due a turn now and then shows that this thread lives.
        next.map_or(Duration::MAX, |at: Duration| at.saturating_sub(now)).min(self.options.renewal())
    }

    /// One queue; when it wants to be looked at again.
    fn plan(&mut self, state: &mut State, queue: usize, now: Duration) -> Option<Duration> {
        if self.conversations[queue].closed {
            return None;
        }
        if state.phase == Phase::Draining && self.conversations[queue].draining.is_none() {
            self.conversations[queue].draining = Some(now);
            self.drop_waiting(state, queue);
            self.conversations[queue].start_anew(state, now, false);
        }
        if self.has_nothing_to_say(state, queue, now) {
            self.close(state, queue);
            return None;
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
            if let Err(error) = self.connector.begin(queue, &conversation.name) {
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

    /// A drained worker that holds nothing need not wait for a Redis that is away:
    /// the lease of an empty consumer ends by itself.
    fn has_nothing_to_say(&self, state: &State, queue: usize, now: Duration) -> bool {
        let conversation = &self.conversations[queue];
        let is_over = conversation.draining.is_some_and(|since| now >= since + FAREWELL);
        is_over && !conversation.owes && !conversation.ready && !state.queues[queue].holds_something()
    }

    /// When `has_nothing_to_say` may be true, whatever else is waited for: somebody who
    /// connects may take longer, and so may what Redis refuses.
    fn farewell(&self, queue: usize, now: Duration) -> Option<Duration> {
        let conversation = &self.conversations[queue];
        let at = conversation.draining? + FAREWELL;
        (!conversation.closed && now < at).then_some(at)
    }

    pub(super) fn close(&mut self, state: &mut State, queue: usize) {
        let conversation = &mut self.conversations[queue];
        conversation.closed = true;
        conversation.scripts = None;
        conversation.blocking = None;
        state.close();
    }

    /// How many tasks this queue may ask for.
    fn wanted(&self, state: &State, queue: usize) -> usize {
        let conversation = &self.conversations[queue];
        let serving = state.phase == Phase::Serving && !conversation.paused;
        if !serving || (conversation.blocked_until.is_some() && !conversation.maybe_more) {
            return 0;
        }
        self.room(state, queue).wanted()
    }

    fn room(&self, state: &State, queue: usize) -> Room {
        let concurrency = state.slots.concurrency;
        Room {
            concurrency,
            vacant: state.slots.vacant(),
            waiting: state.waiting(),
            waiting_bytes: state.waiting_bytes(),
            waiting_of_queue: state.queues[queue].waiting(),
            asked: self.conversations.iter().map(Conversation::asking).sum(),
            is_blocked: self.conversations.iter().any(|c| c.blocked_until.is_some()),
            // A suspect is never claimed beside another.
            ahead: if self.options.suspects { 0 } else { claiming::prefetch(state.rate.per_second(), concurrency) },
        }
    }

    fn plan_exchange(&mut self, state: &mut State, queue: usize, now: Duration) {
        let released = state.shed(queue, now, PATIENCE);
        if released > 0 {
            state.tell(queue, Event::Released { count: released });
        }
        let conversation = &self.conversations[queue];
        let q = &state.queues[queue];
        if state.phase == Phase::Draining && !q.holds_something() {
            self.conversations[queue].send_close(&self.scripts, &self.options, now);
            return;
        }
        let idle = state.is_idle();
        let gathered = q.settlements.len();
        let settle =
            gathered > 0 && (idle || gathered >= ENOUGH || state.phase == Phase::Draining || now >= q.settle_at);
        let renew = now >= conversation.renew_at(&self.options);
        let wanted = self.wanted(state, queue);
        // Where the last exchange emptied the queue, a BLMOVE or the next outcome asks again.
        let claim = wanted > 0 && conversation.maybe_more && self.room(state, queue).is_low();
        if settle || renew || q.has_doubles() || claim {
            let settlements = state.take_settlements(queue, MOST_SETTLED, ENOUGH_BYTES);
            // What has ended goes first: else tasks that are done and not settled pile up
            // here and in Redis, and all of them run again if this process is killed.
            let wanted = if state.queues[queue].settlements.is_empty() { wanted } else { 0 };
            if wanted > 0 {
                self.claims.count();
            }
            self.conversations[queue].send_exchange(settlements, wanted, &self.scripts, &self.options, now);
        }
    }

    /// Blocks on the queue when it was empty and a slot is free.
    fn plan_block(&mut self, state: &State, queue: usize, now: Duration) {
        let conversation = &self.conversations[queue];
        let fresh_until = state.queues[queue].fresh_until;
        let may = conversation.ready
            && state.phase == Phase::Serving
            && !conversation.paused
            && !conversation.maybe_more
            && conversation.blocked_until.is_none()
            && now >= conversation.block_not_before
            && self.room(state, queue).may_block()
            && now + Duration::from_millis(50) < fresh_until;
        if may {
            self.conversations[queue].send_block(&self.options, fresh_until, now);
        }
    }

    fn next_look(&self, state: &State, queue: usize, now: Duration) -> Option<Duration> {
        let conversation = &self.conversations[queue];
        let q = &state.queues[queue];
        let mut next = conversation.due(&self.options);
        let mut sooner = |at: Duration| next = Some(next.map_or(at, |n| n.min(at)));
        if now < conversation.block_not_before {
            sooner(conversation.block_not_before);
        }
        if conversation.ready && conversation.request.is_none() {
            sooner(conversation.renew_at(&self.options));
            if !q.settlements.is_empty() {
                sooner(q.settle_at);
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
                let mut state = shared.lock();
                self.broken(&mut state, queue, &error.to_string(), clock::now());
                shared.wake(state);
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
                    let answer = self.understand(queue, side, reply);
                    let mut state = shared.lock();
                    let done = self.act(&mut state, queue, side, answer);
                    if let Err(error) = &done {
                        self.broken_by(&mut state, queue, error, clock::now());
                    }
                    shared.wake(state);
                    if done.is_err() {
                        return;
                    }
                    continue;
                }
                Ok(None) => match link.read_some() {
                    Ok(true) => {
                        self.conversations[queue].hear(side, clock::now());
                        continue;
                    }
                    Ok(false) => return,
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            let mut state = shared.lock();
            self.broken(&mut state, queue, &problem, clock::now());
            shared.wake(state);
            return;
        }
    }

    fn broken_by(&mut self, state: &mut State, queue: usize, error: &Error, now: Duration) {
        let denied = matches!(error, Error::Denied(_));
        if denied {
            self.conversations[queue].tell_denied();
        }
        self.broken(state, queue, &error.to_string(), now);
        if denied {
            self.conversations[queue].is_denied(now);
        }
    }

    /// The conversation ends; a new one begins as soon as Redis is there.
    pub(super) fn broken(&mut self, state: &mut State, queue: usize, error: &str, now: Duration) {
        let conversation = &mut self.conversations[queue];
        if !conversation.told_broken {
            conversation.told_broken = true;
            state.tell(queue, Event::Disconnected { error: error.to_owned() });
        }
        conversation.start_anew(state, now, true);
        // What was claimed ahead may have been too much for the line.
        state.rate.forget();
    }
}
