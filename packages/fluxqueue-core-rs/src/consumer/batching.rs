//! When outcomes wake the driver: at the first outcome, after which the driver gathers more, and
//! when enough outcomes wait to make an exchange worthwhile.

/// The number of outcomes that makes an exchange worthwhile.
pub const ENOUGH: usize = 256;

/// The numbers that a thread compares when it ends a task.
pub struct Batching {
    /// Wake the driver at this number of outcomes.
    wake_at: usize,
    /// Wake it when no task runs or waits.
    wake_when_idle: bool,
}

impl Default for Batching {
    /// No outcome wakes the driver.
    fn default() -> Batching {
        Batching { wake_at: usize::MAX, wake_when_idle: false }
    }
}

impl Batching {
    /// Decides when to wake the driver, at the end of its turn. `outcomes` counts the outcomes of
    /// all queues, `leaving` those of queues that can send (None if no queue can).
    ///
    /// The outcomes of a queue that is cut off stay here until it is connected again. They must
    /// not hold back the outcomes of other queues.
    pub fn plan(&mut self, outcomes: usize, leaving: Option<usize>) {
        self.wake_when_idle = leaving.is_some();
        self.wake_at = match leaving {
            None => usize::MAX,
            Some(0) => outcomes + 1,
            Some(leaving) => outcomes - leaving + ENOUGH,
        };
    }

    /// Whether this number of outcomes wakes the driver.
    pub fn wakes(&self, outcomes: usize, is_idle: bool) -> bool {
        outcomes >= self.wake_at || (is_idle && self.wake_when_idle)
    }

    /// Records that the driver is awake: no outcome wakes it before the next plan.
    pub fn woken(&mut self) {
        *self = Batching::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_outcome_wakes_the_driver_and_then_a_batch_does() {
        let mut batching = Batching::default();
        assert!(!batching.wakes(1_000_000, true), "the driver has not planned yet");
        for (outcomes, leaving, wakes_at) in
            [(0, Some(0), 1), (7, Some(0), 8), (1, Some(1), ENOUGH), (10, Some(3), 7 + ENOUGH)]
        {
            batching.plan(outcomes, leaving);
            assert!(!batching.wakes(wakes_at - 1, false) && batching.wakes(wakes_at, false), "{outcomes} {leaving:?}");
            assert!(batching.wakes(0, true), "a worker that is idle has nothing to gather");
        }
        batching.plan(10, None);
        assert!(!batching.wakes(1_000_000, true), "no queue can send");
        batching.plan(0, Some(0));
        batching.woken();
        assert!(!batching.wakes(1, true));
    }
}
