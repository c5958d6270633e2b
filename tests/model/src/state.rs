//! The state of the model.
//!
//! Time passes in ticks. A lease has three ticks, a gap of more than one tick between
//! sweeps counts as an interruption, and a healthy worker renews in every tick. The
//! state has only ages and remaining times, so time can go on without end.

use crate::ends::Told;
use crate::limit::Limit;
use crate::list::{List, Msg};
use crate::process::*;
use crate::scope::Scope;
use crate::tasks::Tasks;

/// The ticks that a consumer lives without an exchange.
pub const LEASE: u8 = 3;
/// The most ticks between two sweeps without an interruption.
pub const GAP: u8 = 1;
/// The number of lost workers at which a task is dead.
pub const MAX_DELIVERIES: u8 = 3;
/// The number of failures that another attempt follows.
pub const MAX_RETRIES: u8 = 1;
/// How many times a task may put itself off.
pub const MAX_SNOOZES: u8 = 2;
/// The number of consumer ids at one time. Forgotten ids are reused.
pub const IDS: usize = 8;
/// The most requests of closed connections that Redis may still execute.
pub const LATE: usize = 3;
/// The index of the process that serves the suspects.
pub const LANE: usize = 2;

/// The state of Redis.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Redis {
    /// It is up.
    Up,
    /// It is down. Its data is on disk.
    Down,
    /// It hangs: connections stay open, and it executes nothing.
    Hung,
}

/// The fate of a task.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fate {
    /// It has not been enqueued.
    NotEnqueued,
    /// It is in the queue.
    Open,
    /// It has succeeded.
    Done,
    /// It is dead because its retries are used up.
    Failed,
    /// It is dead because it has lost three workers.
    WorkerLost,
    /// It has expired.
    Expired,
    /// It was cancelled.
    Cancelled,
}

/// The score of a consumer id in the zset `consumers`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Score {
    /// The id is not in the zset.
    Absent,
    /// The ticks until its lease ends; 0 means late.
    Alive(u8),
    /// The score is negative.
    Tombstone,
}

/// How often a task has failed, put itself off, and was cut off by a drain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Counts {
    /// Failures (0 or 1).
    pub failures: u8,
    /// Snoozes (0 to 2).
    pub snoozes: u8,
    /// Whether a drain has cut it off.
    pub is_cut_off: bool,
}

/// One consumer id in Redis.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Consumer {
    /// Its score in the zset.
    pub score: Score,
    /// The hash claimed:<c>.
    pub claimed: List,
    /// The list inbox:<c>.
    pub inbox: List,
    /// For the properties: whether a fault has ended its worker, or has cut it off for
    /// a tick or more since the last renewal.
    pub lost: bool,
    /// For the properties: whether it held more than one message when it was buried.
    pub held_several: bool,
}

impl Consumer {
    /// A consumer without a trace in Redis.
    pub const NEW: Consumer =
        Consumer { score: Score::Absent, claimed: List::EMPTY, inbox: List::EMPTY, lost: false, held_several: false };

    /// Whether Redis has no trace of it, or only an empty tombstone.
    pub fn is_forgettable(&self) -> bool {
        !matches!(self.score, Score::Alive(_)) && self.claimed.is_empty() && self.inbox.is_empty()
    }
}

/// A list on which messages wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The list `pending`.
    Pending,
    /// The list `suspects`.
    Suspects,
}

/// A scheduler: the consumer that it rescues, and its next step.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rescue {
    /// It rescues no consumer.
    Idle,
    /// The next step is `bury`.
    Bury(u8),
    /// The next step is `move`, with the messages that `bury` returned.
    Move(u8, List),
    /// The next step is `reclaim`.
    Reclaim(u8),
}

/// The whole state.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    /// The number of faults that may still occur.
    pub faults: u8,
    /// The state of Redis.
    pub redis: Redis,
    /// Ticks since the last sweep, up to one more than the gap.
    pub swept: u8,
    /// Whether a scheduler sweeps in each tick.
    pub sweeping: bool,
    /// Ticks for which no consumer is rescued.
    pub quiet: u8,
    /// The list `pending`.
    pub pending: List,
    /// The zset `prioritized`, in the order of its scores.
    pub prioritized: List,
    /// For the properties: whether a fault has ended the taker of a prioritized message
    /// before its exchange. The next tick of a scheduler mends that.
    pub excused: bool,
    /// The list `suspects`.
    pub suspects: List,
    /// The zset `delayed`.
    pub delayed: List,
    /// The keys of the limit.
    pub limit: Limit,
    /// The fates of the tasks.
    pub fates: [Fate; 2],
    /// Whether the lock or place of a version 2 task is in Redis.
    pub bound: [bool; 2],
    /// For the properties: whether the lock was freed before the end of the task for a good
    /// reason: the task holds it until its start only, or its time has run out.
    pub freed: [bool; 2],
    /// Whether Redis has the lock of a throttled call.
    pub throttled: bool,
    /// For the properties: whether the time of that lock goes on.
    pub throttling: bool,
    /// For the properties: the tasks that a call has replaced, or that an operator deletes.
    pub dropped: Tasks,
    /// The tasks that the operator has requeued.
    pub requeued: Tasks,
    /// The message that the operator has found, and is about to delete.
    pub found: Option<Msg>,
    /// The zset `cancelled`.
    pub cancelled: Tasks,
    /// The tasks whose expiry has passed.
    pub expired: Tasks,
    /// The results and the calls that the tasks' ends have made.
    pub told: [Told; 2],
    /// For the properties: the tasks that were cancelled before their end.
    pub was_cancelled: Tasks,
    /// For the properties: the tasks that wait in a list too long for `cancel`.
    pub overlooked: Tasks,
    /// For the properties: what the counters of the messages must be.
    pub counts: [Counts; 2],
    /// For the properties: whether this attempt has begun and no fault excuses another run.
    pub begun: [bool; 2],
    /// For the properties: whether a worker was lost while it held the task and the
    /// loss is not counted yet.
    pub uncounted: [bool; 2],
    /// The consumers, by id.
    pub consumers: [Consumer; IDS],
    /// Two workers, and the child process for the suspects.
    pub workers: [Worker; 3],
    /// Two schedulers.
    pub schedulers: [Rescue; 2],
    /// Requests of closed connections that Redis may still execute.
    pub late: [Option<Request>; LATE],
}

impl State {
    /// The first state: workers that have just opened, one task in the queue and one to come.
    pub fn new(scope: &Scope) -> State {
        let opened = |id| Worker {
            mode: Mode::Running,
            ready: true,
            maybe_more: true,
            current: Some(id),
            age: 0,
            ..Worker::NEW
        };
        let mut consumers = [Consumer::NEW; IDS];
        consumers[..scope.workers].iter_mut().for_each(|c| c.score = Score::Alive(LEASE));
        let first = [Msg::new(0)].into_iter();
        State {
            faults: scope.faults,
            redis: Redis::Up,
            swept: 0,
            sweeping: true,
            quiet: 0,
            pending: first.clone().filter(|_| !scope.starts_delayed).collect(),
            prioritized: List::EMPTY,
            excused: false,
            suspects: List::EMPTY,
            limit: Limit::of_first(scope),
            delayed: first.filter(|_| scope.starts_delayed).collect(),
            fates: [Fate::Open, Fate::NotEnqueued],
            bound: [scope.version2[0], false],
            freed: [false; 2],
            throttled: scope.throttles,
            throttling: scope.throttles,
            dropped: Tasks::NONE,
            requeued: Tasks::NONE,
            found: None,
            cancelled: Tasks::NONE,
            expired: Tasks::NONE,
            told: [Told::default(); 2],
            was_cancelled: Tasks::NONE,
            overlooked: Tasks::NONE,
            counts: [Counts::default(); 2],
            begun: [false; 2],
            uncounted: [false; 2],
            consumers,
            workers: [
                opened(0),
                Worker { older: scope.older_worker, ..if scope.workers == 2 { opened(1) } else { Worker::NEW } },
                Worker::NEW,
            ],
            schedulers: [Rescue::Idle; 2],
            late: [None; LATE],
        }
    }

    /// An unused id.
    pub fn fresh_id(&self) -> Option<u8> {
        let used = self.ids_in_use();
        (0..IDS).find(|id| used >> id & 1 == 0).map(|id| id as u8)
    }

    /// The ids that a request may still name or that hold messages, one bit each.
    pub fn ids_in_use(&self) -> u16 {
        let mut used = 0u16;
        for (id, consumer) in self.consumers.iter().enumerate() {
            used |= u16::from(!consumer.is_forgettable()) << id;
        }
        for worker in &self.workers {
            worker.ids().for_each(|id| used |= 1 << id);
            if let Some(pending) = &worker.scripts {
                used |= pending.request.ids();
            }
        }
        for request in self.late.iter().flatten() {
            used |= request.ids();
        }
        for rescue in &self.schedulers {
            if let Rescue::Bury(id) | Rescue::Move(id, _) | Rescue::Reclaim(id) = rescue {
                used |= 1 << id;
            }
        }
        used
    }

    /// All messages in Redis.
    pub fn messages(&self) -> impl Iterator<Item = Msg> + use<'_> {
        let lists = [&self.pending, &self.prioritized, &self.suspects, &self.delayed, &self.limit.line];
        let held = self.consumers.iter().flat_map(|c| [&c.claimed, &c.inbox]);
        lists.into_iter().chain(held).flat_map(List::iter)
    }

    /// Whether every task has ended.
    pub fn is_finished(&self) -> bool {
        self.fates.iter().all(|fate| !matches!(fate, Fate::NotEnqueued | Fate::Open))
    }

    /// Whether the worker can reach Redis.
    pub fn reachable(&self, worker: usize) -> bool {
        self.redis == Redis::Up && !self.workers[worker].cut
    }

    /// Whether the worker is running and can reach Redis.
    pub fn healthy(&self, worker: usize) -> bool {
        self.workers[worker].mode == Mode::Running && self.reachable(worker)
    }
}
