//! Slots: which task begins next, in which thread, and what its end gives free.

use std::time::Duration;

use super::crew;
use super::ready::Ready;
use super::state::{Phase, QueueState, Stage, State, Work};

impl State {
    /// Slots in which nothing runs.
    pub fn vacant(&self) -> usize {
        self.concurrency.saturating_sub(self.running)
    }

    /// Slots for which nothing has been claimed yet.
    pub fn free(&self) -> usize {
        self.vacant().saturating_sub(self.waiting())
    }

    /// Claimed beyond the vacant slots: none is about to take them.
    pub fn surplus(&self) -> usize {
        self.waiting().saturating_sub(self.vacant())
    }

    /// How long nothing has run; None before a queue was first connected.
    pub fn idle_for(&self, now: Duration) -> Option<Duration> {
        self.used_at.map(|at| if self.running > 0 { Duration::ZERO } else { now.saturating_sub(at) })
    }

    /// True where one more thread should wait for work; the caller starts it.
    pub fn wants_thread(&mut self) -> bool {
        let wanted = self.phase == Phase::Serving && self.idle_threads == 0 && self.threads < self.concurrency;
        if wanted {
            self.threads += 1;
        }
        wanted
    }

    /// So many of them could not be started.
    pub fn give_up_threads(&mut self, count: usize) {
        self.threads = self.threads.saturating_sub(count);
    }

    fn begin(&mut self, now: Duration, ready: fn(&mut QueueState) -> &mut Ready) -> Option<Work> {
        if self.running >= self.concurrency || self.phase != Phase::Serving {
            return None;
        }
        // Nothing begins once the lease may have ended: after a SIGCONT an old
        // reply may have lain in the socket.
        let mut work = self.begun.order(self.queues.len()).find_map(|queue| {
            let queue = &mut self.queues[queue];
            if now < queue.fresh_until { ready(queue).pop() } else { None }
        })?;
        work.begun_at = now;
        self.begun.count();
        let queue = &mut self.queues[work.queue];
        if let Some(held) = queue.held.get_mut(&work.message.raw[work.message.field.clone()]) {
            held.stage = Stage::Running;
        }
        self.running += 1;
        self.left -= 1;
        if self.left == 0 {
            // The rest is drained; `Shared::tell_of_last` wakes those who do.
            self.phase = Phase::Draining;
        }
        Some(work)
    }

    /// The next sync task, now begun.
    pub fn begin_sync(&mut self, now: Duration) -> Option<Work> {
        if self.free_threads() == 0 {
            return None;
        }
        let mut work = self.begin(now, |q| &mut q.sync_ready)?;
        work.shift = self.shift;
        self.running_sync += 1;
        self.moved_at = now;
        Some(work)
    }

    /// How many more sync tasks may begin.
    pub fn free_threads(&self) -> usize {
        let most = if self.crew.is_one() { 1 } else { self.concurrency };
        most.saturating_sub(self.running_sync)
    }

    /// When to look whether the one thread that serves is in a slow task; None
    /// where no work waits for it, or no slot is free.
    pub fn waits_for_one(&self) -> Option<Duration> {
        let waits = self.crew.is_one()
            && self.running < self.concurrency
            && self.queues.iter().any(|q| !q.sync_ready.is_empty());
        waits.then(|| self.moved_at + crew::STALLED)
    }

    /// Looks at what the threads get through. True where more of them are to be woken.
    pub fn measure(&mut self, now: Duration) -> bool {
        self.pace.measure(now);
        let all_serve = self.concurrency > 1 && self.crew.measure(now, self.ended_sync);
        self.end_stalled_shift(now) || all_serve
    }

    /// A slow task in the one thread that serves ends its shift: what runs is not
    /// counted any more, and another thread is to be woken to serve beside it.
    fn end_stalled_shift(&mut self, now: Duration) -> bool {
        let is_stalled = self.waits_for_one().is_some_and(|at| now >= at);
        if is_stalled {
            self.shift += 1;
            self.running_sync = 0;
            self.moved_at = now;
        }
        is_stalled
    }

    /// The next async task, now begun.
    pub fn begin_async(&mut self, now: Duration) -> Option<Work> {
        self.begin(now, |q| &mut q.async_ready)
    }

    /// Gives the slot of what runs to others, for a task that can't be ended.
    /// Not without a bound: each is one more thread or coroutine.
    pub fn free_slot(&mut self, work: &Work, now: Duration) -> bool {
        if self.stuck.len() >= self.concurrency || !self.stuck.insert(work.serial) {
            return false;
        }
        self.running -= 1;
        self.used_at = Some(now);
        if !work.is_async {
            self.running_sync -= usize::from(work.shift == self.shift);
            self.threads -= 1;
        }
        true
    }

    /// What ran has ended: its slot is free, unless others have it already.
    pub fn ended(&mut self, work: &Work, now: Duration) {
        self.used_at = Some(now);
        self.ended_sync += u64::from(!work.is_async);
        if self.stuck.is_empty() || !self.stuck.remove(&work.serial) {
            self.running -= 1;
            self.running_sync -= usize::from(!work.is_async && work.shift == self.shift);
        } else if !work.is_async {
            // Its thread goes on as one of those that wait for work.
            self.threads += 1;
        }
    }
}
