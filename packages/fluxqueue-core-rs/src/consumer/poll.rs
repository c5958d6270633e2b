//! Sleeping until a descriptor is ready. `epoll` costs as much as the descriptors that are ready,
//! however many are watched.
//!
//! Why: docs/decisions/0074-idle-queues-rest.md

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// The most descriptors that one sleep returns; the next one returns the others.
const MOST: usize = 256;
/// The number of the descriptor that wakes the thread.
const WAKE: u64 = u64::MAX;

/// Some watched descriptors, each with a number.
pub struct Poll {
    epoll: Arc<OwnedFd>,
    events: Vec<libc::epoll_event>,
}

/// A socket that is watched as long as this lives. Drop it before you close the socket: if a
/// task has forked, the child keeps the socket open, and the kernel would report it forever.
pub struct WatchedSocket {
    epoll: Arc<OwnedFd>,
    fd: RawFd,
    number: u64,
    for_write: bool,
}

fn control(epoll: &OwnedFd, operation: libc::c_int, fd: RawFd, write: bool, number: u64) -> io::Result<()> {
    let events = if write { libc::EPOLLIN | libc::EPOLLOUT } else { libc::EPOLLIN };
    let mut event = libc::epoll_event { events: events as u32, u64: number };
    // SAFETY: the pointer leads to one event, which outlives the call.
    match unsafe { libc::epoll_ctl(epoll.as_raw_fd(), operation, fd, &raw mut event) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Poll {
    /// Watches `wake`, which must live as long.
    pub fn new(wake: RawFd) -> io::Result<Poll> {
        // SAFETY: the call has no pointers.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is open, and nothing else owns it.
        let epoll = Arc::new(unsafe { OwnedFd::from_raw_fd(fd) });
        control(&epoll, libc::EPOLL_CTL_ADD, wake, false, WAKE)?;
        Ok(Poll { epoll, events: Vec::with_capacity(MOST) })
    }

    /// Watches a descriptor under this number.
    pub fn watch(&self, fd: RawFd, number: usize) -> io::Result<WatchedSocket> {
        let number = number as u64;
        control(&self.epoll, libc::EPOLL_CTL_ADD, fd, false, number)?;
        Ok(WatchedSocket { epoll: self.epoll.clone(), fd, number, for_write: false })
    }

    /// Sleeps until a descriptor is ready, or until `wait` has passed.
    pub fn wait(&mut self, wait: Duration) {
        // Rounds up: a thread that wakes too early would spin.
        let ms = wait.as_micros().div_ceil(1000).min(60_000) as libc::c_int;
        self.events.clear();
        // SAFETY: the buffer has room for that many events, and the kernel has written as many as
        // it returns. An interrupted sleep is a short one.
        unsafe {
            let ready = libc::epoll_wait(self.epoll.as_raw_fd(), self.events.as_mut_ptr(), MOST as libc::c_int, ms);
            self.events.set_len(ready.max(0) as usize);
        }
    }

    /// Whether a thread has called `Wake::set`.
    pub fn woken(&self) -> bool {
        self.events.iter().any(|event| event.u64 == WAKE)
    }

    /// The numbers of the descriptors that are readable or broken.
    pub fn ready(&self) -> Vec<usize> {
        let readable = (libc::EPOLLIN | libc::EPOLLERR | libc::EPOLLHUP) as u32;
        let of_watches = self.events.iter().filter(|event| event.u64 != WAKE && event.events & readable != 0);
        of_watches.map(|event| event.u64 as usize).collect()
    }
}

impl WatchedSocket {
    /// Sets whether to wake when it can be written too.
    pub fn for_write(&mut self, on: bool) -> io::Result<()> {
        if on != self.for_write {
            control(&self.epoll, libc::EPOLL_CTL_MOD, self.fd, on, self.number)?;
            self.for_write = on;
        }
        Ok(())
    }
}

impl Drop for WatchedSocket {
    fn drop(&mut self) {
        let _ = control(&self.epoll, libc::EPOLL_CTL_DEL, self.fd, false, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::super::wake::Wake;
    use super::*;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn a_descriptor_is_ready_while_there_is_something_to_read_and_it_is_watched() {
        let wake = Wake::new().expect("a pipe");
        let mut poll = Poll::new(wake.fd()).expect("made");
        let (mut ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        // As a child that a task has forked.
        let _child = ours.try_clone().expect("cloned");
        let mut watch = poll.watch(ours.as_raw_fd(), 7).expect("watched");
        poll.wait(NOW);
        assert!(poll.ready().is_empty() && !poll.woken());
        theirs.write_all(b"x").expect("written");
        poll.wait(NOW);
        assert_eq!(poll.ready(), [7]);
        ours.read_exact(&mut [0]).expect("read");
        poll.wait(NOW);
        assert!(poll.ready().is_empty());
        watch.for_write(true).expect("changed");
        poll.wait(NOW);
        assert!(poll.ready().is_empty() && poll.events.len() == 1, "it can be written");
        drop(watch);
        theirs.write_all(b"x").expect("written");
        wake.set();
        poll.wait(NOW);
        assert!(poll.ready().is_empty() && poll.woken());
    }
}
