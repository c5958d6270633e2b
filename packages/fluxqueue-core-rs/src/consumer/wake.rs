//! A descriptor that is readable once a thread has called `set`.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::errors::{Error, Result};

/// An event that `poll` can wait for, over a pipe.
pub struct Wake {
    read: OwnedFd,
    write: OwnedFd,
}

impl Wake {
    /// An event over a new pipe. Both ends close on exec and never block.
    pub fn new() -> Result<Wake> {
        let mut ends = [0; 2];
        // SAFETY: `ends` has room for the two descriptors.
        let made = unsafe { libc::pipe(ends.as_mut_ptr()) };
        if made != 0 {
            return Err(Error::Configuration(format!("no pipe could be made: {}", io::Error::last_os_error())));
        }
        for fd in ends {
            // SAFETY: plain flags on descriptors that were just made.
            unsafe {
                libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
                libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK);
            }
        }
        // SAFETY: each descriptor is open, and nothing else owns it.
        let [read, write] = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        Ok(Wake { read, write })
    }

    /// The descriptor to poll for reading.
    pub fn fd(&self) -> RawFd {
        self.read.as_raw_fd()
    }

    /// Makes it readable.
    pub fn set(&self) {
        // SAFETY: one byte is read from a live array. A full pipe is readable anyway.
        unsafe { libc::write(self.write.as_raw_fd(), [1u8].as_ptr().cast(), 1) };
    }

    /// Makes it unreadable until the next `set`.
    pub fn clear(&self) {
        let mut sink = [0u8; 64];
        // SAFETY: `sink` has room for what is read.
        while unsafe { libc::read(self.read.as_raw_fd(), sink.as_mut_ptr().cast(), sink.len()) } == sink.len() as isize
        {
        }
    }

    /// Whether it is readable.
    #[cfg(test)]
    pub fn is_set(&self) -> bool {
        let mut poll = libc::pollfd { fd: self.fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one live entry, and no waiting.
        unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
    }
}
