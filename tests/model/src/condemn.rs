//! Cancels, and the messages that scripts condemn.

use crate::list::{List, Msg, Why};
use crate::mutant::Mutant;
use crate::properties::Violation;
use crate::scope::Scope;
use crate::state::*;
use crate::tasks::Tasks;

type Result<T> = std::result::Result<T, Violation>;

/// The answer of `cancel`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    /// It waited: no worker begins it.
    Cancelled,
    /// A worker has it, or the queue is too long to look through.
    Requested,
    /// It has ended.
    AlreadyDone,
}

impl State {
    /// The message, condemned if its task is cancelled (`cancelled` in lib/condemn.lua).
    pub fn unless_cancelled(&self, message: Msg) -> Msg {
        if self.cancelled.has(message.task()) { message.condemn(Why::Cancelled) } else { message }
    }

    /// A message that a script returns to its list: condemned if its task is cancelled.
    pub fn returned(&self, message: Msg, ignores: bool) -> Msg {
        if ignores { message } else { self.unless_cancelled(message) }
    }

    /// A due message as `promote` moves it.
    pub fn due(&self, scope: &Scope, message: Msg) -> Msg {
        let has_expired = self.expired.has(message.task());
        let message = if has_expired { message.condemn(Why::Expired) } else { message };
        if scope.is(Mutant::PromoteCondemnsAll) && !self.cancelled.is_empty() {
            return message.condemn(Why::Cancelled);
        }
        self.returned(message, scope.is(Mutant::PromoteIgnoresCancel))
    }

    /// cancel.lua. `looks`: whether the lists are short enough to look through.
    pub fn cancel(&mut self, scope: &Scope, task: usize, looks: bool) -> Result<()> {
        self.cancelled.add(task);
        let answer = self.answer_cancel(scope, task, looks);
        if answer == Answer::AlreadyDone {
            self.cancelled.remove(task);
        }
        // The caller must learn the truth.
        match (answer, self.fates[task].is_open()) {
            (Answer::AlreadyDone, false) => Ok(()),
            // Nothing has the task: a scheduler forgets this.
            (Answer::Requested, false) if !looks => Ok(()),
            (Answer::Cancelled | Answer::Requested, true) => {
                self.was_cancelled.add(task);
                Ok(())
            }
            _ => Err(Violation::WrongAnswer),
        }
    }

    /// lib/stale.lua, in a queue that is short enough: forgets the cancels of tasks that no key has.
    pub fn forget_cancels(&mut self, scope: &Scope) {
        let lists = [&self.delayed, &self.prioritized, &self.pending, &self.suspects];
        let waits = |task| lists.into_iter().any(|list| list.iter().any(|m| m.task() == task));
        let is_there = |task| match scope.is(Mutant::ForgetsHeld) {
            true => waits(task),
            false => self.messages().any(|m| m.task() == task),
        };
        let gone: Tasks = (0..2).filter(|task| !is_there(*task)).collect();
        for task in (0..2).filter(|task| gone.has(*task)) {
            self.cancelled.remove(task);
        }
    }

    fn answer_cancel(&mut self, scope: &Scope, task: usize, looks: bool) -> Answer {
        let of_task = |list: &List| list.iter().find(|m| m.task() == task);
        let lists = [self.delayed, self.prioritized, self.pending, self.suspects, self.limit.line];
        let waiting = lists.iter().find_map(of_task);
        if !looks {
            self.overlooked.add(task);
            return Answer::Requested;
        }
        if let Some(message) = waiting {
            for list in [&mut self.delayed, &mut self.prioritized, &mut self.pending, &mut self.suspects] {
                list.remove(message);
            }
            self.limit.line.remove(message);
            if !scope.is(Mutant::CancelKeepsPlace) {
                self.leave(message);
            }
            let mut condemned = message.condemn(Why::Cancelled);
            // One that has expired ends so.
            if condemned.condemned() == Some(Why::Cancelled) && !condemned.is_told() {
                if !scope.is(Mutant::CancelTellsLater) {
                    self.keep(task, Fate::Cancelled);
                }
                condemned = condemned.told();
            }
            self.push_front(condemned, self.home(condemned, scope), scope);
            self.admit_touched(scope);
            self.guard(scope);
            return Answer::Cancelled;
        }
        let holds = |c: &Consumer| {
            let in_inbox = !scope.is(Mutant::CancelOverlooksInboxes) && of_task(&c.inbox).is_some();
            of_task(&c.claimed).is_some() || in_inbox
        };
        if self.consumers.iter().any(holds) { Answer::Requested } else { Answer::AlreadyDone }
    }
}
