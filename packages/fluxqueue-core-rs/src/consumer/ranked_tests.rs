//! Tests of a conversation to which a BLMOVE brings a task with a priority or a limit.

use std::time::Duration;

use super::conversation_tests::{NOTHING_CLAIMED, World};
use super::link::Side;
use super::state_tests::{admit, begin, raw};

/// A world whose slots are all taken, the last one by a task that a BLMOVE has brought.
fn full(opts: &str) -> World {
    let mut world = World::blocked();
    admit(&world.shared, 0, &raw("sync"));
    begin(&world.shared).expect("admitted");
    bring(&mut world, 1, opts);
    assert_eq!(world.shared.lock().slots.vacant(), 0);
    world.now += Duration::from_millis(1);
    world
}

fn bring(world: &mut World, number: u8, opts: &str) {
    let id = format!("019aa0c2-7b1f-7c3e-8d2a-{number:012x}");
    let message = match opts {
        "" => format!(r#"{{"v":1,"id":"{id}","name":"sync","args":[]}}"#),
        opts => format!(r#"{{"v":2,"id":"{id}","opts":{opts},"name":"sync","args":[]}}"#),
    };
    assert!(world.replies(Side::Blocking, &format!("${}\r\n{message}\r\n", message.len())));
    begin(&world.shared).expect("admitted");
}

#[test]
fn a_worker_without_a_free_slot_sends_one_exchange_which_wakes_others() {
    // Rules 16 and 24.
    for opts in [r#"{"p":5}"#, r#"{"l":"0123456789abcdef0123456789abcdef:1:0:1"}"#] {
        let mut world = full(opts);
        world.plan();
        assert_eq!(world.sent(Side::Scripts), ["EVALSHA"]);
        world.replies(Side::Scripts, NOTHING_CLAIMED);
        world.plan();
        assert!(world.sent(Side::Scripts).is_empty(), "one is enough");
    }
}

#[test]
fn a_worker_sends_no_exchange_for_a_task_with_neither() {
    for opts in ["", "{}", r#"{"r":5000}"#] {
        let mut world = full(opts);
        world.plan();
        assert!(world.sent(Side::Scripts).is_empty(), "{opts}");
    }
}

#[test]
fn an_exchange_that_left_before_the_task_came_does_not_count() {
    let mut world = World::blocked();
    // The renewal of the lease.
    world.now += Duration::from_secs(4);
    world.plan();
    assert_eq!(world.sent(Side::Scripts), ["EVALSHA"]);
    world.now += Duration::from_millis(1);
    admit(&world.shared, 0, &raw("sync"));
    begin(&world.shared).expect("admitted");
    bring(&mut world, 1, r#"{"p":5}"#);
    world.plan();
    assert!(world.sent(Side::Scripts).is_empty(), "one request at a time");
    world.replies(Side::Scripts, NOTHING_CLAIMED);
    world.plan();
    assert_eq!(world.sent(Side::Scripts), ["EVALSHA"]);
}

#[test]
fn an_exchange_that_redis_refuses_is_sent_again() {
    let mut world = full(r#"{"p":5}"#);
    for verb in ["EVALSHA", "EVAL"] {
        world.plan();
        assert_eq!(world.sent(Side::Scripts), [verb]);
        world.replies(Side::Scripts, "-NOSCRIPT No matching script.\r\n");
    }
}
