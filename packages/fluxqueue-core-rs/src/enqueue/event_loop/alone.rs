//! Whether the caller of a call is alone on its loop, so that it may wait for the reply at once.
//!
//! Calls of several asyncio tasks go together in one command. So a task that waits alone must not
//! take that from others, nor keep the loop for long.
//!
//! Why: docs/decisions/0262-a-lone-call-waits-at-once.md

use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use crate::odds::Odds;

/// For how long the calls of a turn wait at once. Then the loop has its turn.
const LONGEST: Duration = Duration::from_millis(1);

/// The calls of one turn of the loop.
struct TurnCalls {
    began: Instant,
    thread: ThreadId,
    /// The asyncio task that awaits the calls, as the address of its object.
    task: Option<usize>,
    /// Calls that are written at the end of the turn.
    left: usize,
    may_wait: bool,
}

/// The record of a loop.
#[derive(Default)]
pub struct Alone {
    odds: Odds,
    turn: Option<TurnCalls>,
}

impl Alone {
    /// A call came. Returns whether it may wait at once, if it is awaited itself.
    pub fn push(&mut self, now: Instant) -> bool {
        let odds = &mut self.odds;
        let turn = self.turn.get_or_insert_with(|| TurnCalls {
            began: now,
            thread: thread::current().id(),
            task: None,
            left: 0,
            may_wait: odds.try_now(),
        });
        turn.left += 1;
        turn.may_wait && turn.left == 1
    }

    /// The asyncio task at this address awaits the last call. Returns whether to wait now.
    pub fn wait_now(&mut self, task: usize, now: Instant) -> bool {
        let Some(turn) = &mut self.turn else { return false };
        let is_first = *turn.task.get_or_insert(task) == task;
        let may = turn.may_wait && is_first && turn.left == 1;
        if !may || now - turn.began >= LONGEST || turn.thread != thread::current().id() {
            // A second task is a second call of this turn.
            turn.left += usize::from(!is_first);
            return false;
        }
        turn.left = 0;
        true
    }

    /// The turn is over, or the loop did not take its end.
    pub fn end_turn(&mut self) {
        match self.turn.take() {
            Some(TurnCalls { may_wait: true, left, .. }) if left > 1 => self.odds.lost(),
            Some(TurnCalls { may_wait: true, task: Some(_), .. }) => self.odds.won(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A turn in which these tasks await a call each. Returns which of them waited at once.
    fn turn(alone: &mut Alone, tasks: &[usize]) -> Vec<bool> {
        let now = Instant::now();
        let waited = tasks.iter().map(|task| alone.push(now) && alone.wait_now(*task, now)).collect();
        alone.end_turn();
        waited
    }

    #[test]
    fn one_task_waits_at_once_for_each_of_its_calls() {
        let mut alone = Alone::default();
        assert_eq!(turn(&mut alone, &[7, 7, 7]), [true; 3]);
        assert_eq!(turn(&mut alone, &[8]), [true]);
    }

    #[test]
    fn after_turns_of_several_tasks_the_next_ones_do_not_wait() {
        let mut alone = Alone::default();
        assert_eq!(turn(&mut alone, &[7, 8, 9, 7]), [true, false, false, false]);
        assert_eq!(turn(&mut alone, &[7]), [false]);
        assert_eq!(turn(&mut alone, &[7]), [false]);
        assert_eq!(turn(&mut alone, &[7, 8]), [true, false]);
        for _ in 0..4 {
            assert_eq!(turn(&mut alone, &[7]), [false]);
        }
        assert_eq!(turn(&mut alone, &[7, 7]), [true, true]);
        assert_eq!(turn(&mut alone, &[8]), [true]);
    }

    #[test]
    fn calls_that_nothing_awaits_go_together() {
        let mut alone = Alone::default();
        let now = Instant::now();
        assert!(alone.push(now));
        assert!(!alone.push(now));
        assert!(!alone.wait_now(7, now));
        alone.end_turn();
        assert!(!alone.push(now));
    }

    #[test]
    fn the_loop_has_its_turn_after_a_millisecond() {
        let mut alone = Alone::default();
        let now = Instant::now();
        assert!(alone.push(now) && alone.wait_now(7, now));
        assert!(alone.push(now) && !alone.wait_now(7, now + LONGEST));
        assert!(!alone.push(now) && !alone.wait_now(7, now));
        alone.end_turn();
        assert_eq!(alone.odds.losses, 1, "two calls were left for the end of the turn");
    }

    #[test]
    fn only_the_thread_of_the_loop_waits() {
        let (mut alone, now) = (Alone::default(), Instant::now());
        assert!(alone.push(now));
        let other = thread::spawn(move || (alone.wait_now(7, now), alone));
        let (waits, mut alone) = other.join().expect("no panic");
        assert!(!waits && alone.wait_now(7, now));
    }
}
