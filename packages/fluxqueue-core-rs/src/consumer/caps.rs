//! Caps: how many tasks of one kind may run at once in this process, and the claimed tasks that wait
//! here until one of them ends.
//!
//! A task within its cap is ready or runs. The others are set aside: they take no slot and no part
//! of the prefetch, so those that follow them begin. Those that the cap does not work off soon are
//! put off, for other workers.
//!
//! Why: docs/decisions/0157-tasks-over-a-cap-are-put-off.md

use std::time::Duration;

use super::claiming::{MOST_BYTES, PATIENCE};
use super::ready::Ready;
use super::work::Work;

/// For how long a task is put off, ms.
pub const PUT_OFF: u64 = 1_000;
/// A worker keeps the tasks that a cap works off in this time. Those that were put off are back by then.
const AHEAD: Duration = Duration::from_millis(2 * PUT_OFF);
/// A worker with this many tasks set aside claims none.
const MOST_ASIDE: usize = 1_000;

/// The caps of all tasks. Most workers have none.
#[derive(Default)]
pub struct Caps {
    /// The position in `each` by the index of a task. Empty if no task has a cap.
    positions: Vec<Option<usize>>,
    each: Vec<Cap>,
}

/// One task's cap.
#[derive(Default)]
struct Cap {
    most: usize,
    /// How many of its tasks wait for a slot.
    ready: usize,
    /// How many run, with those that have given their slot away.
    running: usize,
    /// How long the last attempt took.
    took: Option<Duration>,
    /// The tasks over the cap.
    aside: Ready,
}

impl Cap {
    /// How many tasks set aside to keep: those that begin within `AHEAD`.
    fn keeps(&self) -> usize {
        // Before the first attempt has ended, attempts may be long.
        let took = self.took.unwrap_or(AHEAD).as_secs_f64().max(0.001);
        (self.most as f64 * (AHEAD.as_secs_f64() / took).max(1.0)) as usize
    }

    /// The oldest of the tasks set aside, if the cap admits it. It waits for a slot from now on.
    fn next(&mut self, now: Duration) -> Option<Work> {
        if self.ready + self.running >= self.most {
            return None;
        }
        let mut work = self.aside.pop()?;
        self.ready += 1;
        work.claimed_at = now;
        Some(work)
    }
}

impl Caps {
    /// The caps of `tasks` tasks, by index: each with the indices of the tasks that share it.
    pub fn new(tasks: usize, caps: Vec<(usize, Vec<usize>)>) -> Caps {
        let mut positions = vec![None; if caps.is_empty() { 0 } else { tasks }];
        for (position, (_, sharing)) in caps.iter().enumerate() {
            sharing.iter().for_each(|task| positions[*task] = Some(position));
        }
        let each = caps.into_iter().map(|(most, _)| Cap { most, ..Cap::default() }).collect();
        Caps { positions, each }
    }

    fn of(&mut self, task: usize) -> Option<&mut Cap> {
        let position = self.positions.get(task).copied().flatten()?;
        Some(&mut self.each[position])
    }

    /// Whether no task has a cap.
    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// How many tasks are set aside.
    pub fn aside(&self) -> usize {
        self.each.iter().map(|cap| cap.aside.len()).sum()
    }

    /// Whether the worker holds enough tasks over their caps: then it claims none.
    pub fn is_full(&self) -> bool {
        let bytes: usize = self.each.iter().map(|cap| cap.aside.bytes()).sum();
        !self.is_empty() && (self.aside() >= MOST_ASIDE || bytes >= MOST_BYTES)
    }

    /// Returns a claimed task if it may wait for a slot. None: it is set aside.
    pub fn admit(&mut self, work: Work) -> Option<Work> {
        let Some(cap) = self.of(work.task) else { return Some(work) };
        if cap.ready + cap.running >= cap.most {
            cap.aside.push(work);
            return None;
        }
        cap.ready += 1;
        Some(work)
    }

    /// Records that a task that was ready begins.
    pub fn begin(&mut self, work: &Work) {
        if let Some(cap) = self.of(work.task) {
            cap.ready -= 1;
            cap.running += 1;
        }
    }

    /// Records that a task that had begun ends; `ran`: how long its attempt took. Returns the next
    /// one, which waits for a slot now.
    pub fn end(&mut self, work: &Work, ran: Option<Duration>, now: Duration) -> Option<Work> {
        let cap = self.of(work.task)?;
        cap.running -= 1;
        cap.took = ran.or(cap.took);
        cap.next(now)
    }

    /// Counts the tasks that wait for a slot again, after some were taken. Returns those that may
    /// wait for one now.
    pub fn recount(&mut self, ready: impl Iterator<Item = usize>, now: Duration) -> Vec<Work> {
        self.each.iter_mut().for_each(|cap| cap.ready = 0);
        ready.for_each(|task| {
            if let Some(cap) = self.of(task) {
                cap.ready += 1;
            }
        });
        self.each.iter_mut().flat_map(|cap| std::iter::from_fn(move || cap.next(now))).collect()
    }

    /// Takes the tasks set aside for which `wanted` is true.
    pub fn take(&mut self, wanted: impl Fn(&Work) -> bool) -> Vec<Work> {
        let mut taken = Vec::new();
        for cap in &mut self.each {
            for work in cap.aside.take() {
                if wanted(&work) { taken.push(work) } else { cap.aside.push(work) }
            }
        }
        taken
    }

    /// Takes the tasks of a queue that have waited here for long, without those that their cap
    /// works off soon.
    pub fn take_overdue(&mut self, queue: usize, now: Duration) -> Vec<Work> {
        let is_overdue = |work: &Work| work.queue == queue && now.saturating_sub(work.claimed_at) > PATIENCE;
        let mut taken = Vec::new();
        for cap in &mut self.each {
            let keeps = cap.keeps();
            if !cap.aside.iter().skip(keeps).any(is_overdue) {
                continue;
            }
            for (position, work) in cap.aside.take().into_iter().enumerate() {
                if position >= keeps && is_overdue(&work) { taken.push(work) } else { cap.aside.push(work) }
            }
        }
        taken
    }
}
