//! The clock of leases, which runs while the machine sleeps and can't be set, and the clock of
//! Redis.

use std::time::Duration;

/// Time since the machine was started.
pub fn now() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    #[cfg(target_os = "linux")]
    const CLOCK: libc::clockid_t = libc::CLOCK_BOOTTIME;
    // On macOS this clock runs during sleep.
    #[cfg(not(target_os = "linux"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    // SAFETY: `time` is a valid place for the answer, and the clock exists.
    unsafe { libc::clock_gettime(CLOCK, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The clock of Redis, as its replies give it. It is never late, and early by a round trip at most.
#[derive(Clone, Copy, Debug, Default)]
pub struct RedisClock {
    ahead_ms: i64,
}

impl RedisClock {
    /// Sets the clock to the time in a reply, in ms since 1970. `sent` is when the request left:
    /// the script read its time later than that.
    pub fn set(&mut self, redis_ms: u64, sent: Duration) {
        // Both times are rounded down, so one more ms is needed.
        self.ahead_ms = redis_ms as i64 + 1 - sent.as_millis() as i64;
    }

    /// The time of Redis, in ms since 1970.
    pub fn ms(&self, now: Duration) -> u64 {
        (now.as_millis() as i64 + self.ahead_ms) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_redis_is_never_late_and_early_by_a_round_trip_at_most() {
        // Redis is ahead by 1,000 s and a fraction. Times are in microseconds.
        for (sent, executed, answered) in [(500, 999, 1_000), (999, 1_000, 1_999), (999, 30_400, 61_000)] {
            for fraction in [0, 1, 500, 999] {
                let redis = |at: u64| (1_000_000_000 + fraction + at) / 1_000;
                let mut clock = RedisClock::default();
                clock.set(redis(executed), Duration::from_micros(sent));
                for later in [answered, answered + 1, answered + 700_123] {
                    let shown = clock.ms(Duration::from_micros(later));
                    let round_trip = (answered - sent).div_ceil(1_000);
                    assert!(
                        (redis(later)..=redis(later) + round_trip + 2).contains(&shown),
                        "{sent} {fraction} {later}"
                    );
                }
            }
        }
    }
}
