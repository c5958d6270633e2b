//! A worker process: its state, and its requests under way.

use crate::list::{List, Msg};
use crate::state::{IDS, LEASE};
use crate::tasks::Tasks;

/// How a worker's attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Outcome {
    /// It succeeded.
    Succeeded,
    /// It failed and will be retried.
    Retry,
    /// It put itself off (`later`).
    Later,
    /// It failed for good.
    Dead,
    /// The worker gives it back. It has not begun.
    Release,
    /// A drain has cut it off: the worker gives it back.
    CutOff,
    /// It has expired, and did not begin.
    Expired,
    /// It was cancelled. It did not begin, or was stopped.
    Cancelled,
}

/// A request on its way to Redis, or in Redis.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Request {
    /// open.lua
    Open {
        /// The new id, or None to close.
        new: Option<u8>,
        /// The old ids, one bit each.
        olds: u8,
        /// The fields that the worker still holds.
        keep: List,
    },
    /// exchange.lua
    Exchange {
        /// The consumer.
        id: u8,
        /// The messages of attempts that have ended.
        settled: List,
        /// How each of them ended.
        outcomes: [Option<Outcome>; 4],
        /// The number of messages to claim.
        claim: u8,
        /// Whether to take from the suspects instead of from pending.
        suspects: bool,
        /// Whether it is the script of the previous release.
        older: bool,
    },
    /// BLMOVE into an inbox.
    Block {
        /// The consumer.
        id: u8,
        /// Whether to take from the suspects instead of from pending.
        suspects: bool,
    },
}

/// The reply of `exchange`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Claim {
    /// The messages claimed.
    pub claimed: List,
    /// The cancelled tasks that the consumer holds.
    pub cancelled: Tasks,
    /// Whether any task of the queue is cancelled.
    pub any_cancelled: bool,
}

/// The reply of a script.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reply {
    /// `open`: the messages that the new id holds, or None if the id was refused.
    Opened(Option<List>),
    /// `exchange`: None if the lease is lost.
    Exchanged(Option<Claim>),
}

/// The connection for scripts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pending {
    /// The request.
    pub request: Request,
    /// Ticks since it was sent.
    pub age: u8,
    /// The reply, once Redis has executed the request.
    pub reply: Option<Reply>,
}

/// The connection that blocks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Blocking {
    /// No BLMOVE is under way.
    Idle,
    /// BLMOVE is on its way, or blocks.
    Sent,
    /// The reply is on its way.
    Replied(Msg),
}

/// The stage of a message in a worker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
    /// Claimed, not begun.
    Waiting,
    /// Running.
    Running,
    /// Running, and the worker stops it: it was cancelled.
    Stopping,
    /// Ended, but not settled in Redis.
    Settling(Outcome),
}

impl Stage {
    /// Whether the task runs.
    pub fn runs(self) -> bool {
        matches!(self, Stage::Running | Stage::Stopping)
    }
}

/// The state of a process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mode {
    /// Not started, killed or ended.
    Absent,
    /// It is running.
    Running,
    /// It is stopped by SIGSTOP.
    Stopped,
}

/// A worker process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Worker {
    /// Whether it is of the previous release, which defers messages of version 2.
    pub older: bool,
    /// Its state.
    pub mode: Mode,
    /// Whether it is cut off from Redis.
    pub cut: bool,
    /// Whether its connections are broken and it has not noticed.
    pub broken: bool,
    /// Whether it has received SIGTERM.
    pub draining: bool,
    /// Whether it must still give back tasks that have not begun.
    pub owes: bool,
    /// Whether `open` has replied.
    pub ready: bool,
    /// Whether BLMOVE has brought a prioritized message, and no exchange was sent since.
    pub hurries: bool,
    /// Whether any task was cancelled at the last exchange.
    pub is_wary: bool,
    /// Whether Redis may have more tasks than the worker asked for.
    pub maybe_more: bool,
    /// The consumer id, once the worker has sent it.
    pub current: Option<u8>,
    /// Earlier ids that no successful `open` has named yet, one bit each.
    pub olds: u8,
    /// Ticks since it sent the last request that succeeded. Nothing begins after the lease.
    pub age: u8,
    /// The connection for scripts.
    pub scripts: Option<Pending>,
    /// The connection that blocks.
    pub blocking: Blocking,
    /// The messages that it believes it holds, oldest first.
    pub held: [Option<(Msg, Stage)>; 4],
    /// The number of running tasks whose claim is lost.
    pub orphans: u8,
    /// Messages from BLMOVE whose field it already held.
    pub doubles: List,
}

impl Worker {
    /// A worker that has not started.
    pub const NEW: Worker = Worker {
        older: false,
        mode: Mode::Absent,
        cut: false,
        broken: false,
        draining: false,
        owes: false,
        ready: false,
        hurries: false,
        is_wary: false,
        maybe_more: false,
        current: None,
        olds: 0,
        age: LEASE,
        scripts: None,
        blocking: Blocking::Idle,
        held: [None; 4],
        orphans: 0,
        doubles: List::EMPTY,
    };

    /// The messages that it believes it holds.
    pub fn holds(&self) -> impl Iterator<Item = (Msg, Stage)> + use<> {
        self.held.into_iter().flatten()
    }

    /// The number of messages at this stage.
    pub fn count(&self, stage: Stage) -> usize {
        self.holds().filter(|(_, s)| *s == stage).count()
    }

    /// The number of slots in use.
    pub fn running(&self) -> usize {
        self.holds().filter(|(_, stage)| stage.runs()).count() + self.orphans as usize
    }

    /// Its consumer ids that may be alive.
    pub fn ids(&self) -> impl Iterator<Item = usize> + use<> {
        let all = self.olds | self.current.map_or(0, |id| 1 << id);
        (0..IDS).filter(move |id| all >> id & 1 == 1)
    }
}

impl Request {
    /// The ids that the request names, one bit each.
    pub fn ids(&self) -> u16 {
        match self {
            Request::Open { new, olds, .. } => new.map_or(0, |id| 1 << id) | u16::from(*olds),
            Request::Exchange { id, .. } | Request::Block { id, .. } => 1 << id,
        }
    }
}
