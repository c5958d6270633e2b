//! Everything that the model knows at one moment.
//!
//! Time goes in ticks. A lease is three of them, the longest time between two
//! sweeps that counts as continuous is one, and a healthy worker renews in each.
//! Only what is left of a lease, or how old something is, is kept, so time can
//! go on without end.

use crate::list::{List, Msg};
use crate::process::*;
use crate::scope::Scope;

/// Ticks that a consumer lives without an exchange.
pub const LEASE: u8 = 3;
/// Ticks between two sweeps that still count as continuous.
pub const GAP: u8 = 1;
/// At this many lost workers a task is dead.
pub const MAX_DELIVERIES: u8 = 3;
/// Failures that are followed by another attempt.
pub const MAX_RETRIES: u8 = 1;
/// Consumer ids at one time; forgotten ones are used again.
pub const IDS: usize = 8;
/// Requests of closed connections that may still be executed.
pub const LATE: usize = 3;
/// Which process serves the suspects.
pub const LANE: usize = 2;

/// How Redis is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Redis {
    /// It serves.
    Up,
    /// It does not run; its data is on disk.
    Down,
    /// It is stopped: connections live, nothing is executed.
    Hung,
}

/// What has become of a task.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fate {
    /// Its client has not called yet.
    NotEnqueued,
    /// It is in the queue.
    Open,
    /// It has succeeded.
    Done,
    /// It is dead: its retries are used up.
    Failed,
    /// It is dead: three workers were lost.
    WorkerLost,
}

/// Where a consumer id stands in the zset `consumers`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Score {
    /// Not there.
    Absent,
    /// Ticks until its lease ends; 0: late.
    Alive(u8),
    /// Negative.
    Tombstone,
}

/// One consumer id in Redis.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Consumer {
    /// In the zset.
    pub score: Score,
    /// The hash claimed:<c>.
    pub claimed: List,
    /// The list inbox:<c>.
    pub inbox: List,
    /// For the properties: a fault has taken its worker away, or has kept it from
    /// Redis for a tick or more since it last renewed.
    pub lost: bool,
    /// For the properties: when it was buried it held more than one message.
    pub held_several: bool,
}

impl Consumer {
    /// Nothing in Redis tells of it.
    pub const NEW: Consumer =
        Consumer { score: Score::Absent, claimed: List::EMPTY, inbox: List::EMPTY, lost: false, held_several: false };

    /// Nothing in Redis tells of it, or only an empty tombstone.
    pub fn is_forgettable(&self) -> bool {
        !matches!(self.score, Score::Alive(_)) && self.claimed.is_empty() && self.inbox.is_empty()
    }
}

/// A scheduler: which consumer it rescues, and how far it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rescue {
    /// None.
    Idle,
    /// `bury` comes next.
    Bury(u8),
    /// `bury` has handed these out; `move` comes next.
    Move(u8, List),
    /// `reclaim` comes next.
    Reclaim(u8),
}

/// The whole world.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    /// Faults that may still happen.
    pub faults: u8,
    /// How Redis is.
    pub redis: Redis,
    /// Ticks since the last sweep; past the gap it does not matter how many.
    pub swept: u8,
    /// A scheduler sweeps in each tick.
    pub sweeping: bool,
    /// Ticks for which nobody is rescued.
    pub quiet: u8,
    /// The list `pending`.
    pub pending: List,
    /// The list `suspects`.
    pub suspects: List,
    /// The zset `delayed`.
    pub delayed: List,
    /// What has become of the tasks.
    pub fates: [Fate; 2],
    /// What belongs to a task of version 2 beside its message is in Redis.
    pub bound: [bool; 2],
    /// For the properties: this attempt has begun, and no fault excuses another run.
    pub begun: [bool; 2],
    /// For the properties: a worker was lost while it held the task, and that is
    /// not counted yet.
    pub uncounted: [bool; 2],
    /// By id.
    pub consumers: [Consumer; IDS],
    /// Two workers, and the child process that serves the suspects.
    pub workers: [Worker; 3],
    /// Two schedulers.
    pub schedulers: [Rescue; 2],
    /// Requests of closed connections.
    pub late: [Option<Request>; LATE],
}

impl State {
    /// Two workers that have just opened, one task in the queue, one to come.
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
        State {
            faults: scope.faults,
            redis: Redis::Up,
            swept: 0,
            sweeping: true,
            quiet: 0,
            pending: [Msg::new(0)].into_iter().collect(),
            suspects: List::EMPTY,
            delayed: List::EMPTY,
            fates: [Fate::Open, Fate::NotEnqueued],
            bound: [scope.version2[0], false],
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

    /// An id that nobody uses.
    pub fn fresh_id(&self) -> Option<u8> {
        let used = self.ids_in_use();
        (0..IDS).find(|id| used >> id & 1 == 0).map(|id| id as u8)
    }

    /// A bit for each id that somebody may still name, or that holds something.
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

    /// Whether every task has ended.
    pub fn is_finished(&self) -> bool {
        self.fates.iter().all(|fate| !matches!(fate, Fate::NotEnqueued | Fate::Open))
    }

    /// Redis answers that worker.
    pub fn reachable(&self, worker: usize) -> bool {
        self.redis == Redis::Up && !self.workers[worker].cut
    }

    /// Nothing is wrong with that worker nor with its way to Redis.
    pub fn healthy(&self, worker: usize) -> bool {
        self.workers[worker].mode == Mode::Running && self.reachable(worker)
    }
}
