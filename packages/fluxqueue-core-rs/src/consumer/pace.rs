//! How fast tasks end, and how many to claim ahead because of it.

use std::time::Duration;

use super::meter::{Meter, WINDOW};

/// How much work is claimed ahead.
const AHEAD: Duration = Duration::from_millis(50);
/// How many tasks wait in this process at most.
pub const MOST_AHEAD: usize = 2048;

/// The rate at which quick tasks end, as a moving average.
#[derive(Default)]
pub struct Pace {
    ended: u64,
    meter: Meter,
    per_second: f64,
}

impl Pace {
    /// One task has ended, that `took` so long. Slow ones that end together are no rate:
    /// where all slots do, a moment of it looks like fast tasks.
    pub fn count(&mut self, took: Duration) {
        self.ended += u64::from(took <= AHEAD);
    }

    /// Looks at the clock now and then. The average forgets half of what was in
    /// each 20 ms: after a rest nothing is left of the rate before it.
    pub fn measure(&mut self, now: Duration) {
        if let Some(measured) = self.meter.look(now, self.ended) {
            let windows = measured.passed.as_secs_f64() / WINDOW.as_secs_f64();
            // Each end wakes the driver, which looks. Where nobody has looked for so long, all
            // that has ended did so at the beginning, and since then there was a rest.
            let busy = if windows < 2.0 { windows } else { 1.0 };
            let rate = measured.per_second * windows / busy;
            let then = rate + (self.per_second - rate) * 0.5f64.powf(busy);
            self.per_second = then * 0.5f64.powf(windows - busy);
        }
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
            (0..per_window).for_each(|_| pace.count(WINDOW));
            pace.measure(WINDOW * window);
        }
        pace
    }

    #[test]
    fn fast_tasks_are_claimed_ahead_and_slow_ones_are_not() {
        assert_eq!(pace(2).ahead(10), 0); // 100 a second on ten slots: 100 ms each
        assert!((490..=500).contains(&pace(200).ahead(10)));
        assert_eq!(pace(100_000).ahead(10), MOST_AHEAD);
        let mut rested = pace(100_000);
        rested.measure(WINDOW * 21 + Duration::from_secs(3));
        assert_eq!(rested.ahead(4), 0);
        // Of what ended after the last look before the rest as well.
        let mut rested = pace(0);
        (0..1500).for_each(|_| rested.count(WINDOW));
        rested.measure(WINDOW * 20 + Duration::from_millis(300));
        assert_eq!(rested.ahead(2), 0);
        let mut fast = pace(200);
        fast.forget();
        assert_eq!(fast.ahead(1), 0);
    }
}
