//! When the requests of idle queues are due: with many queues, at common moments, so that one turn
//! of the driver serves many of them.
//!
//! Why: docs/decisions/0074-idle-queues-rest.md

use std::time::Duration;

/// Up to this many queues each keep their own moments.
const FEW: usize = 16;
/// The steps of a lease.
const STEPS: u32 = 64;
/// How many different distances two requests of a queue have. A power of two.
const DISTANCES: u64 = 4;

/// The moments, as multiples of a step. A worker of few queues has no step.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    step: Option<Duration>,
}

impl Pace {
    /// The pace of a worker of `queues` queues.
    pub fn new(queues: usize, lease: Duration) -> Pace {
        Pace { step: (queues > FEW).then_some(lease / STEPS) }
    }

    /// The moment at or before `latest` when a request of this queue is due, with those of other
    /// queues.
    ///
    /// The distances between the moments of a queue vary a little. So queues that began together,
    /// such as after an outage, come apart, and do not keep Redis busy all at once.
    pub fn meet(&self, latest: Duration, queue: usize) -> Duration {
        let Some(step) = self.step else { return latest };
        let step = step.as_nanos() as u64;
        let moment = latest.as_nanos() as u64 / step;
        Duration::from_nanos(moment.saturating_sub(varied(moment, queue)) * step)
    }
}

/// A number below `DISTANCES` that looks random, but is always the same for these values.
fn varied(moment: u64, queue: usize) -> u64 {
    let mixed = (moment ^ ((queue as u64) << 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32 & (DISTANCES - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const LEASE: Duration = Duration::from_secs(10);
    const RENEWAL: Duration = Duration::from_millis(3333);

    #[test]
    fn few_queues_keep_their_moments() {
        let at = Duration::from_nanos(123_456_789);
        assert_eq!(Pace::new(FEW, LEASE).meet(at, 3), at);
        assert!(Pace::new(FEW + 1, LEASE).meet(at, 3) < at);
    }

    #[test]
    fn many_queues_meet_and_none_comes_late_or_much_too_early() {
        let pace = Pace::new(1000, LEASE);
        let mut moments = BTreeMap::new();
        for queue in 0..1000 {
            let latest = Duration::from_millis(50_000 + 3 * queue as u64) + RENEWAL;
            let at = pace.meet(latest, queue);
            assert!(at <= latest && latest - at < LEASE / STEPS * DISTANCES as u32);
            *moments.entry(at).or_insert(0) += 1;
        }
        assert!(moments.len() < 30, "1,000 moments became {}", moments.len());
    }

    #[test]
    fn queues_that_began_together_come_apart() {
        let pace = Pace::new(1000, LEASE);
        let mut due = vec![Duration::from_secs(50); 1000];
        for _ in 0..30 {
            due = due.iter().enumerate().map(|(queue, at)| pace.meet(*at + RENEWAL, queue)).collect();
        }
        let mut moments = BTreeMap::new();
        for at in due {
            *moments.entry(at).or_insert(0) += 1;
        }
        assert!(moments.len() > 10 && moments.values().all(|queues| *queues < 150), "{moments:?}");
    }
}
