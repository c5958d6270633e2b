//! The attempts in the order of their deadlines.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// The longest time until the next `pass` while an attempt has timed out: see `next`.
const TICK: Duration = Duration::from_millis(50);
/// The longest time until the next `pass` while an attempt is stuck.
const SLOW_TICK: Duration = Duration::from_secs(1);

/// The progress of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Its deadline has not passed.
    Running,
    /// Its deadline has passed, and it was told to end.
    TimedOut,
    /// It did not end within the grace after its deadline.
    Stuck,
}

struct Entry<T> {
    token: T,
    progress: Progress,
    due: Instant,
}

/// Attempts with their deadlines, each under a unique number.
pub struct Attempts<T> {
    entries: HashMap<u64, Entry<T>>,
    due: BTreeSet<(Instant, u64)>,
    timed_out: usize,
    grace: Duration,
    last: u64,
}

impl<T> Attempts<T> {
    /// Makes an empty set. `grace` is the time that an attempt has to end after its deadline.
    pub fn new(grace: Duration) -> Attempts<T> {
        Attempts { entries: HashMap::new(), due: BTreeSet::new(), timed_out: 0, grace, last: 0 }
    }

    /// Adds an attempt. Returns its number.
    pub fn add(&mut self, token: T, due: Instant) -> u64 {
        self.last += 1;
        self.due.insert((due, self.last));
        self.entries.insert(self.last, Entry { token, progress: Progress::Running, due });
        self.last
    }

    /// Makes all attempts due now whose deadline has not passed.
    pub fn expire(&mut self, now: Instant) {
        for (id, entry) in &mut self.entries {
            if entry.progress == Progress::Running {
                self.due.remove(&(entry.due, *id));
                entry.due = now;
                self.due.insert((now, *id));
            }
        }
    }

    /// Removes an attempt, and returns its progress and its token. None: there is no such attempt.
    pub fn remove(&mut self, id: u64) -> Option<(Progress, T)> {
        let entry = self.entries.remove(&id)?;
        self.due.remove(&(entry.due, id));
        if entry.progress == Progress::TimedOut {
            self.timed_out -= 1;
        }
        Some((entry.progress, entry.token))
    }

    /// The progress of an attempt. None: it has ended.
    pub fn progress(&self, id: u64) -> Option<Progress> {
        self.entries.get(&id).map(|entry| entry.progress)
    }

    /// The time of the next call of `pass`. None: not before an attempt is added.
    ///
    /// While an exception may be pending in a thread, that time is soon. CPython 3.11 and 3.12
    /// have one flag for the pending exceptions of all threads, and the first one raised clears
    /// it. The thread that calls `pass` asks for the GIL, which makes the running thread check
    /// for an exception again.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        let tick = match (self.timed_out > 0, self.entries.len() > self.due.len()) {
            (true, _) => Some(now + TICK),
            (false, true) => Some(now + SLOW_TICK),
            (false, false) => None,
        };
        let due = self.due.first().map(|(due, _)| *due);
        [due, tick].into_iter().flatten().min()
    }

    /// Moves each due attempt to its next step, and calls `tell` for it.
    pub fn pass(&mut self, now: Instant, mut tell: impl FnMut(u64, &T, Progress)) {
        while let Some(&(due, id)) = self.due.first()
            && due <= now
        {
            self.due.remove(&(due, id));
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            if entry.progress == Progress::Running {
                entry.progress = Progress::TimedOut;
                entry.due = now + self.grace;
                self.timed_out += 1;
                self.due.insert((entry.due, id));
            } else {
                entry.progress = Progress::Stuck;
                self.timed_out -= 1;
            }
            tell(id, &entry.token, entry.progress);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn passed(attempts: &mut Attempts<&'static str>, now: Instant) -> Vec<(&'static str, Progress)> {
        let mut told = Vec::new();
        attempts.pass(now, |_, token, progress| told.push((*token, progress)));
        told
    }

    fn ended(attempts: &mut Attempts<&'static str>, id: u64) -> Option<Progress> {
        attempts.remove(id).map(|(progress, _)| progress)
    }

    #[test]
    fn each_is_told_once_at_its_deadline_and_once_after_the_grace() {
        let start = Instant::now();
        let mut attempts = Attempts::new(SECOND);
        let late = attempts.add("late", start + 5 * SECOND);
        let soon = attempts.add("soon", start + 2 * SECOND);
        attempts.add("latest", start + 9 * SECOND);
        assert_eq!(attempts.next(start), Some(start + 2 * SECOND));
        assert_eq!(passed(&mut attempts, start + SECOND), []);
        assert_eq!(passed(&mut attempts, start + 2 * SECOND), [("soon", Progress::TimedOut)]);
        assert_eq!(passed(&mut attempts, start + 2 * SECOND), []);
        // Its thread may not have received the exception yet, so the next time is soon.
        assert_eq!(attempts.next(start + 2 * SECOND), Some(start + 2 * SECOND + TICK));
        assert_eq!(passed(&mut attempts, start + 3 * SECOND), [("soon", Progress::Stuck)]);
        assert_eq!(attempts.progress(soon), Some(Progress::Stuck));
        assert_eq!(attempts.next(start + 3 * SECOND), Some(start + 4 * SECOND));
        assert_eq!(ended(&mut attempts, soon), Some(Progress::Stuck));
        assert_eq!(attempts.remove(soon), None);
        assert_eq!(attempts.next(start + 3 * SECOND), Some(start + 5 * SECOND));
        assert_eq!(ended(&mut attempts, late), Some(Progress::Running));
    }

    #[test]
    fn all_that_run_expire_at_once_and_the_others_keep_their_time() {
        let start = Instant::now();
        let mut attempts = Attempts::new(2 * SECOND);
        attempts.add("late", start);
        assert_eq!(passed(&mut attempts, start), [("late", Progress::TimedOut)]);
        attempts.add("soon", start + 5 * SECOND);
        attempts.add("latest", start + 9 * SECOND);
        attempts.expire(start + SECOND);
        let told = passed(&mut attempts, start + SECOND);
        assert!(told.contains(&("soon", Progress::TimedOut)) && told.contains(&("latest", Progress::TimedOut)));
        assert_eq!(told.len(), 2);
        assert_eq!(passed(&mut attempts, start + 2 * SECOND), [("late", Progress::Stuck)]);
    }

    #[test]
    fn an_attempt_that_has_ended_is_never_told_and_leaves_nothing() {
        let start = Instant::now();
        let mut attempts = Attempts::new(SECOND);
        let id = attempts.add("a", start + SECOND);
        assert_eq!(ended(&mut attempts, id), Some(Progress::Running));
        assert_eq!(passed(&mut attempts, start + 9 * SECOND), []);
        assert_eq!(attempts.next(start), None);
        let id = attempts.add("b", start + SECOND);
        assert_eq!(passed(&mut attempts, start + SECOND), [("b", Progress::TimedOut)]);
        assert_eq!(ended(&mut attempts, id), Some(Progress::TimedOut));
        assert_eq!(passed(&mut attempts, start + 9 * SECOND), []);
        assert_eq!(attempts.next(start), None);
        assert!(attempts.entries.is_empty() && attempts.due.is_empty());
    }
}
