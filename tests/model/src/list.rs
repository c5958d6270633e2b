//! Messages and short lists of them.

use std::fmt;
use std::num::NonZeroU8;

/// A message in one byte: which task, its counters, and two marks that only the
/// model knows. Without the marks it is also the message's field.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Msg(NonZeroU8);

const PRESENT: u8 = 0x80;
const STALE: u8 = 0x40;
const DURING: u8 = 0x20;

impl Msg {
    /// The first attempt at that task.
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

    /// Which task.
    pub fn task(self) -> usize {
        (self.bits() >> 1 & 1) as usize
    }

    /// The same of the other task.
    pub fn of_the_other(self) -> Msg {
        Msg(NonZeroU8::MIN | (self.bits() ^ 2))
    }

    /// How many workers were lost while they held it (0..3).
    pub fn deliveries(self) -> u8 {
        self.bits() >> 2 & 3
    }

    /// How many times the task has failed (0 or 1).
    pub fn retries(self) -> u8 {
        self.bits() >> 4 & 1
    }

    /// After the loss of a worker.
    pub fn raised(self) -> Msg {
        Msg(self.0.saturating_add(1 << 2))
    }

    /// After a failure.
    pub fn retried(self) -> Msg {
        Msg(self.0.saturating_add(1 << 4))
    }

    /// Without the marks: id and counters, one attempt at one task.
    pub fn field(self) -> Msg {
        self.with(STALE | DURING, false)
    }

    /// A copy in a worker's hands of what has left its possession in Redis.
    pub fn is_stale(self) -> bool {
        self.bits() & STALE != 0
    }

    /// The copy is void from now on.
    pub fn stale(self) -> Msg {
        self.with(STALE, true)
    }

    /// It came while an exchange was under way.
    pub fn came_during(self) -> bool {
        self.bits() & DURING != 0
    }

    /// Sets or clears that mark.
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

/// Up to four messages. In a Redis list the first is the right end, which is
/// taken next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct List([Option<Msg>; 4]);

impl List {
    /// None.
    pub const EMPTY: List = List([None; 4]);

    /// From the first to the last.
    pub fn iter(&self) -> impl Iterator<Item = Msg> + use<'_> {
        self.0.iter().map_while(|m| *m)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0[0].is_none()
    }

    /// Whether it has this field.
    pub fn has(&self, field: Msg) -> bool {
        self.iter().any(|m| m.field() == field.field())
    }

    /// Adds one behind the others (LPUSH).
    pub fn push(&mut self, message: Msg) {
        let end = self.len();
        // Two tasks, each in one place: only a mutant that doubles them comes near.
        assert!(end < self.0.len(), "the model's lists are too short");
        self.0[end] = Some(message);
    }

    /// Adds one before the others (RPUSH).
    pub fn push_first(&mut self, message: Msg) {
        self.push(message);
        let end = self.len();
        self.0[..end].rotate_right(1);
    }

    /// Takes the first (RPOP).
    pub fn pop(&mut self) -> Option<Msg> {
        let first = self.0[0].take();
        self.0.rotate_left(1);
        first
    }

    /// Removes that field (HDEL, ZREM); whether it was there.
    pub fn remove(&mut self, field: Msg) -> bool {
        let before = self.len();
        self.retain(|m| m.field() != field.field());
        self.len() < before
    }

    /// Keeps those for which `keep` holds.
    pub fn retain(&mut self, keep: impl Fn(Msg) -> bool) {
        let old = std::mem::take(self);
        old.iter().filter(|m| keep(*m)).for_each(|m| self.push(m));
    }

    /// Changes each.
    pub fn map(&mut self, change: impl Fn(Msg) -> Msg) {
        self.0.iter_mut().flatten().for_each(|m| *m = change(*m));
    }

    /// For sets and hashes, which have no order.
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
