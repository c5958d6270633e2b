//! The properties that hold in every state.

use crate::process::*;
use crate::scope::Scope;
use crate::state::*;
use crate::worker::slots;

/// A property that was violated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Violation {
    /// A task is nowhere.
    Lost,
    /// A task is in two places.
    InTwoPlaces,
    /// A task never ends, even without further faults.
    NeverEnds,
    /// A worker settled a task that it no longer held.
    SettledWhatItLost,
    /// `deliveries` was raised without a lost worker, or raised twice.
    CountedTwice,
    /// An attempt began a second time without a cause.
    RunTwiceWithoutCause,
    /// A healthy worker's tasks were rescued.
    HealthyWorkerRescued,
    /// A task died as `worker_lost` although it was not alone when its last worker was lost.
    InnocentCondemned,
    /// A worker with a free slot neither asks for tasks nor waits for one.
    WakeUpLost,
    /// A worker blocks although a prioritized task waits, and no process is about to
    /// send an exchange, which would wake the worker.
    IdleBesidePrioritized,
    /// An exchange handed out a task before one of a higher priority.
    PriorityInverted,
    /// A live consumer belongs to no worker, and no fault is the cause.
    LeftOverConsumer,
    /// The lock or place of a version 2 task has outlived the task.
    LeftBehind,
    /// The lock or place of a version 2 task was freed before the task's end.
    FreedTooSoon,
    /// A task that holds its lock until its start has begun with it.
    HeldPastStart,
    /// The model contradicts itself.
    Model,
}

/// Every property that a broken protocol can violate.
pub const ALL: [Violation; 15] = [
    Violation::Lost,
    Violation::InTwoPlaces,
    Violation::NeverEnds,
    Violation::SettledWhatItLost,
    Violation::CountedTwice,
    Violation::RunTwiceWithoutCause,
    Violation::HealthyWorkerRescued,
    Violation::InnocentCondemned,
    Violation::WakeUpLost,
    Violation::IdleBesidePrioritized,
    Violation::PriorityInverted,
    Violation::LeftOverConsumer,
    Violation::LeftBehind,
    Violation::FreedTooSoon,
    Violation::HeldPastStart,
];

/// Checks the properties of a state. Each step checks its own properties.
pub fn check(state: &State, scope: &Scope) -> Result<(), Violation> {
    for task in 0..2 {
        let here = |list: &crate::list::List| list.iter().filter(|m| m.task() == task).count();
        let mut places = here(&state.pending) + here(&state.prioritized) + here(&state.suspects) + here(&state.delayed);
        places += state.consumers.iter().map(|c| here(&c.claimed) + here(&c.inbox)).sum::<usize>();
        places += usize::from(state.fates[task] != Fate::Open);
        match places {
            0 => return Err(Violation::Lost),
            1 => (),
            _ => return Err(Violation::InTwoPlaces),
        }
        let open = scope.version2[task] && state.fates[task] == Fate::Open;
        match (open, state.bound[task]) {
            (true, false) if !state.freed[task] => return Err(Violation::FreedTooSoon),
            (false, true) => return Err(Violation::LeftBehind),
            _ => (),
        }
    }
    for (at, worker) in state.workers.iter().enumerate() {
        let idle = worker.scripts.is_none() && worker.blocking == Blocking::Idle && !worker.broken;
        let free = worker.free(slots(scope, at)) > 0 && worker.ready && !worker.draining;
        if idle && free && state.healthy(at) {
            let asks = worker.has_cause_to_exchange(scope, slots(scope, at), 0);
            if !asks && !worker.may_block(scope, slots(scope, at)) {
                return Err(Violation::WakeUpLost);
            }
        }
    }
    if state.is_idle_beside_prioritized() {
        return Err(Violation::IdleBesidePrioritized);
    }
    for (id, consumer) in state.consumers.iter().enumerate() {
        let known = state.workers.iter().any(|w| w.ids().any(|i| i == id));
        if matches!(consumer.score, Score::Alive(_)) && !known && !consumer.lost {
            return Err(Violation::LeftOverConsumer);
        }
    }
    Ok(())
}
