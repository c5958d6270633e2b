//! Reports of one queue to the control plane: each is made once, or repeated only after a pause.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;

use super::event::Event;
use super::replies::Done;
use crate::connection::{Refusal, Sent, redis_error};
use crate::errors::Error;

/// No scheduler is alive if the last sweep is older than this.
const NO_SCHEDULER: Duration = Duration::from_secs(5);
/// The pause before the same report is repeated.
const REPEAT: Duration = Duration::from_secs(1);
/// The same pause for states that only an operator can change.
const REPEAT_REFUSAL: Duration = Duration::from_secs(60);

/// When each report was last made.
pub struct Reports {
    /// When the driver began: a scheduler may start a little later.
    started: Duration,
    broken: bool,
    denied: bool,
    suspects: Duration,
    no_scheduler: Duration,
    newer: Duration,
    not_registered: Option<Duration>,
    no_blmove: bool,
}

impl Reports {
    /// Reports of a queue that has reported nothing yet.
    pub fn new(started: Duration) -> Reports {
        Reports {
            started,
            broken: false,
            denied: false,
            suspects: Duration::ZERO,
            no_scheduler: Duration::ZERO,
            newer: Duration::ZERO,
            not_registered: None,
            no_blmove: false,
        }
    }

    /// Reports that the conversation broke.
    pub fn broken(&mut self, error: &str) -> Option<Event> {
        let is_news = !std::mem::replace(&mut self.broken, true);
        is_news.then(|| Event::Disconnected { error: error.to_owned() })
    }

    /// Records that the conversation will break because Redis denies access. A denial is reported
    /// even after another break, because it does not end by itself.
    pub fn denied(&mut self) {
        if !std::mem::replace(&mut self.denied, true) {
            self.broken = false;
        }
    }

    /// Records that an exchange has succeeded, so the next break is news.
    pub fn succeeded(&mut self) {
        self.broken = false;
        self.denied = false;
    }

    /// Reports that Redis refuses to register the queue.
    pub fn not_registered(&mut self, error: &Error, now: Duration) -> Option<Event> {
        let is_news = self.not_registered.is_none_or(|at| now >= at + REPEAT_REFUSAL);
        is_news.then(|| {
            self.not_registered = Some(now);
            Event::NotRegistered { error: error.to_string() }
        })
    }

    /// Reports the error reply to a registration. Only retries and rescues need a registered queue.
    pub fn registration_refused(&mut self, text: &str, now: Duration) -> Option<Event> {
        let refusal = Refusal::read(text);
        // A server that is not ready also refuses the `open` that follows, and the conversation
        // sends both again.
        let comes_again = refusal.is_temporary() || refusal == Refusal::ReadOnly;
        if comes_again { None } else { self.not_registered(&redis_error(text, Sent::Command("SADD")), now) }
    }

    /// Reports that the server does not have BLMOVE.
    pub fn no_blmove(&mut self, error: &Error) -> Option<Event> {
        let is_news = !std::mem::replace(&mut self.no_blmove, true);
        is_news.then(|| Event::NoBlmove { error: error.to_string() })
    }

    /// Records that a BLMOVE has succeeded, so the next refusal is news.
    pub fn blmove_succeeded(&mut self) {
        self.no_blmove = false;
    }

    /// Reports what the reply of an exchange tells: the messages that it has `parked`, and the rest.
    pub fn news(&mut self, parked: &HashSet<Bytes>, done: &Done, serves_suspects: bool, now: Duration) -> Vec<Event> {
        parked.iter().map(parked_event).chain(self.exchanged(done, serves_suspects, now)).collect()
    }

    /// Reports messages of newer versions, suspects that need their own process (unless this
    /// worker is that process), and a missing scheduler, as the reply of an exchange names them.
    fn exchanged(&mut self, done: &Done, serves_suspects: bool, now: Duration) -> impl Iterator<Item = Event> + use<> {
        let is_due = |last: &mut Duration| {
            let is_due = now >= *last + REPEAT;
            if is_due {
                *last = now;
            }
            is_due
        };
        let newer = done.put_off > 0 && is_due(&mut self.newer);
        let suspects = done.suspects > 0 && !serves_suspects && is_due(&mut self.suspects);
        let late = done.since_sweep_ms.is_none_or(|ms| Duration::from_millis(ms) > NO_SCHEDULER);
        let no_scheduler = late && now > self.started + NO_SCHEDULER && is_due(&mut self.no_scheduler);
        let seconds = done.since_sweep_ms.map(|ms| ms as f64 / 1000.0);
        [
            newer.then_some(Event::NewerVersion { count: done.put_off }),
            suspects.then_some(Event::Suspects { count: done.suspects }),
            no_scheduler.then_some(Event::NoScheduler { seconds }),
        ]
        .into_iter()
        .flatten()
    }
}

/// Reports a message that the script has parked under this entry of the dead set.
fn parked_event(entry: &Bytes) -> Event {
    let reason = match () {
        () if entry.starts_with(b"sha1:") => "malformed",
        () if entry.starts_with(b"newer:") => "unknown_version",
        () => "duplicate",
    };
    Event::Parked {
        task_id: String::from_utf8_lossy(entry.split(|b| *b == b'"').next().unwrap_or_default()).into_owned(),
        name: String::new(),
        reason: reason.into(),
        traceparent: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn done(put_off: i64, suspects: i64, since_sweep_ms: Option<u64>) -> Done {
        Done {
            redis_ms: 0,
            paused: false,
            suspects,
            since_sweep_ms,
            parked: vec![],
            claimed: vec![],
            more: false,
            cancelled: None,
            watched: false,
            strikes: Vec::new(),
            put_off,
        }
    }

    #[test]
    fn a_break_is_reported_once_and_a_denial_even_after_a_break() {
        let mut reports = Reports::new(s(0));
        assert!(reports.broken("away").is_some() && reports.broken("away").is_none());
        reports.denied();
        assert!(reports.broken("NOPERM").is_some());
        reports.denied();
        assert!(reports.broken("NOPERM").is_none());
        reports.succeeded();
        assert!(reports.broken("away").is_some());
    }

    #[test]
    fn a_state_that_lasts_is_reported_again_after_a_while() {
        let mut reports = Reports::new(s(100));
        let mut exchanged = |done: Done, now| reports.exchanged(&done, false, now).collect::<Vec<_>>();
        let both = [Event::NewerVersion { count: 2 }, Event::Suspects { count: 3 }];
        assert_eq!(exchanged(done(2, 3, Some(5000)), s(200)), both);
        assert_eq!(exchanged(done(2, 3, Some(5000)), s(200)), []);
        assert_eq!(exchanged(done(2, 3, Some(5000)), s(201)), both);
        assert_eq!(exchanged(done(0, 0, Some(5001)), s(201)), [Event::NoScheduler { seconds: Some(5.001) }]);
        assert_eq!(exchanged(done(0, 0, None), s(202)), [Event::NoScheduler { seconds: None }]);
        let error = Error::Broker("no".into());
        let mut registered = |now| reports.not_registered(&error, now).is_some();
        assert_eq!([s(1), s(60), s(61)].map(&mut registered), [true, false, true]);
    }

    #[test]
    fn a_late_scheduler_and_the_suspects_of_a_lane_are_not_reported() {
        let mut reports = Reports::new(s(100));
        assert_eq!(reports.exchanged(&done(0, 3, None), true, s(105)).count(), 0);
    }

    #[test]
    fn the_entry_of_a_parked_message_gives_the_reason() {
        for (entry, id, why) in [
            ("sha1:ab", "sha1:ab", "malformed"),
            ("newer:ab", "newer:ab", "unknown_version"),
            ("019aa0c2\",\"retries\":1", "019aa0c2", "duplicate"),
        ] {
            let Event::Parked { task_id, reason, .. } = parked_event(&Bytes::from(entry)) else { panic!("not parked") };
            assert_eq!((task_id.as_str(), reason.as_str()), (id, why));
        }
    }
}
