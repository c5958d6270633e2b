//! The changes of an operator: deletes a task that waits, and requeues a dead one.

use crate::ends::Told;
use crate::list::Msg;
use crate::mutant::Mutant;
use crate::properties::Violation;
use crate::scope::Scope;
use crate::state::*;

impl State {
    /// The messages that the operator can find: those that wait.
    pub fn findable(&self) -> impl Iterator<Item = Msg> {
        let lists = [&self.delayed, &self.prioritized, &self.pending, &self.suspects];
        lists.into_iter().flat_map(|list| list.iter())
    }

    /// delete.lua. Meanwhile the message may have left the place where the operator has found it.
    pub fn delete(&mut self, scope: &Scope) -> Result<(), Violation> {
        let Some(message) = self.found.take() else { return Err(Violation::Model) };
        let task = message.task();
        let mut is_there = false;
        for list in [&mut self.delayed, &mut self.prioritized, &mut self.pending, &mut self.suspects] {
            is_there |= list.iter().any(|m| m == message) && list.remove(message);
        }
        let is_open = self.fates[task] == Fate::Open;
        if is_there || is_open && scope.is(Mutant::DeleteUnchecked) {
            self.dropped.add(task);
            self.finish(scope, message, Fate::Cancelled, false)?;
            self.guard(scope);
        }
        Ok(())
    }

    /// Whether `requeue` would requeue the task.
    pub fn can_requeue(&self, scope: &Scope, task: usize) -> bool {
        let is_dead = matches!(self.fates[task], Fate::Failed | Fate::WorkerLost);
        let is_requeued = self.requeued.has(task);
        let again = is_requeued && self.fates[task] == Fate::Open && scope.is(Mutant::RequeueUnchecked);
        let is_held = scope.one_lock && self.bound[1 - task] && !scope.is(Mutant::RequeueIgnoresLock);
        (is_dead && !is_requeued || again) && !is_held
    }

    /// requeue.lua: the task begins again, without its counts and what its end has told, and with
    /// another field than before.
    pub fn requeue(&mut self, scope: &Scope, task: usize) {
        self.requeued.add(task);
        self.fates[task] = Fate::Open;
        self.told[task] = Told::default();
        self.begun[task] = false;
        self.bound[task] = scope.version2[task];
        self.freed[task] = false;
        let first = Msg::new(task);
        let again = if scope.is(Mutant::RequeueKeepsField) { first } else { first.requeued() };
        self.arrive(again, scope, false);
        self.guard(scope);
    }
}
