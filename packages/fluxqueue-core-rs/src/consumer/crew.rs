//! Whether sync tasks run in all threads or in one at a time.
//!
//! A task that lets go of the GIL for a moment (it writes to a file, it takes a
//! lock) hands it over to another thread that has a task, and must wait to have
//! it back. Where tasks take microseconds, this hand-over takes longer than they
//! do. Whether it does depends on the tasks and the machine, so it is tried: now
//! and then, for a moment, the other way, and what gets through more is kept.

use std::time::Duration;

use super::meter::Meter;

/// Below so many tasks a second it is not worth trying, and all threads serve.
const FAST: f64 = 20_000.0;
/// How long until the next trial: after a change, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(6_400));
/// The part of the other rate at which one thread is still preferred: it costs
/// less processor time.
const AS_GOOD: f64 = 0.97;
/// Where nothing has begun for so long while work waits, the one thread is in a
/// slow task, and another one is to serve beside it.
pub const STALLED: Duration = Duration::from_millis(1);

/// Which way it is, and what has been measured of it.
#[derive(Default)]
pub struct Crew {
    one: bool,
    on_trial: bool,
    meter: Meter,
    rate: f64,
    next: Duration,
    pause: Duration,
}

impl Crew {
    /// As if a trial had found that one thread gets through more.
    #[cfg(test)]
    pub fn of_one() -> Crew {
        Crew { one: true, ..Crew::default() }
    }

    /// Whether one thread serves at a time.
    pub fn is_one(&self) -> bool {
        self.one
    }

    /// Looks at the clock and at how many sync tasks have ended so far. True where
    /// all threads are to serve from now on.
    pub fn measure(&mut self, now: Duration, ended: u64) -> bool {
        let Some(rate) = self.meter.look(now, ended) else { return false };
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::meter::WINDOW;

    /// A crew in a world where each way gets through so many tasks a second.
    #[derive(Default)]
    struct World {
        crew: Crew,
        steps: u32,
        ended: u64,
    }

    impl World {
        /// Lets time pass in windows; how many of them had one thread.
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
            self.ended += per_second / 50;
            self.crew.measure(WINDOW * self.steps, self.ended)
        }
    }

    #[test]
    fn the_faster_way_is_kept_and_the_other_tried_more_and_more_rarely() {
        let mut world = World::default();
        assert!(world.run(1000, 90_000, 180_000) > 980);
        assert!(world.crew.is_one());
        // The tasks have changed: 30 µs of each are waiting.
        world.run(330, 80_000, 30_000);
        assert!(!world.crew.is_one(), "the next trial has found it");
        assert!(world.run(1000, 80_000, 30_000) <= 10);
    }

    #[test]
    fn a_tie_is_for_one_thread() {
        let mut world = World::default();
        world.run(100, 150_000, 148_000);
        assert!(world.crew.is_one());
    }

    #[test]
    fn tasks_that_wait_have_all_threads_but_for_rare_trials() {
        assert!(World::default().run(1000, 28_000, 2_000) <= 10);
    }

    #[test]
    fn slow_tasks_have_all_threads_and_no_trial() {
        assert_eq!(World::default().run(1000, 19_000, 100_000), 0);
    }

    #[test]
    fn what_becomes_slow_has_all_threads_at_the_next_look() {
        let mut world = World::default();
        world.run(100, 90_000, 180_000);
        assert!(world.crew.is_one());
        assert!(world.step(1000));
        assert!(!world.crew.is_one());
    }
}
