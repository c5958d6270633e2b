//! Fairness between queues: they are asked by priority, but every eighth time another queue comes
//! first, so that a full queue does not starve those after it.

/// Another queue comes first once in this many turns.
const EVERY: usize = 8;

/// Counts the turns of the queues.
#[derive(Default)]
pub struct Fairness {
    given: usize,
}

impl Fairness {
    /// Counts one turn.
    pub fn count(&mut self) {
        self.given = self.given.wrapping_add(1);
    }

    /// The indices of `n` queues in the order in which to ask them now.
    pub fn order(&self, n: usize) -> impl Iterator<Item = usize> + use<> {
        let first = if self.given % EVERY == EVERY - 1 { self.given / EVERY % n.max(1) } else { 0 };
        (first..n.min(first + 1)).chain((0..n).filter(move |i| *i != first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_queue_mostly_comes_first_and_every_other_queue_at_times() {
        let mut fairness = Fairness::default();
        let mut first = [0; 3];
        for _ in 0..EVERY * 30 {
            let order: Vec<_> = fairness.order(3).collect();
            assert_eq!(
                {
                    let mut all = order.clone();
                    all.sort_unstable();
                    all
                },
                [0, 1, 2]
            );
            first[order[0]] += 1;
            fairness.count();
        }
        assert_eq!(first, [EVERY * 30 - 20, 10, 10]);
        for _ in 0..EVERY {
            assert_eq!(fairness.order(0).count(), 0);
            fairness.count();
        }
    }
}
