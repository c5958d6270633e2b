//! Messages, and short lists of messages.

use std::fmt;
use std::num::NonZeroU8;

/// A message in one byte: its task, its counters, and two marks for the model's use.
/// Without the marks it is also the message's field.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Msg(NonZeroU8);

const PRESENT: u8 = 0x80;
const STALE: u8 = 0x40;
const DURING: u8 = 0x20;

impl Msg {
    /// The message of a task's first attempt.
    pub fn new(task: usize) -> Msg {
        Msg(NonZeroU8::MIN | (PRESENT | (task as u8) << 1))
    }

    fn bits(self) -> u8 {
        self.0.get()
    }

    fn with(self, mark: u8, on: bool) -> Msg {
        let bits = if on { self.bits() | mark } else { self.bits() & !mark };
        Msg(NonZeroU8::MIN | bits)
    }

    /// The task's index.
    pub fn task(self) -> usize {
        (self.bits() >> 1 & 1) as usize
    }

    /// The same message for the other task.
    pub fn of_the_other(self) -> Msg {
        Msg(NonZeroU8::MIN | (self.bits() ^ 2))
    }

    /// The number of workers lost while they held it (0 to 3).
    pub fn deliveries(self) -> u8 {
        self.bits() >> 2 & 3
    }

    /// The number of the task's failures (0 or 1).
    pub fn retries(self) -> u8 {
        self.bits() >> 4 & 1
    }

    /// The message after the loss of a worker.
    pub fn raised(self) -> Msg {
        Msg(self.0.saturating_add(1 << 2))
    }

    /// The message after a failure.
    pub fn retried(self) -> Msg {
        Msg(self.0.saturating_add(1 << 4))
    }

    /// The message without the marks: id and counters, so one attempt at one task.
    pub fn field(self) -> Msg {
        self.with(STALE | DURING, false)
    }

    /// Whether a worker has this copy, although Redis has given the message to others.
    pub fn is_stale(self) -> bool {
        self.bits() & STALE != 0
    }

    /// Marks the copy as void.
    pub fn stale(self) -> Msg {
        self.with(STALE, true)
    }

    /// Whether it arrived during an exchange.
    pub fn came_during(self) -> bool {
        self.bits() & DURING != 0
    }

    /// Sets or clears the mark that it arrived during an exchange.
    pub fn during(self, yes: bool) -> Msg {
        self.with(DURING, yes)
    }
}

impl fmt::Debug for Msg {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let name = if self.task() == 0 { 'A' } else { 'B' };
        write!(f, "{name}{}/{}", self.deliveries(), self.retries())?;
        f.write_str(if self.is_stale() { "?" } else { "" })
    }
}

/// Up to four messages. The first is a Redis list's right end, which is taken next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct List([Option<Msg>; 4]);

impl List {
    /// The empty list.
    pub const EMPTY: List = List([None; 4]);

    /// The messages, first to last.
    pub fn iter(&self) -> impl Iterator<Item = Msg> + use<'_> {
        self.0.iter().map_while(|m| *m)
    }

    /// The number of messages.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether the list has no message.
    pub fn is_empty(&self) -> bool {
        self.0[0].is_none()
    }

    /// Whether the list has a message with this field.
    pub fn has(&self, field: Msg) -> bool {
        self.iter().any(|m| m.field() == field.field())
    }

    /// Appends a message (LPUSH).
    pub fn push(&mut self, message: Msg) {
        let end = self.len();
        // Two tasks are each in one place. Only a mutant that copies them fills a list.
        assert!(end < self.0.len(), "the model's lists are too short");
        self.0[end] = Some(message);
    }

    /// Prepends a message (RPUSH).
    pub fn push_first(&mut self, message: Msg) {
        self.push(message);
        let end = self.len();
        self.0[..end].rotate_right(1);
    }

    /// Removes and returns the first message (RPOP).
    pub fn pop(&mut self) -> Option<Msg> {
        let first = self.0[0].take();
        self.0.rotate_left(1);
        first
    }

    /// Removes the message with this field (HDEL, ZREM). Returns whether it was there.
    pub fn remove(&mut self, field: Msg) -> bool {
        let before = self.len();
        self.retain(|m| m.field() != field.field());
        self.len() < before
    }

    /// Keeps the messages for which `keep` returns true.
    pub fn retain(&mut self, keep: impl Fn(Msg) -> bool) {
        let old = std::mem::take(self);
        old.iter().filter(|m| keep(*m)).for_each(|m| self.push(m));
    }

    /// Changes each message.
    pub fn map(&mut self, change: impl Fn(Msg) -> Msg) {
        self.0.iter_mut().flatten().for_each(|m| *m = change(*m));
    }

    /// Sorts the messages, for sets and hashes, which have no order.
    pub fn sort(&mut self) {
        self.0.sort_by_key(|m| (m.is_none(), *m));
    }
}

impl FromIterator<Msg> for List {
    fn from_iter<I: IntoIterator<Item = Msg>>(messages: I) -> List {
        let mut list = List::default();
        messages.into_iter().for_each(|m| list.push(m));
        list
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_two_ends() {
        let (a, b) = (Msg::new(0), Msg::new(1));
        let mut list = List::default();
        list.push(a);
        list.push(b);
        list.push_first(b.raised());
        assert_eq!(list.iter().collect::<Vec<_>>(), [b.raised(), a, b]);
        assert_eq!(list.pop(), Some(b.raised()));
        assert!(list.remove(a.stale()));
        assert_eq!((list.pop(), list.pop()), (Some(b), None));
    }

    #[test]
    fn counters_and_marks_do_not_mix() {
        let m = Msg::new(1).raised().raised().retried().stale().during(true);
        assert_eq!((m.task(), m.deliveries(), m.retries()), (1, 2, 1));
        assert_eq!(m.field(), Msg::new(1).raised().raised().retried());
    }
}
