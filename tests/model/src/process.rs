//! A worker process: what it knows, and what it has under way.

use crate::list::{List, Msg};
use crate::state::{IDS, LEASE};

/// What has become of a task that a worker ran or holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Outcome {
    /// It succeeded.
    Succeeded,
    /// It failed and is run again.
    Retry,
    /// It failed for good.
    Dead,
    /// It is given back.
    Release,
}

/// A request in the network or in Redis.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Request {
    /// open.lua
    Open {
        /// The new id; None in a close.
        new: Option<u8>,
        /// The old ones: a bit for each.
        olds: u8,
        /// The fields that the worker still holds.
        keep: List,
    },
    /// exchange.lua
    Exchange {
        /// The consumer.
        id: u8,
        /// What has ended,
        settled: List,
        /// and how.
        outcomes: [Option<Outcome>; 4],
        /// How many to claim.
        claim: u8,
        /// From the suspects instead of from pending.
        suspects: bool,
        /// It is the script of the previous release.
        older: bool,
    },
    /// BLMOVE into an inbox.
    Block {
        /// The consumer.
        id: u8,
        /// From the suspects instead of from pending.
        suspects: bool,
    },
}

/// What Redis has answered to a script.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reply {
    /// `open`: the new id holds these; None: refused.
    Opened(Option<List>),
    /// `exchange`: claimed these; None: the lease is lost.
    Exchanged(Option<List>),
}

/// The connection for scripts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pending {
    /// What was sent.
    pub request: Request,
    /// Ticks since.
    pub age: u8,
    /// The answer, once Redis has executed it.
    pub reply: Option<Reply>,
}

/// The connection that blocks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Blocking {
    /// Nothing was sent.
    Idle,
    /// BLMOVE is in the network, or blocked.
    Sent,
    /// Its answer is under way.
    Replied(Msg),
}

/// How far a worker is with a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
    /// Claimed.
    Waiting,
    /// Begun.
    Running,
    /// Ended; Redis does not know yet.
    Settling(Outcome),
}

/// The process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mode {
    /// Not started, killed, or at its end.
    Absent,
    /// It runs.
    Running,
    /// SIGSTOP.
    Stopped,
}

/// A worker process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Worker {
    /// It is of the previous release: it puts a message of version 2 off.
    pub older: bool,
    /// Whether it runs.
    pub mode: Mode,
    /// The network between it and Redis is gone.
    pub cut: bool,
    /// Its connections are broken and it has not noticed.
    pub broken: bool,
    /// SIGTERM has come.
    pub draining: bool,
    /// What had not begun is still to be given back.
    pub owes: bool,
    /// `open` has answered.
    pub ready: bool,
    /// Redis may have more than was asked for.
    pub maybe_more: bool,
    /// The consumer id, once it was sent.
    pub current: Option<u8>,
    /// Earlier ids that no answered `open` has named yet: a bit for each.
    pub olds: u8,
    /// Ticks since the last success was sent: past the lease nothing begins.
    pub age: u8,
    /// The connection for scripts.
    pub scripts: Option<Pending>,
    /// The connection that blocks.
    pub blocking: Blocking,
    /// What it thinks to hold, oldest first.
    pub held: [Option<(Msg, Stage)>; 4],
    /// Tasks that run although their claim is lost.
    pub orphans: u8,
    /// What a BLMOVE brought although its field was held.
    pub doubles: List,
}

impl Worker {
    /// Not started.
    pub const NEW: Worker = Worker {
        older: false,
        mode: Mode::Absent,
        cut: false,
        broken: false,
        draining: false,
        owes: false,
        ready: false,
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

    /// What it thinks to hold.
    pub fn holds(&self) -> impl Iterator<Item = (Msg, Stage)> + use<> {
        self.held.into_iter().flatten()
    }

    /// How many are at that stage.
    pub fn count(&self, stage: Stage) -> usize {
        self.holds().filter(|(_, s)| *s == stage).count()
    }

    /// Slots in use.
    pub fn running(&self) -> usize {
        self.count(Stage::Running) + self.orphans as usize
    }

    /// Its ids that may be alive.
    pub fn ids(&self) -> impl Iterator<Item = usize> + use<> {
        let all = self.olds | self.current.map_or(0, |id| 1 << id);
        (0..IDS).filter(move |id| all >> id & 1 == 1)
    }
}

impl Request {
    /// A bit for each id that it names.
    pub fn ids(&self) -> u16 {
        match self {
            Request::Open { new, olds, .. } => new.map_or(0, |id| 1 << id) | u16::from(*olds),
            Request::Exchange { id, .. } | Request::Block { id, .. } => 1 << id,
        }
    }
}
