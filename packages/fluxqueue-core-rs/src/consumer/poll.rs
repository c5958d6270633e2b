//! Sleeping until a descriptor is ready.

use std::os::fd::RawFd;
use std::time::Duration;

use super::conversation::Conversation;

/// Which of a conversation's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// For scripts.
    Scripts,
    /// For BLMOVE.
    Blocking,
}

/// The descriptors of one turn.
#[derive(Default)]
pub struct Poll {
    descriptors: Vec<libc::pollfd>,
    owners: Vec<(usize, Side)>,
}

fn watch(fd: RawFd, write: bool) -> libc::pollfd {
    let events = if write { libc::POLLIN | libc::POLLOUT } else { libc::POLLIN };
    libc::pollfd { fd, events, revents: 0 }
}

impl Poll {
    /// Sleeps until one is ready or `wait` has passed.
    pub fn wait(&mut self, wake: RawFd, conversations: &[Conversation], wait: Duration) {
        self.descriptors.clear();
        self.owners.clear();
        self.descriptors.push(watch(wake, false));
        for conversation in conversations {
            let links = [(&conversation.scripts, Side::Scripts), (&conversation.blocking, Side::Blocking)];
            for (link, side) in links {
                if let Some(link) = link {
                    self.descriptors.push(watch(link.fd(), link.wants_write()));
                    self.owners.push((conversation.queue, side));
                }
            }
        }
        // Rounded up: to wake too early would mean to spin.
        let ms = wait.as_micros().div_ceil(1000).min(60_000) as libc::c_int;
        // SAFETY: the array is alive and of that length. An interrupted sleep is a short one.
        unsafe { libc::poll(self.descriptors.as_mut_ptr(), self.descriptors.len() as libc::nfds_t, ms) };
    }

    /// Whether somebody has called `Wake::set`.
    pub fn woken(&self) -> bool {
        self.descriptors.first().is_some_and(|d| d.revents != 0)
    }

    /// The connections with something to read (or broken).
    pub fn ready(&self) -> Vec<(usize, Side)> {
        let readable = libc::POLLIN | libc::POLLERR | libc::POLLHUP | libc::POLLNVAL;
        let links = self.descriptors.iter().skip(1).zip(&self.owners);
        links.filter(|(d, _)| d.revents & readable != 0).map(|(_, owner)| *owner).collect()
    }
}
