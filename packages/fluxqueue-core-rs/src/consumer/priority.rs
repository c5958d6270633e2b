//! Whose turn it is: mostly by priority, and every eighth time another queue
//! begins, so that a full one does not starve those after it.

/// One queue begins so often before another may.
const EVERY: usize = 8;

/// Counts what was given out.
#[derive(Default)]
pub struct Priority {
    given: usize,
}

impl Priority {
    /// Something was given to a queue.
    pub fn count(&mut self) {
        self.given = self.given.wrapping_add(1);
    }

    /// The indices of `n` queues in the order in which they are asked now.
    pub fn order(&self, n: usize) -> impl Iterator<Item = usize> + use<> {
        let first = if self.given % EVERY == EVERY - 1 { self.given / EVERY % n } else { 0 };
        std::iter::once(first).chain((0..n).filter(move |i| *i != first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_begins_now_and_then_and_the_first_mostly() {
        let mut priority = Priority::default();
        let mut first = [0; 3];
        for _ in 0..EVERY * 30 {
            let order: Vec<_> = priority.order(3).collect();
            assert_eq!(
                {
                    let mut all = order.clone();
                    all.sort_unstable();
                    all
                },
                [0, 1, 2]
            );
            first[order[0]] += 1;
            priority.count();
        }
        assert_eq!(first, [EVERY * 30 - 20, 10, 10]);
    }
}
