//! Pauses between attempts.

use std::time::{Duration, Instant};

use super::link::{Interrupt, SLICE};
use crate::errors::Result;

const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_millis(500);

/// How long to wait before the next attempt: longer each time.
pub struct Backoff(Duration);

impl Backoff {
    /// Begins with the shortest pause.
    pub const fn new() -> Backoff {
        Backoff(FIRST)
    }

    /// The pause before the next attempt.
    pub fn next_pause(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST);
        pause
    }

    /// Sleeps before the next attempt, in slices; false, without sleeping, where
    /// `deadline` would be over before it.
    pub fn sleep(&mut self, deadline: Instant, interrupt: &mut Interrupt) -> Result<bool> {
        let end = Instant::now() + self.next_pause();
        if end >= deadline {
            return Ok(false);
        }
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(true);
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
