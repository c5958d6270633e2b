//! When a conversation may send again, after a break or a refusal.

use std::time::Duration;

/// The first and the longest pause before an attempt.
const PAUSES: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(400));

/// The pauses of one queue.
#[derive(Default)]
pub struct Retry {
    not_before: Duration,
    pause: Duration,
    in_doubt: bool,
}

impl Retry {
    /// The longest pause, also for attempts at a steady pace.
    pub const LONGEST: Duration = PAUSES.1;
    /// The pause while an operator must grant a right, or exchange the server.
    pub const WHILE_DENIED: Duration = Duration::from_secs(5);

    /// The conversation sends nothing before this moment.
    pub fn not_before(&self) -> Duration {
        self.not_before
    }

    /// Whether no exchange has succeeded since the last break.
    pub fn in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// Records that the conversation broke. The first attempt comes at once, later ones come
    /// after pauses.
    pub fn broke(&mut self, now: Duration) {
        self.not_before = now + self.pause;
        self.lengthen();
        self.in_doubt = true;
    }

    /// Records that Redis refuses for now. The next attempt comes after a pause.
    pub fn refused(&mut self, now: Duration) {
        self.lengthen();
        self.not_before = now + self.pause;
    }

    /// Records that Redis denies access, which only an operator can change.
    pub fn denied(&mut self, now: Duration) {
        self.not_before = self.not_before.max(now + Retry::WHILE_DENIED);
    }

    /// Records that an exchange has succeeded. Returns true if none had succeeded since a break.
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
    fn attempts_after_a_break_come_at_once_and_then_after_longer_pauses() {
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
