//! Whether a gamble pays: after each loss in a row, twice as many chances pass by.

/// After this number of losses in a row, the number of passes no longer grows.
const MOST_LOSSES: u32 = 6;

/// The record of a gamble that wins or loses.
#[derive(Debug, Default)]
pub struct Odds {
    /// The number of losses in a row.
    pub losses: u32,
    /// How many chances to let pass before the next try.
    pub passes: u32,
}

impl Odds {
    /// Whether to take this chance.
    pub fn try_now(&mut self) -> bool {
        if self.passes == 0 {
            return true;
        }
        self.passes -= 1;
        false
    }

    /// Records a win.
    pub fn won(&mut self) {
        self.losses = 0;
    }

    /// Records a loss.
    pub fn lost(&mut self) {
        self.losses = (self.losses + 1).min(MOST_LOSSES);
        self.passes = 1 << self.losses;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(odds: &mut Odds) -> usize {
        (0..).take_while(|_| !odds.try_now()).count()
    }

    #[test]
    fn each_loss_in_a_row_doubles_the_passes_and_a_win_ends_the_row() {
        let mut odds = Odds::default();
        let mut passed = Vec::new();
        for _ in 0..8 {
            odds.lost();
            passed.push(passes(&mut odds));
        }
        assert_eq!(passed, [2, 4, 8, 16, 32, 64, 64, 64]);
        odds.won();
        assert_eq!(passes(&mut odds), 0);
        odds.lost();
        assert_eq!(passes(&mut odds), 2);
    }
}
