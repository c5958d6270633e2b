//! Tests of slots and of the threads that serve.

use super::claiming::prefetch;
use super::crew::Crew;
use super::outcome::Outcome;
use super::shared::Woken;
use super::state::Phase;
use super::state_tests::{admit, at, begin, raw, shared};

#[test]
fn another_thread_serves_alongside_a_slow_task_of_the_one_thread() {
    let shared = shared(&["q"], 3);
    for _ in 0..5 {
        admit(&shared, 0, &raw("sync"));
    }
    shared.lock().crew = Crew::of_one();
    let slow = begin(&shared).expect("one thread serves"); // at 1 ms
    assert!(begin(&shared).is_none());
    let mut state = shared.lock();
    assert_eq!(state.stall_at(), Some(at(2)));
    assert!(!state.measure(at(1)));
    assert!(state.measure(at(2)), "another thread is to be woken");
    let quick = state.begin_sync(at(2)).expect("it serves");
    assert!(state.begin_sync(at(2)).is_none());
    drop(state);
    assert!(shared.finish(&quick, Outcome::Succeeded, at(3)));
    let next = shared.lock().begin_sync(at(3)).expect("the same one goes on");
    // The slow task's thread can't begin another task while the other thread serves.
    assert!(shared.finish(&slow, Outcome::Succeeded, at(3)));
    assert!(begin(&shared).is_none());
    assert!(shared.finish(&next, Outcome::Succeeded, at(3)));
    assert!(begin(&shared).is_some());
}

#[test]
fn all_threads_wake_when_they_serve_again() {
    let shared = shared(&["q"], 3);
    for _ in 0..5 {
        admit(&shared, 0, &raw("sync"));
    }
    let mut state = shared.lock();
    (0..3).for_each(|_| state.slots.thread_waits());
    state.crew = Crew::of_one();
    shared.announce_work(&mut state);
    assert_eq!(state.to_wake, 1);
    assert!(state.begin_sync(at(1)).is_some());
    shared.announce_work(&mut state);
    assert_eq!(state.to_wake, 0);
    // No task has ended within the window, so the tasks are slow in any shift.
    assert!(state.measure(at(25)));
    assert!(!state.crew.is_one());
    shared.announce_work(&mut state);
    assert_eq!(state.to_wake, 2);
}

#[test]
fn async_tasks_do_not_count_as_fast_sync_tasks() {
    let shared = shared(&["q"], 3);
    shared.lock().crew = Crew::of_one();
    for _ in 0..1000 {
        admit(&shared, 0, &raw("async"));
        let work = shared.begin_async(at(1)).expect("a slot is free");
        assert!(shared.finish(&work, Outcome::Succeeded, at(2)));
    }
    let mut state = shared.lock();
    assert!(state.measure(at(25)), "all threads serve");
    assert!(!state.crew.is_one());
}

#[test]
fn the_driver_wakes_for_a_free_slot_that_the_shift_leaves_unused() {
    let shared = shared(&["q"], 2);
    for _ in 0..3 {
        admit(&shared, 0, &raw("sync"));
    }
    shared.lock().crew = Crew::of_one();
    let slow = begin(&shared).expect("one thread serves");
    assert!(shared.lock().measure(at(2)));
    assert!(begin(&shared).is_some(), "the next shift, of a slow task too");
    assert!(!shared.driver.is_set());
    assert!(shared.finish(&slow, Outcome::Succeeded, at(3)));
    // Its thread finds no task to begin, and without a connection nothing else wakes the driver.
    assert!(begin(&shared).is_none());
    assert!(shared.driver.is_set());
}

#[test]
fn the_driver_looks_for_a_slow_task_only_if_a_slot_is_free() {
    let shared = shared(&["q"], 1);
    shared.lock().crew = Crew::of_one();
    for _ in 0..2 {
        admit(&shared, 0, &raw("sync"));
    }
    assert!(shared.lock().stall_at().is_some());
    assert!(begin(&shared).is_some());
    assert_eq!(shared.lock().stall_at(), None);
}

#[test]
fn the_last_task_that_may_begin_wakes_the_driver_and_the_control_plane() {
    let shared = shared(&["q"], 4);
    (0..2).for_each(|_| admit(&shared, 0, &raw("sync")));
    (0..2).for_each(|_| admit(&shared, 0, &raw("async")));
    shared.lock().slots.left = 3;
    assert!(matches!(shared.wait_for_work(|| at(1)), Woken::Works(_)));
    shared.begin_async(at(1)).expect("the second one");
    assert!(!shared.driver.is_set() && !shared.for_events.is_set());
    let last = shared.wait_for_work(|| at(1));
    assert!(matches!(last, Woken::Works(_)) && shared.driver.is_set() && shared.for_events.is_set());
    assert_eq!(shared.lock().phase, Phase::Draining);
    assert!(shared.begin_async(at(1)).is_none());
}

#[test]
fn slow_tasks_that_end_together_are_not_prefetched() {
    let ahead_after_tasks_of = |ms| {
        let shared = shared(&["q"], 4);
        (0..4).for_each(|_| admit(&shared, 0, &raw("sync")));
        let works: Vec<_> = std::iter::from_fn(|| begin(&shared)).collect(); // at 1 ms
        shared.lock().measure(at(ms));
        works.iter().for_each(|work| assert!(shared.finish(work, Outcome::Succeeded, at(ms + 1))));
        let mut state = shared.lock();
        state.measure(at(ms + 2));
        prefetch(state.rate.per_second(), 4)
    };
    assert_eq!((ahead_after_tasks_of(50), ahead_after_tasks_of(300)), (6, 0));
}

#[test]
fn a_consumer_is_idle_since_its_connection_or_its_last_task() {
    let shared = shared(&["q"], 1);
    assert_eq!(shared.lock().slots.idle_for(at(5)), None);
    shared.lock().slots.connected(at(10));
    assert_eq!(shared.lock().slots.idle_for(at(12)), Some(at(2)));
    admit(&shared, 0, &raw("sync"));
    let work = begin(&shared).expect("a slot is free");
    assert_eq!(shared.lock().slots.idle_for(at(50)), Some(at(0)));
    assert!(shared.finish(&work, Outcome::Succeeded, at(60)));
    assert_eq!(shared.lock().slots.idle_for(at(67)), Some(at(7)));
    admit(&shared, 0, &raw("sync"));
    let stuck = begin(&shared).expect("a slot is free");
    assert!(shared.lock().give_slot_away(&stuck, at(80)));
    assert_eq!(shared.lock().slots.idle_for(at(81)), Some(at(1)));
}
