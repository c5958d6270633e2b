//! The scripts, each as one atomic step, and BLMOVE.

use crate::list::{List, Msg};
use crate::mutant::Mutant;
use crate::process::*;
use crate::properties::Violation;
use crate::scope::{Kind, Scope};
use crate::state::*;

type Result<T> = std::result::Result<T, Violation>;

impl State {
    /// The list to which a message belongs (`home` in lua/lib/message.lua).
    pub fn home(&mut self, message: Msg, scope: &Scope) -> &mut List {
        if message.deliveries() >= 2 && !scope.is(Mutant::SuspectsAmongOthers) {
            &mut self.suspects
        } else {
            &mut self.pending
        }
    }

    /// Puts a message where it waits (`arrive` in lua/lib/arrive.lua). A prioritized one
    /// goes to the head of `pending` if another message, or none, is there.
    pub fn arrive(&mut self, message: Msg, scope: &Scope, push: fn(&mut List, Msg)) {
        let message = message.field();
        let suspect = message.deliveries() >= 2 && !scope.is(Mutant::SuspectsAmongOthers);
        let top = self.pending.iter().next();
        if suspect || scope.priorities[message.task()] == 0 {
            push(self.home(message, scope), message);
        } else if top.is_some_and(|m| scope.priorities[m.task()] > 0) || scope.is(Mutant::NoGuard) {
            self.rank(message, scope);
        } else {
            self.pending.push_first(message);
        }
    }

    /// ZADD: puts a message into `prioritized`, by its priority and the time in its id.
    fn rank(&mut self, message: Msg, scope: &Scope) {
        self.prioritized.push(message);
        let mut all: Vec<Msg> = self.prioritized.iter().collect();
        all.sort_by_key(|m| (std::cmp::Reverse(scope.priorities[m.task()]), *m));
        self.prioritized = all.into_iter().collect();
    }

    /// While `prioritized` has anything, a prioritized message is at the head of
    /// `pending` (`guard` in lua/lib/arrive.lua).
    pub fn guard(&mut self, scope: &Scope) {
        let top = self.pending.iter().next();
        if top.is_some_and(|m| scope.priorities[m.task()] > 0) || scope.is(Mutant::NoGuard) {
            return;
        }
        self.excused = false;
        if let Some(message) = self.prioritized.pop() {
            self.pending.push_first(message);
        }
    }

    /// Whether a healthy worker blocks although a prioritized task waits. A process that
    /// is about to send an exchange, or `open`, excuses that, and so does its loss.
    pub fn is_idle_beside_prioritized(&self) -> bool {
        let blocks = |at| at != LANE && self.healthy(at) && self.workers[at].blocking == Blocking::Sent;
        if self.excused || self.prioritized.is_empty() || !self.pending.is_empty() {
            return false;
        }
        let will_guard = |w: &Worker| {
            let answered = |p: Pending| matches!(p.reply, Some(Reply::Exchanged(Some(_)) | Reply::Opened(Some(_))));
            // A refused one opens again.
            let asks = w.scripts.is_some_and(|p| !answered(p));
            let takes = matches!(w.blocking, Blocking::Replied(_));
            w.mode != Mode::Absent && (w.hurries || asks || takes || !w.ready)
        };
        (0..self.workers.len()).any(blocks) && !self.workers.iter().any(will_guard)
    }

    /// The message leaves its holder in Redis, but not through an outcome of its run.
    /// Every copy in a worker becomes void.
    fn leaves(&mut self, field: Msg) {
        let mark = |m: Msg| if m.field() == field.field() { m.stale() } else { m };
        let in_request = |request: &mut Request| {
            if let Request::Exchange { settled, .. } = request {
                settled.map(mark);
            }
        };
        for worker in &mut self.workers {
            worker.held.iter_mut().flatten().for_each(|(m, _)| *m = mark(*m));
            worker.doubles.map(mark);
            if let Blocking::Replied(m) = &mut worker.blocking {
                *m = mark(*m);
            }
            if let Some(pending) = &mut worker.scripts {
                in_request(&mut pending.request);
                if let Some(Reply::Exchanged(Some(claimed))) = &mut pending.reply {
                    claimed.map(mark);
                }
            }
        }
        self.late.iter_mut().flatten().for_each(in_request);
    }

    fn hold(&mut self, id: usize, message: Msg) -> Result<()> {
        if self.consumers[id].claimed.has(message) {
            return Err(Violation::InTwoPlaces);
        }
        self.consumers[id].claimed.push(message);
        Ok(())
    }

    /// Defers a version 2 message if the script knows only version 1. Returns whether it did.
    fn puts_off(&mut self, scope: &Scope, older: bool, message: Msg) -> bool {
        let newer = older && scope.version2[message.task()];
        if newer && !scope.is(Mutant::ForgetsNewerVersions) {
            self.delayed.push(message);
        }
        newer
    }

    fn adopt(&mut self, scope: &Scope, id: usize, older: bool) -> Result<List> {
        let inbox = std::mem::take(&mut self.consumers[id].inbox);
        for message in inbox.iter() {
            if !self.puts_off(scope, older, message) {
                self.hold(id, message)?;
                self.hand_out(scope, message);
            }
        }
        Ok(inbox)
    }

    /// Ends a task (`finish` in lib/finish.lua). The same step frees what belongs to a
    /// version 2 task.
    fn finish(&mut self, scope: &Scope, message: Msg, fate: Fate) -> Result<()> {
        let task = message.task();
        if self.fates[task] != Fate::Open {
            return Err(Violation::Model);
        }
        self.fates[task] = fate;
        let by_field = fate == Fate::Done && scope.is(Mutant::EndsByField);
        let aside = fate == Fate::WorkerLost && scope.is(Mutant::MoveEndsAside);
        self.bound[task] &= by_field || aside;
        if scope.one_lock && scope.is(Mutant::FreesAnothersLock) {
            self.bound = [false; 2];
        }
        Ok(())
    }

    /// The lock of a task is gone although the task is there.
    pub fn free(&mut self, task: usize) {
        self.freed[task] |= std::mem::take(&mut self.bound[task]);
    }

    /// The message is in a claimed hash (`begun` in lua/lib/lock.lua).
    fn hand_out(&mut self, scope: &Scope, message: Msg) {
        if scope.until_start {
            self.free(message.task());
        }
    }

    /// A task that will run again keeps its lock, takes it again if its time has run out, and
    /// leaves it to another task that has it by now (`renew` in lua/lib/lock.lua).
    fn renew(&mut self, scope: &Scope, message: Msg) {
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

    fn has_living_owner(&self, id: usize) -> bool {
        self.workers.iter().any(|w| w.mode != Mode::Absent && w.ids().any(|i| i == id))
    }

    /// open.lua
    pub fn open(&mut self, scope: &Scope, new: Option<u8>, olds: u8, mut keep: List) -> Result<Reply> {
        if new.is_some_and(|id| self.consumers[id as usize].score != Score::Absent) {
            return Ok(Reply::Opened(None));
        }
        let mut holds = List::EMPTY;
        for old in (0..IDS).filter(|id| olds >> id & 1 == 1) {
            let known = self.consumers[old].score;
            if matches!(known, Score::Alive(_)) && !scope.is(Mutant::OpenGivesNothingBack) {
                let claimed = std::mem::take(&mut self.consumers[old].claimed);
                let inbox = std::mem::take(&mut self.consumers[old].inbox);
                let inbox = if scope.is(Mutant::OpenForgetsInboxes) { List::EMPTY } else { inbox };
                for message in claimed.iter().chain(inbox.iter()) {
                    match new {
                        Some(new) if keep.remove(message) => {
                            self.hold(new as usize, message)?;
                            holds.push(message);
                        }
                        _ => {
                            self.arrive(message, scope, List::push_first);
                            self.leaves(message);
                            if scope.is(Mutant::OpenLeavesCopies) {
                                self.consumers[old].claimed.push(message);
                            }
                        }
                    }
                }
            }
            let spared = known == Score::Absent && scope.is(Mutant::SparesUnknownIds)
                || matches!(known, Score::Alive(_)) && scope.is(Mutant::OpenGivesNothingBack);
            if !spared {
                self.consumers[old].score = Score::Tombstone;
            }
        }
        if let Some(new) = new {
            self.consumers[new as usize].score = Score::Alive(LEASE);
        }
        self.guard(scope);
        Ok(Reply::Opened(Some(holds)))
    }

    /// exchange.lua
    pub fn exchange(&mut self, scope: &Scope, request: Request) -> Result<Reply> {
        let Request::Exchange { id, settled, outcomes, claim, suspects, older } = request else {
            return Err(Violation::Model);
        };
        let id = id as usize;
        let alive = matches!(self.consumers[id].score, Score::Alive(_));
        if !alive {
            if scope.is(Mutant::OldIdSettles) {
                let outcomes = settled.iter().zip(outcomes.into_iter().flatten());
                outcomes.into_iter().try_for_each(|(message, outcome)| self.settle(scope, id, message, outcome))?;
            }
            if !scope.is(Mutant::OldIdClaims) {
                return Ok(Reply::Exchanged(None));
            }
        }
        if alive && !scope.is(Mutant::DoesNotRenew) {
            self.consumers[id].score = Score::Alive(LEASE);
            self.consumers[id].lost &= !self.has_living_owner(id);
        }
        let adopted = self.adopt(scope, id, older)?;
        for (message, outcome) in settled.iter().zip(outcomes.into_iter().flatten()) {
            self.settle(scope, id, message, outcome)?;
        }
        let mut claimed = List::EMPTY;
        if scope.is(Mutant::AdoptedIsHandedOut) {
            claimed = adopted;
        }
        if claim > 0 && !suspects {
            self.return_head(scope);
        }
        for _ in 0..claim {
            let Some(message) = self.take(suspects, scope) else { break };
            if self.puts_off(scope, older, message) {
                continue;
            }
            self.hold(id, message)?;
            self.hand_out(scope, message);
            claimed.push(message);
        }
        let priority = |m: Msg| scope.priorities[m.task()];
        let best_left = self.prioritized.iter().map(priority).max();
        if claim > 0 && !suspects && claimed.iter().any(|m| Some(priority(m)) < best_left) {
            return Err(Violation::PriorityInverted);
        }
        self.guard(scope);
        Ok(Reply::Exchanged(Some(claimed)))
    }

    /// A prioritized message at the head of `pending` returns to `prioritized`, so that
    /// the claim finds all of them in order.
    fn return_head(&mut self, scope: &Scope) {
        let top = self.pending.iter().next().filter(|m| scope.priorities[m.task()] > 0);
        if let Some(message) = top.filter(|_| !self.prioritized.is_empty() && !scope.is(Mutant::HeadGoesFirst)) {
            self.pending.pop();
            self.rank(message, scope);
        }
    }

    fn take(&mut self, suspects: bool, scope: &Scope) -> Option<Msg> {
        match suspects {
            true => self.suspects.pop(),
            false => {
                let top = self.pending.iter().next().filter(|m| scope.priorities[m.task()] > 0);
                if top.is_some() && scope.is(Mutant::HeadGoesFirst) {
                    return self.pending.pop();
                }
                self.prioritized.pop().or_else(|| self.pending.pop())
            }
        }
    }

    fn settle(&mut self, scope: &Scope, id: usize, message: Msg, outcome: Outcome) -> Result<()> {
        let task = message.task();
        if !self.consumers[id].claimed.remove(message) {
            return Ok(()); // Another consumer has it.
        }
        if self.consumers[id].score == Score::Tombstone || message.is_stale() && outcome != Outcome::Release {
            return Err(Violation::SettledWhatItLost);
        }
        let message = message.field();
        match outcome {
            Outcome::Succeeded => self.finish(scope, message, Fate::Done)?,
            Outcome::Dead => self.finish(scope, message, Fate::Failed)?,
            Outcome::Retry => {
                self.bound[task] &= !scope.is(Mutant::RetryFrees);
                self.renew(scope, message);
                self.delayed.push(message.retried());
                self.begun[task] = false;
            }
            Outcome::Release => {
                self.arrive(message, scope, List::push_first);
                self.leaves(message);
            }
        }
        Ok(())
    }

    /// sweep.lua: returns the late consumers, and the tombstones that still hold messages.
    pub fn sweep(&mut self, scope: &Scope) -> Vec<u8> {
        if self.swept > GAP && !scope.is(Mutant::NoQuietPeriod) {
            self.quiet = LEASE;
        }
        self.swept = 0;
        let concerns = |c: &Consumer| match c.score {
            Score::Alive(left) => left == 0 && self.quiet == 0,
            Score::Tombstone => !c.claimed.is_empty() || !c.inbox.is_empty(),
            Score::Absent => false,
        };
        (0..IDS).filter(|id| concerns(&self.consumers[*id])).map(|id| id as u8).collect()
    }

    /// bury.lua: returns the messages whose deliveries must be raised.
    pub fn bury(&mut self, scope: &Scope, id: usize) -> Result<List> {
        if let Score::Alive(left) = self.consumers[id].score {
            let late = left == 0 && self.swept <= GAP && self.quiet == 0;
            if !late && !scope.is(Mutant::BuriesUnchecked) {
                return Ok(List::EMPTY);
            }
            self.consumers[id].score = Score::Tombstone;
            self.adopt(scope, id, false)?;
            let claimed = self.consumers[id].claimed;
            if !self.consumers[id].lost && (!claimed.is_empty() || self.has_living_owner(id)) {
                return Err(Violation::HealthyWorkerRescued);
            }
            self.consumers[id].held_several = claimed.len() > 1;
            for message in claimed.iter() {
                self.uncounted[message.task()] = true;
                self.begun[message.task()] = false;
            }
        } else if scope.is(Mutant::BuryDoesNotGoOn) {
            return Ok(List::EMPTY);
        }
        Ok(self.consumers[id].claimed)
    }

    /// move.lua
    pub fn move_(&mut self, scope: &Scope, id: usize, messages: List) -> Result<()> {
        for message in messages.iter() {
            if !self.consumers[id].claimed.remove(message) && !scope.is(Mutant::MovesUnchecked) {
                continue; // Another scheduler was faster.
            }
            self.count_loss(message)?;
            let raised = message.raised();
            if raised.deliveries() < MAX_DELIVERIES {
                self.renew(scope, raised);
                self.arrive(raised, scope, List::push_first);
            } else {
                self.finish(scope, message, Fate::WorkerLost)?;
                let innocent = scope.tasks[message.task()] != Kind::Poison;
                if innocent && self.consumers[id].held_several {
                    return Err(Violation::InnocentCondemned);
                }
            }
            self.leaves(message);
        }
        self.guard(scope);
        Ok(())
    }

    fn count_loss(&mut self, message: Msg) -> Result<()> {
        match std::mem::take(&mut self.uncounted[message.task()]) {
            true => Ok(()),
            false => Err(Violation::CountedTwice),
        }
    }

    /// reclaim.lua
    pub fn reclaim(&mut self, scope: &Scope, id: usize) -> Result<()> {
        if matches!(self.consumers[id].score, Score::Alive(_)) {
            return Ok(());
        }
        let inbox = std::mem::take(&mut self.consumers[id].inbox);
        for mut message in inbox.iter() {
            if scope.is(Mutant::ReclaimRaises) {
                self.count_loss(message)?;
                message = message.raised();
            }
            self.arrive(message, scope, List::push_first);
            self.leaves(message);
        }
        self.guard(scope);
        Ok(())
    }

    /// promote.lua, for one due message.
    pub fn promote(&mut self, scope: &Scope, message: Msg) {
        if self.delayed.remove(message) {
            self.arrive(message, scope, List::push);
        }
        if !scope.is(Mutant::PromoteDoesNotGuard) {
            self.guard(scope);
        }
    }

    /// BLMOVE: returns the message that it takes, if any.
    pub fn block(&mut self, id: u8, suspects: bool) -> Option<Msg> {
        let message = if suspects { self.suspects.pop() } else { self.pending.pop() }?;
        self.consumers[id as usize].inbox.push(message);
        Some(message)
    }
}
