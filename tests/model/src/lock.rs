//! The locks of tasks, and the calls that want one.

use crate::list::{Msg, Why};
use crate::mutant::Mutant;
use crate::properties::Violation;
use crate::scope::{Conflict, Scope};
use crate::state::*;

impl State {
    /// The lock of a task is gone although the task is there.
    pub fn free(&mut self, task: usize) {
        self.freed[task] |= std::mem::take(&mut self.bound[task]);
    }

    /// The message is in a claimed hash (`begun` in lua/lib/lock.lua).
    pub fn hand_out(&mut self, scope: &Scope, message: Msg) {
        if scope.until_start {
            self.free(message.task());
        }
    }

    /// A task that will run again keeps its lock, takes it again if its time has run out, and
    /// leaves it to another task that has it by now (`renew` in lua/lib/lock.lua).
    pub fn renew(&mut self, scope: &Scope, message: Msg) {
        let task = message.task();
        if !scope.one_lock || scope.until_start {
            return;
        }
        if !self.bound[1 - task] || scope.is(Mutant::RetryTakesAnothersLock) {
            self.bound = [task == 0, task == 1];
            self.freed[task] = false;
        }
    }

    /// Whether a call enqueues nothing now, because of the lock that it wants.
    pub fn is_locked_out(&self, scope: &Scope, task: usize) -> bool {
        let is_held = scope.one_lock && self.bound[1 - task] && !scope.is(Mutant::EnqueueIgnoresLock);
        let waits = match scope.conflict {
            Conflict::Skip => true,
            Conflict::Replace => !self.can_be_replaced(scope, 1 - task),
            Conflict::Debounce => false,
        };
        is_held && waits || self.throttled || scope.same_id && self.has_id(scope, 1 - task)
    }

    /// Whether a task has the lock of the id that both calls choose. A script that condemns its message
    /// leaves that lock alone (`condemned` in lua/lib/lock.lua).
    fn has_id(&self, scope: &Scope, task: usize) -> bool {
        let is_condemned = || self.messages().any(|m| m.task() == task && m.condemned().is_some());
        self.fates[task] == Fate::Open && !(scope.is(Mutant::CondemnFreesId) && is_condemned())
    }

    /// Whether a task that has the lock is still delayed, as it was enqueued (`waits` in
    /// lua/enqueue_unique.lua).
    fn can_be_replaced(&self, scope: &Scope, task: usize) -> bool {
        self.delayed.iter().any(|m| m == Msg::new(task)) || scope.is(Mutant::ReplacesWhatRuns)
    }

    /// enqueue_unique.lua, for a call that is not locked out.
    pub fn enqueue(&mut self, scope: &Scope, task: usize) -> Result<(), Violation> {
        if self.throttling {
            return Err(Violation::ThrottleBroken);
        }
        (self.throttled, self.throttling) = (scope.throttles, scope.throttles);
        self.fates[task] = Fate::Open;
        self.bound[task] = scope.version2[task];
        let other = 1 - task;
        if scope.one_lock && self.bound[other] && scope.conflict != Conflict::Skip {
            if self.can_be_replaced(scope, other) {
                self.free(other);
                self.replace(scope, other);
            } else if scope.is(Mutant::DebounceLeavesLock) {
                self.bound[task] = false;
            } else {
                self.free(other);
            }
        }
        self.arrive(Msg::new(task), scope, false);
        self.admit_touched(scope);
        Ok(())
    }

    /// A worker ends the replaced task, because a caller may wait for its result.
    fn replace(&mut self, scope: &Scope, task: usize) {
        let message = Msg::new(task);
        if !scope.is(Mutant::ReplacedStays) {
            self.delayed.remove(message);
        }
        self.cancelled.remove(task);
        self.was_cancelled.remove(task);
        self.dropped.add(task);
        self.pending.push(message.condemn(Why::Cancelled));
    }
}
