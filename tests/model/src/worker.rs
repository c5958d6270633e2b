//! A worker's steps: the core's driver, conversation and state, without connections
//! and bytes.

use crate::list::{List, Msg, Why};
use crate::mutant::Mutant;
use crate::process::*;
use crate::properties::Violation;
use crate::scope::{Kind, Scope};
use crate::state::*;
use crate::tasks::Tasks;

type Result<T> = std::result::Result<T, Violation>;

impl Worker {
    fn insert(&mut self, message: Msg, stage: Stage) {
        // One entry for each field, as in a map.
        self.held = self.without(|m, _| m.field() == message.field()).held;
        let end = self.holds().count();
        self.held[end] = Some((message, stage));
    }

    fn without(&self, gone: impl Fn(Msg, Stage) -> bool) -> Worker {
        let mut left = *self;
        left.held = [None; 4];
        let kept = self.holds().filter(|(m, s)| !gone(*m, *s));
        kept.enumerate().for_each(|(i, entry)| left.held[i] = Some(entry));
        left
    }

    /// The number of slots without a claimed task.
    pub fn free(&self, slots: usize) -> usize {
        slots.saturating_sub(self.running() + self.count(Stage::Waiting))
    }

    /// The number of tasks that an exchange may ask for.
    pub fn wanted(&self, scope: &Scope, slots: usize, ahead: usize) -> usize {
        let blocked = self.blocking != Blocking::Idle;
        if self.draining || blocked && !self.maybe_more {
            return 0;
        }
        let taken = self.count(Stage::Waiting);
        let left = slots.saturating_sub(self.running());
        let reserve = usize::from((blocked || scope.is(Mutant::ReserveWithoutBlock)) && left > taken + 1)
            | usize::from(scope.is(Mutant::ReserveWithoutBlock));
        (left.saturating_sub(reserve) + ahead).saturating_sub(taken).min(2)
    }

    /// Whether the worker has a reason to send an exchange.
    pub fn has_cause_to_exchange(&self, scope: &Scope, slots: usize, ahead: usize) -> bool {
        self.holds().any(|(_, s)| matches!(s, Stage::Settling(_)))
            || self.age >= 1
            || self.hurries
            || !self.doubles.is_empty()
            || self.maybe_more && self.wanted(scope, slots, ahead) > 0
    }

    /// Whether the worker may send a BLMOVE.
    pub fn may_block(&self, scope: &Scope, slots: usize) -> bool {
        let asking = match self.scripts {
            Some(Pending { request: Request::Exchange { claim, .. }, .. }) => claim as usize,
            _ => 0,
        };
        let open = self.ready || scope.is(Mutant::BlocksBeforeOpen) && self.current.is_some();
        let fresh = self.age < LEASE || !self.ready;
        open && fresh
            && !self.draining
            && !self.maybe_more
            && self.blocking == Blocking::Idle
            && self.free(slots) > asking
    }
}

/// The number of tasks that a process runs at once.
pub fn slots(scope: &Scope, worker: usize) -> usize {
    if worker == LANE { 1 } else { scope.slots }
}

impl State {
    /// Sends `open` with all the messages that the worker still holds. Returns false if
    /// the model has no id left.
    pub fn send_open(&mut self, scope: &Scope, at: usize) -> bool {
        let Some(new) = self.fresh_id() else { return false };
        self.consumers[new as usize] = Consumer::NEW;
        let worker = &mut self.workers[at];
        let keep = if scope.is(Mutant::KeepIsMissing) {
            List::EMPTY
        } else {
            worker.holds().map(|(m, _)| m.field()).collect()
        };
        worker.current = Some(new);
        let request = Request::Open { new: Some(new), olds: worker.olds, keep };
        worker.scripts = Some(Pending { request, age: 0, reply: None });
        true
    }

    /// Sends `exchange`, which claims up to `ahead` tasks more than there are slots.
    pub fn send_exchange(&mut self, scope: &Scope, at: usize, ahead: usize) {
        let worker = &mut self.workers[at];
        let claim = worker.wanted(scope, slots(scope, at), ahead) as u8;
        let (mut settled, mut outcomes) = (List::EMPTY, [None; 4]);
        for (message, stage) in worker.holds() {
            if let Stage::Settling(outcome) = stage {
                outcomes[settled.len()] = Some(outcome);
                settled.push(message);
            }
        }
        worker.doubles.map(|m| m.during(false));
        worker.hurries = false;
        let Some(id) = worker.current else { return };
        let older = worker.older;
        let request = Request::Exchange { id, settled, outcomes, claim, suspects: at == LANE, older };
        worker.scripts = Some(Pending { request, age: 0, reply: None });
    }

    /// Sends `open` without a new id.
    pub fn send_close(&mut self, at: usize) {
        let worker = &mut self.workers[at];
        let olds = worker.olds | worker.current.map_or(0, |id| 1 << id);
        let request = Request::Open { new: None, olds, keep: List::EMPTY };
        worker.scripts = Some(Pending { request, age: 0, reply: None });
    }

    /// Reads the reply of a script.
    pub fn read_scripts(&mut self, scope: &Scope, at: usize) -> Result<()> {
        let worker = &mut self.workers[at];
        let Some(Pending { request, age, reply: Some(reply) }) = worker.scripts.take() else {
            return Err(Violation::Model);
        };
        let age = if scope.is(Mutant::DeadlineFromReply) { 0 } else { age };
        match (request, reply) {
            (Request::Open { new: None, .. }, _) => self.end_process(at),
            (Request::Open { .. }, Reply::Opened(Some(fields))) => {
                self.reopened(at, fields);
                let worker = &mut self.workers[at];
                (worker.ready, worker.owes, worker.olds, worker.maybe_more) = (true, false, 0, true);
                worker.age = age;
            }
            (
                Request::Exchange { settled, outcomes, claim, .. },
                Reply::Exchanged(Some(Claim { claimed, cancelled, any_cancelled })),
            ) => {
                worker.is_wary = any_cancelled;
                for message in settled.iter() {
                    *worker = worker.without(|m, _| m.field() == message.field());
                }
                if claim > 0 {
                    worker.maybe_more = claimed.len() == claim as usize;
                }
                worker.age = age;
                let doubles = std::mem::take(&mut worker.doubles);
                for message in doubles.iter() {
                    match message.came_during() {
                        true => self.workers[at].doubles.push(message),
                        false => self.admit(scope, at, message),
                    }
                }
                claimed.iter().for_each(|m| self.admit(scope, at, m));
                self.hear_of_cancels(at, cancelled);
                if scope.is(Mutant::EffectsAfterReply) {
                    let ended = settled.iter().zip(outcomes.into_iter().flatten());
                    ended.for_each(|(m, o)| o.ends().into_iter().for_each(|fate| self.tell(scope, m, fate)));
                }
            }
            (_, Reply::Exchanged(None)) => {
                self.reopened(at, List::EMPTY);
                self.workers[at].age = LEASE;
                self.start_anew(scope, at);
            }
            (_, Reply::Opened(None)) => self.start_anew(scope, at),
            _ => return Err(Violation::Model),
        }
        Ok(())
    }

    /// The new conversation holds `fields`. Other running tasks become orphans.
    fn reopened(&mut self, at: usize, fields: List) {
        let worker = &mut self.workers[at];
        let lost = worker.holds().filter(|(m, s)| s.runs() && !fields.has(*m)).count();
        worker.orphans += lost as u8;
        worker.doubles = List::EMPTY;
        *worker = worker.without(|m, _| !fields.has(m));
    }

    /// Reads the reply of a BLMOVE.
    pub fn read_blocking(&mut self, scope: &Scope, at: usize, message: Msg) {
        let worker = &mut self.workers[at];
        worker.blocking = Blocking::Idle;
        worker.maybe_more = true;
        worker.hurries |= scope.priorities[message.task()] > 0 && !scope.is(Mutant::NoPromptExchange);
        if worker.older && scope.is_version2(message) {
            return; // The next exchange defers it.
        }
        let held = worker.holds().any(|(m, _)| m.field() == message.field());
        // Its lock must be free before it begins: the next exchange frees it. Or says that it is
        // cancelled.
        let has_lock = scope.until_start && !scope.is(Mutant::BeginsBeforeItFrees);
        if has_lock || worker.is_wary || held && !scope.is(Mutant::DoublesAreAdmitted) {
            worker.doubles.push(message.during(worker.scripts.is_some()));
        } else {
            self.admit(scope, at, message);
        }
    }

    /// Adds a claimed message. One that may not begin ends at once.
    fn admit(&mut self, scope: &Scope, at: usize, message: Msg) {
        let outcome = match message.condemned() {
            _ if scope.is(Mutant::CondemnedBegin) => None,
            Some(Why::Cancelled) => Some(Outcome::Cancelled),
            Some(Why::Expired) => Some(Outcome::Expired),
            None => self.expired.has(message.task()).then_some(Outcome::Expired),
        };
        self.workers[at].insert(message, outcome.map_or(Stage::Waiting, Stage::Settling));
    }

    /// An exchange has named these cancelled tasks: those that have not begun end, and the
    /// worker stops those that run.
    pub fn hear_of_cancels(&mut self, at: usize, cancelled: Tasks) {
        for (message, stage) in self.workers[at].held.iter_mut().flatten() {
            match stage {
                Stage::Waiting if cancelled.has(message.task()) => *stage = Stage::Settling(Outcome::Cancelled),
                Stage::Running if cancelled.has(message.task()) => *stage = Stage::Stopping,
                _ => (),
            }
        }
    }

    /// Begins the oldest task, or ends it if it has expired while it waited here.
    pub fn begin(&mut self, scope: &Scope, at: usize) -> Result<()> {
        let entry = self.workers[at].held.iter_mut().flatten().find(|(_, s)| *s == Stage::Waiting);
        let Some((message, stage)) = entry else { return Err(Violation::Model) };
        if self.expired.has(message.task()) {
            if scope.is(Mutant::BeginsExpired) {
                return Err(Violation::BegunAfterExpiry);
            }
            *stage = Stage::Settling(Outcome::Expired);
            return Ok(());
        }
        *stage = Stage::Running;
        let message = *message;
        if message.condemned().is_some() {
            return Err(Violation::CondemnedBegun);
        }
        if message.is_stale() || std::mem::replace(&mut self.begun[message.task()], true) {
            return Err(Violation::RunTwiceWithoutCause);
        }
        if scope.until_start && self.bound[message.task()] {
            return Err(Violation::HeldPastStart);
        }
        Ok(())
    }

    /// Ends the oldest running task.
    pub fn end(&mut self, scope: &Scope, at: usize, outcome: Outcome) {
        let entry = self.workers[at].held.iter_mut().flatten().find(|(_, s)| s.runs());
        let Some((message, stage)) = entry else { return };
        *stage = Stage::Settling(outcome);
        let message = *message;
        if let Some(fate) = outcome.ends().filter(|_| scope.is(Mutant::EffectsAtOnce)) {
            self.tell(scope, message, fate);
        }
    }

    /// Gives back the tasks that have waited here for too long (rule 14).
    pub fn shed(&mut self, at: usize) {
        for (_, stage) in self.workers[at].held.iter_mut().flatten() {
            if *stage == Stage::Waiting {
                *stage = Stage::Settling(Outcome::Release);
            }
        }
    }

    /// SIGTERM: the next `open` returns the tasks that have not begun (rule 10).
    pub fn drain(&mut self, scope: &Scope, at: usize) {
        let worker = &mut self.workers[at];
        worker.draining = true;
        worker.owes = worker.count(Stage::Waiting) > 0;
        *worker = worker.without(|_, s| s == Stage::Waiting);
        self.start_anew(scope, at);
    }

    /// The drain's deadline: running tasks are given back, which excuses a second run.
    pub fn release_running(&mut self, at: usize) {
        for (message, stage) in self.workers[at].held.iter_mut().flatten() {
            if stage.runs() {
                *stage = Stage::Settling(Outcome::CutOff);
                self.begun[message.task()] &= message.is_stale();
            }
        }
    }

    /// Closes both connections and begins a new conversation. Redis may execute requests
    /// under way later, or never.
    pub fn start_anew(&mut self, scope: &Scope, at: usize) {
        self.close_connections(at);
        let worker = &mut self.workers[at];
        if scope.is(Mutant::SameIdAfterBreak) && worker.ready {
            return;
        }
        (worker.ready, worker.hurries) = (false, false);
        worker.olds |= worker.current.take().map_or(0, |id| 1 << id);
    }

    fn close_connections(&mut self, at: usize) {
        let worker = &mut self.workers[at];
        worker.broken = false;
        let scripts = worker.scripts.take().filter(|p| p.reply.is_none()).map(|p| p.request);
        let blocking = std::mem::replace(&mut worker.blocking, Blocking::Idle);
        let block = (blocking == Blocking::Sent).then_some(worker.current).flatten();
        let block = block.map(|id| Request::Block { id, suspects: at == LANE });
        scripts.into_iter().chain(block).for_each(|request| self.leave_behind(request));
    }

    /// Keeps a request of a closed connection. If there are too many, the request is lost.
    pub fn leave_behind(&mut self, request: Request) {
        if let Some(place) = self.late.iter_mut().find(|l| l.is_none()) {
            *place = Some(request);
        }
    }

    /// The process exits.
    pub fn end_process(&mut self, at: usize) {
        self.close_connections(at);
        self.workers[at] = Worker { older: self.workers[at].older, ..Worker::NEW };
    }

    /// The process ends by SIGKILL, by its own task, or without Redis. Its consumers are
    /// lost, which excuses a rescue.
    pub fn lose_process(&mut self, at: usize) {
        for id in self.workers[at].ids() {
            self.consumers[id].lost = true;
        }
        self.excused |= !self.prioritized.is_empty();
        self.end_process(at);
    }

    /// Whether it runs a task that kills its process.
    pub fn runs_poison(&self, scope: &Scope, at: usize) -> bool {
        self.workers[at].holds().any(|(m, s)| s.runs() && scope.tasks[m.task()] == Kind::Poison)
    }
}
