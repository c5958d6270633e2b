//! The part of the state that belongs to one queue: waiting tasks, running tasks, and outcomes on
//! their way to Redis.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::claimed::Claimed;
use super::clock::RedisClock;
use super::measures::Measures;
use super::notes::{Note, Notes};
use super::outcome::{Outcome, Settlement};
use super::ready::Ready;
use super::replies::Done;
use super::work::{Held, Raised, Stage, Tasks, Work};

/// How long an outcome waits for other outcomes to travel with.
const GATHER: Duration = Duration::from_millis(1);

/// How soon the worker hears again that a running task is cancelled. Every exchange names it until
/// it is settled.
const TELL_AGAIN: Duration = Duration::from_millis(200);

/// One queue's share of the state.
#[derive(Default)]
pub struct QueueState {
    /// The queue's name.
    pub name: String,
    /// The tasks that can run, by name.
    pub tasks: Tasks,
    /// The local deadline. From then on no task begins, because the lease may have ended.
    pub fresh_until: Duration,
    /// The clock of Redis, which judges whether a task has expired.
    pub redis_clock: RedisClock,
    /// The outcomes to send, oldest first.
    pub settlements: VecDeque<Settlement>,
    /// When the oldest outcome leaves.
    pub settle_at: Duration,
    /// The notes of running tasks.
    pub notes: Notes,
    /// The counts while a reader watches.
    pub measures: Measures,
    /// Whether a conversation is open and no reply is overdue.
    pub connected: bool,
    /// Claimed sync tasks that have not begun.
    pub sync_ready: Ready,
    /// Claimed async tasks that have not begun.
    pub async_ready: Ready,
    last_outcome: Duration,
    held: HashMap<Bytes, Held>,
    /// Whether a task of the queue was cancelled at the last exchange.
    pub any_cancelled: bool,
    /// The records of the queue's strikes at the last exchange. None: there are none.
    strikes: Option<Arc<[Bytes]>>,
    /// Messages that a BLMOVE returned, and when, which can't begin before the next exchange: their
    /// field was held, they hold their lock until then, or it must say whether they are cancelled.
    doubles: Vec<(Claimed, Duration)>,
}

impl QueueState {
    /// The state of a queue that holds nothing yet.
    pub fn new(name: String, tasks: Tasks) -> QueueState {
        QueueState { name, tasks, ..QueueState::default() }
    }

    /// Takes from a reply whether a task of the queue is cancelled, and the records of its strikes.
    pub fn hear_stops(&mut self, done: &mut Done) {
        self.any_cancelled = done.cancelled.is_some();
        self.strikes = (!done.strikes.is_empty()).then(|| std::mem::take(&mut done.strikes).into());
    }

    /// How many claimed tasks have not begun.
    pub fn waiting(&self) -> usize {
        self.sync_ready.len() + self.async_ready.len()
    }

    /// The bytes of the messages of claimed tasks that have not begun.
    pub fn waiting_bytes(&self) -> usize {
        self.sync_ready.bytes() + self.async_ready.bytes()
    }

    /// Whether Redis serves this queue: a conversation is open, and its lease is renewed.
    pub fn is_served(&self, now: Duration) -> bool {
        self.connected && now < self.fresh_until
    }

    /// Whether Redis holds messages for this consumer, as far as the worker knows.
    pub fn holds_something(&self) -> bool {
        !self.held.is_empty() || !self.doubles.is_empty()
    }

    /// The fields that a new conversation keeps (rule 3: Redis releases all others).
    pub fn fields(&self) -> Vec<Bytes> {
        self.held.keys().cloned().collect()
    }

    /// Takes the tasks that have not begun and are cancelled.
    pub fn take_cancelled(&mut self, ids: &HashSet<&[u8]>) -> Vec<Work> {
        let mut taken = Vec::new();
        for ready in [&mut self.sync_ready, &mut self.async_ready] {
            for work in ready.take() {
                if ids.contains(work.message.task_id().as_bytes()) { taken.push(work) } else { ready.push(work) }
            }
        }
        taken
    }

    /// The ids of running tasks that are cancelled, unless the worker was told a moment ago.
    pub fn running_cancelled(&mut self, ids: &HashSet<&[u8]>, now: Duration) -> Vec<String> {
        let is_news = |held: &Held| held.told.is_none_or(|at| now >= at + TELL_AGAIN);
        let running = self.held.iter_mut().filter(|(field, held)| {
            held.stage == Stage::Running && is_news(held) && field.get(..36).is_some_and(|id| ids.contains(id))
        });
        running
            .map(|(field, held)| {
                held.told = Some(now);
                String::from_utf8_lossy(&field[..36]).into_owned()
            })
            .collect()
    }

    /// Begins to hold a claimed field.
    pub fn hold(&mut self, field: Bytes, serial: u64) {
        self.held.insert(field, Held { serial, stage: Stage::Waiting, told: None, begun: (Duration::ZERO, 0) });
    }

    /// Adds a task to those that can begin.
    pub fn add_ready(&mut self, work: Work) {
        if work.is_async { self.async_ready.push(work) } else { self.sync_ready.push(work) }
    }

    /// The indices of the tasks that can begin.
    pub fn ready_tasks(&self) -> impl Iterator<Item = usize> {
        self.sync_ready.iter().chain(self.async_ready.iter()).map(|work| work.task)
    }

    /// Begins the oldest of the tasks in `ready`.
    pub fn begin(&mut self, now: Duration, ready: fn(&mut QueueState) -> &mut Ready) -> Option<Work> {
        // Rule 7: no task begins past the local deadline. After a SIGCONT an old reply may be in
        // the socket.
        if now >= self.fresh_until {
            return None;
        }
        let mut work = ready(self).pop()?;
        work.begun_at = now;
        work.strikes = self.strikes.clone();
        if let Some(held) = self.held.get_mut(&work.message.raw[work.message.field.clone()]) {
            held.stage = Stage::Running;
            held.begun = (now, work.task);
        }
        Some(work)
    }

    /// Records the outcome of a claim at the stage `from`. Returns false if the lease was lost
    /// meanwhile: the outcome is void.
    pub fn settle(&mut self, work: &Work, outcome: Outcome, from: Stage, now: Duration) -> bool {
        let field = work.message.field_bytes();
        match self.held.get_mut(&field) {
            Some(held) if held.serial == work.serial && held.stage == from => held.stage = Stage::Settling,
            _ => return false,
        }
        self.push(Settlement { field, outcome }, now);
        true
    }

    /// Records the outcome of a claim that can't run here.
    pub fn settle_claimed(&mut self, field: Bytes, outcome: Outcome, now: Duration) {
        if let Some(held) = self.held.get_mut(&field) {
            held.stage = Stage::Settling;
        }
        self.push(Settlement { field, outcome }, now);
    }

    fn push(&mut self, settlement: Settlement, now: Duration) {
        if self.settlements.is_empty() {
            // If outcomes come one at a time and no task can begin here, no other outcome would
            // come within that time.
            let is_lone = self.waiting() == 0 && now.saturating_sub(self.last_outcome) > GATHER;
            self.settle_at = if is_lone { now } else { now + GATHER };
        }
        self.last_outcome = now;
        self.settlements.push_back(settlement);
    }

    /// Takes up to `limit` outcomes to send. The one that exceeds `bytes` is the last.
    pub fn take_settlements(&mut self, limit: usize, mut bytes: usize) -> Vec<Settlement> {
        let fits = |s: &Settlement| {
            let is_room = bytes > 0;
            bytes = bytes.saturating_sub(s.bytes());
            is_room
        };
        let count = self.settlements.iter().take(limit).map(fits).take_while(|fits| *fits).count();
        self.settlements.drain(..count).collect()
    }

    /// Takes the notes of running tasks that leave at `now`, up to about `bytes`.
    pub fn take_notes(&mut self, now: Duration, bytes: usize) -> Vec<Settlement> {
        let held = &self.held;
        let runs = |note: &Note| {
            held.get(note.field()).is_some_and(|held| held.serial == note.serial && held.stage == Stage::Running)
        };
        self.notes.take(now, bytes, runs)
    }

    /// Returns outcomes to the front: Redis did not execute them, or did not confirm it.
    pub fn return_settlements(&mut self, settlements: Vec<Settlement>) {
        for settlement in settlements.into_iter().rev() {
            self.settlements.push_front(settlement);
        }
    }

    /// Forgets the fields of outcomes that Redis has executed.
    pub fn settled(&mut self, settlements: &[Settlement]) {
        for settlement in settlements.iter().filter(|settlement| settlement.is_end()) {
            self.held.remove(&settlement.field);
        }
    }

    /// Returns a message that a BLMOVE returned, unless its field is held. If the field is held
    /// (two handmade messages with one id, or an outcome under way), keeps the message aside
    /// until the next exchange decides: rule 5, and rule 11 if Redis parks it. So it does with one
    /// that holds its lock until it begins (rule 17), and with each while a task of the queue is
    /// cancelled (rule 20).
    pub fn set_double_aside(&mut self, claimed: Claimed, now: Duration) -> Option<Claimed> {
        let is_held = claimed.field.as_ref().is_some_and(|field| self.held.contains_key(field));
        if is_held || self.any_cancelled || claimed.locks_until_start() {
            self.doubles.push((claimed, now));
            return None;
        }
        Some(claimed)
    }

    /// Whether an exchange must decide the fate of a double.
    pub fn has_doubles(&self) -> bool {
        !self.doubles.is_empty()
    }

    /// Takes the doubles that belong to this worker after an exchange sent at `sent`. The
    /// exchange has adopted the inbox, so Redis holds the doubles that it did not park. Doubles
    /// that arrived after it left are still undecided.
    pub fn resolve_doubles(&mut self, sent: Duration, parked: &HashSet<Bytes>) -> Vec<(Claimed, Duration)> {
        if self.doubles.is_empty() {
            return Vec::new();
        }
        let is_parked = |claimed: &Claimed| claimed.field.as_ref().is_some_and(|field| parked.contains(field));
        let doubles = std::mem::take(&mut self.doubles).into_iter().filter(|(claimed, _)| !is_parked(claimed));
        let (held, undecided) = doubles.partition(|(_, came)| *came < sent);
        self.doubles = undecided;
        held
    }

    /// Keeps only the fields that the new conversation holds (rule 2: an outcome travels only if
    /// `open` has named its field). Other running tasks have become orphans, whose outcomes will
    /// be void. Returns how many outcomes were dropped.
    pub fn reopened(&mut self, fields: &HashSet<Bytes>, fresh_until: Duration) -> usize {
        let before = self.settlements.len();
        self.doubles.clear();
        self.held.retain(|field, _| fields.contains(field));
        let held = &self.held;
        let is_held = |work: &Work| held.contains_key(&work.message.raw[work.message.field.clone()]);
        self.sync_ready.retain(is_held);
        self.async_ready.retain(is_held);
        self.settlements.retain(|s| held.contains_key(&s.field));
        self.fresh_until = fresh_until;
        before - self.settlements.len()
    }

    /// The running tasks, in no order: id, index of the task, when it began.
    pub fn running_tasks(&self) -> impl Iterator<Item = (&[u8], usize, Duration)> {
        let running = self.held.iter().filter(|(_, held)| held.stage == Stage::Running);
        running.filter_map(|(field, held)| Some((field.get(..36)?, held.begun.1, held.begun.0)))
    }

    /// How many claimed tasks are running.
    pub fn running(&self) -> usize {
        self.held.values().filter(|held| held.stage == Stage::Running).count()
    }

    /// Drops the tasks that have not begun, so that the next `open` releases them. Returns how
    /// many tasks it dropped.
    pub fn drop_waiting(&mut self) -> usize {
        let dropped = self.waiting();
        self.sync_ready.take();
        self.async_ready.take();
        self.held.retain(|_, held| held.stage != Stage::Waiting);
        dropped
    }

    /// Takes all waiting tasks, newest first, if the oldest has waited for longer than
    /// `patience`.
    pub fn take_overdue(&mut self, now: Duration, patience: Duration) -> Vec<Work> {
        let late = |ready: &Ready| ready.front().is_some_and(|w| now.saturating_sub(w.claimed_at) > patience);
        if !late(&self.sync_ready) && !late(&self.async_ready) {
            return Vec::new();
        }
        let mut taken: Vec<Work> = self.sync_ready.take().into_iter().chain(self.async_ready.take()).collect();
        taken.sort_by_key(|work| std::cmp::Reverse(work.serial));
        taken
    }

    /// Releases all running tasks. The outcomes of these attempts will be void.
    ///
    /// `queue`: this queue's index.
    pub fn release_running(&mut self, queue: usize, raised: &Raised, now: Duration) -> usize {
        let is_running = |(_, held): &(&Bytes, &mut Held)| held.stage == Stage::Running;
        let running: Vec<Bytes> = self
            .held
            .iter_mut()
            .filter(is_running)
            .map(|(field, held)| {
                held.stage = Stage::Settling;
                field.clone()
            })
            .collect();
        let released = running.len();
        for field in running {
            let message = raised.get(&(queue, field.clone())).cloned();
            self.push(Settlement { field, outcome: Outcome::Release { message } }, now);
        }
        released
    }
}
