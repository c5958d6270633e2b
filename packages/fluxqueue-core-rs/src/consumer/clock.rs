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

/// The clock of Redis, as its replies give it.
#[derive(Default)]
pub struct RedisClock {
    ahead_ms: i64,
}

impl RedisClock {
    /// Sets the clock to the time in a reply, in ms since 1970.
    pub fn set(&mut self, redis_ms: u64, now: Duration) {
        self.ahead_ms = redis_ms as i64 - now.as_millis() as i64;
    }

    /// The time of Redis, in ms since 1970.
    pub fn ms(&self, now: Duration) -> u64 {
        (now.as_millis() as i64 + self.ahead_ms) as u64
    }
}
