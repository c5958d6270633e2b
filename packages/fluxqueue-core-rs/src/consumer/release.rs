//! Releasing claimed tasks that have not begun: the worker drops them, and the next `open`
//! does not name them, so Redis returns them to their list.
//!
//! Why: docs/decisions/0007-give-back-what-waits.md

use std::time::Duration;

use super::event::Event;
use super::state::State;

/// The releases of one queue.
pub struct Release {
    queue: usize,
    /// Redis has not been told yet.
    is_owed: bool,
}

impl Release {
    /// Nothing was dropped yet.
    pub fn new(queue: usize) -> Release {
        Release { queue, is_owed: false }
    }

    /// Whether tasks were dropped of which Redis does not know.
    pub fn is_owed(&self) -> bool {
        self.is_owed
    }

    /// Drops what has not begun.
    pub fn drop_waiting(&mut self, state: &mut State) {
        let count = state.queues[self.queue].drop_waiting();
        if count > 0 {
            self.is_owed = true;
            state.tell(self.queue, Event::Released { count });
        }
    }

    /// Drops what has not begun if the lease has ended. It must not take the slots from
    /// other queues while this one is cut off.
    pub fn drop_expired(&mut self, state: &mut State, now: Duration) {
        if now >= state.queues[self.queue].fresh_until {
            self.drop_waiting(state);
        }
    }

    /// `open` has succeeded.
    pub fn done(&mut self) {
        self.is_owed = false;
    }
}
