//! The scripts, each as one atomic step, and BLMOVE.

use crate::list::{List, Msg};
use crate::mutant::Mutant;
use crate::process::*;
use crate::properties::Violation;
use crate::scope::{Kind, Scope};
use crate::state::*;
use crate::tasks::Tasks;

type Result<T> = std::result::Result<T, Violation>;

impl State {
    /// The message leaves its holder in Redis, but not through an outcome of its run.
    /// Every copy in a worker becomes void.
    pub fn leaves(&mut self, field: Msg) {
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
                if let Some(Reply::Exchanged(Some(claim))) = &mut pending.reply {
                    claim.claimed.map(mark);
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
        self.overlooked.remove(message.task());
        Ok(())
    }

    /// Defers a version 2 message if the script knows only version 1. Returns whether it did.
    fn puts_off(&mut self, scope: &Scope, older: bool, message: Msg) -> bool {
        let newer = older && scope.is_version2(message);
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
                if !scope.is(Mutant::AdoptDoesNotPay) {
                    self.pay(scope, message);
                }
            }
        }
        Ok(inbox)
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
                            // It may have begun, and no exchange has seen it.
                            if inbox.has(message) && !scope.is(Mutant::OpenDoesNotPay) {
                                self.pay(scope, message);
                            }
                        }
                        _ => {
                            if !scope.is(Mutant::OpenKeepsPlace) {
                                self.leave(message);
                            }
                            let returned = self.returned(message, scope.is(Mutant::OpenIgnoresCancel));
                            self.arrive(returned, scope, true);
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
        self.admit_touched(scope);
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
                outcomes
                    .into_iter()
                    .try_for_each(|(message, outcome)| self.settle(scope, id, message, outcome, older))?;
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
            self.settle(scope, id, message, outcome, older)?;
        }
        self.admit_touched(scope);
        let mut claimed = List::EMPTY;
        if scope.is(Mutant::AdoptedIsHandedOut) {
            claimed = adopted;
        }
        if claim > 0 && !suspects {
            self.begin_claim(scope);
        }
        for _ in 0..claim {
            let Some(message) = self.take(suspects, scope) else { break };
            if self.puts_off(scope, older, message) {
                continue;
            }
            self.hold(id, message)?;
            self.hand_out(scope, message);
            self.pay(scope, message);
            self.count_hand_out(scope, message)?;
            claimed.push(message);
        }
        self.admit_touched(scope);
        let priority = |m: Msg| scope.priorities[m.task()];
        let best_left = self.prioritized.iter().chain(self.pending.iter()).map(priority).max();
        if claim > 0 && !suspects && claimed.iter().any(|m| Some(priority(m)) < best_left) {
            return Err(Violation::PriorityInverted);
        }
        self.guard(scope);
        let held = self.consumers[id].claimed;
        let named = |m: &Msg| self.cancelled.has(m.task()) && !older && !scope.is(Mutant::ExchangeNamesNone);
        let cancelled: Tasks = held.iter().filter(named).map(Msg::task).collect();
        if scope.is(Mutant::NamesOnce) {
            held.iter().for_each(|m| self.cancelled.remove(m.task()));
        }
        let any_cancelled = !older && !self.cancelled.is_empty();
        Ok(Reply::Exchanged(Some(Claim { claimed, cancelled, any_cancelled })))
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
            self.admit_touched(scope);
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
            // Nothing of a condemned task has run, and only a worker ends it.
            let counts = message.condemned().is_none() || scope.is(Mutant::LossEndsCondemned);
            let raised = if counts { message.raised() } else { message };
            let ends = counts && raised.deliveries() >= MAX_DELIVERIES;
            if ends && scope.is(Mutant::EffectsUnchecked) && !self.consumers[id].claimed.has(message) {
                self.tell(scope, message, Fate::WorkerLost);
            }
            if !self.consumers[id].claimed.remove(message) && !scope.is(Mutant::MovesUnchecked) {
                continue; // Another scheduler was faster.
            }
            self.count_loss(message)?;
            if !ends {
                self.renew(scope, raised);
                if !scope.is(Mutant::MoveKeepsPlace) {
                    self.leave(message);
                }
                let returned = self.returned(raised, scope.is(Mutant::MoveIgnoresCancel));
                self.arrive(returned, scope, true);
            } else {
                self.finish(scope, message, Fate::WorkerLost, scope.is(Mutant::EndKeepsCancel))?;
                let innocent = scope.tasks[message.task()] != Kind::Poison;
                if innocent && self.consumers[id].held_several {
                    return Err(Violation::InnocentCondemned);
                }
            }
            self.leaves(message);
        }
        self.admit_touched(scope);
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
            if !scope.is(Mutant::ReclaimKeepsPlace) {
                self.leave(message);
            }
            let returned = self.returned(message, scope.is(Mutant::ReclaimIgnoresCancel));
            self.arrive(returned, scope, true);
            self.leaves(message);
        }
        self.admit_touched(scope);
        self.guard(scope);
        Ok(())
    }

    /// promote.lua, for one due message.
    pub fn promote(&mut self, scope: &Scope, message: Msg) {
        if self.delayed.remove(message) {
            self.overlooked.remove(message.task());
            let due = self.due(scope, message);
            if scope.is(Mutant::PromotePassesTheLimit) {
                self.arrive_past_limit(due, scope, false);
            } else {
                self.arrive(due, scope, false);
            }
        }
        self.admit_touched(scope);
        if !scope.is(Mutant::PromoteDoesNotGuard) {
            self.guard(scope);
        }
    }

    /// BLMOVE: returns the message that it takes, if any.
    pub fn block(&mut self, id: u8, suspects: bool) -> Option<Msg> {
        let message = if suspects { self.suspects.pop() } else { self.pending.pop() }?;
        self.consumers[id as usize].inbox.push(message);
        self.overlooked.remove(message.task());
        Some(message)
    }
}
