//! What the driver shares with the threads that run tasks.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::admission::Claimed;
use super::clock;
use super::crew::Crew;
use super::event::Event;
use super::outcome::{Outcome, Settlement};
use super::pace::Pace;
use super::priority::Priority;
use super::ready::Ready;
use crate::message::Message;

/// Outcomes are gathered for so long while more of them are to be expected.
const GATHER: Duration = Duration::from_millis(1);

/// An attempt that has been claimed.
#[derive(Clone, Debug)]
pub struct Work {
    /// Which of the worker's queues it came from.
    pub queue: usize,
    /// Tells this claim from every other of the same field.
    pub serial: u64,
    /// Index of the registered task; whether it is async is in `is_async`.
    pub task: usize,
    /// Runs on the event loop.
    pub is_async: bool,
    /// When it came here.
    pub claimed_at: Duration,
    /// When it began.
    pub begun_at: Duration,
    /// The shift in which it began, if it is sync; see `State::measure`.
    pub shift: u64,
    /// The message.
    pub message: Message,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Waiting,
    Running,
    Settling,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) serial: u64,
    pub(super) stage: Stage,
}

/// A registered task: its index and whether it is async.
pub type Tasks = HashMap<String, (usize, bool)>;

/// One queue's share of the state.
#[derive(Default)]
pub struct QueueState {
    /// The queue's name.
    pub name: String,
    /// What can be run, by name.
    pub tasks: Tasks,
    /// Nothing begins at or after this moment: the lease may be gone.
    pub fresh_until: Duration,
    /// What is to be told to Redis, oldest first.
    pub settlements: VecDeque<Settlement>,
    /// When the oldest of them is to leave.
    pub settle_at: Duration,
    last_outcome: Duration,
    /// A conversation is open, and no answer is overdue.
    pub connected: bool,
    pub(super) held: HashMap<Bytes, Held>,
    pub(super) sync_ready: Ready,
    pub(super) async_ready: Ready,
    /// What a BLMOVE brought although its field was held; see `admit_blocked`.
    pub(super) doubles: Vec<(Claimed, Duration)>,
}

/// How the process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Claims and runs.
    Serving,
    /// Claims nothing more; what runs may end.
    Draining,
    /// The driver has ended.
    Stopped,
}

/// Everything behind the mutex.
pub struct State {
    /// By priority.
    pub queues: Vec<QueueState>,
    /// How many tasks may run at once.
    pub concurrency: usize,
    /// Begun and not ended, here.
    pub running: usize,
    /// Which queue's task begins next.
    pub begun: Priority,
    /// How fast tasks end.
    pub pace: Pace,
    /// Whether one thread serves at a time.
    pub crew: Crew,
    /// Sync tasks that run and began in the present shift.
    pub(super) running_sync: usize,
    /// A new one begins where the one thread that serves is in a slow task.
    pub(super) shift: u64,
    /// When a sync task last began, or a shift.
    pub(super) moved_at: Duration,
    /// How many sync tasks have ended so far.
    pub(super) ended_sync: u64,
    /// Serving, draining or stopped.
    pub phase: Phase,
    /// For the control plane: (queue, event).
    pub events: VecDeque<(usize, Event)>,
    /// Queues whose consumer is closed after a drain.
    pub closed: usize,
    /// When the driver last went round its loop.
    pub turned_at: Duration,
    /// The driver wants to be woken at so many settlements.
    pub wake_at: usize,
    /// The driver wants to be woken when nothing runs or waits.
    pub wake_when_idle: bool,
    /// How long a task with an unknown name is given back, ms.
    pub unknown_grace: u64,
    pub(super) threads: usize,
    pub(super) idle_threads: usize,
    /// How many of them are woken when the lock is free.
    pub(super) to_wake: usize,
    pub(super) serial: u64,
    pub(super) settling: usize,
    pub(super) async_signalled: bool,
    /// How many tasks may still begin.
    pub left: u64,
    /// Serials of those begun whose slot has been given to others.
    pub(super) stuck: HashSet<u64>,
    /// When a task last ended, or a conversation began; None before the first one.
    pub(super) used_at: Option<Duration>,
}

impl State {
    /// Serving these queues, with their tasks; `unknown_grace` in ms.
    pub fn new(queues: Vec<(String, Tasks)>, concurrency: usize, unknown_grace: u64) -> State {
        let queues = queues.into_iter().map(|(name, tasks)| QueueState { name, tasks, ..Default::default() }).collect();
        State {
            queues,
            concurrency,
            unknown_grace,
            running: 0,
            begun: Priority::default(),
            pace: Pace::default(),
            crew: Crew::default(),
            running_sync: 0,
            shift: 0,
            moved_at: Duration::ZERO,
            ended_sync: 0,
            phase: Phase::Serving,
            events: VecDeque::new(),
            closed: 0,
            turned_at: clock::now(),
            wake_at: usize::MAX,
            wake_when_idle: false,
            threads: 1,
            idle_threads: 0,
            to_wake: 0,
            serial: 0,
            settling: 0,
            async_signalled: false,
            left: u64::MAX,
            stuck: HashSet::new(),
            used_at: None,
        }
    }

    /// Claimed and not begun.
    pub fn waiting(&self) -> usize {
        self.queues.iter().map(QueueState::waiting).sum()
    }

    /// The bytes of their messages.
    pub fn waiting_bytes(&self) -> usize {
        self.queues.iter().map(|q| q.sync_ready.bytes() + q.async_ready.bytes()).sum()
    }

    /// The queues that Redis does not serve us at present: no conversation is
    /// open, or the lease could not be renewed.
    pub fn disconnected(&self, now: Duration) -> impl Iterator<Item = usize> {
        let served = move |q: &QueueState| q.connected && now < q.fresh_until;
        self.queues.iter().enumerate().filter(move |(_, q)| !served(q)).map(|(index, _)| index)
    }

    pub(super) fn settle(&mut self, work: &Work, outcome: Outcome, from: Stage, now: Duration) -> bool {
        let queue = &mut self.queues[work.queue];
        let field = work.message.field_bytes();
        match queue.held.get_mut(&field) {
            Some(held) if held.serial == work.serial && held.stage == from => held.stage = Stage::Settling,
            _ => return false,
        }
        queue.push(Settlement { field, outcome }, now);
        self.settling += 1;
        true
    }

    /// Takes settlements to send, at most `limit`, and no more once they have so many bytes.
    pub fn take_settlements(&mut self, queue: usize, limit: usize, mut bytes: usize) -> Vec<Settlement> {
        let waiting = &mut self.queues[queue].settlements;
        let fits = |s: &Settlement| {
            let is_room = bytes > 0;
            bytes = bytes.saturating_sub(s.bytes());
            is_room
        };
        let count = waiting.iter().take(limit).map(fits).take_while(|fits| *fits).count();
        let taken: Vec<_> = waiting.drain(..count).collect();
        self.settling -= taken.len();
        taken
    }

    /// They were not executed, or nobody knows: they go first again.
    pub fn return_settlements(&mut self, queue: usize, settlements: Vec<Settlement>) {
        self.settling += settlements.len();
        for settlement in settlements.into_iter().rev() {
            self.queues[queue].settlements.push_front(settlement);
        }
    }

    /// Redis has executed them.
    pub fn settled(&mut self, queue: usize, settlements: &[Settlement]) {
        for settlement in settlements {
            self.queues[queue].held.remove(&settlement.field);
        }
    }

    /// The fields that a new conversation is to keep.
    pub fn keep(&self, queue: usize) -> Vec<Bytes> {
        self.queues[queue].held.keys().cloned().collect()
    }

    /// A new conversation holds `fields`: whatever else we thought to hold is gone.
    /// What of it runs has become an orphan, whose outcome will be void.
    pub fn reopened(&mut self, queue: usize, fields: &HashSet<Bytes>, fresh_until: Duration) {
        let before = self.queues[queue].settlements.len();
        let queue = &mut self.queues[queue];
        queue.doubles.clear();
        queue.held.retain(|field, _| fields.contains(field));
        let held = &queue.held;
        let mine = |work: &Work| held.contains_key(&work.message.raw[work.message.field.clone()]);
        queue.sync_ready.retain(mine);
        queue.async_ready.retain(mine);
        queue.settlements.retain(|s| held.contains_key(&s.field));
        queue.fresh_until = fresh_until;
        self.settling -= before - queue.settlements.len();
    }

    /// The lease is lost: everything held is somebody else's. How many run on as
    /// orphans, and the fields of the outcomes that are void.
    pub fn lost(&mut self, queue: usize) -> (usize, Vec<Bytes>) {
        let of_queue = &self.queues[queue];
        let running = of_queue.held.values().filter(|h| h.stage == Stage::Running).count();
        let void = of_queue.settlements.iter().map(|s| s.field.clone()).collect();
        self.reopened(queue, &HashSet::new(), Duration::ZERO);
        (running, void)
    }

    /// Drops what has not begun, so that the next `open` sends it home.
    pub fn drop_waiting(&mut self, queue: usize) -> usize {
        let queue = &mut self.queues[queue];
        let dropped = queue.waiting();
        queue.sync_ready.take();
        queue.async_ready.take();
        queue.held.retain(|_, held| held.stage != Stage::Waiting);
        dropped
    }

    /// Gives back what has waited here for longer than `patience`, newest first,
    /// so that the oldest is the next to be claimed. How many.
    pub fn shed(&mut self, queue: usize, now: Duration, patience: Duration) -> usize {
        let q = &mut self.queues[queue];
        let late = |ready: &Ready| ready.front().is_some_and(|w| now.saturating_sub(w.claimed_at) > patience);
        if !late(&q.sync_ready) && !late(&q.async_ready) {
            return 0;
        }
        let mut surplus: Vec<Work> = q.sync_ready.take().into_iter().chain(q.async_ready.take()).collect();
        surplus.sort_by_key(|work| std::cmp::Reverse(work.serial));
        for work in &surplus {
            self.settle(work, Outcome::Release, Stage::Waiting, now);
        }
        self.pace.forget();
        surplus.len()
    }

    /// Gives back everything that still runs; its own outcome will be void.
    pub fn release_running(&mut self, queue: usize, now: Duration) -> usize {
        let queue = &mut self.queues[queue];
        let running: Vec<Bytes> = queue
            .held
            .iter()
            .filter(|(_, held)| held.stage == Stage::Running)
            .map(|(field, _)| field.clone())
            .collect();
        for field in &running {
            if let Some(held) = queue.held.get_mut(field) {
                held.stage = Stage::Settling;
            }
            queue.push(Settlement { field: field.clone(), outcome: Outcome::Release }, now);
        }
        self.settling += running.len();
        running.len()
    }
}

impl QueueState {
    /// Claimed and not begun.
    pub fn waiting(&self) -> usize {
        self.sync_ready.len() + self.async_ready.len()
    }

    /// Whether Redis holds anything for this consumer, as far as we know.
    pub fn holds_something(&self) -> bool {
        !self.held.is_empty() || !self.doubles.is_empty()
    }

    /// Whether an exchange is needed to learn what became of a double.
    pub fn has_doubles(&self) -> bool {
        !self.doubles.is_empty()
    }

    pub(super) fn push(&mut self, settlement: Settlement, now: Duration) {
        if self.settlements.is_empty() {
            // Where outcomes come one by one and nothing is here to be begun, waiting
            // would bring no company.
            let is_lone = self.waiting() == 0 && now.saturating_sub(self.last_outcome) > GATHER;
            self.settle_at = if is_lone { now } else { now + GATHER };
        }
        self.last_outcome = now;
        self.settlements.push_back(settlement);
    }
}
