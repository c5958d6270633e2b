//! Sleeping until a descriptor is ready, on systems without `epoll`.

use std::io;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// `poll` ignores a negative descriptor.
const NONE: RawFd = -1;

/// The descriptors by number, after the one that wakes the thread.
#[derive(Clone)]
struct Descriptors(Arc<Mutex<Vec<libc::pollfd>>>);

impl Descriptors {
    fn lock(&self) -> MutexGuard<'_, Vec<libc::pollfd>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, number: usize, fd: RawFd, write: bool) {
        let events = if write { libc::POLLIN | libc::POLLOUT } else { libc::POLLIN };
        let mut all = self.lock();
        while all.len() <= number + 1 {
            all.push(libc::pollfd { fd: NONE, events: 0, revents: 0 });
        }
        all[number + 1] = libc::pollfd { fd, events, revents: 0 };
    }
}

/// Some watched descriptors, each with a number.
pub struct PortablePoll {
    descriptors: Descriptors,
    ready: Vec<usize>,
    is_woken: bool,
}

/// A socket that is watched as long as this lives.
pub struct PortableSocket {
    descriptors: Descriptors,
    fd: RawFd,
    number: usize,
}

impl PortablePoll {
    /// Watches `wake`, which must live as long.
    pub fn new(wake: RawFd) -> io::Result<PortablePoll> {
        let wake = libc::pollfd { fd: wake, events: libc::POLLIN, revents: 0 };
        let descriptors = Descriptors(Arc::new(Mutex::new(vec![wake])));
        Ok(PortablePoll { descriptors, ready: Vec::new(), is_woken: false })
    }

    /// Watches a descriptor under this number.
    pub fn watch(&self, fd: RawFd, number: usize) -> io::Result<PortableSocket> {
        self.descriptors.set(number, fd, false);
        Ok(PortableSocket { descriptors: self.descriptors.clone(), fd, number })
    }

    /// Sleeps until a descriptor is ready, or until `wait` has passed.
    pub fn wait(&mut self, wait: Duration) {
        // Rounds up: a thread that wakes too early would spin.
        let ms = wait.as_micros().div_ceil(1000).min(60_000) as libc::c_int;
        let mut all = self.descriptors.lock();
        all.iter_mut().for_each(|d| d.revents = 0);
        // SAFETY: the array is alive and of that length. An interrupted sleep is a short one.
        unsafe { libc::poll(all.as_mut_ptr(), all.len() as libc::nfds_t, ms) };
        let readable = libc::POLLIN | libc::POLLERR | libc::POLLHUP | libc::POLLNVAL;
        self.is_woken = all[0].revents != 0;
        let watched = all[1..].iter().enumerate().filter(|(_, d)| d.revents & readable != 0);
        self.ready = watched.map(|(number, _)| number).collect();
    }

    /// Whether a thread has called `Wake::set`.
    pub fn woken(&self) -> bool {
        self.is_woken
    }

    /// The numbers of the descriptors that are readable or broken.
    pub fn ready(&self) -> Vec<usize> {
        self.ready.clone()
    }
}

impl PortableSocket {
    /// Sets whether to wake when it can be written too.
    pub fn for_write(&mut self, on: bool) -> io::Result<()> {
        self.descriptors.set(self.number, self.fd, on);
        Ok(())
    }
}

impl Drop for PortableSocket {
    fn drop(&mut self) {
        self.descriptors.set(self.number, NONE, false);
    }
}
