//! The pauses between attempts to connect.

use std::time::{Duration, Instant};

use super::interrupt::{Interrupt, SLICE};
use crate::errors::{Error, Result};

const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_millis(500);

/// The pause before the next attempt, which doubles each time, from 20 ms to 500 ms.
pub struct Backoff {
    pause: Duration,
    /// The error of the last attempt that had enough time.
    reason: Option<Error>,
}

impl Backoff {
    /// Begins with the shortest pause.
    pub const fn new() -> Backoff {
        Backoff { pause: FIRST, reason: None }
    }

    /// Returns the pause before the next attempt.
    pub fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST);
        pause
    }

    /// Sleeps after a failed attempt, in slices. If the pause would last until `deadline` or
    /// longer, this method does not sleep, and returns the failure.
    pub fn sleep(&mut self, failure: Error, deadline: Instant, interrupt: &mut Interrupt) -> Result<()> {
        let now = Instant::now();
        // The error of an attempt that was cut short says only that it timed out. The error
        // of the attempt before it has the cause.
        let reason = self.reason.take().filter(|_| now >= deadline).unwrap_or(failure);
        let end = now + self.next_pause();
        if end >= deadline {
            return Err(reason);
        }
        self.reason = Some(reason);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(SLICE));
            interrupt()?;
        }
    }
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleep(backoff: &mut Backoff, failure: &str, left: Duration) -> Option<String> {
        let failed = Error::Unavailable(failure.into());
        let slept = backoff.sleep(failed, Instant::now() + left, &mut || Ok(()));
        slept.err().map(|error| error.to_string())
    }

    #[test]
    fn an_attempt_that_was_cut_short_keeps_the_reason_of_the_one_before() {
        let mut backoff = Backoff::new();
        assert_eq!(sleep(&mut backoff, "refused", Duration::from_secs(60)), None);
        assert_eq!(sleep(&mut backoff, "timed out", Duration::ZERO).as_deref(), Some("refused"));
    }

    #[test]
    fn the_last_failure_is_returned_if_it_had_time() {
        let mut backoff = Backoff::new();
        assert_eq!(sleep(&mut backoff, "refused", Duration::from_secs(60)), None);
        assert_eq!(sleep(&mut backoff, "loading", Duration::from_millis(5)).as_deref(), Some("loading"));
        assert_eq!(sleep(&mut Backoff::new(), "timed out", Duration::ZERO).as_deref(), Some("timed out"));
    }
}
