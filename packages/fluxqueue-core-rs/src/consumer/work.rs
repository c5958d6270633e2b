//! A claimed attempt, and how far it has come.

use std::collections::HashMap;
use std::time::Duration;

use crate::message::Message;

/// An attempt that this worker has claimed.
#[derive(Clone, Debug)]
pub struct Work {
    /// Which of the worker's queues it came from.
    pub queue: usize,
    /// Tells this claim from every other claim of the same field.
    pub serial: u64,
    /// Index of the registered task.
    pub task: usize,
    /// Runs on the event loop.
    pub is_async: bool,
    /// When this worker received it.
    pub claimed_at: Duration,
    /// When it began.
    pub begun_at: Duration,
    /// The shift of the crew in which it began, if it is sync.
    pub shift: u64,
    /// The message.
    pub message: Message,
}

/// How far a claimed attempt has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has not begun.
    Waiting,
    /// It runs.
    Running,
    /// It has an outcome that Redis has not confirmed.
    Settling,
}

/// A field in the claimed hash, as this worker knows it.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// The claim that it belongs to.
    pub serial: u64,
    /// How far that claim has come.
    pub stage: Stage,
}

/// The registered tasks by name: the index of each, and whether it is async.
pub type Tasks = HashMap<String, (usize, bool)>;
