//! An alarm on systems without `timerfd`. It has no timer, so no thread leads but the driver's.

use std::time::Duration;

use crate::consumer::Wake;
use crate::errors::Result;

/// An alarm that rings at once.
pub struct PortableAlarm(Wake);

impl PortableAlarm {
    /// Whether it can ring later.
    pub const HAS_TIMER: bool = false;

    /// An alarm that is not set.
    pub fn new() -> Result<PortableAlarm> {
        Ok(PortableAlarm(Wake::new()?))
    }

    /// Rings at once.
    pub fn ring_in(&self, _after: Duration) {
        self.0.set();
    }

    /// Does not ring any more.
    pub fn silence(&self) {
        self.0.clear();
    }

    /// Sleeps until it rings.
    pub fn wait(&self) {
        let mut poll = libc::pollfd { fd: self.0.fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one live entry.
        unsafe { libc::poll(&raw mut poll, 1, -1) };
        self.0.clear();
    }
}
