//! Messages, and short lists of messages.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::num::NonZeroU16;

/// Why no worker may begin a message: its option `e`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// It has expired.
    Expired,
    /// Its task was cancelled.
    Cancelled,
}

/// A message in two bytes: its task, its counters, its options, and two marks for the
/// model's use. Task and counters alone are the message's field.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Msg(NonZeroU16);

const REQUEUED: u16 = 0x4000;
const FIELD: u16 = 0b1_1111 | REQUEUED; // bit 0 is always set
const STALE: u16 = 0x20;
const DURING: u16 = 0x40;
const EXPIRED: u16 = 0x100;
const CANCELLED: u16 = 0x200;
const SNOOZE: u16 = 0x400; // two bits
const CUT_OFF: u16 = 0x1000;
const TOLD: u16 = 0x2000;
const OPTIONS: u16 = EXPIRED | CANCELLED | (3 * SNOOZE) | CUT_OFF;

impl Msg {
    /// The message of a task's first attempt.
    pub fn new(task: usize) -> Msg {
        Msg(NonZeroU16::MIN | (task as u16) << 1)
    }

    fn bits(self) -> u16 {
        self.0.get()
    }

    fn with(self, mark: u16, on: bool) -> Msg {
        let bits = if on { self.bits() | mark } else { self.bits() & !mark };
        Msg(NonZeroU16::MIN | bits)
    }

    /// The task's index.
    pub fn task(self) -> usize {
        (self.bits() >> 1 & 1) as usize
    }

    /// The same message for the other task.
    pub fn of_the_other(self) -> Msg {
        Msg(NonZeroU16::MIN | (self.bits() ^ 2))
    }

    /// The number of workers lost while they held it (0 to 3).
    pub fn deliveries(self) -> u8 {
        (self.bits() >> 2 & 3) as u8
    }

    /// The number of the task's failures (0 or 1).
    pub fn retries(self) -> u8 {
        (self.bits() >> 4 & 1) as u8
    }

    /// How many times the task has put itself off (0 to 2).
    pub fn snoozes(self) -> u8 {
        ((self.bits() / SNOOZE) & 3) as u8
    }

    /// Whether a drain has cut the task off.
    pub fn is_cut_off(self) -> bool {
        self.bits() & CUT_OFF > 0
    }

    /// How many attempts have ended and left the field as it is.
    pub fn earlier_attempts(self) -> u8 {
        self.snoozes() + u8::from(self.is_cut_off())
    }

    /// Why it must not begin, if so.
    pub fn condemned(self) -> Option<Why> {
        match self.bits() & (EXPIRED | CANCELLED) {
            0 => None,
            EXPIRED => Some(Why::Expired),
            _ => Some(Why::Cancelled),
        }
    }

    /// The message after the loss of a worker.
    pub fn raised(self) -> Msg {
        Msg(self.0.saturating_add(1 << 2))
    }

    /// The message after a failure.
    pub fn retried(self) -> Msg {
        self.with(1 << 4, true)
    }

    /// The first attempt again, after an operator has requeued the task.
    pub fn requeued(self) -> Msg {
        self.with(REQUEUED, true)
    }

    /// The message after the task has put itself off.
    pub fn snoozed(self) -> Msg {
        Msg(self.0.saturating_add(SNOOZE))
    }

    /// The message after a drain has cut the task off.
    pub fn cut_off(self) -> Msg {
        self.with(CUT_OFF, true)
    }

    /// The condemned message. One that is condemned already stays as it is.
    pub fn condemn(self, why: Why) -> Msg {
        match (self.condemned(), why) {
            (Some(_), _) => self,
            (None, Why::Expired) => self.with(EXPIRED, true),
            (None, Why::Cancelled) => self.with(CANCELLED, true),
        }
    }

    /// Whether a cancel has told the result of its task, so that its end tells none: it has no option `r`.
    pub fn is_told(self) -> bool {
        self.bits() & TOLD > 0
    }

    /// The message without its option `r`.
    pub fn told(self) -> Msg {
        self.with(TOLD, true)
    }

    /// Whether it has options that a script or a worker has added, so it is of version 2.
    pub fn has_options(self) -> bool {
        self.bits() & OPTIONS > 0
    }

    /// The message without the marks, as it is in Redis.
    pub fn plain(self) -> Msg {
        self.with(STALE | DURING, false)
    }

    /// Id and counters: one attempt at one task. A snooze and a drain leave it as it is.
    pub fn field(self) -> Msg {
        self.with(!FIELD, false)
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
        let marks = [
            (STALE, "?"),
            (EXPIRED, "x"),
            (CANCELLED, "c"),
            (3 * SNOOZE, "s"),
            (CUT_OFF, "b"),
            (TOLD, "t"),
            (REQUEUED, "q"),
        ];
        marks.iter().filter(|(mark, _)| self.bits() & mark > 0).try_for_each(|(_, name)| f.write_str(name))
    }
}

/// Up to four messages. The first is a Redis list's right end, which is taken next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct List([Option<Msg>; 4]);

/// In one step for all four messages: a state has many lists.
impl Hash for List {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let all = self.0.iter().fold(0, |all, m| all << 16 | u64::from(m.map_or(0, Msg::bits)));
        state.write_u64(all);
    }
}

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
        let with_options = m.snoozed().cut_off().condemn(Why::Cancelled).condemn(Why::Expired);
        assert_eq!((with_options.field(), with_options.condemned()), (m.field(), Some(Why::Cancelled)));
        assert!((with_options.snoozes(), with_options.is_cut_off()) == (1, true) && with_options.is_stale());
    }
}
