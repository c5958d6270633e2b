//! The claimed tasks that do not begin here: those that are dropped, released, cancelled or put off.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;

use super::caps;
use super::claimed;
use super::clock;
use super::event::Event;
use super::outcome::Outcome;
use super::queue_state::QueueState;
use super::state::State;
use super::work::{Stage, Work};
use crate::message::Condemned;

/// Drops the tasks of a queue that have not begun, so that the next `open` releases them.
/// Returns how many tasks it dropped.
pub fn drop_waiting(state: &mut State, queue: usize) -> usize {
    let aside = state.caps.take(|work| work.queue == queue).len();
    let dropped = state.change_waiting(queue, QueueState::drop_waiting);
    state.refill(clock::now());
    dropped + aside
}

/// Ends the tasks of these ids that have not begun, and tells the worker of those that run.
pub fn cancel(state: &mut State, queue: usize, ids: &[Bytes], now: Duration) {
    let ids: HashSet<&[u8]> = ids.iter().map(AsRef::as_ref).collect();
    let mut cancelled = state.change_waiting(queue, |of_queue| of_queue.take_cancelled(&ids));
    let is_cancelled = |work: &Work| work.queue == queue && ids.contains(work.message.task_id().as_bytes());
    cancelled.extend(state.caps.take(is_cancelled));
    for work in cancelled {
        let (outcome, event) = claimed::unbegun(&work.message, Condemned::Cancelled, &state.queues[work.queue].tasks);
        state.settle(&work, outcome, Stage::Waiting, now);
        state.tell(queue, event);
    }
    state.refill(now);
    for task_id in state.queues[queue].running_cancelled(&ids, now) {
        state.tell(queue, Event::CancelRequested { task_id });
    }
}

/// Releases all waiting tasks if the oldest has waited for longer than `patience`. The newest
/// goes first, so that the oldest is the next to be claimed. Returns how many tasks it
/// released.
pub fn shed(state: &mut State, queue: usize, now: Duration, patience: Duration) -> usize {
    let overdue = state.change_waiting(queue, |of_queue| of_queue.take_overdue(now, patience));
    for work in &overdue {
        state.settle(work, Outcome::Release { message: None }, Stage::Waiting, now);
    }
    if !overdue.is_empty() {
        // Rule 14: claims begin small again.
        state.rate.forget();
        state.refill(now);
    }
    overdue.len()
}

/// Puts off the tasks of a queue that have waited for their cap, except those that begin soon.
pub fn put_off(state: &mut State, queue: usize, now: Duration) {
    for work in state.caps.take_overdue(queue, now) {
        let outcome = Outcome::Later { message: work.message.raw.clone(), delay: caps::PUT_OFF };
        state.settle(&work, outcome, Stage::Waiting, now);
    }
}
