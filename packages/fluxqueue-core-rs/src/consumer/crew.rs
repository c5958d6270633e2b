//! The crew: whether all threads serve sync tasks, or one thread at a time.
//!
//! A task may release the GIL for a moment, for example to write to a file. Another thread with a
//! task takes it, and the first one waits to get it back. If tasks take microseconds, this
//! hand-over takes longer than they do. The cost depends on the tasks and on the machine, so the
//! crew measures it: from time to time it tries the other mode for a moment, and keeps the mode
//! that completes more tasks.
//!
//! Why: docs/decisions/0043-one-thread-for-very-fast-tasks.md

use std::time::Duration;

use super::meter::Meter;

/// Below this rate (tasks per second) all threads serve, and the crew makes no trial.
const FAST: f64 = 20_000.0;
/// The pause before the next trial: the first one after a change, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(6_400));
/// The crew prefers one thread if it reaches at least this share of the rate of all threads,
/// because one thread costs less processor time.
const AS_GOOD: f64 = 0.97;
/// If work waits and no task has begun for this time, the one thread is in a slow task. Then
/// another thread serves alongside it.
const STALLED: Duration = Duration::from_millis(1);

/// The mode in which threads serve, and its measurements.
#[derive(Default)]
pub struct Crew {
    one: bool,
    on_trial: bool,
    meter: Meter,
    rate: f64,
    next: Duration,
    pause: Duration,
    /// How many running sync tasks began in the present shift.
    running: usize,
    /// The number of the shift. A new one begins when the one serving thread is in a slow task.
    shift: u64,
    /// When a sync task last began, or a shift.
    moved_at: Duration,
    /// How many sync tasks have ended so far.
    ended: u64,
}

impl Crew {
    /// A crew of one, as if a trial had found that one thread completes more.
    #[cfg(test)]
    pub fn of_one() -> Crew {
        Crew { one: true, ..Crew::default() }
    }

    /// Whether one thread serves at a time.
    #[cfg(test)]
    pub fn is_one(&self) -> bool {
        self.one
    }

    /// How many more sync tasks may begin, out of `slots` in total.
    pub fn free(&self, slots: usize) -> usize {
        let most = if self.one { 1 } else { slots };
        most.saturating_sub(self.running)
    }

    /// Counts a sync task that begins. Returns the shift that it belongs to.
    pub fn begin(&mut self, now: Duration) -> u64 {
        self.running += 1;
        self.moved_at = now;
        self.shift
    }

    /// Counts a sync task that has ended.
    pub fn count(&mut self) {
        self.ended += 1;
    }

    /// Discounts a sync task that began in `shift` and no longer holds a slot.
    pub fn leave(&mut self, shift: u64) {
        self.running -= usize::from(shift == self.shift);
    }

    /// When to check whether the one serving thread is in a slow task. Returns None if all
    /// threads serve.
    pub fn look_at(&self) -> Option<Duration> {
        self.one.then(|| self.moved_at + STALLED)
    }

    /// Measures how many sync tasks have ended. Returns true if all threads serve from now on.
    pub fn measure(&mut self, now: Duration) -> bool {
        let Some(rate) = self.meter.look(now, self.ended) else { return false };
        let was_one = self.one;
        if self.on_trial {
            self.judge(now, rate);
        } else if rate < FAST {
            self.one = false;
            self.rate = 0.0;
        } else if now >= self.next && self.rate > 0.0 {
            self.one = !self.one;
            self.on_trial = true;
        } else {
            self.rate = rate;
        }
        was_one && !self.one
    }

    fn judge(&mut self, now: Duration, rate: f64) {
        self.on_trial = false;
        let is_better = if self.one { rate >= self.rate * AS_GOOD } else { rate * AS_GOOD > self.rate };
        if is_better {
            self.rate = rate;
            self.pause = PAUSES.0;
        } else {
            self.one = !self.one;
            self.pause = (self.pause * 2).clamp(PAUSES.0, PAUSES.1);
        }
        self.next = now + self.pause;
    }

    /// Ends the shift of a slow task: running tasks no longer count, and another thread serves
    /// alongside it.
    pub fn end_shift(&mut self, now: Duration) {
        self.shift += 1;
        self.running = 0;
        self.moved_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::meter::WINDOW;

    /// A crew in a world in which each mode completes a fixed number of tasks per second.
    #[derive(Default)]
    struct World {
        crew: Crew,
        steps: u32,
    }

    impl World {
        /// Lets time pass in windows. Returns how many of them had one thread.
        fn run(&mut self, windows: u32, all: u64, one: u64) -> u32 {
            let mut with_one = 0;
            for _ in 0..windows {
                with_one += u32::from(self.crew.is_one());
                self.step(if self.crew.is_one() { one } else { all });
            }
            with_one
        }

        fn step(&mut self, per_second: u64) -> bool {
            self.steps += 1;
            (0..per_second / 50).for_each(|_| self.crew.count());
            self.crew.measure(WINDOW * self.steps)
        }
    }

    #[test]
    fn the_crew_keeps_the_faster_mode_and_tries_the_other_ever_more_rarely() {
        let mut world = World::default();
        assert!(world.run(1000, 90_000, 180_000) > 980);
        assert!(world.crew.is_one());
        // The tasks have changed: each one now waits for 30 µs.
        world.run(330, 80_000, 30_000);
        assert!(!world.crew.is_one(), "the next trial has found it");
        assert!(world.run(1000, 80_000, 30_000) <= 10);
    }

    #[test]
    fn one_thread_wins_a_tie() {
        let mut world = World::default();
        world.run(100, 150_000, 148_000);
        assert!(world.crew.is_one());
    }

    #[test]
    fn waiting_tasks_get_all_threads_except_in_rare_trials() {
        assert!(World::default().run(1000, 28_000, 2_000) <= 10);
    }

    #[test]
    fn slow_tasks_get_all_threads_and_no_trial() {
        assert_eq!(World::default().run(1000, 19_000, 100_000), 0);
    }

    #[test]
    fn tasks_that_become_slow_get_all_threads_at_the_next_look() {
        let mut world = World::default();
        world.run(100, 90_000, 180_000);
        assert!(world.crew.is_one());
        assert!(world.step(1000));
        assert!(!world.crew.is_one());
    }
}
