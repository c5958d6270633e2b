//! Tests of the state without a connection: the calls of the driver and of threads.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;

use super::claimed::Claimed;
use super::event::Event;
use super::outcome::{Outcome, Settlement};
use super::shared::Shared;
use super::state::{Phase, State};
use super::unbegun;
use super::work::{Raised, Table, Tasks, Work};
use crate::ids;
use crate::message::{self, Condemned, Envelope, Head, Message, Tail, Terms};

const MAX_MESSAGE_BYTES: usize = 1000;
pub(super) const REDIS_MS: u64 = 1_764_000_000_000;
const FOREVER: Duration = Duration::from_secs(1 << 30);

pub(super) fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) fn raw(name: &str) -> Bytes {
    let mut out = Vec::new();
    let envelope = Envelope::new(name, &Terms::default()).expect("a good name");
    envelope.write(&mut out, &Head::new(&ids::task_id(REDIS_MS)), b"[]", None, &Tail::default());
    out.into()
}

pub(super) fn field(raw: &Bytes) -> Bytes {
    raw.slice(message::field(raw).expect("well begun"))
}

pub(super) fn shared(queues: &[&str], concurrency: usize) -> Shared {
    let own = Table::from([("sync".to_owned(), (0, false)), ("async".to_owned(), (1, true))]);
    let tasks = Tasks { own, ..Tasks::default() };
    let queues = queues.iter().map(|q| ((*q).to_owned(), tasks.clone())).collect();
    let shared = Shared::new(queues, concurrency, 60_000, MAX_MESSAGE_BYTES).expect("pipes");
    for queue in &mut shared.lock().queues {
        queue.fresh_until = FOREVER;
    }
    shared
}

pub(super) fn admit(shared: &Shared, queue: usize, raw: &Bytes) {
    let claimed = Claimed::read(raw.clone(), MAX_MESSAGE_BYTES);
    shared.lock().admit(queue, claimed, at(0), REDIS_MS);
}

pub(super) fn begin(shared: &Shared) -> Option<Work> {
    shared.lock().begin_sync(at(1))
}

pub(super) fn settlements(shared: &Shared, queue: usize) -> Vec<Settlement> {
    shared.lock().take_settlements(queue, 100, usize::MAX)
}

/// Loses the lease of the queue. Returns the events for the control plane.
fn lose(shared: &Shared) -> Vec<Event> {
    let mut state = shared.lock();
    state.lose(0, "c");
    state.events.drain(..).map(|(_, event)| event).collect()
}

#[test]
fn a_queue_is_served_while_its_conversation_is_open_and_its_lease_renewed() {
    let shared = shared(&["one", "two"], 1);
    let mut state = shared.lock();
    let disconnected = |state: &State, now| state.disconnected(now).collect::<Vec<_>>();
    assert_eq!(disconnected(&state, at(0)), [0, 1]);
    for queue in &mut state.queues {
        queue.connected = true;
    }
    assert!(disconnected(&state, at(0)).is_empty());
    state.queues[1].fresh_until = at(5);
    assert!(disconnected(&state, at(4)).is_empty());
    assert_eq!(disconnected(&state, at(5)), [1]);
}

#[test]
fn tasks_begin_by_priority_and_within_the_concurrency() {
    let shared = shared(&["high", "low"], 2);
    let (low, high, third) = (raw("sync"), raw("sync"), raw("sync"));
    admit(&shared, 1, &low);
    admit(&shared, 0, &high);
    admit(&shared, 0, &third);
    let first = begin(&shared).expect("a slot is free");
    assert_eq!(first.message.raw, high);
    let second = begin(&shared).expect("a slot is free");
    assert_eq!(second.message.raw, third);
    assert!(begin(&shared).is_none());
    assert!(shared.finish(&first, Outcome::Succeeded, at(2)));
    assert_eq!(begin(&shared).expect("a slot is free again").message.raw, low);
}

#[test]
fn no_task_begins_past_the_local_deadline_or_in_a_drain() {
    let shared = shared(&["q"], 2);
    admit(&shared, 0, &raw("sync"));
    admit(&shared, 0, &raw("async"));
    shared.lock().queues[0].fresh_until = at(1);
    assert!(begin(&shared).is_none());
    assert!(shared.lock().begin_async(at(1)).is_none());
    shared.lock().queues[0].fresh_until = at(2);
    shared.lock().phase = Phase::Draining;
    assert!(begin(&shared).is_none());
    shared.lock().phase = Phase::Serving;
    assert!(begin(&shared).is_some());
}

#[test]
fn an_outcome_travels_until_redis_has_executed_it() {
    let shared = shared(&["q"], 1);
    let message = raw("sync");
    admit(&shared, 0, &message);
    let work = begin(&shared).expect("admitted");
    assert!(shared.finish(&work, Outcome::Succeeded, at(2)));
    let sent = settlements(&shared, 0);
    assert_eq!(sent, [Settlement { field: field(&message), outcome: Outcome::Succeeded }]);
    assert!(settlements(&shared, 0).is_empty());
    shared.lock().return_settlements(0, sent);
    let sent = settlements(&shared, 0);
    assert_eq!(sent.len(), 1);
    shared.lock().queues[0].settled(&sent);
    assert!(!shared.lock().queues[0].holds_something());
}

#[test]
fn an_exchange_carries_only_a_few_large_outcomes() {
    let shared = shared(&["q"], 4);
    let outcome = |len| Outcome::Retry { message: vec![b'x'; len].into(), delay: 0 };
    let mut fields = Vec::new();
    for len in [600, 600, 5000, 1] {
        admit(&shared, 0, &raw("sync"));
        let work = begin(&shared).expect("a slot is free");
        fields.push(work.message.field_bytes());
        assert!(shared.finish(&work, outcome(len), at(2)));
    }
    let take = |bytes| shared.lock().take_settlements(0, 100, bytes).into_iter().map(|s| s.field).collect::<Vec<_>>();
    assert_eq!(take(1000), fields[..2], "the one that makes it too many goes along: a large one must go as well");
    assert_eq!(take(1000), fields[2..3]);
    assert_eq!(take(1000), fields[3..]);
    assert_eq!(shared.lock().outcomes(), 0);
}

#[test]
fn a_lone_outcome_leaves_at_once_and_others_gather() {
    let shared = shared(&["q"], 2);
    // Begins a task and ends it at `ms`. Returns when the first waiting outcome leaves.
    let end = |ms| {
        admit(&shared, 0, &raw("sync"));
        let work = begin(&shared).expect("a slot is free");
        assert!(shared.finish(&work, Outcome::Succeeded, at(ms)));
        shared.lock().queues[0].settle_at
    };
    admit(&shared, 0, &raw("sync"));
    let long = begin(&shared).expect("a slot is free"); // the worker is never idle
    assert_eq!(end(20), at(20));
    // The first outcome is under way, so tasks that end meanwhile go with the next exchange.
    assert_eq!(settlements(&shared, 0).len(), 1);
    assert_eq!(end(21), at(22), "they come as fast as one can gather");
    assert_eq!(end(23), at(22), "it does not wait for longer because of others");
    assert_eq!(settlements(&shared, 0).len(), 2);
    assert_eq!(end(40), at(40));
    assert_eq!(settlements(&shared, 0).len(), 1);
    // A stall is no reason to send one outcome alone if more tasks are about to end.
    for _ in 0..2 {
        admit(&shared, 0, &raw("sync"));
    }
    assert_eq!(end(60), at(61));
    assert_eq!(settlements(&shared, 0).len(), 1);
    assert!(shared.finish(&long, Outcome::Succeeded, at(100)));
    assert_eq!(shared.lock().queues[0].settle_at, at(101));
}

#[test]
fn a_new_conversation_keeps_only_the_fields_that_redis_names() {
    let shared = shared(&["q"], 3);
    let (kept, lost, waiting, unsent) = (raw("sync"), raw("sync"), raw("sync"), raw("sync"));
    for message in [&kept, &lost, &unsent, &waiting] {
        admit(&shared, 0, message);
    }
    let kept_work = begin(&shared).expect("admitted");
    let lost_work = begin(&shared).expect("admitted");
    let unsent_work = begin(&shared).expect("admitted");
    assert!(shared.finish(&unsent_work, Outcome::Succeeded, at(2)));
    assert_eq!(shared.lock().queues[0].fields().len(), 4);
    // The new id holds only one of them. Redis executed the outcome of `unsent` before.
    shared.lock().reopened(0, &HashSet::from([field(&kept)]), FOREVER);
    assert!(settlements(&shared, 0).is_empty());
    assert!(begin(&shared).is_none());
    assert!(!shared.finish(&lost_work, Outcome::Succeeded, at(3)), "an orphan settles nothing");
    assert!(shared.finish(&kept_work, Outcome::Succeeded, at(3)));
    assert_eq!(settlements(&shared, 0).len(), 1);
}

#[test]
fn an_orphan_does_not_settle_a_new_claim_of_the_same_attempt() {
    let shared = shared(&["q"], 2);
    let message = raw("sync");
    admit(&shared, 0, &message);
    let orphan = begin(&shared).expect("admitted");
    let lost = |running| Event::LeaseLost { consumer: "c".into(), running };
    assert_eq!(lose(&shared), [lost(1)]);
    shared.lock().queues[0].fresh_until = FOREVER;
    admit(&shared, 0, &message);
    let again = begin(&shared).expect("admitted");
    assert!(!shared.finish(&orphan, Outcome::Succeeded, at(2)));
    assert!(settlements(&shared, 0).is_empty());
    assert!(shared.finish(&again, Outcome::Succeeded, at(2)));
    let task_id = String::from_utf8_lossy(&field(&message)[..36]).into_owned();
    assert_eq!(lose(&shared), [lost(0), Event::OutcomeVoid { task_id }], "told, since its task had ended");
}

#[test]
fn a_drain_drops_waiting_tasks_and_keeps_running_ones() {
    let shared = shared(&["q"], 1);
    let running = raw("sync");
    admit(&shared, 0, &running);
    admit(&shared, 0, &raw("sync"));
    admit(&shared, 0, &raw("async"));
    let work = begin(&shared).expect("admitted");
    assert_eq!(unbegun::drop_waiting(&mut shared.lock(), 0), 2);
    assert_eq!(shared.lock().queues[0].fields(), [field(&running)]);
    assert_eq!(shared.lock().release_running(0, &Raised::new(), at(2)), 1);
    assert!(!shared.finish(&work, Outcome::Succeeded, at(3)), "it was given back");
    assert_eq!(
        settlements(&shared, 0),
        [Settlement { field: field(&running), outcome: Outcome::Release { message: None } }]
    );
}

#[test]
fn tasks_that_wait_too_long_are_released_newest_first() {
    // Rule 14.
    let shared = shared(&["q"], 1);
    let (first, second) = (raw("sync"), raw("async"));
    admit(&shared, 0, &first);
    admit(&shared, 0, &second);
    assert_eq!(unbegun::shed(&mut shared.lock(), 0, at(250), at(250)), 0);
    assert_eq!(unbegun::shed(&mut shared.lock(), 0, at(251), at(250)), 2);
    let fields: Vec<_> = settlements(&shared, 0).into_iter().map(|s| s.field).collect();
    assert_eq!(fields, [field(&second), field(&first)]);
    assert!(begin(&shared).is_none());
}

#[test]
fn a_double_waits_for_the_exchange_that_decides_it() {
    let shared = shared(&["q"], 2);
    let message = raw("sync");
    admit(&shared, 0, &message);
    let work = begin(&shared).expect("admitted");
    let read = |message: &Bytes| Claimed::read(message.clone(), MAX_MESSAGE_BYTES);
    shared.lock().admit_blocked(0, read(&message), at(10), REDIS_MS);
    assert!(begin(&shared).is_none(), "one message must not run by two ways");
    assert!(shared.finish(&work, Outcome::Succeeded, at(11)));
    let sent = settlements(&shared, 0);
    shared.lock().queues[0].settled(&sent);
    // An exchange decides nothing about a double that arrived after it was sent. A later exchange
    // decides: it parks the double or it does not.
    shared.lock().resolve_doubles(0, at(5), &HashSet::new(), REDIS_MS);
    assert!(begin(&shared).is_none() && shared.lock().queues[0].has_doubles());
    shared.lock().resolve_doubles(0, at(12), &HashSet::new(), REDIS_MS);
    assert!(begin(&shared).is_some());
    shared.lock().admit_blocked(0, read(&message), at(13), REDIS_MS);
    shared.lock().resolve_doubles(0, at(14), &HashSet::from([field(&message)]), REDIS_MS);
    assert!(begin(&shared).is_none() && !shared.lock().queues[0].has_doubles());
}

#[test]
fn while_a_task_is_cancelled_an_exchange_decides_what_blmove_brought() {
    let shared = shared(&["q"], 2);
    let (first, second) = (raw("sync"), raw("sync"));
    shared.lock().queues[0].any_cancelled = true;
    for message in [&first, &second] {
        shared.lock().admit_blocked(0, Claimed::read(message.clone(), MAX_MESSAGE_BYTES), at(10), REDIS_MS);
    }
    assert!(begin(&shared).is_none() && shared.lock().queues[0].has_doubles());
    let mut state = shared.lock();
    state.resolve_doubles(0, at(12), &HashSet::new(), REDIS_MS);
    super::unbegun::cancel(&mut state, 0, &[first.slice(13..49)], at(13));
    drop(state);
    assert_eq!(begin(&shared).expect("the other one").message.raw, second);
    assert!(begin(&shared).is_none());
    assert_eq!(settlements(&shared, 0)[0].outcome, Outcome::Ended(Condemned::Cancelled));
}

#[test]
fn a_task_with_an_unknown_name_is_deferred_until_the_grace_ends() {
    let shared = shared(&["q"], 1);
    admit(&shared, 0, &raw("nobody"));
    let Outcome::Later { message, delay } = settlements(&shared, 0).remove(0).outcome else { panic!("not later") };
    assert_eq!(delay, 1000);
    let read = |message: &Bytes| Claimed::read(message.clone(), MAX_MESSAGE_BYTES);
    shared.lock().admit(0, read(&message), at(0), REDIS_MS + 59_000);
    assert!(matches!(settlements(&shared, 0).remove(0).outcome, Outcome::Later { .. }));
    shared.lock().admit(0, read(&message), at(0), REDIS_MS + 60_000);
    assert!(matches!(settlements(&shared, 0).remove(0).outcome, Outcome::Dead { keep: true, .. }));
    let last = shared.lock().events.pop_back().expect("told").1;
    assert!(matches!(last, Event::Parked { reason, .. } if reason == "unknown_task"));
}

#[test]
fn an_unreadable_message_is_dead_with_its_reason() {
    let shared = shared(&["q"], 1);
    let bad = Bytes::from([&raw("sync")[..60], b"garbage"].concat());
    admit(&shared, 0, &bad);
    let settlement = settlements(&shared, 0).remove(0);
    let Outcome::Dead { reason, keep: true } = settlement.outcome else { panic!("not dead") };
    assert!(String::from_utf8_lossy(&reason).contains("malformed"));
    let retried = message::with_retry(&Message::parse(raw("sync")).expect("well formed"));
    assert_ne!(field(&retried), field(&raw("sync")));
}

/// A message of the task `sync` that has `len` bytes.
fn sized(len: usize) -> Bytes {
    let write = |args: &[u8]| {
        let mut out = Vec::new();
        let envelope = Envelope::new("sync", &Terms::default()).expect("a good name");
        envelope.write(&mut out, &Head::new(&ids::task_id(REDIS_MS)), args, None, &Tail::default());
        out
    };
    let rest = write(br#"[""]"#).len();
    write(format!(r#"["{}"]"#, "x".repeat(len - rest)).as_bytes()).into()
}

#[test]
fn an_oversized_message_is_dead_with_its_reason() {
    let shared = shared(&["q"], 1);
    let bad = sized(MAX_MESSAGE_BYTES + message::GROWTH_MAX + 1);
    admit(&shared, 0, &bad);
    assert!(begin(&shared).is_none());
    let settlement = settlements(&shared, 0).remove(0);
    assert_eq!(settlement.field, field(&bad));
    let Outcome::Dead { reason, keep: true } = settlement.outcome else { panic!("not dead") };
    let reason = String::from_utf8_lossy(&reason).into_owned();
    let size = format!("it has {} bytes", MAX_MESSAGE_BYTES + message::GROWTH_MAX + 1);
    assert!(reason.contains("malformed") && reason.contains(&size), "{reason}");
    assert!(reason.contains("FLUXQUEUE_MAX_MESSAGE_BYTES"), "{reason}");
}

#[test]
fn a_large_message_leaves_memory_when_its_task_ends() {
    let shared = shared(&["q"], 1);
    let large = sized(100_000);
    admit(&shared, 0, &large); // parked
    assert!(large.is_unique(), "a part of it is held");
    let sent = settlements(&shared, 0);
    shared.lock().queues[0].settled(&sent);
    shared.lock().admit(0, Claimed::read(large.clone(), 1 << 20), at(0), REDIS_MS);
    let work = begin(&shared).expect("it can be run");
    assert!(shared.finish(&work, Outcome::Succeeded, at(2)));
    drop(work);
    assert!(large.is_unique(), "a part of it is held");
    assert_eq!(settlements(&shared, 0)[0].field, field(&large));
}

#[test]
fn a_message_sent_within_the_limit_runs_even_after_it_has_grown() {
    let shared = shared(&["q"], 1);
    let mut raw = sized(MAX_MESSAGE_BYTES);
    let since = Message::parse(raw.clone()).map(|m| message::with_unknown_since(&m, u64::MAX)).expect("well formed");
    raw = message::with_delivery(since).expect("well formed").1;
    assert!(raw.len() > MAX_MESSAGE_BYTES);
    admit(&shared, 0, &raw);
    assert_eq!(begin(&shared).expect("it can be run").message.raw, raw);
    // The largest size that a message can grow to.
    let largest = sized(MAX_MESSAGE_BYTES + message::GROWTH_MAX);
    admit(&shared, 0, &largest);
    assert_eq!(shared.lock().queues[0].sync_ready.len(), 1);
}

#[test]
fn the_event_loop_wakes_until_it_has_begun_every_task_that_may_begin() {
    let shared = shared(&["q"], 2);
    for _ in 0..3 {
        admit(&shared, 0, &raw("async"));
    }
    shared.announce_work(&mut shared.lock());
    assert!(shared.for_loop.is_set());
    let first = shared.begin_async(at(1)).expect("a slot is free");
    let second = shared.begin_async(at(1)).expect("a slot is free");
    assert!(shared.for_loop.is_set()); // if the loop stops here, it wakes again
    assert!(shared.begin_async(at(1)).is_none());
    assert!(!shared.for_loop.is_set()); // no slot is free, so the loop sleeps
    assert!(shared.finish(&first, Outcome::Succeeded, at(2)));
    assert!(shared.for_loop.is_set());
    assert!(shared.begin_async(at(2)).is_some());
    assert!(shared.finish(&second, Outcome::Succeeded, at(3)));
    assert!(shared.begin_async(at(3)).is_none());
    assert!(!shared.for_loop.is_set());
}
