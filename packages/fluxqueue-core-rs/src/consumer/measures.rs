//! The counts of the attempts of one queue, while a reader watches the queue. Otherwise an attempt
//! costs one comparison.
//!
//! Why: docs/decisions/0191-numbers-only-while-a-reader-watches.md

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use super::outcome::Outcome;
use super::work::Work;
use crate::message::Message;

/// How often an exchange carries what was counted.
const WHILE_WATCHED: Duration = Duration::from_secs(1);

/// The most names of tasks that one exchange counts apart.
const MOST_NAMES: usize = 100;

/// How many values double a bucket: the width of a bucket is a quarter of its lower end at most.
const PER_DOUBLING: u32 = 4;

/// The last bucket begins at 2 ** 41 µs, which is 25 days.
const LAST: u32 = 160;

/// The bucket of a time: below 4 µs one for each, then four for each doubling.
pub fn bucket(micros: u64) -> u32 {
    if micros < u64::from(PER_DOUBLING) {
        return micros as u32;
    }
    let doublings = micros.ilog2();
    let quarter = (micros >> (doublings - 2)) as u32 & 3;
    (PER_DOUBLING * (doublings - 1) + quarter).min(LAST)
}

/// How many times fell into each bucket, and their sum.
#[derive(Default)]
struct TimeBuckets {
    buckets: HashMap<u32, u64>,
    sum: u64,
}

impl TimeBuckets {
    fn add(&mut self, micros: u64) {
        *self.buckets.entry(bucket(micros)).or_default() += 1;
        self.sum = self.sum.saturating_add(micros);
    }

    /// Appends the fields: `<prefix><bucket>` and `<prefix>sum` (µs).
    fn write(&self, prefix: char, out: &mut String) {
        for (bucket, count) in &self.buckets {
            field(out, format_args!("{prefix}{bucket}"), *count);
        }
        field(out, format_args!("{prefix}sum"), self.sum);
    }
}

/// The ends of the attempts of one task, or of all.
#[derive(Clone, Copy, Default)]
struct Ends {
    succeeded: u64,
    retried: u64,
    dead: u64,
    /// How long they ran, µs.
    ran: u64,
}

/// The kinds of ends that are counted.
#[derive(Clone, Copy)]
enum End {
    Succeeded,
    Retried,
    Dead,
}

impl End {
    /// None: the attempt has not ended in one of these ways.
    fn of(outcome: &Outcome) -> Option<End> {
        match outcome {
            Outcome::Succeeded | Outcome::Done => Some(End::Succeeded),
            Outcome::Retry { .. } => Some(End::Retried),
            Outcome::Dead { .. } => Some(End::Dead),
            Outcome::Kept { end, .. } | Outcome::Followed { end, .. } => End::of(end),
            Outcome::Later { .. } | Outcome::Ended(_) | Outcome::Release { .. } | Outcome::Noted { .. } => None,
        }
    }
}

impl Ends {
    fn add(&mut self, end: End, ran: u64) {
        let number = match end {
            End::Succeeded => &mut self.succeeded,
            End::Retried => &mut self.retried,
            End::Dead => &mut self.dead,
        };
        *number += 1;
        self.ran = self.ran.saturating_add(ran);
    }

    fn write(&self, name: &str, out: &mut String) {
        for (kind, number) in [("s", self.succeeded), ("r", self.retried), ("d", self.dead), ("t", self.ran)] {
            if number > 0 {
                field(out, format_args!("{kind}:{name}"), number);
            }
        }
    }
}

/// Appends one field. The names of tasks have no line breaks.
fn field(out: &mut String, name: std::fmt::Arguments, number: u64) {
    if number > 0 {
        writeln!(out, "{name}\n{number}").expect("a string can be written into memory");
    }
}

#[derive(Default)]
struct Counts {
    all: Ends,
    by_name: HashMap<String, Ends>,
    wait: TimeBuckets,
    run: TimeBuckets,
    is_empty: bool,
}

impl Counts {
    fn new() -> Counts {
        Counts { is_empty: true, ..Counts::default() }
    }

    fn write(&self) -> String {
        let mut out = String::new();
        if !self.is_empty {
            self.all.write("", &mut out);
            for (name, ends) in &self.by_name {
                ends.write(name, &mut out);
            }
            self.wait.write('w', &mut out);
            self.run.write('x', &mut out);
        }
        out
    }
}

/// The counts of one queue.
#[derive(Default)]
pub struct Measures {
    /// None: no reader watches.
    counts: Option<Box<Counts>>,
    /// When the next exchange asks whether a reader watches. None: after the first pause.
    ask_at: Option<Duration>,
    /// The exchange under way asks.
    has_asked: bool,
}

impl Measures {
    /// Whether a reader watches the queue.
    pub fn is_watched(&self) -> bool {
        self.counts.is_some()
    }

    /// Counts the end of an attempt. `begun_ms` is when it began, by the clock of Redis.
    pub fn count(&mut self, work: &Work, outcome: &Outcome, ran: Duration, begun_ms: u64) {
        let Some(counts) = &mut self.counts else { return };
        let Some(end) = End::of(outcome) else { return };
        let micros = ran.as_micros() as u64;
        counts.is_empty = false;
        counts.all.add(end, micros);
        let name = &work.message.name;
        if let Some(ends) = counts.by_name.get_mut(name) {
            ends.add(end, micros);
        } else if counts.by_name.len() < MOST_NAMES {
            counts.by_name.entry(name.clone()).or_default().add(end, micros);
        }
        counts.run.add(micros);
        if let Some(waited) = waited(&work.message, begun_ms) {
            counts.wait.add(waited * 1000);
        }
    }

    /// When an exchange must carry counts. None: there are none.
    pub fn due(&self) -> Option<Duration> {
        self.counts.as_ref().filter(|counts| !counts.is_empty)?;
        self.ask_at
    }

    /// Whether an exchange that is sent at `now` asks for a reader, with the counts that go with the
    /// question. If its reply is lost, so are these: nothing is counted twice.
    pub fn ask(&mut self, now: Duration, pause: Duration) -> Option<String> {
        self.has_asked = now >= *self.ask_at.get_or_insert(now + pause);
        if !self.has_asked {
            return None;
        }
        self.ask_at = Some(now + if self.is_watched() { WHILE_WATCHED } else { pause });
        Some(match &mut self.counts {
            Some(counts) => std::mem::replace(counts, Box::new(Counts::new())).write(),
            None => String::new(),
        })
    }

    /// Records what an exchange has answered.
    pub fn answered(&mut self, is_watched: bool, now: Duration) {
        if !std::mem::take(&mut self.has_asked) {
            return;
        }
        if !is_watched {
            self.counts = None;
        } else if self.counts.is_none() {
            self.counts = Some(Box::new(Counts::new()));
            self.ask_at = Some(now + WHILE_WATCHED);
        }
    }
}

/// How long a message has waited for its first attempt since it was enqueued, or due, ms. None: this
/// is not the first attempt.
fn waited(message: &Message, begun_ms: u64) -> Option<u64> {
    let opts = message.opts();
    let is_first = message.retries == 0 && message.deliveries == 0 && opts.snoozes == 0 && opts.releases == 0;
    // A call may name a time in the past.
    let since = message.due.unwrap_or(0).max(message.enqueued_at);
    (is_first && since > 0).then(|| begun_ms.saturating_sub(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lower end of a bucket, as `fluxqueue_control.histogram` has it.
    fn lower(bucket: u32) -> u64 {
        match bucket {
            0..4 => u64::from(bucket),
            _ => u64::from(4 + bucket % 4) << (bucket / 4 - 1),
        }
    }

    #[test]
    fn a_time_is_in_the_bucket_whose_ends_are_around_it() {
        for micros in (0..4096).chain((2..41).flat_map(|e| [(1 << e) - 1, 1 << e, (1 << e) + 1, 7 << (e - 2)])) {
            let of = bucket(micros);
            assert!((lower(of)..lower(of + 1)).contains(&micros), "{micros} is in {of}");
        }
        assert_eq!(bucket(u64::MAX), LAST);
    }

    fn work(name: &str, head: &str) -> Work {
        let id = "019aa0c2-7b1f-7c3e-8d2a-0123456789ab";
        let raw = format!(r#"{{"v":1,"id":"{id}"{head},"name":"{name}","args":[]}}"#);
        let message = Box::new(Message::parse(raw.into()).expect("well formed"));
        let zero = Duration::ZERO;
        let (strikes, shift) = (None, 0);
        Work {
            queue: 0,
            serial: 0,
            task: 0,
            is_async: false,
            claimed_at: zero,
            begun_at: zero,
            strikes,
            shift,
            message,
        }
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn watched() -> Measures {
        let mut measures = Measures { has_asked: true, ..Measures::default() };
        measures.answered(true, s(0));
        measures
    }

    fn lines(text: &str) -> Vec<(String, u64)> {
        let words: Vec<&str> = text.lines().collect();
        let mut pairs: Vec<_> =
            words.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].parse().expect("a number"))).collect();
        pairs.sort();
        pairs
    }

    #[test]
    fn nothing_is_counted_until_a_reader_watches_and_after_it_stops() {
        let mut measures = Measures::default();
        measures.count(&work("n", ""), &Outcome::Succeeded, s(1), 0);
        let mut asks = |now| measures.ask(s(now), s(3));
        assert_eq!([asks(10), asks(12), asks(13), asks(15), asks(16)], [None, None, nothing(), None, nothing()]);
        measures.answered(true, s(16));
        assert_eq!(measures.due(), None);
        measures.count(&work("n", ""), &Outcome::Succeeded, s(1), 0);
        assert_eq!(measures.due(), Some(s(17)));
        assert!(measures.ask(s(17), s(3)).is_some_and(|counts| !counts.is_empty()));
        measures.answered(false, s(18));
        assert_eq!((measures.due(), measures.is_watched()), (None, false));
    }

    #[test]
    fn the_reply_of_an_exchange_that_did_not_ask_changes_nothing() {
        let mut measures = watched();
        assert_eq!(measures.ask(s(0), s(3)), None);
        measures.answered(false, s(0));
        assert!(measures.is_watched());
    }

    fn nothing() -> Option<String> {
        Some(String::new())
    }

    #[test]
    fn ends_are_counted_by_name_and_together() {
        let mut measures = watched();
        let begun = 0x019a_a0c2_7b1f + 7;
        let retry = Outcome::Retry { message: bytes::Bytes::new(), delay: 1 };
        measures.count(&work("a", ""), &Outcome::Succeeded, Duration::from_micros(5), begun);
        measures.count(&work("a", r#","retries":1"#), &Outcome::Done, Duration::from_micros(5), begun);
        measures.count(&work("b", ""), &retry, Duration::from_micros(9), begun);
        measures.count(&work("b", ""), &Outcome::Release { message: None }, Duration::from_micros(9), begun);
        let counted = lines(&measures.ask(s(1), s(3)).expect("it is time"));
        let waits = format!("w{}", bucket(7000));
        let expected = [
            ("r:", 1),
            ("r:b", 1),
            ("s:", 2),
            ("s:a", 2),
            ("t:", 19),
            ("t:a", 10),
            ("t:b", 9),
            (&waits, 2),
            ("wsum", 14_000),
            ("x5", 2),
            ("x8", 1),
            ("xsum", 19),
        ];
        assert_eq!(counted, expected.map(|(name, number)| (name.to_owned(), number)));
        assert_eq!(measures.ask(s(2), s(3)), nothing());
    }

    #[test]
    fn only_a_first_attempt_has_waited_and_a_delayed_one_since_it_was_due() {
        let enqueued = 0x019a_a0c2_7b1f;
        let waited = |head: &str, end: &str| {
            let id = "019aa0c2-7b1f-7c3e-8d2a-0123456789ab";
            let raw = format!(r#"{{"v":1,"id":"{id}"{head},"name":"n","args":[]{end}}}"#);
            super::waited(&Message::parse(raw.into()).expect("well formed"), enqueued + 1000)
        };
        assert_eq!(waited("", ""), Some(1000));
        assert_eq!(waited("", &format!(r#","due":{}"#, enqueued + 900)), Some(100));
        assert_eq!(waited("", &format!(r#","due":{}"#, enqueued + 1001)), Some(0));
        assert_eq!(waited("", r#","due":1"#), Some(1000));
        assert_eq!([waited(r#","retries":1"#, ""), waited(r#","deliveries":1"#, "")], [None, None]);
    }

    #[test]
    fn the_names_of_one_exchange_are_bounded_and_their_sum_is_not() {
        let mut measures = watched();
        for n in 0..2 * MOST_NAMES {
            measures.count(&work(&format!("task{n}"), ""), &Outcome::Succeeded, s(0), 0);
        }
        let counted = lines(&measures.ask(s(1), s(3)).expect("it is time"));
        assert_eq!(counted.iter().filter(|(name, _)| name.starts_with("s:t")).count(), MOST_NAMES);
        assert!(counted.contains(&("s:".to_owned(), 2 * MOST_NAMES as u64)));
    }
}
