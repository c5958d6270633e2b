//! The steps that are possible in a state.

use crate::action::Action::{self, *};
use crate::mutant::Mutant;
use crate::process::*;
use crate::scope::{Kind, Scope};
use crate::state::*;
use crate::worker::slots;

impl State {
    /// The steps that may come next.
    pub fn actions(&self, scope: &Scope) -> Vec<Action> {
        let mut out = Vec::with_capacity(32);
        for at in 0..self.workers.len() {
            self.faults_at(scope, at, &mut out);
            self.actions_of_worker(scope, at, &mut out);
        }
        let up = self.redis == Redis::Up;
        if !up {
            out.push(RedisReturns);
        }
        for (index, request) in self.late.iter().enumerate() {
            let Some(request) = request else { continue };
            out.push(DropLate { index });
            let waits = match request {
                Request::Block { suspects: true, .. } => self.suspects.is_empty(),
                Request::Block { suspects: false, .. } => self.pending.is_empty(),
                _ => false,
            };
            if up && !waits {
                out.push(ExecuteLate { index });
            }
        }
        if up {
            self.actions_of_schedulers(scope, &mut out);
            out.extend(self.delayed.iter().map(|message| Promote { message }));
            let waits = (0..2).filter(|t| self.fates[*t] == Fate::NotEnqueued && !self.is_locked_out(scope, *t));
            out.extend(waits.map(|task| Enqueue { task }));
            self.actions_of_callers(scope, &mut out);
            self.actions_of_operator(scope, &mut out);
            if self.throttling {
                out.push(ThrottleEnds);
            }
        }
        if self.may_tick() {
            out.push(Tick);
        }
        out
    }

    fn faults_at(&self, scope: &Scope, at: usize, out: &mut Vec<Action>) {
        if self.faults == 0 {
            return;
        }
        let kinds = scope.kinds.iter().filter(|kind| self.can_strike(**kind, at));
        out.extend(kinds.map(|fault| Strike { fault: *fault, at }));
        if scope.is(Mutant::BlocksAgainAfterBreak) && self.workers[at].blocking != Blocking::Idle {
            out.push(BreakBlocking { at });
        }
    }

    fn actions_of_worker(&self, scope: &Scope, at: usize, out: &mut Vec<Action>) {
        let worker = &self.workers[at];
        let reachable = self.reachable(at);
        match worker.mode {
            Mode::Absent => {
                // Don't start a worker beside a healthy one of the same release: the run would
                // be equivalent.
                let needed = match at {
                    LANE => !self.suspects.is_empty(),
                    _ => at < scope.workers && (!self.healthy(1 - at) || self.workers[1 - at].older),
                };
                if needed && self.redis == Redis::Up {
                    out.push(Start { at });
                }
                return;
            }
            // Redis still executes what the process sent before it stopped.
            Mode::Stopped => out.push(Continue { at }),
            Mode::Running => self.actions_of_running(scope, at, out),
        }
        if worker.cut {
            out.push(Heal { at });
        }
        if reachable && worker.scripts.is_some_and(|p| p.reply.is_none()) {
            out.push(Execute { at });
        }
        let source = if at == LANE { &self.suspects } else { &self.pending };
        if worker.blocking == Blocking::Sent && self.redis == Redis::Up {
            if !source.is_empty() {
                out.push(Serve { at });
            } else if worker.age > 0 {
                out.push(TimeOut { at });
            }
        }
    }

    fn actions_of_running(&self, scope: &Scope, at: usize, out: &mut Vec<Action>) {
        let worker = &self.workers[at];
        let slots = slots(scope, at);
        self.actions_of_tasks(scope, at, out);
        if worker.broken {
            out.push(NoticeBreak { at });
        }
        if !worker.cut {
            if worker.scripts.is_some_and(|p| p.reply.is_some()) {
                out.push(ReadScripts { at });
            }
            if matches!(worker.blocking, Blocking::Replied(_)) {
                out.push(ReadBlocking { at });
            }
        }
        if worker.scripts.is_some_and(|p| p.age >= 1 && p.reply.is_none()) && !self.reachable(at) {
            out.push(LosePatience { at });
        }
        if worker.draining && !worker.ready && !worker.owes && worker.holds().next().is_none() && !self.reachable(at) {
            out.push(LeaveWithoutGoodbye { at });
        }
        if worker.broken || self.redis == Redis::Down {
            return;
        }
        if worker.scripts.is_none() {
            if !worker.ready {
                if self.reachable(at) {
                    out.push(SendOpen { at });
                }
            } else if worker.draining && worker.holds().next().is_none() && worker.doubles.is_empty() {
                out.push(SendClose { at });
            } else {
                // The lane does not prefetch.
                let most = if at == LANE { 0 } else { scope.ahead };
                let asks = (0..=most).filter(|ahead| worker.has_cause_to_exchange(scope, slots, *ahead));
                out.extend(asks.map(|ahead| SendExchange { at, ahead }));
            }
        }
    }

    fn actions_of_tasks(&self, scope: &Scope, at: usize, out: &mut Vec<Action>) {
        let worker = &self.workers[at];
        let waiting = worker.count(Stage::Waiting) > 0;
        let full = worker.running() >= slots(scope, at);
        let fresh = worker.age < LEASE || scope.is(Mutant::BeginsPastDeadline);
        if waiting && !full && fresh && !worker.draining {
            out.push(Begin { at });
        }
        if waiting && (full || !fresh) && worker.ready && worker.scripts.is_none() {
            out.push(Shed { at });
        }
        if let Some((message, stage)) = worker.holds().find(|(_, stage)| stage.runs()) {
            let kind = scope.tasks[message.task()];
            let mut end = |outcome| out.push(End { at, outcome });
            if !matches!(kind, Kind::Poison | Kind::Endless) {
                end(Outcome::Succeeded);
            }
            match kind {
                // If it raises anything, it was cancelled.
                Kind::Good | Kind::MayFail | Kind::MayDie | Kind::Snoozes | Kind::Endless
                    if stage == Stage::Stopping =>
                {
                    end(Outcome::Cancelled);
                }
                Kind::MayFail if message.retries() < MAX_RETRIES => end(Outcome::Retry),
                Kind::Snoozes if message.snoozes() < MAX_SNOOZES => end(Outcome::Later),
                Kind::MayFail | Kind::MayDie | Kind::Snoozes => end(Outcome::Dead),
                Kind::Poison => out.push(Poison { at }),
                Kind::Good | Kind::Endless => (),
            }
            if worker.draining {
                out.push(ReleaseRunning { at });
            }
        }
        if worker.orphans > 0 {
            out.push(EndOrphan { at });
        }
    }

    fn actions_of_callers(&self, scope: &Scope, out: &mut Vec<Action>) {
        for task in (0..2).filter(|t| self.fates[*t] != Fate::NotEnqueued) {
            if scope.cancels[task] && !self.was_cancelled.has(task) {
                out.push(Cancel { task, looks: true });
                if scope.has_long_lists
                    && (self.waits(task) || !self.fates[task].is_open() && !self.overlooked.has(task))
                {
                    out.push(Cancel { task, looks: false });
                }
            }
            if scope.expires[task] && self.fates[task] == Fate::Open && !self.expired.has(task) {
                out.push(Expire { task });
            }
        }
    }

    fn actions_of_operator(&self, scope: &Scope, out: &mut Vec<Action>) {
        if !scope.has_operator {
            return;
        }
        match self.found {
            Some(_) => out.push(Delete),
            None => out.extend(self.findable().map(|message| Find { message })),
        }
        out.extend((0..2).filter(|task| self.can_requeue(scope, *task)).map(|task| Requeue { task }));
    }

    /// Whether a list or a set of the queue has the task.
    fn waits(&self, task: usize) -> bool {
        let lists = [&self.delayed, &self.prioritized, &self.pending, &self.suspects, &self.limit.line];
        lists.into_iter().any(|list| list.iter().any(|m| m.task() == task))
    }

    fn actions_of_schedulers(&self, scope: &Scope, out: &mut Vec<Action>) {
        for at in 0..scope.schedulers {
            if self.schedulers[at] == Rescue::Idle {
                // A sweep is normally part of the tick.
                if self.swept > 0 || !self.sweeping {
                    out.push(Sweep { at, consumer: None });
                }
                let found = self.clone().sweep(scope);
                out.extend(found.into_iter().map(|id| Sweep { at, consumer: Some(id) }));
            } else {
                out.push(StepRescue { at });
                out.push(CrashScheduler { at });
            }
        }
    }
}
