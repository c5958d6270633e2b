//! When a conversation may send again, after a break or a refusal.

use std::time::Duration;

/// The pause before the next attempt grows from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(400));
/// How long to wait for an operator who must grant a right.
const WHILE_DENIED: Duration = Duration::from_secs(5);

/// The pauses of one queue.
#[derive(Default)]
pub struct Retry {
    not_before: Duration,
    pause: Duration,
    in_doubt: bool,
}

impl Retry {
    /// The longest pause, for what is tried at a steady pace.
    pub const LONGEST: Duration = PAUSES.1;

    /// Nothing is sent before this moment.
    pub fn not_before(&self) -> Duration {
        self.not_before
    }

    /// Since a break no exchange has succeeded: whether Redis serves the queue is in doubt.
    pub fn in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// The conversation broke: the first attempt is made at once, later ones after pauses.
    pub fn broke(&mut self, now: Duration) {
        self.not_before = now + self.pause;
        self.lengthen();
        self.in_doubt = true;
    }

    /// Redis refuses for the moment: the next attempt is made after a pause.
    pub fn refused(&mut self, now: Duration) {
        self.lengthen();
        self.not_before = now + self.pause;
    }

    /// Redis denies access: only an operator can change that.
    pub fn denied(&mut self, now: Duration) {
        self.not_before = self.not_before.max(now + WHILE_DENIED);
    }

    /// An exchange has succeeded. True if that was in doubt.
    pub fn succeeded(&mut self) -> bool {
        self.pause = Duration::ZERO;
        std::mem::take(&mut self.in_doubt)
    }

    fn lengthen(&mut self) {
        self.pause = (self.pause * 2).clamp(PAUSES.0, PAUSES.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_first_attempt_after_a_break_is_made_at_once_and_later_ones_after_longer_pauses() {
        let mut retry = Retry::default();
        let pauses: Vec<_> = (0..7)
            .map(|_| {
                retry.broke(ms(1000));
                retry.not_before() - ms(1000)
            })
            .collect();
        assert_eq!(pauses, [0, 25, 50, 100, 200, 400, 400].map(ms));
        assert!(retry.in_doubt());
        assert!(retry.succeeded() && !retry.in_doubt() && !retry.succeeded());
        retry.broke(ms(2000));
        assert_eq!(retry.not_before(), ms(2000));
    }

    #[test]
    fn a_refused_command_is_sent_again_after_a_pause() {
        let mut retry = Retry::default();
        let pauses: Vec<_> = (0..6)
            .map(|_| {
                retry.refused(ms(1000));
                retry.not_before() - ms(1000)
            })
            .collect();
        assert_eq!(pauses, [25, 50, 100, 200, 400, 400].map(ms));
        assert!(!retry.in_doubt(), "the server answers");
        retry.denied(ms(1000));
        assert_eq!(retry.not_before(), ms(6000));
    }
}
