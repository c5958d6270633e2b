//! What a scheduler does: the steps of sweep.py and rescue.py.
//!
//! One that is slow is as good as one whose request is executed late: it may
//! pause between any two steps for as long as it likes.

use crate::properties::Violation;
use crate::scope::Scope;
use crate::state::*;

impl State {
    /// The next step of a rescue.
    pub fn step_rescue(&mut self, scope: &Scope, scheduler: usize) -> Result<(), Violation> {
        self.schedulers[scheduler] = match self.schedulers[scheduler] {
            Rescue::Idle => Rescue::Idle,
            Rescue::Bury(id) => {
                let messages = self.bury(scope, id as usize)?;
                if messages.is_empty() { Rescue::Reclaim(id) } else { Rescue::Move(id, messages) }
            }
            Rescue::Move(id, messages) => {
                self.move_(scope, id as usize, messages)?;
                // The next sweep finds what is left, as after a crash.
                Rescue::Idle
            }
            Rescue::Reclaim(id) => {
                self.reclaim(scope, id as usize)?;
                Rescue::Idle
            }
        };
        Ok(())
    }
}
