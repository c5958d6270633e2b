//! Tasks that have been claimed and have not begun, oldest first.

use std::collections::VecDeque;

use super::work::Work;

/// A queue of work that counts the bytes of its messages.
#[derive(Default)]
pub struct Ready {
    work: VecDeque<Work>,
    bytes: usize,
}

impl Ready {
    /// The number of tasks.
    pub fn len(&self) -> usize {
        self.work.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.work.is_empty()
    }

    /// The bytes of all messages.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The oldest task.
    pub fn front(&self) -> Option<&Work> {
        self.work.front()
    }

    /// The tasks, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Work> {
        self.work.iter()
    }

    /// Adds the youngest task.
    pub fn push(&mut self, work: Work) {
        self.bytes += work.message.raw.len();
        self.work.push_back(work);
    }

    /// Takes the oldest task.
    pub fn pop(&mut self) -> Option<Work> {
        let work = self.work.pop_front()?;
        self.bytes -= work.message.raw.len();
        Some(work)
    }

    /// Takes all tasks.
    pub fn take(&mut self) -> VecDeque<Work> {
        self.bytes = 0;
        std::mem::take(&mut self.work)
    }

    /// Keeps the tasks for which `keep` is true.
    pub fn retain(&mut self, keep: impl Fn(&Work) -> bool) {
        self.work.retain(keep);
        self.bytes = self.work.iter().map(|work| work.message.raw.len()).sum();
    }
}
