//! Spins for a reply that will arrive soon, before the thread sleeps.
//!
//! A near Redis answers a small command in less time than a thread needs to fall asleep and
//! wake up. The kernel uses no less processor time to put a core to rest and wake it than the
//! thread uses to poll. Adaptive mutexes also spin for a bounded time before they sleep:
//! Karlin et al., "Empirical Studies of Competitive Spinning for a Shared-Memory
//! Multiprocessor", SOSP 1991.
//!
//! Why: `docs/decisions/0042-spin-before-sleep.md`

use std::io::{self, ErrorKind};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::fork;
use crate::odds::Odds;

/// The longest spin: about the time to fall asleep and wake up, so the worst case doubles the
/// cost of a wait.
const LONGEST: Duration = Duration::from_micros(50);

/// A poll takes about 1 µs. If one took this long, another thread ran on this core meanwhile.
/// Then the core would not rest even if this thread slept, so the other thread gets the core.
const CROWDED: Duration = Duration::from_micros(5);

/// The fork generation, plus one, of the process in which a thread spins. If no thread spins,
/// it is 0 or the value of a parent process. Two threads that spin at once would take the
/// cores from the processes that they wait for.
static SPINNING: AtomicU32 = AtomicU32::new(0);

/// The record of a connection's spins: whether replies arrived in time.
#[derive(Debug, Default)]
pub struct Spin(Odds);

impl Spin {
    /// Returns true as soon as `fd` can be read, or false after 50 µs at most. After each spin
    /// without a reply, twice as many of the next waits return false at once, up to 64. A distant
    /// or a busy Redis costs less than 1 µs a call.
    pub fn wait(&mut self, fd: RawFd) -> bool {
        if !self.0.try_now() {
            return false;
        }
        let Some(_permit) = Permit::take() else { return false };
        let start = Instant::now();
        let mut last = start;
        while !is_readable(fd) {
            let now = Instant::now();
            if now - start >= LONGEST || now - last >= CROWDED {
                self.0.lost();
                return false;
            }
            last = now;
            // On a machine with one core, Redis needs it to answer.
            std::thread::yield_now();
        }
        self.0.won();
        true
    }
}

/// The permit to spin, which one thread of a process can have.
struct Permit;

impl Permit {
    fn take() -> Option<Permit> {
        let mine = fork::generation() + 1;
        let holder = SPINNING.load(Ordering::Relaxed);
        if holder == mine {
            return None;
        }
        SPINNING.compare_exchange(holder, mine, Ordering::Relaxed, Ordering::Relaxed).ok().map(|_| Permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        SPINNING.store(0, Ordering::Relaxed);
    }
}

/// Whether a read would return at once: with data, the end of the stream, or an error.
pub fn is_readable(fd: RawFd) -> bool {
    let mut byte = 0u8;
    // SAFETY: the call writes at most one byte, to `byte`. It returns an error for a bad
    // descriptor. MSG_PEEK leaves the stream unchanged.
    let n = unsafe { libc::recv(fd, (&raw mut byte).cast(), 1, libc::MSG_PEEK | libc::MSG_DONTWAIT) };
    n >= 0 || io::Error::last_os_error().kind() != ErrorKind::WouldBlock
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    // This is one test because the whole process has one permit.
    #[test]
    fn a_connection_spins_less_often_after_spins_without_a_reply() {
        let (near, mut far) = UnixStream::pair().expect("a pair of sockets");
        let mut spin = Spin::default();
        let mut passed_over = Vec::new();
        for _ in 0..8 {
            spin.wait(near.as_raw_fd());
            passed_over.push(spin.0.passes);
            spin.0.passes = 0;
        }
        assert_eq!(passed_over, [2, 4, 8, 16, 32, 64, 64, 64]);

        spin.0.passes = 2;
        spin.wait(near.as_raw_fd());
        assert_eq!((spin.0.passes, spin.0.losses), (1, 6));

        far.write_all(b"x").expect("written");
        spin.0.passes = 0;
        spin.wait(near.as_raw_fd());
        assert_eq!((spin.0.passes, spin.0.losses), (0, 0));

        // The end of the stream is not a miss: the next read reports it.
        drop(far);
        spin.wait(near.as_raw_fd());
        assert_eq!(spin.0.losses, 0);

        let held = Permit::take().expect("no thread spins");
        let (other, _open) = UnixStream::pair().expect("a pair of sockets");
        spin.wait(other.as_raw_fd());
        assert_eq!(spin.0.losses, 0, "another thread spins");
        drop(held);
        // This is the state if a thread of the parent spun during the fork.
        SPINNING.store(fork::generation().wrapping_sub(1), Ordering::Relaxed);
        spin.wait(other.as_raw_fd());
        assert_eq!(spin.0.losses, 1);
    }
}
