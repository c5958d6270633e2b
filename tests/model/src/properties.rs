//! The properties that hold in every state.

use crate::ends::Told;
use crate::list::{List, Msg};
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
    /// Two tasks have one lock.
    LockShared,
    /// Two tasks with one id are in the queue.
    IdShared,
    /// A call was enqueued before the time of the one that throttles it was over.
    ThrottleBroken,
    /// A condemned task has begun.
    CondemnedBegun,
    /// A task has begun after its expiry.
    BegunAfterExpiry,
    /// A cancelled task waits in the queue, and nothing keeps a worker from beginning it.
    CancelledWaits,
    /// The cancel of a task was forgotten before the task's end.
    CancelForgotten,
    /// The cancel of a task has outlived the task.
    CancelLeftBehind,
    /// `cancel` has told its caller something that is not true.
    WrongAnswer,
    /// A task ended as expired or cancelled, and was not.
    EndedWithoutCause,
    /// A result was kept, or a callback enqueued, before the task's end.
    EffectBeforeEnd,
    /// The task has ended, and its result or its callback is missing.
    EffectMissing,
    /// A result was kept twice, or a callback enqueued twice or without a cause.
    EffectTwice,
    /// A snooze or a drain was counted as a failure, or not at all.
    CountedAsFailure,
    /// More tasks with one limit are admitted than it allows.
    LimitExceeded,
    /// A place belongs to no message, or an admitted message has none.
    PlacesDiffer,
    /// A task waits for its limit, and nothing will call it.
    AdmittedByNone,
    /// More tasks were handed out in a tick than the rate allows.
    RateExceeded,
    /// The model contradicts itself.
    Model,
}

/// Every property that a broken protocol can violate.
pub const ALL: [Violation; 33] = [
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
    Violation::LockShared,
    Violation::IdShared,
    Violation::ThrottleBroken,
    Violation::CondemnedBegun,
    Violation::BegunAfterExpiry,
    Violation::CancelledWaits,
    Violation::CancelForgotten,
    Violation::CancelLeftBehind,
    Violation::WrongAnswer,
    Violation::EndedWithoutCause,
    Violation::EffectBeforeEnd,
    Violation::EffectMissing,
    Violation::EffectTwice,
    Violation::CountedAsFailure,
    Violation::LimitExceeded,
    Violation::PlacesDiffer,
    Violation::AdmittedByNone,
    Violation::RateExceeded,
];

/// Checks the properties of a state. Each step checks its own properties.
pub fn check(state: &State, scope: &Scope) -> Result<(), Violation> {
    for task in 0..2 {
        let here = |list: &List| list.iter().filter(|m| m.task() == task).count();
        let mut places = here(&state.pending) + here(&state.prioritized) + here(&state.suspects) + here(&state.delayed);
        places += here(&state.limit.line);
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
        check_cancel(state, scope, task)?;
        check_effects(state, task)?;
        check_counts(state, task)?;
    }
    if scope.one_lock && state.bound == [true; 2] {
        return Err(Violation::LockShared);
    }
    if scope.same_id && state.fates == [Fate::Open; 2] {
        return Err(Violation::IdShared);
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
    state.check_limit(scope)?;
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

/// While the task is open, `cancelled` has exactly the tasks that were cancelled, and their
/// messages wait condemned, so that no attempt follows.
fn check_cancel(state: &State, scope: &Scope, task: usize) -> Result<(), Violation> {
    match (state.was_cancelled.has(task), state.cancelled.has(task)) {
        (true, false) => return Err(Violation::CancelForgotten),
        // A worker of the previous release does not know the key: the id stays until a scheduler
        // forgets it. So it does after a cancel that has not looked for the task.
        (false, true) if !scope.older_worker && !state.overlooked.has(task) => return Err(Violation::CancelLeftBehind),
        (false, _) => return Ok(()),
        (true, true) => (),
    }
    let may_begin = |list: &List| list.iter().any(|m| m.task() == task && m.condemned().is_none());
    let lists = [&state.pending, &state.prioritized, &state.suspects, &state.delayed];
    if lists.into_iter().any(may_begin) && !state.overlooked.has(task) && !scope.older_worker {
        return Err(Violation::CancelledWaits);
    }
    Ok(())
}

/// A result and a callback exist exactly once, from the end of the task on; a result from the cancel
/// on of a task that waited.
fn check_effects(state: &State, task: usize) -> Result<(), Violation> {
    let (told, fate) = (state.told[task], state.fates[task]);
    if fate.is_open() {
        // The message knows whether a cancel has told its end.
        let early = match state.messages().any(|m| m.task() == task && m.is_told()) {
            true => Told { kept: Some(Fate::Cancelled), keeps: 1, calls: 0 },
            false => Told::default(),
        };
        return match told {
            _ if told == early => Ok(()),
            Told { keeps: 0, .. } => Err(Violation::EffectMissing),
            Told { keeps: 2, .. } => Err(Violation::EffectTwice),
            _ => Err(Violation::EffectBeforeEnd),
        };
    }
    let calls = u8::from(fate.calls_back());
    if told.keeps > 1 || told.calls > calls {
        return Err(Violation::EffectTwice);
    }
    if told.kept != Some(fate) || told.calls < calls {
        return Err(Violation::EffectMissing);
    }
    Ok(())
}

/// The counters of the task's message in Redis are those of what has happened.
fn check_counts(state: &State, task: usize) -> Result<(), Violation> {
    let counts = state.counts[task];
    let is_right = |m: Msg| {
        let found = Counts { failures: m.retries(), snoozes: m.snoozes(), is_cut_off: m.is_cut_off() };
        m.task() != task || found == counts
    };
    if state.messages().all(is_right) { Ok(()) } else { Err(Violation::CountedAsFailure) }
}
