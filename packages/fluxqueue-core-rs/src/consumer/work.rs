//! A claimed attempt, and its stage.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::message::Message;

/// An attempt that this worker has claimed.
#[derive(Clone, Debug)]
pub struct Work {
    /// Which of the worker's queues it came from.
    pub queue: usize,
    /// Distinguishes this claim from every other claim of the same field.
    pub serial: u64,
    /// The index of the registered task.
    pub task: usize,
    /// Whether the task runs on the event loop.
    pub is_async: bool,
    /// When this worker received it.
    pub claimed_at: Duration,
    /// When it began.
    pub begun_at: Duration,
    /// The records of the strikes that it may be subject to. None: there are none.
    pub strikes: Option<Arc<[Bytes]>>,
    /// The shift of the crew in which it began, if it is sync.
    pub shift: u64,
    /// The message.
    pub message: Box<Message>,
}

/// The stage of a claimed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has not begun.
    Waiting,
    /// It runs.
    Running,
    /// It has ended, and Redis has not confirmed its outcome yet.
    Settling,
}

/// A field in the claimed hash, as this worker knows it.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// The claim that it belongs to.
    pub serial: u64,
    /// The stage of that claim.
    pub stage: Stage,
    /// When the worker was last told to cancel it.
    pub told: Option<Duration>,
    /// When it began, and the index of its task; of no meaning before it has begun.
    pub begun: (Duration, usize),
}

/// The messages of running tasks with the raised count of releases, by queue and field.
pub type Raised = HashMap<(usize, Bytes), Bytes>;

/// Registered tasks by name: the index of each, and whether it is async.
pub type Table = HashMap<String, (usize, bool)>;

/// The tasks that one queue can run.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    /// The tasks of this queue.
    pub own: Table,
    /// The tasks that every queue runs, in one table for all of them.
    pub anywhere: Arc<Table>,
    /// The name of the queue.
    pub queue: String,
    /// The most bytes of a message.
    pub most: usize,
}

impl Tasks {
    /// The index of the task with this name, and whether it is async.
    pub fn get(&self, name: &str) -> Option<(usize, bool)> {
        self.own.get(name).or_else(|| self.anywhere.get(name)).copied()
    }

    /// The name of the task with this index, found by looking at all.
    pub fn name(&self, task: usize) -> Option<&str> {
        self.own.iter().chain(self.anywhere.iter()).find(|(_, (index, _))| *index == task).map(|(name, _)| &name[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_of_the_queue_itself_goes_before_one_of_all_queues() {
        let table =
            |entries: &[(&str, usize)]| entries.iter().map(|(name, n)| ((*name).to_owned(), (*n, false))).collect();
        let tasks = Tasks {
            own: table(&[("both", 1)]),
            anywhere: Arc::new(table(&[("both", 2), ("other", 3)])),
            ..Tasks::default()
        };
        assert_eq!(["both", "other", "none"].map(|name| tasks.get(name).map(|(n, _)| n)), [Some(1), Some(3), None]);
    }
}
