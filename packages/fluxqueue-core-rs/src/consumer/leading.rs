//! Which thread has the driver. Only that one talks to Redis: it leads.
//!
//! While tasks run, a thread of the driver leads; it runs no task and takes no GIL. While the
//! worker is idle, a thread that waits for work leads. If a task arrives, that thread runs it at
//! once: no other thread has to wake up for it, nor for its outcome, which the thread sends when
//! it leads again. Meanwhile the driver has no thread. If the task takes long, or if there is
//! more to do, an alarm wakes the driver's thread, which takes the driver.
//!
//! Schmidt et al., "Leader/Followers", in "Pattern-Oriented Software Architecture 2", 2000.
//!
//! Why: docs/decisions/0260-an-idle-thread-leads.md

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::clock;
use super::driver::Driver;
use super::event::Event;
use super::shared::{Shared, Woken};
use super::state::Phase;
use super::work::Work;
use crate::alarm::Alarm;
use crate::errors::Result;
use crate::odds::Odds;

/// How long the driver may have no thread while the one that led runs a task. It delays other
/// tasks that arrive, so it is short.
const QUICK: Duration = Duration::from_micros(100);
/// How long the driver may have no thread while a thread wakes up that was asked to lead.
const WAKING: Duration = Duration::from_millis(5);

/// The place of a driver that has no thread.
struct Seat {
    driver: Option<Box<Driver>>,
    /// Whether the thread that led is expected back soon.
    expects: bool,
    /// Whether tasks end before the alarm rings.
    odds: Odds,
}

/// The threads of a worker that may lead, one at a time.
pub struct Leading {
    shared: Arc<Shared>,
    // Locked after the state, if both are.
    seat: Mutex<Seat>,
    /// Wakes the driver's thread. Set whenever the driver has no thread.
    alarm: Alarm,
}

impl Leading {
    /// No thread leads yet.
    pub fn new(shared: Arc<Shared>) -> Result<Leading> {
        let seat = Mutex::new(Seat { driver: None, expects: false, odds: Odds::default() });
        Ok(Leading { shared, seat, alarm: Alarm::new()? })
    }

    fn seat(&self) -> MutexGuard<'_, Seat> {
        self.seat.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The driver's thread: leads while tasks run. Returns when the phase is `Stopped`.
    pub fn run(&self, driver: Driver) {
        self.report_panic(|| {
            let mut leads = Some(Box::new(driver));
            while let Some(mut driver) = leads.take().or_else(|| self.wait_for_driver()) {
                let Some(wait) = driver.begin_turn() else { return };
                leads = self.offer(driver);
                leads.iter_mut().for_each(|driver| driver.end_turn(wait));
            }
        });
        self.shared.lock().phase = Phase::Stopped;
        self.shared.work.notify_all();
    }

    /// Lets a thread lead that waits for work, if the worker is idle. Returns the driver if not.
    fn offer(&self, driver: Box<Driver>) -> Option<Box<Driver>> {
        let mut state = self.shared.lock();
        if !(Alarm::HAS_TIMER && state.is_idle() && state.slots.idle_threads() > 0 && state.phase == Phase::Serving) {
            return Some(driver);
        }
        state.slots.offers_lead = true;
        self.leave(driver, WAKING, false);
        drop(state);
        self.shared.work.notify_one();
        None
    }

    /// Leaves the driver without a thread, for this time at most.
    pub(super) fn leave(&self, driver: Box<Driver>, most: Duration, expects: bool) {
        let mut seat = self.seat();
        seat.driver = Some(driver);
        seat.expects = expects;
        self.alarm.ring_in(most);
    }

    /// Sleeps until the alarm rings and the driver has no thread. None: it is lost.
    pub(super) fn wait_for_driver(&self) -> Option<Box<Driver>> {
        loop {
            self.alarm.wait();
            let mut state = self.shared.lock();
            state.slots.offers_lead = false;
            let mut seat = self.seat();
            if let Some(driver) = seat.driver.take() {
                if std::mem::take(&mut seat.expects) {
                    seat.odds.lost();
                }
                return Some(driver);
            }
            if state.phase == Phase::Stopped && !state.slots.thread_leads {
                return None;
            }
        }
    }

    /// Waits for sync work, and leads meanwhile if the driver has no thread. Returns None if the
    /// thread must end.
    pub fn wait_for_work(&self) -> Option<Work> {
        loop {
            if let Some(driver) = self.take()
                && let Some(work) = self.report_panic(|| self.lead(driver)).flatten()
            {
                return Some(work);
            }
            match self.shared.wait_for_work(clock::now) {
                Woken::Works(work) => return Some(work),
                Woken::Leads => {}
                Woken::Ends => return None,
            }
        }
    }

    /// Takes the driver if it has no thread.
    pub(super) fn take(&self) -> Option<Box<Driver>> {
        let mut seat = self.seat();
        let driver = seat.driver.take()?;
        self.alarm.silence();
        if std::mem::take(&mut seat.expects) {
            seat.odds.won();
        }
        Some(driver)
    }

    /// Leads until there is a task for this thread, or until the thread must end.
    fn lead(&self, mut driver: Box<Driver>) -> Option<Work> {
        let mut state = self.shared.lock();
        state.slots.offers_lead = false;
        state.slots.thread_leads = true;
        state.slots.thread_waits();
        drop(state);
        loop {
            let mut state = self.shared.lock();
            let work = self.shared.begin_sync(&mut state, clock::now());
            if work.is_some() || state.phase != Phase::Serving {
                state.slots.thread_leads = false;
                state.slots.thread_wakes();
                let is_alone = state.slots.running == 1 && state.waiting() == 0 && state.phase == Phase::Serving;
                let expects = is_alone && self.seat().odds.try_now();
                self.leave(driver, if expects { QUICK } else { Duration::ZERO }, expects);
                self.shared.wake(state);
                return work;
            }
            drop(state);
            if let Some(wait) = driver.begin_turn() {
                driver.end_turn(wait);
            }
        }
    }

    /// Ends the worker if the driver has panicked.
    pub(super) fn report_panic<R>(&self, run: impl FnOnce() -> R) -> Option<R> {
        let result = catch_unwind(AssertUnwindSafe(run)).ok();
        if result.is_none() {
            let mut state = self.shared.lock();
            let error = "the thread that talks to Redis has panicked".to_owned();
            state.tell(0, Event::Failed { error });
            state.phase = Phase::Stopped;
            state.slots.thread_leads = false;
            self.shared.wake(state);
            self.shared.work.notify_all();
            self.alarm.ring_in(Duration::ZERO);
        }
        result
    }
}

#[cfg(test)]
impl Leading {
    pub(super) fn has_no_thread(&self) -> bool {
        self.seat().driver.is_some()
    }

    pub(super) fn losses(&self) -> u32 {
        self.seat().odds.losses
    }
}
