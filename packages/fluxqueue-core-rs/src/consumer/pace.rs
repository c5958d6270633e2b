//! How fast tasks end, and how many to claim ahead because of it.

use std::time::Duration;

/// How much work is claimed ahead.
const AHEAD: Duration = Duration::from_millis(50);
/// What takes longer is not claimed ahead: a bit more than `AHEAD`, since a task that
/// sleeps for so long takes longer.
const QUICK: Duration = Duration::from_millis(60);
/// How many tasks wait in this process at most.
pub const MOST_AHEAD: usize = 2048;
/// After so long half of the average is forgotten.
const HALF: Duration = Duration::from_millis(20);
/// The clock is looked at again after so long.
const STEP: Duration = Duration::from_millis(1);

/// The rate at which quick tasks end, as an average that forgets.
#[derive(Default)]
pub struct Pace {
    /// An answer of Redis is waited for: nobody looks before it comes, and tasks go on ending.
    pub awaits: bool,
    ended: u64,
    since: Duration,
    per_second: f64,
}

impl Pace {
    /// One task has ended, that `took` so long. Slow ones that end together are no rate:
    /// where all slots do, a moment of it looks like fast tasks.
    pub fn count(&mut self, took: Duration) {
        self.ended += u64::from(took <= QUICK);
    }

    /// Looks at the clock. While an answer was waited for tasks ended all the time;
    /// else the last look was when they did, and since then there was a rest.
    pub fn measure(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.since);
        if passed >= STEP {
            let (passed, half) = (passed.as_secs_f64(), HALF.as_secs_f64());
            let ended = self.ended as f64;
            let fade = 0.5f64.powf(passed / half);
            // Of a steady rate both make that rate.
            let added =
                if self.awaits { ended / passed * (1.0 - fade) } else { ended * std::f64::consts::LN_2 / half * fade };
            self.per_second = self.per_second * fade + added;
            (self.ended, self.since) = (0, now);
        }
    }

    /// What waited too long was given back: begin again from nothing.
    pub fn forget(&mut self) {
        (self.ended, self.per_second) = (0, 0.0);
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

    /// After so many have ended in each millisecond.
    fn pace(per_ms: u64) -> Pace {
        let mut pace = Pace::default();
        for ms in 1..=400 {
            (0..per_ms).for_each(|_| pace.count(STEP));
            pace.measure(STEP * ms);
        }
        pace
    }

    #[test]
    fn fast_tasks_are_claimed_ahead_and_slow_ones_are_not() {
        assert!((490..=500).contains(&pace(10).ahead(10)));
        assert_eq!(pace(10).ahead(500), 0); // 50 ms each and more
        assert_eq!(pace(5_000).ahead(10), MOST_AHEAD);
        let mut rested = pace(5_000);
        rested.measure(STEP * 400 + Duration::from_millis(500));
        assert_eq!(rested.ahead(2), 0);
        // Of what ended after the last look before the rest as well.
        let mut rested = pace(0);
        (0..1500).for_each(|_| rested.count(STEP));
        rested.measure(STEP * 400 + Duration::from_millis(300));
        assert_eq!(rested.ahead(2), 0);
        // One millisecond is enough to see that they are fast.
        let mut begins = Pace::default();
        (0..50).for_each(|_| begins.count(STEP));
        begins.measure(STEP);
        assert!(begins.ahead(4) > 50);
        // Where Redis is far away nobody looks for long.
        let mut far = Pace { awaits: true, ..Pace::default() };
        for answer in 1..=20 {
            (0..300).for_each(|_| far.count(STEP));
            far.measure(STEP * 30 * answer);
        }
        assert!((490..=500).contains(&far.ahead(10)));
        let mut slow = Pace::default();
        (0..50).for_each(|_| slow.count(QUICK + STEP));
        slow.measure(STEP);
        assert_eq!(slow.ahead(4), 0);
        let mut fast = pace(10);
        fast.forget();
        assert_eq!(fast.ahead(1), 0);
    }
}
