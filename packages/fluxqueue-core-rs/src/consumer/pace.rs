//! How fast tasks end, and how many to claim ahead because of it.

use std::time::Duration;

/// How much work is claimed ahead.
const AHEAD: Duration = Duration::from_millis(50);
/// How long the rate is measured before it is believed.
const WINDOW: Duration = Duration::from_millis(20);
/// How many tasks wait in this process at most.
pub const MOST_AHEAD: usize = 2048;

/// The rate at which tasks end, as a moving average.
#[derive(Default)]
pub struct Pace {
    ended: u64,
    counted: u64,
    since: Duration,
    per_second: f64,
}

impl Pace {
    /// One task has ended.
    pub fn count(&mut self) {
        self.ended += 1;
    }

    /// How many have ended so far.
    pub fn ended(&self) -> u64 {
        self.ended
    }

    /// Looks at the clock now and then.
    pub fn measure(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.since);
        if passed < WINDOW {
            return;
        }
        let rate = (self.ended - self.counted) as f64 / passed.as_secs_f64();
        self.per_second = (self.per_second + rate) / 2.0;
        self.counted = self.ended;
        self.since = now;
    }

    /// What waited too long was given back: begin again from nothing.
    pub fn forget(&mut self) {
        self.per_second = 0.0;
    }

    /// How many tasks to hold beyond the free slots. None where a slot does not
    /// even end one task in that time: a slow task claimed ahead would wait here
    /// while another worker idles.
    pub fn ahead(&self, slots: usize) -> usize {
        let tasks = (self.per_second * AHEAD.as_secs_f64()) as usize;
        if tasks < slots { 0 } else { tasks.min(MOST_AHEAD) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(per_window: u64) -> Pace {
        let mut pace = Pace::default();
        for window in 1..=20 {
            (0..per_window).for_each(|_| pace.count());
            pace.measure(WINDOW * window);
        }
        pace
    }

    #[test]
    fn fast_tasks_are_claimed_ahead_and_slow_ones_are_not() {
        assert_eq!(pace(2).ahead(10), 0); // 100 a second on ten slots: 100 ms each
        assert!((490..=500).contains(&pace(200).ahead(10)));
        assert_eq!(pace(100_000).ahead(10), MOST_AHEAD);
        let mut fast = pace(200);
        fast.forget();
        assert_eq!(fast.ahead(1), 0);
    }
}
