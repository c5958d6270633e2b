//! Slots: how many tasks may run, and which threads wait for them.

use std::collections::HashSet;
use std::time::Duration;

use super::work::Work;

/// The slots of a worker, and the threads that serve sync tasks.
pub struct Slots {
    /// How many tasks may run at once.
    pub concurrency: usize,
    /// How many tasks have begun and not ended, except those whose slot was given away.
    pub running: usize,
    /// How many tasks may still begin.
    pub left: u64,
    /// Whether the thread that leads is one of those that wait for work.
    pub thread_leads: bool,
    /// Whether one of the threads that wait for work may lead.
    pub offers_lead: bool,
    /// Serials of running tasks whose slot was given away.
    stuck: HashSet<u64>,
    threads: usize,
    idle_threads: usize,
    /// When a task last ended, or a conversation began.
    used_at: Option<Duration>,
}

impl Slots {
    /// Slots that are all vacant, with one thread.
    pub fn new(concurrency: usize) -> Slots {
        Slots {
            concurrency,
            running: 0,
            left: u64::MAX,
            thread_leads: false,
            offers_lead: false,
            stuck: HashSet::new(),
            threads: 1,
            idle_threads: 0,
            used_at: None,
        }
    }

    /// How many slots have no running task.
    pub fn vacant(&self) -> usize {
        self.concurrency.saturating_sub(self.running)
    }

    /// Takes a slot for a task that begins.
    pub fn begin(&mut self) {
        self.running += 1;
        self.left -= 1;
    }

    /// Records that a task has ended. Returns true if this frees its slot, false if the slot was
    /// given away before.
    pub fn end(&mut self, work: &Work, now: Duration) -> bool {
        self.used_at = Some(now);
        if self.stuck.is_empty() || !self.stuck.remove(&work.serial) {
            self.running -= 1;
            return true;
        }
        if !work.is_async {
            // Its thread serves again.
            self.threads += 1;
        }
        false
    }

    /// Gives the slot of a task that can't be stopped to other tasks. Returns false if its slot
    /// was given away before, or if `concurrency` tasks have given theirs away: each of them
    /// takes one more thread or coroutine.
    pub fn give_away(&mut self, work: &Work, now: Duration) -> bool {
        if self.stuck.len() >= self.concurrency || !self.stuck.insert(work.serial) {
            return false;
        }
        self.used_at = Some(now);
        self.running -= 1;
        self.threads -= usize::from(!work.is_async);
        true
    }

    /// Records that a queue is connected: from now on tasks can arrive.
    pub fn connected(&mut self, now: Duration) {
        self.used_at = Some(now);
    }

    /// For how long no task has run. Returns None before the first connection.
    pub fn idle_for(&self, now: Duration) -> Option<Duration> {
        self.used_at.map(|at| if self.running > 0 { Duration::ZERO } else { now.saturating_sub(at) })
    }

    /// Whether one more thread should wait for work. The caller starts it.
    pub fn wants_thread(&mut self) -> bool {
        let wanted = self.idle_threads == 0 && self.threads < self.concurrency;
        self.threads += usize::from(wanted);
        wanted
    }

    /// Records that `count` of the wanted threads could not be started.
    pub fn give_up_threads(&mut self, count: usize) {
        self.threads = self.threads.saturating_sub(count);
    }

    /// How many threads wait for work.
    pub fn idle_threads(&self) -> usize {
        self.idle_threads
    }

    /// Counts a thread that begins to wait for work.
    pub fn thread_waits(&mut self) {
        self.idle_threads += 1;
    }

    /// Discounts a thread that no longer waits for work.
    pub fn thread_wakes(&mut self) {
        self.idle_threads -= 1;
    }

    /// Discounts a thread that ends.
    pub fn thread_ends(&mut self) {
        self.threads -= 1;
    }
}
