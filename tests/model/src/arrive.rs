//! Where messages wait for workers: the lists, and the zset of those with priorities.

use crate::list::{List, Msg};
use crate::mutant::Mutant;
use crate::process::*;
use crate::scope::Scope;
use crate::state::*;

impl State {
    /// The list to which a message belongs (`home` in lua/lib/message.lua).
    pub fn home(&self, message: Msg, scope: &Scope) -> Place {
        let is_suspect = message.deliveries() >= 2 && !scope.is(Mutant::SuspectsAmongOthers);
        if is_suspect { Place::Suspects } else { Place::Pending }
    }

    /// The list of this name.
    pub fn list(&mut self, place: Place) -> &mut List {
        match place {
            Place::Pending => &mut self.pending,
            Place::Suspects => &mut self.suspects,
        }
    }

    /// Puts a message where it waits (`arrive` in lua/lib/arrive.lua): to the front if it
    /// `returns`. A prioritized one goes to the head of `pending` if another message, or
    /// none, is there.
    pub fn arrive(&mut self, message: Msg, scope: &Scope, returns: bool) {
        let message = message.plain();
        if self.wait(scope, message, returns) {
            return;
        }
        self.arrive_home(message, scope, returns);
    }

    fn arrive_home(&mut self, message: Msg, scope: &Scope, returns: bool) {
        let home = self.home(message, scope);
        if home == Place::Pending && scope.priorities[message.task()] > 0 {
            if self.ranked_head(scope).is_some() || scope.is(Mutant::NoGuard) {
                self.rank(message, scope);
            } else {
                self.pending.push_first(message);
            }
        } else if returns {
            self.push_front(message, home, scope);
        } else {
            self.list(home).push(message);
        }
    }

    /// Puts a message past its limit, without a place.
    pub fn arrive_past_limit(&mut self, message: Msg, scope: &Scope, returns: bool) {
        self.arrive_home(message.plain(), scope, returns);
    }

    /// Puts a message to the front of a list. There it must not hide one with a priority at the
    /// head of `pending`.
    pub fn push_front(&mut self, message: Msg, home: Place, scope: &Scope) {
        if home == Place::Pending && !scope.is(Mutant::FrontHidesTheHead) {
            self.return_head(scope);
        }
        self.list(home).push_first(message);
    }

    /// The head of `pending`, if it has a priority.
    fn ranked_head(&self, scope: &Scope) -> Option<Msg> {
        self.pending.iter().next().filter(|m| scope.priorities[m.task()] > 0)
    }

    /// A prioritized message at the head of `pending` returns to `prioritized`.
    fn return_head(&mut self, scope: &Scope) {
        if let Some(message) = self.ranked_head(scope) {
            self.pending.pop();
            self.rank(message, scope);
        }
    }

    /// Before a claim: it finds all messages with priorities in order.
    pub fn begin_claim(&mut self, scope: &Scope) {
        if !self.prioritized.is_empty() && !scope.is(Mutant::HeadGoesFirst) {
            self.return_head(scope);
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
        if self.ranked_head(scope).is_some() || scope.is(Mutant::NoGuard) {
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

    /// Takes the next message for a claim.
    pub fn take(&mut self, suspects: bool, scope: &Scope) -> Option<Msg> {
        match suspects {
            true => self.suspects.pop(),
            false => {
                if self.ranked_head(scope).is_some() && scope.is(Mutant::HeadGoesFirst) {
                    return self.pending.pop();
                }
                self.prioritized.pop().or_else(|| self.pending.pop())
            }
        }
    }
}
