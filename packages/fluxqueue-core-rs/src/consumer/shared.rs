//! The state with its lock, and what wakes whoever waits for it.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::event::Event;
use super::outcome::Outcome;
use super::state::{Phase, Stage, State, Tasks, Work};
use super::wake::Wake;
use crate::errors::Result;

/// What the driver and the threads that run tasks share.
pub struct Shared {
    state: Mutex<State>,
    /// For threads that wait for sync work.
    pub work: Condvar,
    /// For the driver.
    pub driver: Wake,
    /// For the event loop.
    pub for_loop: Wake,
    /// For the control plane.
    pub for_events: Wake,
    /// How large a message may have been when it was sent.
    pub max_message_bytes: usize,
}

/// How many events are kept for a control plane that does not read them.
const MOST_EVENTS: usize = 10_000;

impl Shared {
    /// A state for these queues, with their tasks.
    pub fn new(
        queues: Vec<(String, Tasks)>,
        concurrency: usize,
        unknown_grace: u64,
        max_message_bytes: usize,
    ) -> Result<Shared> {
        let state = State::new(queues, concurrency, unknown_grace);
        Ok(Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            driver: Wake::new()?,
            for_loop: Wake::new()?,
            for_events: Wake::new()?,
            max_message_bytes,
        })
    }

    /// The state. A panic of another thread while it held the lock is no reason
    /// to make every later call panic too.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The state, if nobody has it right now.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, State>> {
        self.state.try_lock().ok()
    }

    /// Waits for sync work until there is some or the threads are to end.
    pub fn wait_for_work(&self, now: impl Fn() -> Duration) -> Option<Work> {
        let mut state = self.lock();
        loop {
            if state.phase != Phase::Serving {
                state.threads -= 1;
                return None;
            }
            if let Some(work) = self.begin_sync(&mut state, now()) {
                return Some(work);
            }
            state.idle_threads += 1;
            state = self.work.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
            state.idle_threads -= 1;
        }
    }

    /// The next sync task, now begun.
    pub fn begin_sync(&self, state: &mut State, now: Duration) -> Option<Work> {
        let work = state.begin_sync(now);
        self.tell_of_last(state, work.is_some());
        work
    }

    /// The next async task, now begun. Where there is none the loop sleeps until
    /// work is announced; before that it is not woken for each.
    pub fn begin_async(&self, now: Duration) -> Option<Work> {
        let mut state = self.lock();
        let work = state.begin_async(now);
        self.tell_of_last(&state, work.is_some());
        if work.is_none() && state.async_signalled {
            state.async_signalled = false;
            self.for_loop.clear();
        }
        work
    }

    /// Where the last task has begun that may, what waits behind it is to be given back
    /// now, and not when somebody happens to look.
    fn tell_of_last(&self, state: &State, begun: bool) {
        if begun && state.left == 0 {
            self.driver.set();
            self.for_events.set();
        }
    }

    /// Wakes those for whom there is work now; threads only once the lock is free
    /// (`wake`): they would sleep again at once at a lock that is still held.
    pub fn announce_work(&self, state: &mut State) {
        let free = state.vacant();
        let sync: usize = state.queues.iter().map(|q| q.sync_ready.len()).sum();
        state.to_wake = sync.min(state.idle_threads).min(free).min(state.free_threads());
        let some_async = state.queues.iter().any(|q| !q.async_ready.is_empty());
        if some_async && free > 0 && !state.async_signalled {
            state.async_signalled = true;
            self.for_loop.set();
        }
    }

    /// Gives the lock back and wakes the threads that work was announced for.
    pub fn wake(&self, mut state: MutexGuard<'_, State>) {
        let threads = std::mem::take(&mut state.to_wake);
        drop(state);
        for _ in 0..threads {
            self.work.notify_one();
        }
    }

    /// Tells the control plane.
    pub fn tell(&self, state: &mut State, queue: usize, event: Event) {
        if state.events.len() < MOST_EVENTS {
            state.events.push_back((queue, event));
        }
        self.for_events.set();
    }

    /// Ends an attempt. False where the lease was lost meanwhile: it is void.
    pub fn finish(&self, work: &Work, outcome: Outcome, now: Duration) -> bool {
        let mut state = self.lock();
        let was_full = state.running >= state.concurrency;
        state.ended(work, now);
        state.pace.count(now.saturating_sub(work.begun_at));
        let settled = state.settle(work, outcome, Stage::Running, now);
        let idle = state.running == 0 && state.waiting() == 0;
        // A void outcome frees a slot all the same, and no settlement tells of it.
        // Where all slots were taken, nobody has looked for a slow task in the thread that
        // serves: this one may find that it is not its turn.
        let tell_driver = !settled
            || state.settling >= state.wake_at
            || (idle && state.wake_when_idle)
            || (was_full && state.waits_for_one().is_some());
        if tell_driver {
            state.wake_at = usize::MAX;
            state.wake_when_idle = false;
        }
        // A sync thread takes its next task itself; the other kind must be told.
        let others =
            state.queues.iter().any(|q| !q.async_ready.is_empty() || (work.is_async && !q.sync_ready.is_empty()));
        if others {
            self.announce_work(&mut state);
        }
        self.wake(state);
        if tell_driver {
            self.driver.set();
        }
        settled
    }
}
