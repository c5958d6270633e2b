//! Tests of which thread leads, with real threads and a Redis that can't be reached.

use std::sync::Arc;
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use super::driver::Driver;
use super::event::Event;
use super::leading::Leading;
use super::options::Options;
use super::shared::Shared;
use super::state::Phase;
use super::state_tests::{admit, raw, shared};
use super::work::Work;
use crate::config::{Config, Overrides};
use crate::connection::Deployment;

const LATE: Duration = Duration::from_secs(60);

/// A worker whose driver's thread runs.
struct Worker {
    shared: Arc<Shared>,
    leading: Arc<Leading>,
    driver: JoinHandle<()>,
}

fn parts() -> (Arc<Shared>, Arc<Leading>, Driver) {
    let config = Config::new(Some("unix:///does/not/exist"), &Overrides::default()).expect("valid");
    let shared = Arc::new(shared(&["q"], 2));
    let options = Options::for_tests(Duration::from_secs(10), "{}");
    let driver = Driver::new(shared.clone(), Arc::new(Deployment::new(config)), options).expect("made");
    (shared.clone(), Arc::new(Leading::new(shared).expect("a timer")), driver)
}

impl Worker {
    fn start() -> Worker {
        let (shared, leading, driver) = parts();
        let runs = leading.clone();
        Worker { shared, leading, driver: spawn(move || runs.run(driver)) }
    }

    /// A thread that waits for work, and leads.
    fn leader(&self) -> JoinHandle<Option<Work>> {
        let leading = self.leading.clone();
        let thread = spawn(move || leading.wait_for_work());
        until(|| self.shared.lock().slots.thread_leads);
        thread
    }

    fn set(&self, phase: Phase) {
        self.shared.lock().phase = phase;
        self.shared.work.notify_all();
        self.shared.driver.set();
    }

    fn stop(self) {
        self.set(Phase::Stopped);
        self.driver.join().expect("it ends");
        assert!(!self.leading.has_no_thread(), "the driver is gone");
    }
}

fn until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LATE, "it takes too long");
        std::thread::yield_now();
    }
}

#[test]
fn a_thread_that_waits_leads_and_runs_the_task_that_arrives() {
    let worker = Worker::start();
    let thread = worker.leader();
    admit(&worker.shared, 0, &raw("sync"));
    worker.shared.driver.set();
    let work = thread.join().expect("no panic");
    assert!(work.is_some() && !worker.shared.lock().slots.thread_leads);
    assert_eq!(worker.shared.lock().slots.idle_threads(), 0);
    // It does not come back, so the driver's thread takes the driver.
    until(|| !worker.leading.has_no_thread());
    worker.stop();
}

#[test]
fn a_worker_that_drains_or_stops_ends_the_thread_that_leads() {
    for phase in [Phase::Draining, Phase::Stopped] {
        let worker = Worker::start();
        let thread = worker.leader();
        worker.set(phase);
        assert!(thread.join().expect("no panic").is_none());
        worker.stop();
    }
}

#[test]
fn one_thread_leads_while_others_wait() {
    let worker = Worker::start();
    let first = worker.leader();
    let second = worker.leader();
    until(|| worker.shared.lock().slots.idle_threads() == 2);
    let mut state = worker.shared.lock();
    worker.shared.announce_work(&mut state);
    assert_eq!(state.to_wake, 0);
    drop(state);
    (0..2).for_each(|_| admit(&worker.shared, 0, &raw("sync")));
    // As a thread that has ended a task: it wakes the one that leads, too.
    let mut state = worker.shared.lock();
    worker.shared.announce_work(&mut state);
    assert_eq!(state.to_wake, 1);
    worker.shared.wake(state);
    let works = [first, second].map(|thread| thread.join().expect("no panic"));
    assert!(works.iter().all(Option::is_some));
    worker.stop();
}

#[test]
fn a_thread_that_comes_back_soon_finds_the_driver() {
    let (_, leading, driver) = parts();
    assert!(leading.take().is_none());
    leading.leave(Box::new(driver), LATE, true);
    let driver = leading.take().expect("it has no thread");
    assert_eq!(leading.losses(), 0);
    // It is late: the driver's thread has woken.
    leading.leave(driver, Duration::ZERO, true);
    assert!(leading.wait_for_driver().is_some() && leading.take().is_none());
    assert_eq!(leading.losses(), 1);
}

#[test]
fn a_panic_of_the_driver_ends_the_worker() {
    let worker = Worker::start();
    let thread = worker.leader();
    assert!(worker.leading.report_panic(|| -> () { panic!("a fault") }).is_none());
    assert!(worker.shared.lock().events.iter().any(|(_, event)| matches!(event, Event::Failed { .. })));
    worker.shared.driver.set();
    assert!(thread.join().expect("no panic").is_none());
    worker.driver.join().expect("it ends");
}
