//! Tests of what running tasks note, and of the exchanges that take it along.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::conversation_tests::{NOTHING_CLAIMED, World};
use super::link::Side;
use super::notes::Note;
use super::outcome::Outcome;
use super::state_tests::{admit, begin, raw};
use super::work::Work;

/// A world in which a task runs, and its note.
fn running() -> (World, Work, Arc<Note>) {
    let world = World::blocked();
    admit(&world.shared, 0, &raw("sync"));
    let work = begin(&world.shared).expect("admitted");
    let note = Arc::new(Note::new(&work));
    (world, work, note)
}

fn save(world: &World, note: &Arc<Note>, checkpoint: &'static str) {
    if note.save(Bytes::from_static(checkpoint.as_bytes())) {
        world.shared.take_note(0, note.clone());
    }
}

/// The notes of the exchanges that the worker sends now, without the field.
fn told(world: &mut World) -> Vec<String> {
    world.plan();
    let calls = world.calls(Side::Scripts);
    let message = |call: &Vec<String>| call.iter().position(|word| word == "note").map(|at| call[at + 1].clone());
    let messages: Vec<String> = calls.iter().filter_map(message).collect();
    messages.iter().map(|text| text.rsplit_once("\"checkpoint\":").expect("there").1.to_owned()).collect()
}

#[test]
fn the_last_value_travels_and_then_there_is_a_pause() {
    let (mut world, _, note) = running();
    for checkpoint in ["1", "2", "3"] {
        save(&world, &note, checkpoint);
    }
    assert_eq!(told(&mut world), ["3}"]);
    world.replies(Side::Scripts, NOTHING_CLAIMED);
    save(&world, &note, "4");
    let due = world.plan().expect("due");
    assert_eq!(due, world.now + Duration::from_millis(250));
    world.now = due - Duration::from_millis(1);
    assert!(told(&mut world).is_empty());
    world.now = due;
    save(&world, &note, "5");
    assert_eq!(told(&mut world), ["5}"]);
    world.replies(Side::Scripts, NOTHING_CLAIMED);
    world.now += Duration::from_secs(1);
    assert!(told(&mut world).is_empty(), "nothing new");
    assert!(world.shared.lock().queues[0].holds_something(), "the task runs on");
}

#[test]
fn the_outcome_of_a_task_drops_its_note() {
    let (mut world, work, note) = running();
    save(&world, &note, "1");
    world.shared.finish(&work, Outcome::Succeeded, world.now);
    world.now += Duration::from_secs(1);
    assert!(told(&mut world).is_empty());
}

#[test]
fn a_note_that_was_not_delivered_travels_again_in_front_of_newer_ones() {
    let (mut world, work, note) = running();
    save(&world, &note, "1");
    assert_eq!(told(&mut world), ["1}"]);
    world.replies(Side::Scripts, "-BUSY a script runs\r\n");
    save(&world, &note, "2");
    world.now += Duration::from_secs(10);
    world.plan();
    let calls = world.calls(Side::Scripts);
    let notes: Vec<&str> =
        calls[0].iter().filter_map(|word| word.rsplit_once("\"checkpoint\":")).map(|two| two.1).collect();
    assert_eq!(notes, ["1}", "2}"]);
    world.replies(Side::Scripts, NOTHING_CLAIMED);
    assert!(world.shared.lock().queues[0].holds_something(), "the task runs on");
    assert_eq!(world.shared.lock().outcomes(), 0);
    assert!(world.shared.finish(&work, Outcome::Succeeded, world.now), "its outcome counts");
}
