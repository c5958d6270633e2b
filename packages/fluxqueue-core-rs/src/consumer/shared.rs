//! The state with its lock, and the signals that wake threads.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::notes::Note;
use super::outcome::Outcome;
use super::state::{Phase, State};
use super::wake::Wake;
use super::work::{Tasks, Work};
use crate::errors::Result;
use crate::fork;

/// Why a thread no longer waits for work.
pub enum Woken {
    /// It must run this.
    Works(Work),
    /// It may lead.
    Leads,
    /// It must end.
    Ends,
}

/// The state that the driver and the threads that run tasks share.
pub struct Shared {
    state: Mutex<State>,
    /// Wakes threads that wait for sync work.
    pub work: Condvar,
    /// Wakes the driver.
    pub driver: Wake,
    /// Wakes the event loop.
    pub for_loop: Wake,
    /// Wakes the control plane.
    pub for_events: Wake,
    /// The limit that clients have for a message, in bytes.
    pub max_message_bytes: usize,
    /// The process that has the threads.
    made_in: u32,
}

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
            made_in: fork::generation(),
        })
    }

    /// Locks the state, even if a thread has panicked with the lock: later calls must not panic
    /// too. If you announce work or queue an event, pass the lock to `wake`.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Makes the driver end, and the threads that wait for work.
    pub fn stop(&self) {
        // In a child that was forked meanwhile, a thread of the parent may hold the lock forever.
        if self.made_in == fork::generation() {
            self.lock().phase = Phase::Stopped;
            self.work.notify_all();
            self.driver.set();
        }
    }

    /// Locks the state if it is free right now.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, State>> {
        self.state.try_lock().ok()
    }

    /// Waits for sync work, or for the offer to lead.
    pub fn wait_for_work(&self, now: impl Fn() -> Duration) -> Woken {
        let mut state = self.lock();
        loop {
            if state.phase != Phase::Serving {
                state.slots.thread_ends();
                return Woken::Ends;
            }
            if let Some(work) = self.begin_sync(&mut state, now()) {
                return Woken::Works(work);
            }
            if std::mem::take(&mut state.slots.offers_lead) {
                return Woken::Leads;
            }
            state.slots.thread_waits();
            state = self.work.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
            state.slots.thread_wakes();
        }
    }

    /// Begins the next sync task.
    pub fn begin_sync(&self, state: &mut State, now: Duration) -> Option<Work> {
        let work = state.begin_sync(now);
        self.tell_of_ends(state);
        self.tell_of_last(state, work.is_some());
        work
    }

    /// Begins the next async task. If none can begin, the loop sleeps until work is announced.
    /// Until then no task wakes it.
    pub fn begin_async(&self, now: Duration) -> Option<Work> {
        let mut state = self.lock();
        let work = state.begin_async(now);
        self.tell_of_ends(&mut state);
        self.tell_of_last(&state, work.is_some());
        if work.is_none() && state.async_signalled {
            state.async_signalled = false;
            self.for_loop.clear();
        }
        work
    }

    /// Wakes the driver and the control plane if tasks have ended without an attempt.
    fn tell_of_ends(&self, state: &mut State) {
        if std::mem::take(&mut state.rings_events) {
            self.driver.set();
            self.for_events.set();
        }
    }

    /// Wakes the driver and the control plane when the last task that may begin has begun: the
    /// driver must release the rest at once.
    fn tell_of_last(&self, state: &State, begun: bool) {
        if begun && state.slots.left == 0 {
            self.driver.set();
            self.for_events.set();
        }
    }

    /// Announces work from a thread that does not lead. The one that leads may be a thread that
    /// waits for work: it sleeps in the driver.
    pub fn announce_work(&self, state: &mut State) {
        let wanted = state.threads_wanted();
        self.announce_by_leader(state);
        if wanted > state.to_wake {
            self.driver.set();
        }
    }

    /// Wakes the event loop if it has work. Counts the threads that have work; `wake` wakes them
    /// when the lock is free, since they would sleep again at a held lock.
    pub fn announce_by_leader(&self, state: &mut State) {
        // A thread that leads takes a task itself.
        state.to_wake = state.threads_wanted().saturating_sub(usize::from(state.slots.thread_leads));
        if !state.async_signalled && state.wants_loop() {
            state.async_signalled = true;
            self.for_loop.set();
        }
    }

    /// Releases the lock. Then wakes the threads that have announced work, and the control plane
    /// if it has news.
    pub fn wake(&self, mut state: MutexGuard<'_, State>) {
        let threads = std::mem::take(&mut state.to_wake);
        let rings_events = std::mem::take(&mut state.rings_events);
        drop(state);
        for _ in 0..threads {
            self.work.notify_one();
        }
        if rings_events {
            self.for_events.set();
        }
    }

    /// Takes a note of a running task along with the next exchange of its queue.
    pub fn take_note(&self, queue: usize, note: Arc<Note>) {
        if self.lock().queues[queue].notes.push(note) {
            self.driver.set();
        }
    }

    /// Ends a task that has taken a slot, if it has expired before its function could begin
    /// (rule 19). Returns whether it did.
    pub fn ends_expired(&self, work: &Work, now: Duration) -> bool {
        if work.message.expires_at.is_none() {
            return false;
        }
        let expired = self.lock().expired(work, now);
        let Some((outcome, event)) = expired else { return false };
        // If the lease was lost meanwhile, another worker ends it.
        if self.finish(work, outcome, now) {
            let mut state = self.lock();
            state.tell(work.queue, event);
            self.wake(state);
        }
        true
    }

    /// Ends an attempt. Returns false if the lease was lost meanwhile: the outcome is void.
    pub fn finish(&self, work: &Work, outcome: Outcome, now: Duration) -> bool {
        let mut state = self.lock();
        let (settled, wakes_driver) = state.finish(work, outcome, now);
        // A sync thread takes its next task itself. The event loop must be woken, and so must the
        // threads after an async task.
        let others = state.waiting() > 0
            && state.queues.iter().any(|q| !q.async_ready.is_empty() || (work.is_async && !q.sync_ready.is_empty()));
        if others {
            self.announce_work(&mut state);
        }
        self.wake(state);
        if wakes_driver {
            self.driver.set();
        }
        settled
    }
}
