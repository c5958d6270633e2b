//! Which queues take part in a turn of the driver. A queue without tasks whose BLMOVE waits in Redis
//! rests: nothing about it changes until a reply comes or its next request is due. So a turn costs
//! as much as the queues that are awake, however many rest.
//!
//! Why: docs/decisions/0074-idle-queues-rest.md

use std::time::Duration;

/// The queues that rest, and until when.
pub struct Rest {
    /// By queue: None while it is awake.
    until: Vec<Option<Duration>>,
    /// The queues that are awake, in order of priority.
    awake: Vec<usize>,
    is_sorted: bool,
}

impl Rest {
    /// All `queues` are awake.
    pub fn new(queues: usize) -> Rest {
        Rest { until: vec![None; queues], awake: (0..queues).collect(), is_sorted: true }
    }

    /// How many queues rest.
    pub fn resting(&self) -> usize {
        self.until.len() - self.awake.len()
    }

    /// The queues that are awake, in order of priority.
    pub fn awake(&self) -> &[usize] {
        &self.awake
    }

    /// Wakes a queue, because something has happened to it.
    pub fn wake(&mut self, queue: usize) {
        if self.until[queue].take().is_some() {
            self.awake.push(queue);
            self.is_sorted = false;
        }
    }

    /// Wakes the queues whose rest has ended, or `all`, and puts the queues in order.
    pub fn begin_turn(&mut self, now: Duration, all: bool) {
        for queue in 0..self.until.len() {
            if self.until[queue].is_some_and(|until| all || now >= until) {
                self.wake(queue);
            }
        }
        if !std::mem::replace(&mut self.is_sorted, true) {
            self.awake.sort_unstable();
        }
    }

    /// Lets queues rest: those for which `rests` returns a moment, until then.
    pub fn end_turn(&mut self, mut rests: impl FnMut(usize) -> Option<Duration>) {
        let until = &mut self.until;
        self.awake.retain(|queue| {
            until[*queue] = rests(*queue);
            until[*queue].is_none()
        });
    }

    /// When the first rest ends.
    pub fn next(&self) -> Option<Duration> {
        self.until.iter().flatten().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_queue_rests_until_its_time_or_until_something_happens() {
        let mut rest = Rest::new(4);
        assert_eq!((rest.awake(), rest.next()), (&[0, 1, 2, 3][..], None));
        rest.end_turn(|queue| (queue != 1).then(|| s(queue as u64 * 10)));
        assert_eq!((rest.awake(), rest.resting(), rest.next()), (&[1][..], 3, Some(s(0))));
        rest.begin_turn(s(5), false);
        assert_eq!((rest.awake(), rest.next()), (&[0, 1][..], Some(s(20))));
        rest.wake(3);
        rest.wake(3);
        rest.begin_turn(s(6), false);
        assert_eq!(rest.awake(), [0, 1, 3]);
        rest.begin_turn(s(6), true);
        assert_eq!((rest.awake(), rest.resting()), (&[0, 1, 2, 3][..], 0));
    }
}
