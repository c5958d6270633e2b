//! How many tasks a queue asks for: enough for the vacant slots, plus a prefetch of fast tasks.
//! All of it is arithmetic on plain values.
//!
//! A task that waits here could run in another worker, so a worker claims only tasks that it
//! begins soon. Why: docs/decisions/0050-claiming-is-arithmetic.md
//!
//! Why: docs/decisions/0044-what-a-worker-holds-is-bounded-in-bytes.md

use std::time::Duration;

/// The time for which prefetched tasks keep the worker busy.
const AHEAD: Duration = Duration::from_millis(50);
/// The most tasks that wait in this process.
const MOST_AHEAD: usize = 2048;
/// Rule 15: if the messages that wait here have this many bytes, the worker prefetches none.
pub const MOST_BYTES: usize = 4 << 20;
/// The most tasks that one exchange claims, so that it keeps Redis busy for less than a millisecond.
/// Why: docs/decisions/0286-calls-of-scripts-are-slices.md
pub const MOST_CLAIMED: usize = 384;
/// Rule 14: the worker releases a task that has waited here for longer.
pub const PATIENCE: Duration = Duration::from_millis(250);

/// How many tasks to hold beyond the vacant slots, if `per_second` tasks end. Returns 0 if each
/// slot ends less than one task within `AHEAD`: a prefetched slow task would wait here while
/// another worker idles.
pub fn prefetch(per_second: f64, concurrency: usize) -> usize {
    let tasks = (per_second * AHEAD.as_secs_f64()) as usize;
    if tasks < concurrency { 0 } else { tasks.min(MOST_AHEAD) }
}

/// The numbers by which a queue decides how many tasks to ask for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room {
    /// How many tasks may run at once.
    pub concurrency: usize,
    /// Slots in which no task runs.
    pub vacant: usize,
    /// Claimed tasks of all queues that have not begun.
    pub waiting: usize,
    /// The bytes of the messages of these tasks.
    pub waiting_bytes: usize,
    /// How many of these tasks belong to this queue.
    pub waiting_of_queue: usize,
    /// How many tasks the exchanges under way ask for.
    pub asked: usize,
    /// Whether a BLMOVE is under way, for any queue.
    pub is_blocked: bool,
    /// How many tasks to hold beyond the vacant slots; see `prefetch`.
    pub ahead: usize,
    /// Whether the tasks that wait here for their caps are enough: the worker claims none.
    pub is_full: bool,
}

impl Room {
    /// How many tasks the queue may ask for. If a BLMOVE of another queue returns one too many,
    /// the worker releases it.
    pub fn wanted(&self) -> usize {
        if self.is_full {
            return 0;
        }
        let taken = self.waiting + self.asked;
        // A few large messages are enough.
        let ahead = if self.waiting_bytes < MOST_BYTES { self.ahead } else { 0 };
        // Rule 6: one slot stays free for a BLMOVE under way, if another is left.
        let reserve = usize::from(self.is_blocked && self.vacant > taken + 1);
        let most = MOST_AHEAD.max(self.concurrency);
        let wanted = (self.vacant - reserve + ahead).min(most).saturating_sub(taken).min(MOST_CLAIMED);
        wanted.max(usize::from(self.is_crowded_out()))
    }

    /// Whether the tasks that wait here are few enough to claim more: half of the prefetch
    /// has begun.
    pub fn is_low(&self) -> bool {
        self.waiting.saturating_sub(self.vacant) <= self.ahead / 2
    }

    /// Whether the queue may block: a slot is free for the task that a BLMOVE brings.
    pub fn may_block(&self) -> bool {
        !self.is_full && (self.vacant.saturating_sub(self.waiting) > self.asked || self.is_crowded_out())
    }

    /// Whether no task of this queue waits here while fast tasks of other queues may fill the
    /// prefetch, so that no slot is ever free. If so, the queue may ask for one more task, and it
    /// blocks if it has none. Otherwise it would ask only when fairness puts it first, or when
    /// its lease is renewed.
    fn is_crowded_out(&self) -> bool {
        self.ahead > 0 && self.waiting_of_queue == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_tasks_are_prefetched_and_slow_ones_are_not() {
        for (per_second, concurrency, ahead) in [
            (0.0, 1, 0),
            (19.0, 1, 0), // 53 ms each
            (20.0, 1, 1), // 50 ms each
            (10_000.0, 10, 500),
            (10_000.0, 500, 500),
            (10_000.0, 501, 0), // 50 ms each and more
            (1e9, 10, MOST_AHEAD),
        ] {
            assert_eq!(prefetch(per_second, concurrency), ahead, "{per_second} {concurrency}");
        }
    }

    /// The number wanted. If tasks wait, one of them belongs to this queue.
    fn wanted(
        concurrency: usize,
        vacant: usize,
        waiting: usize,
        asked: usize,
        is_blocked: bool,
        ahead: usize,
    ) -> usize {
        let waiting_of_queue = waiting.min(1);
        Room { concurrency, vacant, waiting, waiting_of_queue, asked, is_blocked, ahead, ..Room::default() }.wanted()
    }

    #[test]
    fn a_queue_asks_for_enough_tasks_to_fill_the_slots_and_the_prefetch() {
        for (slots, vacant, waiting, asked, is_blocked, ahead, expected) in [
            // Slow tasks: the vacant slots, less the tasks that wait or are asked for already.
            (4, 4, 0, 0, false, 0, 4),
            (4, 4, 1, 0, false, 0, 3),
            (4, 4, 1, 2, false, 0, 1),
            (4, 4, 1, 3, false, 0, 0),
            (4, 0, 0, 0, false, 0, 0),
            (4, 1, 3, 0, false, 0, 0),
            // A BLMOVE under way keeps one slot, unless it is the last.
            (4, 4, 0, 0, true, 0, 3),
            (4, 4, 1, 0, true, 0, 2),
            (4, 2, 1, 0, true, 0, 1),
            (4, 1, 0, 0, true, 0, 1),
            (1, 1, 0, 0, true, 0, 1),
            // Fast tasks: the vacant slots plus the prefetch.
            (4, 0, 1, 0, false, 100, 99),
            (4, 4, 1, 0, false, 100, 103),
            (4, 4, 1, 50, false, 100, 53),
            (4, 2, 200, 0, false, 100, 0),
            // An exchange claims up to MOST_CLAIMED tasks, and up to MOST_AHEAD tasks wait here.
            (4, 4, 1, 0, false, 2048, MOST_CLAIMED),
            (4, 4, 1800, 0, false, 2048, 248),
            (4, 4, 2048, 0, false, 2048, 0),
            // A worker with more slots than MOST_AHEAD still fills all of them.
            (5000, 5000, 1, 0, false, 0, MOST_CLAIMED),
            (5000, 5000, 4800, 0, false, 0, 200),
        ] {
            let given = (slots, vacant, waiting, asked, is_blocked, ahead);
            assert_eq!(wanted(slots, vacant, waiting, asked, is_blocked, ahead), expected, "{given:?}");
        }
    }

    #[test]
    fn large_messages_are_not_prefetched() {
        let room = Room { concurrency: 4, vacant: 2, waiting_of_queue: 1, ahead: 100, ..Room::default() };
        assert_eq!(Room { waiting_bytes: MOST_BYTES - 1, ..room }.wanted(), 102);
        assert_eq!(Room { waiting_bytes: MOST_BYTES, ..room }.wanted(), 2);
    }

    #[test]
    fn a_queue_crowded_out_by_fast_tasks_may_ask_for_one_task_and_block() {
        let full = Room { concurrency: 4, vacant: 0, waiting: 200, ahead: 100, ..Room::default() };
        assert_eq!((full.wanted(), full.may_block()), (1, true));
        let has_some = Room { waiting_of_queue: 1, ..full };
        assert_eq!((has_some.wanted(), has_some.may_block()), (0, false));
        let slow = Room { ahead: 0, ..full };
        assert_eq!((slow.wanted(), slow.may_block()), (0, false));
        // Large messages end the prefetch, but the queue still asks for one task.
        assert_eq!(Room { waiting_bytes: MOST_BYTES, ..full }.wanted(), 1);
    }

    #[test]
    fn a_queue_blocks_while_a_slot_is_free_for_the_task() {
        for (vacant, waiting, asked, may_block) in
            [(1, 0, 0, true), (0, 0, 0, false), (2, 1, 0, true), (2, 2, 0, false), (2, 1, 1, false), (3, 1, 1, true)]
        {
            let room = Room { concurrency: 4, vacant, waiting, asked, ..Room::default() };
            assert_eq!(room.may_block(), may_block, "{vacant} {waiting} {asked}");
        }
    }

    #[test]
    fn a_worker_that_is_full_of_tasks_over_their_caps_asks_for_none() {
        let room = Room { concurrency: 4, vacant: 4, ahead: 100, ..Room::default() };
        assert_eq!((room.wanted(), room.may_block()), (104, true));
        let full = Room { is_full: true, ..room };
        assert_eq!((full.wanted(), full.may_block()), (0, false));
    }

    #[test]
    fn a_queue_claims_more_when_half_of_the_prefetch_has_begun() {
        for (vacant, waiting, ahead, is_low) in
            [(0, 0, 0, true), (0, 1, 0, false), (2, 2, 0, true), (0, 50, 100, true), (0, 51, 100, false)]
        {
            assert_eq!(
                Room { vacant, waiting, ahead, ..Room::default() }.is_low(),
                is_low,
                "{vacant} {waiting} {ahead}"
            );
        }
    }
}
