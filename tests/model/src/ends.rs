//! How scripts settle outcomes and end tasks.

use crate::list::Msg;
use crate::mutant::Mutant;
use crate::process::Outcome;
use crate::properties::Violation;
use crate::scope::Scope;
use crate::state::*;

type Result<T> = std::result::Result<T, Violation>;

/// The result and the calls that the end of a task leaves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Told {
    /// The end that the key of the result tells of.
    pub kept: Option<Fate>,
    /// How often a result was kept and published, two at most.
    pub keeps: u8,
    /// How often the callback was enqueued, two at most.
    pub calls: u8,
}

impl Fate {
    /// Whether the task has not ended.
    pub fn is_open(self) -> bool {
        matches!(self, Fate::NotEnqueued | Fate::Open)
    }

    /// Whether this end enqueues the callback.
    pub fn calls_back(self) -> bool {
        matches!(self, Fate::Failed | Fate::WorkerLost | Fate::Expired)
    }
}

impl Outcome {
    /// The end of the task. None if the task goes on.
    pub fn ends(self) -> Option<Fate> {
        match self {
            Outcome::Succeeded => Some(Fate::Done),
            Outcome::Dead => Some(Fate::Failed),
            Outcome::Expired => Some(Fate::Expired),
            Outcome::Cancelled => Some(Fate::Cancelled),
            Outcome::Retry | Outcome::Later | Outcome::Release | Outcome::CutOff => None,
        }
    }

    /// Whether it is the outcome of an attempt. Those that leave the field as it is may be
    /// repeated (see `settle`), and the others need no attempt.
    fn is_of_attempt(self) -> bool {
        matches!(self, Outcome::Succeeded | Outcome::Retry | Outcome::Dead)
    }
}

impl State {
    /// settle.lua, for one outcome. `older`: the script of the previous release, which knows no
    /// cancel.
    pub fn settle(&mut self, scope: &Scope, id: usize, message: Msg, outcome: Outcome, older: bool) -> Result<()> {
        let task = message.task();
        let Some(held) = self.consumers[id].claimed.iter().find(|m| m.field() == message.field()) else {
            return Ok(()); // Another consumer has it, and no effect happens.
        };
        self.consumers[id].claimed.remove(message);
        if self.consumers[id].score == Score::Tombstone || message.is_stale() && outcome.is_of_attempt() {
            return Err(Violation::SettledWhatItLost);
        }
        // Before an operator has requeued the task, an attempt had this outcome.
        if self.requeued.has(task) && !self.begun[task] && outcome.is_of_attempt() {
            return Err(Violation::SettledWhatItLost);
        }
        let message = message.plain();
        if let Some(fate) = outcome.ends() {
            let spares = match outcome {
                Outcome::Succeeded => scope.is(Mutant::SuccessKeepsCancel),
                _ => scope.is(Mutant::EndKeepsCancel),
            };
            return self.finish(scope, message, fate, spares || older);
        }
        let mut outcome = outcome;
        let mut again = next_message(scope, message, outcome);
        // A snooze and a drain leave the field as it is. So such an outcome that Redis has executed
        // may meet the next attempt, which has not begun: a late exchange, then a late BLMOVE,
        // then `open`. It must not undo what has been counted since.
        if again.earlier_attempts() < held.earlier_attempts() && !scope.is(Mutant::OldOutcomeRewrites) {
            (outcome, again) = (Outcome::Release, held);
        }
        let counts = &mut self.counts[task];
        match outcome {
            Outcome::Retry => counts.failures = message.retries() + 1,
            Outcome::Later => counts.snoozes = counts.snoozes.max(message.snoozes() + 1),
            Outcome::CutOff => counts.is_cut_off = true,
            _ => (),
        }
        if matches!(outcome, Outcome::Release | Outcome::CutOff) {
            self.leaves(message);
        } else {
            self.bound[task] &= !scope.is(Mutant::RetryFrees);
            self.renew(scope, message);
            self.begun[task] = false;
        }
        let keeps_place = match outcome {
            Outcome::Release | Outcome::CutOff => scope.is(Mutant::ReleaseKeepsPlace),
            _ => scope.is(Mutant::RetryKeepsPlace),
        };
        if !keeps_place {
            self.leave(message);
        }
        let ignores = older || scope.is(Mutant::SettleIgnoresCancel);
        if self.cancelled.has(task) && !ignores {
            // No attempt follows. The worker that claims it ends it.
            self.arrive(self.unless_cancelled(again), scope, true);
        } else if matches!(outcome, Outcome::Release | Outcome::CutOff) {
            self.arrive(again, scope, true);
        } else {
            self.delayed.push(again);
        }
        Ok(())
    }

    /// Ends a task (`finish` in lib/finish.lua). The same step frees what belongs to a version 2
    /// task, forgets its cancel, keeps its result and enqueues its callback.
    pub fn finish(&mut self, scope: &Scope, message: Msg, fate: Fate, spares_cancel: bool) -> Result<()> {
        let task = message.task();
        if self.fates[task] != Fate::Open {
            return Err(Violation::Model);
        }
        let has_cause = match fate {
            Fate::Expired => self.expired.has(task),
            Fate::Cancelled => self.was_cancelled.has(task) || self.dropped.has(task),
            _ => true,
        };
        if !has_cause {
            return Err(Violation::EndedWithoutCause);
        }
        self.fates[task] = fate;
        if !scope.is(Mutant::EndKeepsPlace) {
            self.leave(message);
        }
        let by_field = fate == Fate::Done && scope.is(Mutant::EndsByField);
        let is_deleted = self.dropped.has(task) && scope.has_operator;
        let aside = fate == Fate::WorkerLost && scope.is(Mutant::MoveEndsAside)
            || is_deleted && scope.is(Mutant::DeleteKeepsLock);
        self.bound[task] &= by_field || aside;
        if scope.one_lock && scope.is(Mutant::FreesAnothersLock) {
            self.bound = [false; 2];
        }
        self.throttled &= !scope.is(Mutant::EndFreesThrottle);
        if !spares_cancel {
            self.cancelled.remove(task);
        }
        let is_told_elsewhere = scope.is(Mutant::EffectsAtOnce) || scope.is(Mutant::EffectsAfterReply);
        if fate == Fate::WorkerLost || !is_told_elsewhere {
            self.tell(scope, message, fate);
        }
        // Nothing reads these of a task that has ended.
        self.was_cancelled.remove(task);
        self.dropped.remove(task);
        self.expired.remove(task);
        self.overlooked.remove(task);
        self.counts[task] = Counts::default();
        Ok(())
    }

    /// Keeps the result of a task.
    pub fn keep(&mut self, task: usize, fate: Fate) {
        let told = &mut self.told[task];
        told.kept = Some(fate);
        told.keeps = (told.keeps + 1).min(2);
    }

    /// The effects of an end: keeps the result, unless a cancel has done that, and enqueues the
    /// callback.
    pub fn tell(&mut self, scope: &Scope, message: Msg, fate: Fate) {
        let task = message.task();
        if !message.is_told() || scope.is(Mutant::EndTellsAgain) {
            self.keep(task, fate);
        }
        let told = &mut self.told[task];
        if fate.calls_back() || fate == Fate::Cancelled && scope.is(Mutant::CancelCallsBack) {
            told.calls = (told.calls + 1).min(2);
        }
    }
}

/// The message of the attempt that follows the outcome.
fn next_message(scope: &Scope, message: Msg, outcome: Outcome) -> Msg {
    let (next, counts_failure) = match outcome {
        Outcome::Retry => (message, true),
        Outcome::Later => (message.snoozed(), scope.is(Mutant::SnoozeCountsFailure)),
        Outcome::CutOff => (message.cut_off(), scope.is(Mutant::DrainCountsFailure)),
        _ => (message, false),
    };
    if counts_failure { next.retried() } else { next }
}
