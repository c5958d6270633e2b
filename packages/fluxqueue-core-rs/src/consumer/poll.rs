//! Sleeping until a descriptor is ready.

use std::os::fd::RawFd;
use std::time::Duration;

/// The descriptors of one turn, each with the `Owner` to return when it is ready.
pub struct Poll<Owner> {
    descriptors: Vec<libc::pollfd>,
    owners: Vec<Owner>,
}

impl<Owner> Default for Poll<Owner> {
    fn default() -> Poll<Owner> {
        Poll { descriptors: Vec::new(), owners: Vec::new() }
    }
}

fn watch(fd: RawFd, write: bool) -> libc::pollfd {
    let events = if write { libc::POLLIN | libc::POLLOUT } else { libc::POLLIN };
    libc::pollfd { fd, events, revents: 0 }
}

impl<Owner: Copy> Poll<Owner> {
    /// Sleeps until `wake` or one of `watched` is ready, or until `wait` has passed. Each item of
    /// `watched` has a descriptor, true if it also waits to be written, and an owner.
    pub fn wait(&mut self, wake: RawFd, watched: impl Iterator<Item = (RawFd, bool, Owner)>, wait: Duration) {
        self.descriptors.clear();
        self.owners.clear();
        self.descriptors.push(watch(wake, false));
        for (fd, write, owner) in watched {
            self.descriptors.push(watch(fd, write));
            self.owners.push(owner);
        }
        // Rounds up: a thread that wakes too early would spin.
        let ms = wait.as_micros().div_ceil(1000).min(60_000) as libc::c_int;
        // SAFETY: the array is alive and of that length. An interrupted sleep is a short one.
        unsafe { libc::poll(self.descriptors.as_mut_ptr(), self.descriptors.len() as libc::nfds_t, ms) };
    }

    /// Whether a thread has called `Wake::set`.
    pub fn woken(&self) -> bool {
        self.descriptors.first().is_some_and(|d| d.revents != 0)
    }

    /// The owners of descriptors that are readable or broken.
    pub fn ready(&self) -> Vec<Owner> {
        let readable = libc::POLLIN | libc::POLLERR | libc::POLLHUP | libc::POLLNVAL;
        let links = self.descriptors.iter().skip(1).zip(&self.owners);
        links.filter(|(d, _)| d.revents & readable != 0).map(|(_, owner)| *owner).collect()
    }
}
