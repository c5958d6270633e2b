//! The waits of a process, and the threads that listen for them, one at a time.
//!
//! A thread that waits for a result listens itself if no other thread does: then no other thread
//! has to wake up for the result. The listener's own thread listens for event loops, and as soon
//! as several threads wait.
//!
//! Why: docs/decisions/0261-who-waits-for-a-result-listens.md

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::mailbox::{Arrivals, WaitFault};
use super::servers::Servers;
use super::waits::{AwaitedTask, Until, Waits};
use crate::alarm::Alarm;
use crate::connection::Deployment;
use crate::consumer::Wake;
use crate::errors::{Error, Result};

/// How long the thread and its connections stay after the last wait.
const IDLE: Duration = Duration::from_secs(10);

/// How long waits may be without a thread that listens: a thread that waits for one result after
/// another comes back sooner.
const LINGER: Duration = Duration::from_millis(20);

struct ListenerState {
    waits: Waits,
    /// The connections, while no thread listens.
    servers: Option<Box<Servers>>,
    /// The listener's thread runs.
    runs: bool,
    /// The thread that listens has been woken, and has not looked yet.
    is_woken: bool,
    /// Since when there has been no wait.
    idle_since: Option<Instant>,
    /// Why results may not arrive now.
    problem: Option<String>,
}

/// The waits of a process.
pub struct Listener {
    /// Where Redis is.
    pub deployment: Arc<Deployment>,
    state: Mutex<ListenerState>,
    /// Wakes the thread that listens.
    awake: Arc<Wake>,
    /// Wakes the listener's thread. Set whenever no thread listens.
    alarm: Alarm,
}

impl Listener {
    /// A listener without waits, threads and connections.
    pub fn new(deployment: Deployment) -> Result<Listener> {
        let state = ListenerState {
            waits: Waits::default(),
            servers: None,
            runs: false,
            is_woken: false,
            idle_since: None,
            problem: None,
        };
        let (awake, alarm) = (Arc::new(Wake::new()?), Alarm::new()?);
        Ok(Listener { deployment: Arc::new(deployment), state: Mutex::new(state), awake, alarm })
    }

    fn lock(&self) -> MutexGuard<'_, ListenerState> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Begins to wait for these tasks. The first gets the token `first`, the next ones follow.
    pub fn add(
        self: &Arc<Self>,
        tasks: Vec<AwaitedTask>,
        arrivals: &Arc<Arrivals>,
        first: u64,
        until: Until,
    ) -> Result<()> {
        let mut state = self.lock();
        for (token, task) in (first..).zip(tasks) {
            state.waits.add(task, (arrivals.clone(), token, until));
        }
        state.idle_since = None;
        if !state.runs {
            let listener = self.clone();
            let spawned = thread::Builder::new().name("fluxqueue-results".into()).spawn(move || listener.run());
            spawned.map_err(|error| Error::Unavailable(format!("no thread could be started: {error}")))?;
            state.runs = true;
            state.servers = Some(Box::new(Servers::new(self.deployment.clone(), self.awake.clone())));
        }
        // A thread comes to listen itself; an event loop does not.
        self.tell(state, if arrivals.fd().is_none() { LINGER } else { Duration::ZERO });
        Ok(())
    }

    /// Ends a wait that is no longer needed.
    pub fn forget(&self, task: &AwaitedTask, arrivals: &Arc<Arrivals>, token: u64) {
        let mut state = self.lock();
        state.waits.forget(task, arrivals, token);
        self.tell(state, LINGER);
    }

    /// Tells the thread that listens of a change. If there is none, one listens within `most`.
    fn tell(&self, mut state: MutexGuard<'_, ListenerState>, most: Duration) {
        if state.servers.is_some() {
            return self.alarm.ring_in(most);
        }
        let was_woken = std::mem::replace(&mut state.is_woken, true);
        drop(state);
        if !was_woken {
            self.awake.set();
        }
    }

    /// How many tasks are waited for.
    pub fn count(&self) -> usize {
        self.lock().waits.count()
    }

    /// Why results may not arrive now. None: Redis is connected.
    pub fn problem(&self) -> Option<String> {
        self.lock().problem.clone()
    }

    /// Waits up to `most` for a result, in the thread that needs it. Returns whether one is here.
    pub fn wait(&self, arrivals: &Arrivals, most: Duration) -> bool {
        let taken = if Alarm::HAS_TIMER { self.lock().servers.take() } else { None };
        let Some(mut servers) = taken else { return arrivals.wait(most) };
        self.alarm.silence();
        let end = Instant::now() + most;
        self.guard(|| {
            loop {
                let (mut state, now) = self.listen(&mut servers);
                let has_come = arrivals.has_some();
                if has_come || now >= end {
                    let others = has_come && state.waits.count() > 0;
                    self.leave(&mut state, servers, if others { Duration::ZERO } else { LINGER });
                    return has_come;
                }
                self.ask(&mut servers, &mut state, now);
                let due = servers.due(now).min(end);
                drop(state);
                self.sleep(&mut servers, due);
            }
        })
        .unwrap_or(true)
    }

    /// Leaves the connections without a thread that listens, for this time at most.
    fn leave(&self, state: &mut ListenerState, servers: Box<Servers>, most: Duration) {
        state.servers = Some(servers);
        self.alarm.ring_in(most);
    }

    /// Listens whenever no other thread does, until there has been no wait for a while.
    fn run(self: Arc<Self>) {
        while self.guard(|| self.serve()) == Some(true) {}
    }

    /// Runs what listens. If it panics, the connections are lost, and the waits end.
    fn guard<R>(&self, listens: impl FnOnce() -> R) -> Option<R> {
        let result = catch_unwind(AssertUnwindSafe(listens)).ok();
        if result.is_none() {
            let mut state = self.lock();
            state.waits.fail_all(&WaitFault("the thread that waits for results has panicked".into()));
            state.servers = Some(Box::new(Servers::new(self.deployment.clone(), self.awake.clone())));
            self.alarm.ring_in(LINGER);
        }
        result
    }

    /// Sleeps until no thread listens, and listens then until there is no wait. Returns whether
    /// to do it again.
    fn serve(&self) -> bool {
        self.alarm.wait();
        let Some(mut servers) = self.lock().servers.take() else { return true };
        loop {
            let (mut state, now) = self.listen(&mut servers);
            self.ask(&mut servers, &mut state, now);
            if state.waits.is_idle() {
                let ends = *state.idle_since.get_or_insert(now) + IDLE;
                if now < ends {
                    self.leave(&mut state, servers, ends - now);
                }
                // Under the lock, so that the next wait starts another thread.
                state.runs = now < ends;
                return state.runs;
            }
            let due = servers.due(now);
            drop(state);
            self.sleep(&mut servers, due);
        }
    }

    /// Reads all that has come. Returns the locked state.
    fn listen(&self, servers: &mut Servers) -> (MutexGuard<'_, ListenerState>, Instant) {
        let now = Instant::now();
        let mut state = self.lock();
        state.is_woken = false;
        let problem = servers.listen(&mut state.waits, now);
        if problem.is_some() || servers.links().next().is_some() {
            state.problem = problem;
        }
        (state, now)
    }

    fn ask(&self, servers: &mut Servers, state: &mut ListenerState, now: Instant) {
        let mut problem = None;
        servers.ask(&mut state.waits, now, &mut problem);
        state.problem = problem.or(state.problem.take());
    }

    /// Sleeps until something is heard, a waiter wakes the thread, or the time has come.
    fn sleep(&self, servers: &mut Servers, due: Instant) {
        let entry = |fd, events| libc::pollfd { fd, events, revents: 0 };
        let mut polled = vec![entry(self.awake.fd(), libc::POLLIN)];
        for link in servers.links() {
            let events = if link.connection.wants_write() { libc::POLLIN | libc::POLLOUT } else { libc::POLLIN };
            polled.push(entry(link.connection.fd(), events));
        }
        // Rounded up: a turn that comes too early does nothing.
        let left = due.saturating_duration_since(Instant::now()).as_millis() as i32 + 1;
        // SAFETY: `polled` is a live array of that many entries.
        unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, left) };
        if polled[0].revents != 0 {
            self.awake.clear();
        }
    }
}
