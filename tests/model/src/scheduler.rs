//! A scheduler's steps, as in sweep.py and rescue.py.
//!
//! A scheduler may pause between any two steps for any time. So a slow scheduler
//! also covers the case of a request that is executed late.

use crate::properties::Violation;
use crate::scope::Scope;
use crate::state::*;

impl State {
    /// Takes the next step of a rescue.
    pub fn step_rescue(&mut self, scope: &Scope, scheduler: usize) -> Result<(), Violation> {
        self.schedulers[scheduler] = match self.schedulers[scheduler] {
            Rescue::Idle => Rescue::Idle,
            Rescue::Bury(id) => {
                let messages = self.bury(scope, id as usize)?;
                if messages.is_empty() { Rescue::Reclaim(id) } else { Rescue::Move(id, messages) }
            }
            Rescue::Move(id, messages) => {
                self.move_(scope, id as usize, messages)?;
                // The next sweep finds the rest, as it does after a crash.
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
