//! The time in which an event loop could have worked.
//!
//! While the application blocks its loop, the loop can write nothing and read no reply.
//! That time must not end calls, or all waiting calls would fail while Redis is healthy.
//! So the loop's timer ticks several times within a timeout, and a late tick counts for
//! two ticks at most.
//!
//! Why: docs/decisions/0017-a-blocked-loop-ends-no-call.md

use std::time::{Duration, Instant};

/// How many ticks make a timeout.
const TICKS: u32 = 8;

/// A clock that stands still while its loop is blocked.
pub struct LiveClock {
    elapsed: Duration,
    last_tick: Instant,
    tick: Duration,
}

impl LiveClock {
    pub fn new(timeout: Duration) -> LiveClock {
        let tick = (timeout / TICKS).max(Duration::from_millis(1));
        LiveClock { elapsed: Duration::ZERO, last_tick: Instant::now(), tick }
    }

    /// Begins to count again, after a time without calls.
    pub fn start(&mut self, now: Instant) {
        self.last_tick = now;
    }

    /// The time on this clock.
    pub fn read(&self, now: Instant) -> Duration {
        self.elapsed + now.saturating_duration_since(self.last_tick).min(self.tick * 2)
    }

    /// The timer has fired; returns the time on this clock.
    pub fn tick(&mut self, now: Instant) -> Duration {
        self.elapsed = self.read(now);
        self.last_tick = now;
        self.elapsed
    }

    /// The time until the next tick, if `oldest` is the next deadline.
    pub fn next_tick(&self, oldest: Duration) -> Duration {
        oldest.saturating_sub(self.elapsed).clamp(Duration::from_millis(1), self.tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_clock_of_a_loop_that_ticks_is_on_time() {
        let mut clock = LiveClock::new(8 * SECOND);
        let mut now = Instant::now();
        clock.start(now);
        for n in 1..=20 {
            now += SECOND;
            assert_eq!(clock.tick(now), n * SECOND);
        }
        assert_eq!(clock.read(now + SECOND / 2), 20 * SECOND + SECOND / 2);
    }

    #[test]
    fn a_blocked_loop_loses_two_ticks_at_most() {
        let mut clock = LiveClock::new(8 * SECOND);
        let now = Instant::now();
        clock.start(now);
        assert_eq!(clock.read(now + 100 * SECOND), 2 * SECOND);
        assert_eq!(clock.tick(now + 100 * SECOND), 2 * SECOND);
        assert_eq!(clock.read(now + 101 * SECOND), 3 * SECOND);
    }

    #[test]
    fn the_timer_runs_to_the_next_deadline_but_one_tick_at_most() {
        let mut clock = LiveClock::new(8 * SECOND);
        let now = Instant::now();
        clock.start(now);
        clock.tick(now + SECOND);
        assert_eq!(clock.next_tick(8 * SECOND), SECOND);
        assert_eq!(clock.next_tick(SECOND + SECOND / 4), SECOND / 4);
        assert_eq!(clock.next_tick(Duration::ZERO), Duration::from_millis(1));
    }
}
