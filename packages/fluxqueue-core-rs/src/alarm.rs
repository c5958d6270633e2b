//! A timer on which one thread sleeps, and which any thread can set.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::errors::{Error, Result};

/// A timer. It costs two system calls if it is set and silenced before it rings, and wakes no
/// thread then.
pub struct Alarm(OwnedFd);

impl Alarm {
    /// Whether it can ring later.
    pub const HAS_TIMER: bool = true;

    /// An alarm that is not set.
    pub fn new() -> Result<Alarm> {
        // SAFETY: the call has no pointers.
        let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC) };
        if fd < 0 {
            return Err(Error::Configuration(format!("no timer could be made: {}", io::Error::last_os_error())));
        }
        // SAFETY: the descriptor is open, and nothing else owns it.
        Ok(Alarm(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Rings after this time; zero rings at once. Replaces what was set before.
    pub fn ring_in(&self, after: Duration) {
        self.set(after.max(Duration::from_nanos(1)));
    }

    /// Does not ring any more.
    pub fn silence(&self) {
        self.set(Duration::ZERO);
    }

    /// Sleeps until it rings. May also return if it was silenced at that moment.
    pub fn wait(&self) {
        let mut rings = [0u8; 8];
        // SAFETY: the buffer is live and has the eight bytes that a timer writes.
        unsafe { libc::read(self.0.as_raw_fd(), rings.as_mut_ptr().cast(), rings.len()) };
    }

    /// A timer with the value zero is off.
    fn set(&self, value: Duration) {
        let off = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let it_value = libc::timespec {
            tv_sec: value.as_secs().min(1 << 30) as libc::time_t,
            tv_nsec: libc::c_long::from(value.subsec_nanos()),
        };
        let new = libc::itimerspec { it_interval: off, it_value };
        // SAFETY: the pointer leads to a live value; the old one is not wanted.
        unsafe { libc::timerfd_settime(self.0.as_raw_fd(), 0, &raw const new, std::ptr::null_mut()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Alarm {
        fn rings(&self) -> bool {
            let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one live entry, and no waiting.
            unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
        }
    }

    #[test]
    fn an_alarm_rings_when_its_time_has_come_unless_it_was_silenced() {
        let alarm = Alarm::new().expect("made");
        alarm.ring_in(Duration::from_secs(3600));
        assert!(!alarm.rings());
        alarm.ring_in(Duration::ZERO);
        alarm.wait();
        assert!(!alarm.rings(), "it has rung");
        alarm.ring_in(Duration::ZERO);
        while !alarm.rings() {}
        alarm.silence();
        assert!(!alarm.rings());
    }
}
