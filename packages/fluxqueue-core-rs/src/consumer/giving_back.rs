//! Giving back what has been claimed and has not begun.

use std::time::Duration;

use super::driver::Driver;
use super::event::Event;
use super::state::State;

impl Driver {
    /// What waits behind a lease that has ended may not begin any more. It must not
    /// take the slots from other queues for as long as this one is cut off.
    pub(super) fn let_go(&mut self, state: &mut State, queue: usize, now: Duration) {
        let conversation = &self.conversations[queue];
        // An `open` that is under way names it, and would keep it.
        let is_cut_off = !conversation.ready && conversation.request.is_none();
        if is_cut_off && now >= state.queues[queue].fresh_until {
            self.drop_waiting(state, queue);
        }
    }

    /// Drops what has not begun: the next `open` does not name it, and so sends it home.
    pub(super) fn drop_waiting(&mut self, state: &mut State, queue: usize) {
        let count = state.queues[queue].drop_waiting();
        if count > 0 {
            self.conversations[queue].owes = true;
            state.tell(queue, Event::Released { count });
        }
    }
}
