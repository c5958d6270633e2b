//! The thread that waits for all results of a process, and what it shares with the waiters.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::mailbox::{Arrivals, WaitFault};
use super::servers::Servers;
use super::waits::{AwaitedTask, Until, Waits};
use crate::connection::Deployment;
use crate::consumer::Wake;
use crate::errors::{Error, Result};

/// How long the thread and its connections stay after the last wait.
const IDLE: Duration = Duration::from_secs(10);

struct ListenerState {
    waits: Waits,
    /// The thread runs.
    runs: bool,
    /// The thread has been woken, and has not looked yet.
    is_woken: bool,
    /// Why results may not arrive now.
    problem: Option<String>,
}

/// The waits of a process.
pub struct Listener {
    /// Where Redis is.
    pub deployment: Arc<Deployment>,
    state: Mutex<ListenerState>,
    for_thread: Arc<Wake>,
}

impl Listener {
    /// A listener without waits, threads and connections.
    pub fn new(deployment: Deployment) -> Result<Listener> {
        let state = ListenerState { waits: Waits::default(), runs: false, is_woken: false, problem: None };
        Ok(Listener { deployment: Arc::new(deployment), state: Mutex::new(state), for_thread: Arc::new(Wake::new()?) })
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
        if !state.runs {
            let listener = self.clone();
            let spawned = thread::Builder::new().name("fluxqueue-results".into()).spawn(move || listener.run());
            spawned.map_err(|error| Error::Unavailable(format!("no thread could be started: {error}")))?;
            state.runs = true;
        }
        self.tell_thread(state);
        Ok(())
    }

    /// Ends a wait that is no longer needed.
    pub fn forget(&self, task: &AwaitedTask, arrivals: &Arc<Arrivals>, token: u64) {
        let mut state = self.lock();
        state.waits.forget(task, arrivals, token);
        self.tell_thread(state);
    }

    fn tell_thread(&self, mut state: MutexGuard<'_, ListenerState>) {
        let was_woken = std::mem::replace(&mut state.is_woken, true);
        drop(state);
        if !was_woken {
            self.for_thread.set();
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

    fn run(self: Arc<Self>) {
        let ended = catch_unwind(AssertUnwindSafe(|| self.serve()));
        let mut state = self.lock();
        if ended.is_err() {
            state.waits.fail_all(&WaitFault("the thread that waits for results has panicked".into()));
        }
        state.runs = false;
    }

    fn serve(self: &Arc<Self>) {
        let mut servers = Servers::new(self.deployment.clone(), self.for_thread.clone());
        let mut idle_since: Option<Instant> = None;
        loop {
            self.for_thread.clear();
            let now = Instant::now();
            let mut state = self.lock();
            state.is_woken = false;
            let problem = servers.turn(&mut state.waits, now);
            if problem.is_some() || servers.links().next().is_some() {
                state.problem = problem;
            }
            let mut due = servers.due(now);
            match state.waits.is_idle() {
                true => {
                    let ends = *idle_since.get_or_insert(now) + IDLE;
                    if now >= ends {
                        // Under the lock, so that the next wait starts another thread.
                        state.runs = false;
                        return;
                    }
                    due = due.min(ends);
                }
                false => idle_since = None,
            }
            drop(state);
            self.sleep(&mut servers, due);
        }
    }

    /// Sleeps until something is heard, a waiter wakes the thread, or the time has come.
    fn sleep(&self, servers: &mut Servers, due: Instant) {
        let entry = |fd, events| libc::pollfd { fd, events, revents: 0 };
        let mut polled = vec![entry(self.for_thread.fd(), libc::POLLIN)];
        for link in servers.links() {
            let events = if link.connection.wants_write() { libc::POLLIN | libc::POLLOUT } else { libc::POLLIN };
            polled.push(entry(link.connection.fd(), events));
        }
        // Rounded up: a turn that comes too early does nothing.
        let left = due.saturating_duration_since(Instant::now()).as_millis() as i32 + 1;
        // SAFETY: `polled` is a live array of that many entries.
        unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, left) };
    }
}
