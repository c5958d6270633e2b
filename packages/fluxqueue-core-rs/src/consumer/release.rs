//! Releases claimed tasks that have not begun: the worker drops them and does not name them in
//! the next `open`, so Redis returns them to their list.
//!
//! Why: docs/decisions/0007-give-back-what-waits.md

use std::time::Duration;

use super::event::Event;
use super::state::State;
use super::unbegun;

/// The releases of one queue.
pub struct Release {
    queue: usize,
    /// Whether an `open` must still release dropped tasks.
    is_owed: bool,
}

impl Release {
    /// A queue that has dropped no task yet.
    pub fn new(queue: usize) -> Release {
        Release { queue, is_owed: false }
    }

    /// Whether the worker has dropped tasks that Redis has not released yet.
    pub fn is_owed(&self) -> bool {
        self.is_owed
    }

    /// Drops the tasks that have not begun.
    pub fn drop_waiting(&mut self, state: &mut State) {
        let count = unbegun::drop_waiting(state, self.queue);
        if count > 0 {
            self.is_owed = true;
            state.tell(self.queue, Event::Released { count });
        }
    }

    /// Drops the tasks that have not begun if the lease has ended. They must not take room from
    /// other queues while this one is cut off.
    pub fn drop_expired(&mut self, state: &mut State, now: Duration) {
        if now >= state.queues[self.queue].fresh_until {
            self.drop_waiting(state);
        }
    }

    /// Records that `open` has succeeded.
    pub fn done(&mut self) {
        self.is_owed = false;
    }
}
