//! Tests of tasks of which only a few may run at once in this process.

use std::collections::HashSet;

use bytes::Bytes;

use super::caps::{Caps, PUT_OFF};
use super::outcome::Outcome;
use super::shared::Shared;
use super::state_tests::{admit, at, begin, field, raw, settlements, shared};
use super::unbegun;
use super::work::Work;

/// A worker of ten slots in which `most` of the task `sync` may run. `async` has no cap.
fn capped(most: usize) -> Shared {
    let shared = shared(&["q", "r"], 10);
    shared.lock().caps = Caps::new(2, vec![(most, vec![0])]);
    shared
}

fn admit_many(shared: &Shared, count: usize) -> Vec<Bytes> {
    let messages: Vec<_> = (0..count).map(|_| raw("sync")).collect();
    messages.iter().for_each(|message| admit(shared, 0, message));
    messages
}

fn put_off(shared: &Shared, ms: u64) -> Vec<Bytes> {
    unbegun::put_off(&mut shared.lock(), 0, at(ms));
    let outcomes = settlements(shared, 0);
    let is_put_off = |outcome: &Outcome| matches!(outcome, Outcome::Later { delay: PUT_OFF, .. });
    assert!(outcomes.iter().all(|settlement| is_put_off(&settlement.outcome)));
    outcomes.into_iter().map(|settlement| settlement.field).collect()
}

fn fields(messages: &[Bytes]) -> Vec<Bytes> {
    messages.iter().map(field).collect()
}

fn finish(shared: &Shared, work: &Work, ms: u64) {
    assert!(shared.finish(work, Outcome::Succeeded, at(ms)));
    settlements(shared, 0);
}

#[test]
fn a_task_over_its_cap_takes_no_slot_and_does_not_keep_those_behind_it() {
    let shared = capped(2);
    let messages = admit_many(&shared, 5);
    admit(&shared, 1, &raw("async"));
    let first = begin(&shared).expect("within the cap");
    let second = begin(&shared).expect("within the cap");
    assert_eq!([&first, &second].map(|work| work.message.raw.clone()), messages[..2]);
    assert!(begin(&shared).is_none());
    assert!(shared.lock().begin_async(at(1)).is_some());
    let state = shared.lock();
    assert_eq!((state.waiting(), state.waiting_bytes(), state.caps.aside()), (0, 0, 3));
    drop(state);
    finish(&shared, &second, 20);
    let third = begin(&shared).expect("one has ended");
    assert_eq!(third.message.raw, messages[2]);
    assert!(begin(&shared).is_none());
}

#[test]
fn a_task_whose_slot_was_given_away_still_counts_for_its_cap() {
    let shared = capped(1);
    admit_many(&shared, 2);
    let stuck = begin(&shared).expect("within the cap");
    assert!(shared.lock().give_slot_away(&stuck, at(5)));
    assert!(begin(&shared).is_none());
    finish(&shared, &stuck, 10);
    assert!(begin(&shared).is_some());
}

#[test]
fn tasks_that_the_cap_does_not_work_off_soon_are_put_off() {
    let shared = capped(2);
    let messages = admit_many(&shared, 8);
    let running = [begin(&shared).expect("first"), begin(&shared).expect("second")];
    assert!(put_off(&shared, 250).is_empty(), "they have not waited for long");
    // The cap keeps as many as run, since nothing says how long they take.
    assert_eq!(put_off(&shared, 251), fields(&messages[4..]));
    assert!(put_off(&shared, 900).is_empty());
    finish(&shared, &running[0], 1_001);
    assert_eq!(begin(&shared).expect("kept").message.raw, messages[2]);
    // An attempt takes a second, so the cap works off four tasks in two seconds.
    let later = admit_many(&shared, 5);
    assert_eq!(put_off(&shared, 2_000), fields(&later[3..]));
}

#[test]
fn tasks_of_another_queue_are_not_put_off_with_those_of_this_one() {
    let shared = capped(1);
    admit(&shared, 1, &raw("sync"));
    admit_many(&shared, 1);
    for _ in 0..3 {
        admit(&shared, 1, &raw("sync"));
    }
    let last = admit_many(&shared, 1);
    assert_eq!(put_off(&shared, 1_000), fields(&last));
    assert_eq!(shared.lock().caps.aside(), 4);
}

#[test]
fn a_worker_holds_a_bounded_number_of_tasks_over_their_caps() {
    let shared = capped(1);
    admit_many(&shared, 1_000);
    assert!(!shared.lock().caps.is_full());
    admit_many(&shared, 1);
    assert!(shared.lock().caps.is_full());
}

#[test]
fn a_drain_gives_back_what_waits_for_its_cap() {
    let shared = capped(1);
    admit_many(&shared, 4);
    let running = begin(&shared).expect("within the cap");
    assert_eq!(unbegun::drop_waiting(&mut shared.lock(), 0), 3);
    let held = shared.lock().queues[0].fields();
    assert_eq!(held, [running.message.field_bytes()], "the next open gives back the others");
    finish(&shared, &running, 10);
    assert!(begin(&shared).is_none());
}

#[test]
fn a_cancelled_task_leaves_its_place_to_the_next() {
    let shared = capped(1);
    let messages = admit_many(&shared, 4);
    let id = |message: &Bytes| message.slice(13..49);
    // The first waits for a slot, the third for its cap.
    unbegun::cancel(&mut shared.lock(), 0, &[id(&messages[0]), id(&messages[2])], at(5));
    let ended: HashSet<_> = settlements(&shared, 0).into_iter().map(|settlement| settlement.field).collect();
    assert_eq!(ended, HashSet::from([field(&messages[0]), field(&messages[2])]));
    let begun = begin(&shared).expect("the second has its place");
    assert_eq!(begun.message.raw, messages[1]);
    finish(&shared, &begun, 10);
    assert_eq!(begin(&shared).expect("the fourth").message.raw, messages[3]);
}

#[test]
fn a_new_conversation_keeps_the_tasks_that_redis_still_holds() {
    let shared = capped(1);
    let messages = admit_many(&shared, 3);
    let kept = HashSet::from([field(&messages[2])]);
    shared.lock().reopened(0, &kept, at(60_000));
    assert_eq!(begin(&shared).expect("the kept one").message.raw, messages[2]);
    assert!(begin(&shared).is_none());
    assert_eq!(shared.lock().caps.aside(), 0);
}

#[test]
fn tasks_given_back_for_lack_of_a_slot_leave_their_places() {
    let shared = capped(1);
    let messages = admit_many(&shared, 2);
    let released = unbegun::shed(&mut shared.lock(), 0, at(300), at(250));
    assert_eq!(released, 1);
    assert_eq!(settlements(&shared, 0)[0].field, field(&messages[0]));
    assert_eq!(begin(&shared).expect("the next one").message.raw, messages[1]);
}

#[test]
fn a_cap_holds_for_all_queues_that_serve_its_task() {
    let shared = shared(&["q", "r"], 10);
    shared.lock().caps = Caps::new(2, vec![(1, vec![0])]);
    admit(&shared, 0, &raw("sync"));
    admit(&shared, 1, &raw("sync"));
    assert!(begin(&shared).is_some());
    assert!(begin(&shared).is_none());
}
