//! When the threads that run tasks are to wake the driver: at the first outcome of
//! a queue, which it then gathers for a moment, or at so many that they are to leave.

use std::time::Duration;

use super::conversation::Conversation;
use super::driver::{Driver, ENOUGH};
use super::state::State;

impl Driver {
    /// To be called once it is decided what is sent in this turn.
    pub(super) fn plan_to_be_woken(&self, state: &mut State, now: Duration) {
        // Only what has a link to leave by is gathered. Outcomes of a queue that is cut
        // off are here for as long as that lasts: they must not hold back others.
        let can_send = |c: &&Conversation| c.ready && c.request.is_none() && now >= c.not_before;
        let gathered = |c: &Conversation| state.queues[c.queue].settlements.len();
        let can_any = self.conversations.iter().any(|c| can_send(&c));
        let leaving: usize = self.conversations.iter().filter(can_send).map(gathered).sum();
        state.wake_when_idle = can_any;
        state.wake_at = match (can_any, leaving) {
            (false, _) => usize::MAX,
            (true, 0) => state.settling + 1,
            (true, _) => state.settling - leaving + ENOUGH,
        };
    }
}
