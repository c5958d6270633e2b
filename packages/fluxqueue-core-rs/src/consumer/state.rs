//! What the driver shares with the threads that run tasks.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;

use super::clock;
use super::event::Event;
use super::outcome::{Outcome, Settlement};
use super::pace::Pace;
use super::wake::Wake;
use crate::errors::Result;
use crate::message::Message;

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
    /// What is to be told to Redis, oldest first, and since when the first waits.
    pub settlements: VecDeque<Settlement>,
    /// When the oldest settlement came.
    pub waiting_since: Duration,
    /// A conversation is open, and no answer is overdue.
    pub connected: bool,
    pub(super) held: HashMap<Bytes, Held>,
    pub(super) sync_ready: VecDeque<Work>,
    pub(super) async_ready: VecDeque<Work>,
    /// What a BLMOVE brought although its field was held; see `admit_blocked`.
    pub(super) doubles: Vec<(Bytes, Duration)>,
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
    /// How fast tasks end.
    pub pace: Pace,
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
    threads: usize,
    idle_threads: usize,
    pub(super) serial: u64,
    pub(super) settling: usize,
    async_signalled: bool,
}

/// The state with what wakes whoever waits for it.
pub struct Shared {
    state: Mutex<State>,
    /// For threads that wait for sync work.
    pub work: Condvar,
    /// For the driver.
    pub driver: Wake,
    /// For the event loop.
    pub for_loop: Wake,
    /// For the control plane.
    pub for_events: Wake,
}

/// How many events are kept for a control plane that does not read them.
const MOST_EVENTS: usize = 10_000;

impl Shared {
    /// A state for these queues, with their tasks.
    pub fn new(queues: Vec<(String, Tasks)>, concurrency: usize, unknown_grace: u64) -> Result<Shared> {
        let queues = queues.into_iter().map(|(name, tasks)| QueueState { name, tasks, ..Default::default() }).collect();
        let state = State {
            queues,
            concurrency,
            unknown_grace,
            running: 0,
            pace: Pace::default(),
            phase: Phase::Serving,
            events: VecDeque::new(),
            closed: 0,
            turned_at: clock::now(),
            wake_at: usize::MAX,
            wake_when_idle: false,
            threads: 1,
            idle_threads: 0,
            serial: 0,
            settling: 0,
            async_signalled: false,
        };
        Ok(Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            driver: Wake::new()?,
            for_loop: Wake::new()?,
            for_events: Wake::new()?,
        })
    }

    /// The state. A panic of another thread while it held the lock is no reason
    /// to make every later call panic too.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The state, if nobody has it right now.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, State>> {
        self.state.try_lock().ok()
    }

    /// Waits for sync work until there is some or the threads are to end.
    pub fn wait_for_work(&self, now: impl Fn() -> Duration) -> Option<Work> {
        let mut state = self.lock();
        loop {
            if state.phase != Phase::Serving {
                state.threads -= 1;
                return None;
            }
            if let Some(work) = state.begin_sync(now()) {
                return Some(work);
            }
            state.idle_threads += 1;
            state = self.work.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
            state.idle_threads -= 1;
        }
    }

    /// Wakes those for whom there is work now.
    pub fn announce_work(&self, state: &mut State) {
        let free = state.concurrency.saturating_sub(state.running);
        let sync: usize = state.queues.iter().map(|q| q.sync_ready.len()).sum();
        for _ in 0..sync.min(state.idle_threads).min(free) {
            self.work.notify_one();
        }
        let some_async = state.queues.iter().any(|q| !q.async_ready.is_empty());
        if some_async && free > 0 && !state.async_signalled {
            state.async_signalled = true;
            self.for_loop.set();
        }
    }

    /// Tells the control plane.
    pub fn tell(&self, state: &mut State, queue: usize, event: Event) {
        if state.events.len() < MOST_EVENTS {
            state.events.push_back((queue, event));
        }
        self.for_events.set();
    }

    /// Ends an attempt. False where the lease was lost meanwhile: it is void.
    pub fn finish(&self, work: &Work, outcome: Outcome, now: Duration) -> bool {
        let mut state = self.lock();
        state.running -= 1;
        state.pace.count();
        let settled = state.settle(work, outcome, Stage::Running, now);
        let idle = state.running == 0 && state.waiting() == 0;
        // A void outcome frees a slot all the same, and no settlement tells of it.
        if !settled || state.settling >= state.wake_at || (idle && state.wake_when_idle) {
            state.wake_at = usize::MAX;
            state.wake_when_idle = false;
            self.driver.set();
        }
        // A sync thread takes its next task itself; the other kind must be told.
        let others =
            state.queues.iter().any(|q| !q.async_ready.is_empty() || (work.is_async && !q.sync_ready.is_empty()));
        if others {
            self.announce_work(&mut state);
        }
        settled
    }
}

impl State {
    /// Claimed and not begun.
    pub fn waiting(&self) -> usize {
        self.queues.iter().map(QueueState::waiting).sum()
    }

    /// Slots for which nothing has been claimed yet.
    pub fn free(&self) -> usize {
        self.concurrency.saturating_sub(self.running + self.waiting())
    }

    /// The queues that Redis does not serve us at present: no conversation is
    /// open, or the lease could not be renewed.
    pub fn disconnected(&self, now: Duration) -> impl Iterator<Item = usize> {
        let served = move |q: &QueueState| q.connected && now < q.fresh_until;
        self.queues.iter().enumerate().filter(move |(_, q)| !served(q)).map(|(index, _)| index)
    }

    /// True where one more thread should wait for work; the caller starts it.
    pub fn wants_thread(&mut self) -> bool {
        let wanted = self.phase == Phase::Serving && self.idle_threads == 0 && self.threads < self.concurrency;
        if wanted {
            self.threads += 1;
        }
        wanted
    }

    fn begin(&mut self, now: Duration, ready: fn(&mut QueueState) -> &mut VecDeque<Work>) -> Option<Work> {
        if self.running >= self.concurrency || self.phase != Phase::Serving {
            return None;
        }
        // Nothing begins once the lease may have ended: after a SIGCONT an old
        // reply may have lain in the socket.
        let begun = self.queues.iter_mut().filter(|q| now < q.fresh_until).find_map(|queue| {
            let work = ready(queue).pop_front()?;
            Some((work, queue))
        });
        let (work, queue) = begun?;
        if let Some(held) = queue.held.get_mut(&work.message.raw[work.message.field.clone()]) {
            held.stage = Stage::Running;
        }
        self.running += 1;
        Some(work)
    }

    /// The next sync task, now begun.
    pub fn begin_sync(&mut self, now: Duration) -> Option<Work> {
        self.begin(now, |q| &mut q.sync_ready)
    }

    /// The next async task, now begun.
    pub fn begin_async(&mut self, now: Duration) -> Option<Work> {
        self.begin(now, |q| &mut q.async_ready)
    }

    /// Async work that a free slot could begin, after the loop has taken its fill.
    pub fn rearm_async(&mut self) -> bool {
        let more = self.running < self.concurrency && self.queues.iter().any(|q| !q.async_ready.is_empty());
        self.async_signalled = more;
        more
    }

    fn settle(&mut self, work: &Work, outcome: Outcome, from: Stage, now: Duration) -> bool {
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

    /// Takes settlements to send, at most `limit`.
    pub fn take_settlements(&mut self, queue: usize, limit: usize) -> Vec<Settlement> {
        let waiting = &mut self.queues[queue].settlements;
        let taken: Vec<_> = waiting.drain(..limit.min(waiting.len())).collect();
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
        queue.sync_ready.clear();
        queue.async_ready.clear();
        queue.held.retain(|_, held| held.stage != Stage::Waiting);
        dropped
    }

    /// Gives back what has waited here for longer than `patience`, newest first,
    /// so that the oldest is the next to be claimed. How many.
    pub fn shed(&mut self, queue: usize, now: Duration, patience: Duration) -> usize {
        let q = &mut self.queues[queue];
        let late = |ready: &VecDeque<Work>| ready.front().is_some_and(|w| now.saturating_sub(w.claimed_at) > patience);
        if !late(&q.sync_ready) && !late(&q.async_ready) {
            return 0;
        }
        let mut surplus: Vec<Work> = q.sync_ready.drain(..).chain(q.async_ready.drain(..)).collect();
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
            self.waiting_since = now;
        }
        self.settlements.push_back(settlement);
    }
}
