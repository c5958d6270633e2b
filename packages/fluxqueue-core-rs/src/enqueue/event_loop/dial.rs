//! An attempt to connect that does not block the loop.

use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use crate::connection::{Connection, Deployment, Goal};
use crate::errors::{Error, Result};

type Mailbox = Arc<Mutex<Option<Result<Connection>>>>;

/// An attempt to connect, in a separate thread. In the executor of the loop it would wait
/// behind other work, and `asyncio.run` would wait for it. The thread knows nothing of
/// Python, so it can outlive the interpreter.
pub struct Dial {
    /// Readable when the attempt is over.
    signal: UnixStream,
    mailbox: Mailbox,
}

impl Dial {
    pub fn start(deployment: Arc<Deployment>, goal: Goal) -> std::io::Result<Dial> {
        let (signal, mut done) = UnixStream::pair()?;
        let mailbox = Mailbox::default();
        let result = mailbox.clone();
        std::thread::Builder::new().name("fluxqueue-connect".into()).spawn(move || {
            let outcome = deployment.open(&goal, &mut || Ok(()));
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
            // A byte: the end of the stream may not come, since a forked child may hold a
            // copy of `done`.
            let _ = done.write_all(b".");
        })?;
        Ok(Dial { signal, mailbox })
    }

    /// The descriptor to watch.
    pub fn fd(&self) -> RawFd {
        self.signal.as_raw_fd()
    }

    /// The outcome, once the attempt is over.
    pub fn finish(self) -> Result<Connection> {
        let outcome = self.mailbox.lock().unwrap_or_else(PoisonError::into_inner).take();
        let connection = outcome.unwrap_or_else(|| Err(Error::Unavailable("the attempt to connect failed".into())))?;
        connection.set_nonblocking(true)?;
        Ok(connection)
    }
}
