//! The state that the driver shares with the threads that run tasks.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::batching::Batching;
use super::caps::Caps;
use super::claimed::{self, Claimed, Decision};
use super::clock;
use super::crew::Crew;
use super::event::Event;
use super::fairness::Fairness;
use super::outcome::{Outcome, Settlement};
use super::queue_state::QueueState;
use super::rate::Rate;
use super::ready::Ready;
use super::slots::Slots;
use super::work::{Raised, Stage, Tasks, Work};

/// The most events to keep for a control plane that does not read them.
const MOST_EVENTS: usize = 10_000;

/// The phases of a worker process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It claims and runs.
    Serving,
    /// It claims no more tasks; running tasks may end.
    Draining,
    /// The driver has ended.
    Stopped,
}

/// Everything behind the mutex.
pub struct State {
    /// The queues, by priority.
    pub queues: Vec<QueueState>,
    /// The slots for tasks that run.
    pub slots: Slots,
    /// How many tasks of one kind may run.
    pub caps: Caps,
    /// Whether one thread serves at a time.
    pub crew: Crew,
    /// How fast tasks end.
    pub rate: Rate,
    /// When outcomes wake the driver.
    pub batching: Batching,
    /// Serving, draining or stopped.
    pub phase: Phase,
    /// How many queues have closed their consumer after a drain.
    pub closed: usize,
    /// When the driver last took a turn: it has read every reply that had arrived by then.
    pub turned_at: Duration,
    /// Events for the control plane, each with the index of its queue.
    pub events: VecDeque<(usize, Event)>,
    /// The control plane has news and has not been woken yet.
    pub rings_events: bool,
    /// How many threads to wake when the lock is free.
    pub to_wake: usize,
    /// The event loop has been signalled that work waits.
    pub async_signalled: bool,
    /// Which queue's task begins next.
    begun: Fairness,
    /// How long a task with an unknown name is deferred, ms.
    unknown_grace: u64,
    serial: u64,
    /// How many claimed tasks of all queues have not begun, and the bytes of their messages. With
    /// many queues, a sum over them for each task would cost more than the task.
    waiting: usize,
    waiting_bytes: usize,
    /// How many outcomes of all queues wait to be sent.
    outcomes: usize,
}

impl State {
    /// A state that serves `queues` with their tasks. `unknown_grace` is in ms.
    pub fn new(queues: Vec<(String, Tasks)>, concurrency: usize, unknown_grace: u64) -> State {
        State {
            queues: queues.into_iter().map(|(name, tasks)| QueueState::new(name, tasks)).collect(),
            slots: Slots::new(concurrency),
            caps: Caps::default(),
            crew: Crew::default(),
            rate: Rate::default(),
            batching: Batching::default(),
            phase: Phase::Serving,
            closed: 0,
            turned_at: clock::now(),
            events: VecDeque::new(),
            rings_events: false,
            to_wake: 0,
            async_signalled: false,
            begun: Fairness::default(),
            unknown_grace,
            serial: 0,
            waiting: 0,
            waiting_bytes: 0,
            outcomes: 0,
        }
    }

    /// How many claimed tasks have not begun.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// The bytes of the messages of claimed tasks that have not begun.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Changes the tasks of one queue that have not begun, and counts again.
    pub(super) fn change_waiting<R>(&mut self, queue: usize, change: impl FnOnce(&mut QueueState) -> R) -> R {
        let of_queue = &mut self.queues[queue];
        let (others, other_bytes) = (self.waiting - of_queue.waiting(), self.waiting_bytes - of_queue.waiting_bytes());
        let result = change(of_queue);
        self.waiting = others + of_queue.waiting();
        self.waiting_bytes = other_bytes + of_queue.waiting_bytes();
        result
    }

    /// Adds a task to those that wait for a slot.
    fn add_ready(&mut self, work: Work) {
        self.change_waiting(work.queue, |of_queue| of_queue.add_ready(work));
    }

    /// Lets the next task begin in place of one that has ended, if that has a cap. `ran`: how long
    /// its attempt took.
    fn next_of_cap(&mut self, ended: &Work, ran: Option<Duration>, now: Duration) {
        if let Some(next) = self.caps.end(ended, ran, now) {
            self.add_ready(next);
        }
    }

    /// Lets tasks wait for a slot in place of those that no longer do, if these have caps.
    pub(super) fn refill(&mut self, now: Duration) {
        if self.caps.is_empty() {
            return;
        }
        let ready = self.queues.iter().flat_map(QueueState::ready_tasks);
        for work in self.caps.recount(ready, now) {
            self.add_ready(work);
        }
    }

    /// How many outcomes wait to be sent.
    pub fn outcomes(&self) -> usize {
        self.outcomes
    }

    /// Whether no task runs or waits.
    pub fn is_idle(&self) -> bool {
        self.slots.running == 0 && self.waiting == 0
    }

    /// The queues that Redis does not serve at present: they have no open conversation, or their
    /// lease could not be renewed.
    pub fn disconnected(&self, now: Duration) -> impl Iterator<Item = usize> {
        self.queues.iter().enumerate().filter(move |(_, q)| !q.is_served(now)).map(|(index, _)| index)
    }

    /// Queues an event for the control plane, which wakes when the lock is free.
    pub fn tell(&mut self, queue: usize, event: Event) {
        if self.events.len() < MOST_EVENTS {
            self.events.push_back((queue, event));
        }
        self.rings_events = true;
    }

    /// Queues several events of one queue.
    pub fn tell_all(&mut self, queue: usize, events: Vec<Event>) {
        events.into_iter().for_each(|event| self.tell(queue, event));
    }

    /// Records that a queue's consumer is closed after a drain.
    pub fn close(&mut self) {
        self.closed += 1;
        self.rings_events = true;
    }

    /// Adds a claimed message.
    pub fn admit(&mut self, queue: usize, mut claimed: Claimed, now: Duration, redis_ms: u64) {
        let Some(field) = claimed.field.take() else {
            return; // The script has parked it.
        };
        self.serial += 1;
        let serial = self.serial;
        let of_queue = &mut self.queues[queue];
        of_queue.hold(field.clone(), serial);
        match claimed.decide(&field, &of_queue.tasks, redis_ms, self.unknown_grace) {
            Decision::Run(task, is_async, message) => {
                let (claimed_at, begun_at, strikes, shift) = (now, Duration::ZERO, None, 0);
                let work = Work { queue, serial, task, is_async, claimed_at, begun_at, strikes, shift, message };
                if let Some(work) = self.caps.admit(work) {
                    self.add_ready(work);
                }
            }
            Decision::Settle(outcome, event) => {
                of_queue.settle_claimed(field, outcome, now);
                self.outcomes += 1;
                self.tell(queue, event);
            }
        }
    }

    /// Adds a message that a BLMOVE returned.
    pub fn admit_blocked(&mut self, queue: usize, claimed: Claimed, now: Duration, redis_ms: u64) {
        if let Some(claimed) = self.queues[queue].set_double_aside(claimed, now) {
            self.admit(queue, claimed, now, redis_ms);
        }
    }

    /// Adds the doubles that an exchange, sent at `sent`, has decided.
    pub fn resolve_doubles(&mut self, queue: usize, sent: Duration, parked: &HashSet<Bytes>, redis_ms: u64) {
        for (claimed, came) in self.queues[queue].resolve_doubles(sent, parked) {
            self.admit(queue, claimed, came, redis_ms);
        }
    }

    fn begin(&mut self, now: Duration, ready: fn(&mut QueueState) -> &mut Ready) -> Option<Work> {
        if self.waiting == 0 || self.slots.vacant() == 0 || self.phase != Phase::Serving {
            return None;
        }
        let work = loop {
            let work = self.begun.order(self.queues.len()).find_map(|queue| self.queues[queue].begin(now, ready))?;
            self.waiting -= 1;
            self.waiting_bytes -= work.message.raw.len();
            self.caps.begin(&work);
            if !self.ends_unbegun(&work, now) {
                break work;
            }
        };
        self.begun.count();
        self.slots.begin();
        if self.slots.left == 0 {
            // `Shared::tell_of_last` wakes the driver, which drains the rest.
            self.phase = Phase::Draining;
        }
        Some(work)
    }

    /// The outcome and the event of a task that was to begin, if it has expired (rule 19).
    pub fn expired(&self, work: &Work, now: Duration) -> Option<(Outcome, Event)> {
        work.message.expires_at?;
        let of_queue = &self.queues[work.queue];
        let how = work.message.ends_unbegun(of_queue.redis_clock.ms(now))?;
        Some(claimed::unbegun(&work.message, how, &of_queue.tasks))
    }

    /// Settles a task that was to begin, if it has expired while it waited here.
    fn ends_unbegun(&mut self, work: &Work, now: Duration) -> bool {
        let Some((outcome, event)) = self.expired(work, now) else { return false };
        self.settle(work, outcome, Stage::Running, now);
        self.tell(work.queue, event);
        self.next_of_cap(work, None, now);
        true
    }

    /// Begins the next sync task.
    pub fn begin_sync(&mut self, now: Duration) -> Option<Work> {
        if self.crew.free(self.slots.concurrency) == 0 {
            return None;
        }
        let mut work = self.begin(now, |q| &mut q.sync_ready)?;
        work.shift = self.crew.begin(now);
        Some(work)
    }

    /// Begins the next async task.
    pub fn begin_async(&mut self, now: Duration) -> Option<Work> {
        self.begin(now, |q| &mut q.async_ready)
    }

    /// How many threads have sync work to begin.
    pub fn threads_wanted(&self) -> usize {
        if self.waiting == 0 {
            return 0;
        }
        let sync: usize = self.queues.iter().map(|q| q.sync_ready.len()).sum();
        let free = self.slots.vacant().min(self.crew.free(self.slots.concurrency));
        sync.min(self.slots.idle_threads()).min(free)
    }

    /// Whether an async task can begin.
    pub fn wants_loop(&self) -> bool {
        self.waiting > 0 && self.slots.vacant() > 0 && self.queues.iter().any(|q| !q.async_ready.is_empty())
    }

    /// Whether one more thread should wait for work. The caller starts it.
    pub fn wants_thread(&mut self) -> bool {
        self.phase == Phase::Serving && self.slots.wants_thread()
    }

    /// When to check whether the one serving thread is in a slow task. Returns None if no work
    /// waits for it, or if no slot is free.
    pub fn stall_at(&self) -> Option<Duration> {
        let at = self.crew.look_at()?;
        let waits = self.waiting > 0 && self.slots.vacant() > 0 && self.queues.iter().any(|q| !q.sync_ready.is_empty());
        waits.then_some(at)
    }

    /// Measures how many tasks the threads complete. Returns true if more threads must wake.
    pub fn measure(&mut self, now: Duration) -> bool {
        self.rate.measure(now);
        let all_serve = self.slots.concurrency > 1 && self.crew.measure(now);
        let is_stalled = self.stall_at().is_some_and(|at| now >= at);
        if is_stalled {
            self.crew.end_shift(now);
        }
        is_stalled || all_serve
    }

    /// Gives the slot of a task that can't be stopped to other tasks.
    pub fn give_slot_away(&mut self, work: &Work, now: Duration) -> bool {
        let is_given = self.slots.give_away(work, now);
        if is_given && !work.is_async {
            self.crew.leave(work.shift);
        }
        is_given
    }

    /// Ends an attempt. Returns whether its outcome counts (false: the lease was lost
    /// meanwhile), and whether the driver must wake.
    pub fn finish(&mut self, work: &Work, outcome: Outcome, now: Duration) -> (bool, bool) {
        let was_full = self.slots.vacant() == 0;
        let had_slot = self.slots.end(work, now);
        if !work.is_async {
            self.crew.count();
            if had_slot {
                self.crew.leave(work.shift);
            }
        }
        let ran = now.saturating_sub(work.begun_at);
        self.rate.count(ran);
        self.next_of_cap(work, Some(ran), now);
        let of_queue = &mut self.queues[work.queue];
        if of_queue.measures.is_watched() {
            let begun_ms = of_queue.redis_clock.ms(work.begun_at);
            of_queue.measures.count(work, &outcome, ran, begun_ms);
        }
        let settled = self.settle(work, outcome, Stage::Running, now);
        // A void outcome frees a slot too, but leaves no settlement. If all slots were taken, the
        // driver has planned no check for a slow task, and the crew may not let this thread begin
        // another task.
        let wakes_driver =
            !settled || self.batching.wakes(self.outcomes, self.is_idle()) || (was_full && self.stall_at().is_some());
        if wakes_driver {
            self.batching.woken();
        }
        (settled, wakes_driver)
    }

    pub(super) fn settle(&mut self, work: &Work, outcome: Outcome, from: Stage, now: Duration) -> bool {
        let settled = self.queues[work.queue].settle(work, outcome, from, now);
        self.outcomes += usize::from(settled);
        settled
    }

    /// Takes up to `limit` outcomes to send. The one that exceeds `bytes` is the last.
    pub fn take_settlements(&mut self, queue: usize, limit: usize, bytes: usize) -> Vec<Settlement> {
        let taken = self.queues[queue].take_settlements(limit, bytes);
        self.outcomes -= taken.len();
        taken
    }

    /// Returns outcomes to the front: Redis did not execute them, or did not confirm it.
    pub fn return_settlements(&mut self, queue: usize, settlements: Vec<Settlement>) {
        self.outcomes += settlements.len();
        self.queues[queue].return_settlements(settlements);
    }

    /// Keeps only `fields`, which a new conversation holds. The worker has lost everything else.
    pub fn reopened(&mut self, queue: usize, fields: &HashSet<Bytes>, fresh_until: Duration) {
        self.caps.take(|work| work.queue == queue && !fields.contains(&work.message.field_bytes()));
        self.outcomes -= self.change_waiting(queue, |of_queue| of_queue.reopened(fields, fresh_until));
        self.refill(clock::now());
    }

    /// Records that the consumer's lease is lost: its tasks belong to other workers now. Running
    /// tasks continue as orphans, and unsent outcomes are void.
    pub fn lose(&mut self, queue: usize, consumer: &str) {
        let of_queue = &self.queues[queue];
        let lost = Event::LeaseLost { consumer: consumer.to_owned(), running: of_queue.running() };
        let void: Vec<Bytes> = of_queue.settlements.iter().filter(|s| s.is_end()).map(|s| s.field.clone()).collect();
        self.reopened(queue, &HashSet::new(), Duration::ZERO);
        self.tell(queue, lost);
        for field in void {
            let task_id = String::from_utf8_lossy(&field[..36]).into_owned();
            self.tell(queue, Event::OutcomeVoid { task_id });
        }
    }

    /// Releases all running tasks. The outcomes of these attempts will be void.
    pub fn release_running(&mut self, queue: usize, raised: &Raised, now: Duration) -> usize {
        let released = self.queues[queue].release_running(queue, raised, now);
        self.outcomes += released;
        released
    }
}
