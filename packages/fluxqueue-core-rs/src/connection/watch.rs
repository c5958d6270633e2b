//! A look-out for a reply that is about to come, before the thread sleeps on it.
//!
//! A near Redis answers a small command sooner than a thread falls asleep and
//! wakes up again, and having a core put to rest and woken up takes no less
//! processor time than looking out for the answer.
//! Such waiting for a bounded time before sleeping is what adaptive mutexes do:
//! Karlin et al., "Empirical Studies of Competitive Spinning for a Shared-Memory
//! Multiprocessor", SOSP 1991.

use std::io::{self, ErrorKind};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::fork;

/// How long it is looked out: about what falling asleep and waking up takes, so
/// that in the worst case a wait costs twice of what it must.
const LONGEST: Duration = Duration::from_micros(50);

/// A look takes about 1 µs. Where it took so long, something else ran on this
/// core: then the core is not put to rest if this thread sleeps, and whoever
/// wants it should have it.
const CROWDED: Duration = Duration::from_micros(5);

/// Misses in a row after which no more waits are passed over.
const MOST_MISSES: u32 = 6;

/// The fork generation, plus one, of the process in which a thread is looking
/// out; 0 or that of a parent process where none is. More than one at a time
/// would take the cores from those they wait for.
static LOOKING_OUT: AtomicU32 = AtomicU32::new(0);

/// What a connection has learnt of the times in which it is answered.
#[derive(Debug, Default)]
pub struct Watch {
    /// How often in a row it was looked out in vain.
    misses: u32,
    /// How many waits are passed over before it is tried again.
    passes: u32,
}

impl Watch {
    /// Returns as soon as `fd` can be read, or in 50 µs at most. After each
    /// wait that took longer, twice as many of the next ones return at once, up
    /// to 64: a far or a busy Redis costs less than 1 µs a call.
    pub fn wait(&mut self, fd: RawFd) {
        if self.passes > 0 {
            self.passes -= 1;
            return;
        }
        let Some(_place) = Place::take() else { return };
        let start = Instant::now();
        let mut last = start;
        while !is_readable(fd) {
            let now = Instant::now();
            if now - start >= LONGEST || now - last >= CROWDED {
                self.misses = (self.misses + 1).min(MOST_MISSES);
                self.passes = 1 << self.misses;
                return;
            }
            last = now;
            // On a machine with one core, it is Redis that waits for it.
            std::thread::yield_now();
        }
        self.misses = 0;
    }
}

/// That this thread is the one of its process that looks out.
struct Place;

impl Place {
    fn take() -> Option<Place> {
        let mine = fork::generation() + 1;
        let holder = LOOKING_OUT.load(Ordering::Relaxed);
        if holder == mine {
            return None;
        }
        LOOKING_OUT.compare_exchange(holder, mine, Ordering::Relaxed, Ordering::Relaxed).ok().map(|_| Place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        LOOKING_OUT.store(0, Ordering::Relaxed);
    }
}

/// Whether a read would return at once: with data, the end of the stream, or an error.
pub fn is_readable(fd: RawFd) -> bool {
    let mut byte = 0u8;
    // SAFETY: one byte may be written to `byte`; a bad descriptor is an error of
    // the call. MSG_PEEK leaves the stream as it is.
    let n = unsafe { libc::recv(fd, (&raw mut byte).cast(), 1, libc::MSG_PEEK | libc::MSG_DONTWAIT) };
    n >= 0 || io::Error::last_os_error().kind() != ErrorKind::WouldBlock
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    // One test: the place is the process's.
    #[test]
    fn it_waits_less_often_the_more_often_it_was_in_vain() {
        let (near, mut far) = UnixStream::pair().expect("a pair of sockets");
        let mut watch = Watch::default();
        let mut passed_over = Vec::new();
        for _ in 0..8 {
            watch.wait(near.as_raw_fd());
            passed_over.push(watch.passes);
            watch.passes = 0;
        }
        assert_eq!(passed_over, [2, 4, 8, 16, 32, 64, 64, 64]);

        watch.passes = 2;
        watch.wait(near.as_raw_fd());
        assert_eq!((watch.passes, watch.misses), (1, 6));

        far.write_all(b"x").expect("written");
        watch.passes = 0;
        watch.wait(near.as_raw_fd());
        assert_eq!((watch.passes, watch.misses), (0, 0));

        // The end of the stream is no miss: the read that follows tells of it.
        drop(far);
        watch.wait(near.as_raw_fd());
        assert_eq!(watch.misses, 0);

        let held = Place::take().expect("nobody looks out");
        let (other, _open) = UnixStream::pair().expect("a pair of sockets");
        watch.wait(other.as_raw_fd());
        assert_eq!(watch.misses, 0, "another thread looks out");
        drop(held);
        // As if it had been taken in the parent when this process was forked.
        LOOKING_OUT.store(fork::generation().wrapping_sub(1), Ordering::Relaxed);
        watch.wait(other.as_raw_fd());
        assert_eq!(watch.misses, 1);
    }
}
