//! The limit that both tasks have: one at once, and with a rate one in a tick.

use crate::list::{List, Msg, Why};
use crate::mutant::Mutant;
use crate::properties::Violation;
use crate::scope::Scope;
use crate::state::*;

/// The keys of the limit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Limit {
    /// The messages that wait for a place or for their time. The first is admitted next.
    pub line: List,
    /// The fields that have a place.
    pub places: List,
    /// Those of them that were admitted, and have not paid for the rate since.
    pub unpaid: List,
    /// Whether one has paid in this tick.
    pub is_spent: bool,
    /// Whether a scheduler will look again (`limits` has the key).
    pub is_due: bool,
    /// Whether this script has freed a place, or has put a message into the line.
    is_touched: bool,
    /// For the properties: the fields that were handed out in this tick.
    pub handed: List,
}

impl Limit {
    /// The limit of the first state: the first task has been admitted.
    pub fn of_first(scope: &Scope) -> Limit {
        let first: List = if scope.limited { [Msg::new(0)].into_iter().collect() } else { List::EMPTY };
        Limit { places: first, unpaid: first, ..Limit::default() }
    }
}

impl State {
    /// Puts a message into the line (`wait` in lua/lib/limit.lua). Returns false if it has no limit.
    pub fn wait(&mut self, scope: &Scope, message: Msg, returns: bool) -> bool {
        let is_limited = scope.limited && message.condemned().is_none();
        if is_limited {
            if returns {
                self.limit.line.push_first(message)
            } else {
                self.limit.line.push(message)
            }
            self.limit.is_touched = true;
        }
        is_limited
    }

    /// A message leaves its list or its claimed hash (`leave`).
    pub fn leave(&mut self, message: Msg) {
        let field = message.field();
        self.limit.is_touched |= self.limit.places.remove(field);
        if self.limit.unpaid.remove(field) && !self.begun[message.task()] {
            self.limit.handed.remove(field); // no worker has read it
        }
    }

    /// The message is in a claimed hash (`handed`).
    pub fn pay(&mut self, scope: &Scope, message: Msg) {
        if scope.limited && message.condemned().is_none() {
            self.limit.unpaid.remove(message);
            self.limit.is_spent |= scope.has_rate;
            self.limit.is_touched |= scope.has_rate;
        }
    }

    /// For the properties: a worker gets the message.
    pub fn count_hand_out(&mut self, scope: &Scope, message: Msg) -> Result<(), Violation> {
        if scope.has_rate && message.condemned().is_none() && !self.limit.handed.has(message) {
            self.limit.handed.push(message.field());
        }
        if self.limit.handed.len() > 1 { Err(Violation::RateExceeded) } else { Ok(()) }
    }

    /// Admits the next messages, if this script has touched the key (`admit_touched`).
    pub fn admit_touched(&mut self, scope: &Scope) {
        if !std::mem::take(&mut self.limit.is_touched) || scope.is(Mutant::FreedAdmitsNone) {
            return;
        }
        self.limit.is_due = false;
        loop {
            let line = self.limit.line;
            let Some(message) = line.iter().next() else { return };
            let condemned = self.as_admitted(scope, message);
            if condemned.condemned().is_none() {
                if !self.limit.places.is_empty() && !scope.is(Mutant::AdmitsPastTheLimit) {
                    return;
                }
                if scope.has_rate && self.limit.is_spent && !scope.is(Mutant::AdmitsBeforeItsTime) {
                    self.limit.is_due = true;
                    return;
                }
                self.limit.places.push(message.field());
                self.limit.unpaid.push(message.field());
            }
            self.limit.line.pop();
            self.overlooked.remove(condemned.task());
            let home = self.home(condemned, scope);
            self.list(home).push(condemned);
            // It took the last place. A rule applies to all of the line, so the script looks at no
            // further message, even if that is condemned.
            if condemned.condemned().is_none() && !scope.is(Mutant::AdmitsPastTheLimit) {
                return;
            }
        }
    }

    /// The message as it is admitted: condemned if it has expired or its task is cancelled.
    fn as_admitted(&self, scope: &Scope, message: Msg) -> Msg {
        let has_expired = self.expired.has(message.task());
        let message = if has_expired { message.condemn(Why::Expired) } else { message };
        self.returned(message, scope.is(Mutant::AdmissionIgnoresCancel))
    }

    /// A scheduler looks at the keys that are due (`look_again`).
    pub fn look_again(&mut self, scope: &Scope) {
        if self.limit.is_due && !scope.is(Mutant::LooksNeverAgain) {
            self.limit.is_touched = true;
            self.admit_touched(scope);
        }
    }

    /// A tick begins: the rate allows the next one.
    pub fn renew_rate(&mut self) {
        self.limit.is_spent = false;
        self.limit.handed = List::EMPTY;
    }

    /// The places are those of the admitted messages, and the line waits for something.
    pub fn check_limit(&self, scope: &Scope) -> Result<(), Violation> {
        if !scope.limited {
            return Ok(());
        }
        let lists = [&self.pending, &self.prioritized, &self.suspects];
        let held = self.consumers.iter().flat_map(|c| [&c.claimed, &c.inbox]);
        let admitted =
            || lists.into_iter().chain(held.clone()).flat_map(List::iter).filter(|m| m.condemned().is_none());
        if admitted().count() > 1 && self.limit.places.len() > 1 {
            return Err(Violation::LimitExceeded);
        }
        if admitted().count() != self.limit.places.len() || !admitted().all(|m| self.limit.places.has(m)) {
            return Err(Violation::PlacesDiffer);
        }
        if !self.limit.line.is_empty() && self.limit.places.is_empty() && !self.limit.is_due {
            return Err(Violation::AdmittedByNone);
        }
        Ok(())
    }
}
