//! Tests of messages that end without an attempt.

use bytes::Bytes;

use super::event::Event;
use super::outcome::{Outcome, Settlement};
use super::state_tests::{REDIS_MS, admit, at, begin, field, raw, settlements, shared};
use crate::message::{Condemned, Head, Message};

/// A message of the task with these options.
fn with_options(name: &str, opts: &str) -> Bytes {
    let plain = Message::parse(raw(name)).expect("well formed");
    let mut out = Vec::new();
    Head { opts: Some(opts.as_bytes()), ..plain.head() }.write(&mut out);
    out.extend_from_slice(&plain.raw[plain.field.end..]);
    out.into()
}

#[test]
fn a_message_that_has_expired_or_is_condemned_ends_when_it_is_claimed() {
    let shared = shared(&["q"], 1);
    for (name, opts, how) in [
        ("sync", format!(r#"{{"x":{REDIS_MS}}}"#), Condemned::Expired),
        ("unknown", r#"{"x":1}"#.to_owned(), Condemned::Expired),
        ("async", r#"{"e":2,"p":5}"#.to_owned(), Condemned::Cancelled),
    ] {
        let bad = with_options(name, &opts);
        admit(&shared, 0, &bad);
        assert!(begin(&shared).is_none() && shared.begin_async(at(1)).is_none());
        assert_eq!(settlements(&shared, 0), [Settlement { field: field(&bad), outcome: Outcome::Ended(how) }]);
        let event = shared.lock().events.pop_back().expect("told").1;
        match how {
            Condemned::Expired => assert!(matches!(event, Event::Expired { name: of, .. } if of == name)),
            Condemned::Cancelled => assert!(matches!(event, Event::Cancelled { .. })),
        }
    }
}

#[test]
fn a_message_that_expires_while_it_waits_here_does_not_begin() {
    let shared = shared(&["q"], 1);
    shared.lock().queues[0].redis_clock.set(REDIS_MS, at(0));
    let expiring = |ms: u64| with_options("sync", &format!(r#"{{"x":{}}}"#, REDIS_MS + ms));
    let (first, late, plain) = (expiring(50), expiring(100), raw("sync"));
    let (loop_late, loop_good) = (with_options("async", &format!(r#"{{"x":{}}}"#, REDIS_MS + 90)), raw("async"));
    for message in [&first, &late, &plain, &loop_late, &loop_good] {
        admit(&shared, 0, message);
    }
    let begin = |ms| shared.begin_sync(&mut shared.lock(), at(ms));
    let begun = begin(48).expect("in time");
    assert_eq!(begun.message.raw, first);
    assert!(shared.finish(&begun, Outcome::Done, at(100)));
    shared.driver.clear();
    shared.for_events.clear();
    let begun = begin(100).expect("the plain one");
    assert_eq!(begun.message.raw, plain);
    // The driver sends the end, and the control plane logs it.
    assert!(shared.driver.is_set() && shared.for_events.is_set());
    assert!(shared.finish(&begun, Outcome::Succeeded, at(101)));
    shared.driver.clear();
    let begun = shared.begin_async(at(100)).expect("the plain one");
    assert_eq!(begun.message.raw, loop_good);
    assert!(shared.driver.is_set());
    let state = shared.lock();
    assert_eq!((state.waiting(), state.waiting_bytes(), state.slots.running), (0, 0, 1));
    let ended = |s: &&Settlement| s.outcome == Outcome::Ended(Condemned::Expired);
    let ended: Vec<_> = state.queues[0].settlements.iter().filter(ended).map(|s| s.field.clone()).collect();
    assert_eq!(ended, [field(&late), field(&loop_late)]);
}

#[test]
fn a_message_that_expires_after_it_has_taken_a_slot_does_not_begin() {
    let shared = shared(&["q"], 1);
    shared.lock().queues[0].redis_clock.set(REDIS_MS, at(0));
    let (late, plain) = (with_options("sync", &format!(r#"{{"x":{}}}"#, REDIS_MS + 50)), raw("sync"));
    admit(&shared, 0, &late);
    admit(&shared, 0, &plain);
    let begun = shared.begin_sync(&mut shared.lock(), at(10)).expect("in time");
    assert!(!shared.ends_expired(&begun, at(48)));
    assert!(shared.ends_expired(&begun, at(50)));
    assert_eq!(
        settlements(&shared, 0),
        [Settlement { field: field(&late), outcome: Outcome::Ended(Condemned::Expired) }]
    );
    assert!(matches!(shared.lock().events.pop_back(), Some((0, Event::Expired { .. }))));
    // Its slot is free for the next one, which never expires.
    let begun = shared.begin_sync(&mut shared.lock(), at(51)).expect("a free slot");
    assert_eq!(begun.message.raw, plain);
    assert!(!shared.ends_expired(&begun, at(1_000_000)));
}
