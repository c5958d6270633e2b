//! Tasks that have been claimed and not begun, oldest first.

use std::collections::VecDeque;

use super::state::Work;

/// A queue of work that knows how many bytes its messages have.
#[derive(Default)]
pub struct Ready {
    work: VecDeque<Work>,
    bytes: usize,
}

impl Ready {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.work.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.work.is_empty()
    }

    /// The bytes of all messages.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The oldest.
    pub fn front(&self) -> Option<&Work> {
        self.work.front()
    }

    /// Adds the youngest.
    pub fn push(&mut self, work: Work) {
        self.bytes += work.message.raw.len();
        self.work.push_back(work);
    }

    /// Takes the oldest.
    pub fn pop(&mut self) -> Option<Work> {
        let work = self.work.pop_front()?;
        self.bytes -= work.message.raw.len();
        Some(work)
    }

    /// Takes all.
    pub fn take(&mut self) -> VecDeque<Work> {
        self.bytes = 0;
        std::mem::take(&mut self.work)
    }

    /// Keeps those for which `keep` holds.
    pub fn retain(&mut self, keep: impl Fn(&Work) -> bool) {
        self.work.retain(keep);
        self.bytes = self.work.iter().map(|work| work.message.raw.len()).sum();
    }
}
