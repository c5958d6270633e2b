//! The rate at which quick tasks end.

use std::time::Duration;

/// The longest duration of a quick task. It is a little longer than `claiming::AHEAD`, because a
/// task that sleeps for 50 ms takes longer than that.
const QUICK: Duration = Duration::from_millis(60);
/// The half-life of the average.
const HALF: Duration = Duration::from_millis(20);
/// The shortest time between two measurements.
const STEP: Duration = Duration::from_millis(1);

/// A moving average of the rate.
#[derive(Default)]
pub struct Rate {
    /// Whether the driver waits for a reply. It measures nothing until then, while tasks keep
    /// ending.
    pub awaits: bool,
    ended: u64,
    since: Duration,
    per_second: f64,
}

impl Rate {
    /// Counts a task that took this long. Slow tasks do not count: if all slots end one at the
    /// same moment, they look like fast tasks.
    pub fn count(&mut self, took: Duration) {
        self.ended += u64::from(took <= QUICK);
    }

    /// Updates the rate. If the driver waited for a reply, tasks ended throughout that time.
    /// Otherwise they ended right after the last measurement, and none has ended since.
    pub fn measure(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.since);
        if passed >= STEP {
            let (passed, half) = (passed.as_secs_f64(), HALF.as_secs_f64());
            let ended = self.ended as f64;
            let fade = 0.5f64.powf(passed / half);
            // A steady rate gives the same result either way.
            let added =
                if self.awaits { ended / passed * (1.0 - fade) } else { ended * std::f64::consts::LN_2 / half * fade };
            self.per_second = self.per_second * fade + added;
            (self.ended, self.since) = (0, now);
        }
    }

    /// Resets the average to 0.
    pub fn forget(&mut self) {
        (self.ended, self.per_second) = (0, 0.0);
    }

    /// The rate, in quick tasks per second.
    pub fn per_second(&self) -> f64 {
        self.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rate after `per_ms` tasks have ended in each millisecond.
    fn rate(per_ms: u64) -> Rate {
        let mut rate = Rate::default();
        for ms in 1..=400 {
            (0..per_ms).for_each(|_| rate.count(STEP));
            rate.measure(STEP * ms);
        }
        rate
    }

    fn is_about(rate: &Rate, per_second: f64) -> bool {
        (per_second * 0.98..=per_second).contains(&rate.per_second())
    }

    #[test]
    fn a_steady_rate_is_measured() {
        assert!(is_about(&rate(10), 10_000.0) && is_about(&rate(5_000), 5e6));
    }

    #[test]
    fn the_rate_falls_during_a_rest_even_right_after_a_burst() {
        let mut rested = rate(5_000);
        rested.measure(STEP * 400 + Duration::from_millis(500));
        assert!(rested.per_second() < 40.0);
        let mut rested = rate(0);
        (0..1500).for_each(|_| rested.count(STEP));
        rested.measure(STEP * 400 + Duration::from_millis(300));
        assert!(rested.per_second() < 40.0);
    }

    #[test]
    fn one_millisecond_is_enough_to_see_that_tasks_are_fast() {
        let mut begins = Rate::default();
        (0..50).for_each(|_| begins.count(STEP));
        begins.measure(STEP);
        assert!(begins.per_second() > 1000.0);
    }

    #[test]
    fn a_slow_reply_of_a_far_redis_does_not_change_the_rate() {
        let mut far = Rate { awaits: true, ..Rate::default() };
        for answer in 1..=20 {
            (0..300).for_each(|_| far.count(STEP));
            far.measure(STEP * 30 * answer);
        }
        assert!(is_about(&far, 10_000.0));
    }

    #[test]
    fn slow_tasks_and_tasks_before_a_break_do_not_count() {
        let mut slow = Rate::default();
        (0..50).for_each(|_| slow.count(QUICK + STEP));
        slow.measure(STEP);
        assert_eq!(slow.per_second(), 0.0);
        let mut fast = rate(10);
        fast.forget();
        assert_eq!(fast.per_second(), 0.0);
    }
}
