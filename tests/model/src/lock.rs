//! The locks of tasks.

use crate::list::Msg;
use crate::mutant::Mutant;
use crate::scope::Scope;
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

    /// Whether the task can't be enqueued, because another task has its lock.
    pub fn is_locked_out(&self, scope: &Scope, task: usize) -> bool {
        scope.one_lock && self.bound[1 - task]
    }
}
