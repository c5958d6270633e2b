//! The rate of a counter, window by window.

use std::time::Duration;

/// The length of a window.
pub const WINDOW: Duration = Duration::from_millis(20);

/// When the present window began, and the count then.
#[derive(Default)]
pub struct Meter {
    since: Duration,
    counted: u64,
}

impl Meter {
    /// Checks the clock. If the window has ended, returns the rate per second and begins the next
    /// window. `count` is the total so far.
    pub fn look(&mut self, now: Duration, count: u64) -> Option<f64> {
        let passed = now.saturating_sub(self.since);
        if passed < WINDOW {
            return None;
        }
        let per_second = (count - self.counted) as f64 / passed.as_secs_f64();
        (self.since, self.counted) = (now, count);
        Some(per_second)
    }
}
