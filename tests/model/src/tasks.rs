//! A set of the two tasks.

/// Some of the tasks, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Tasks(u8);

impl Tasks {
    /// No task.
    pub const NONE: Tasks = Tasks(0);

    /// Whether it has the task.
    pub fn has(self, task: usize) -> bool {
        self.0 >> task & 1 == 1
    }

    /// Adds a task.
    pub fn add(&mut self, task: usize) {
        self.0 |= 1 << task;
    }

    /// Removes a task.
    pub fn remove(&mut self, task: usize) {
        self.0 &= !(1 << task);
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The same set with the tasks exchanged.
    pub fn swapped(self) -> Tasks {
        Tasks(self.0 >> 1 | (self.0 & 1) << 1)
    }
}

impl FromIterator<usize> for Tasks {
    fn from_iter<I: IntoIterator<Item = usize>>(tasks: I) -> Tasks {
        let mut set = Tasks::NONE;
        tasks.into_iter().for_each(|task| set.add(task));
        set
    }
}
