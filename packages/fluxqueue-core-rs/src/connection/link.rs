//! A connection: bytes out, replies in. Its owner decides whether it blocks.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::framing::{Frame, Reply};
use super::spin::{self, Spin};
use super::stream::Stream;
use crate::config::Node;
use crate::errors::{Error, Result};

/// How long a blocking read or write lasts before signals are looked at.
pub(super) const SLICE: Duration = Duration::from_millis(100);

/// How much one read takes at first, and at most if there is more to read.
const READ: std::ops::RangeInclusive<usize> = 4 * 1024..=64 * 1024;

/// How much memory the outgoing buffer keeps.
const KEEP: usize = 1 << 20;

/// After a reply of this size the incoming buffer is a new one: the next reply would keep
/// the memory of both.
const KEEP_INCOMING: usize = 256 << 10;

/// Called while a blocking call waits, and after signals: raises what Python wants raised
/// (KeyboardInterrupt).
pub type Interrupt<'a> = dyn FnMut() -> Result<()> + 'a;

/// A connection to Redis.
pub struct Connection {
    stream: Stream,
    node: Option<Arc<Node>>,
    out: Vec<u8>,
    written: usize,
    appendix: usize,
    incoming: BytesMut,
    frame: Frame,
    scratch: Vec<u8>,
    spin: Spin,
}

impl Connection {
    pub(super) fn new(stream: Stream, node: Option<Arc<Node>>) -> Connection {
        Connection {
            stream,
            node,
            out: Vec::new(),
            written: 0,
            appendix: 0,
            incoming: BytesMut::new(),
            frame: Frame::default(),
            scratch: vec![0; *READ.start()],
            spin: Spin::default(),
        }
    }

    /// A connection over a socket that is there already.
    #[cfg(test)]
    pub fn over(socket: std::os::unix::net::UnixStream) -> Connection {
        Connection::new(Stream::Unix(socket), None)
    }

    /// The server that it leads to, if there are several.
    pub fn node(&self) -> Option<&Arc<Node>> {
        self.node.as_ref()
    }

    /// Appends bytes after the command that counts: Redis executes that one even if not all
    /// of these are written.
    pub fn append(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        self.appendix = bytes.len();
    }

    /// The descriptor to poll.
    pub fn fd(&self) -> RawFd {
        self.stream.fd()
    }

    /// Whether reads and writes return at once.
    pub fn set_nonblocking(&self, on: bool) -> Result<()> {
        self.stream.set_nonblocking(on).map_err(|e| Error::Unavailable(e.to_string()))
    }

    /// The buffer of commands to write: append to it.
    pub fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Whether something waits to be written.
    pub fn wants_write(&self) -> bool {
        self.written < self.out.len() || matches!(&self.stream, Stream::Tls(s) if s.conn.wants_write())
    }

    /// How many of the outgoing bytes the socket has not taken yet.
    pub fn unsent(&self) -> usize {
        self.out.len() - self.written
    }

    /// Whether what was taken from `outgoing` goes through TLS.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// Whether the server may have got the last command whole.
    pub fn is_written(&self) -> bool {
        self.written + self.appendix >= self.out.len() || (matches!(self.stream, Stream::Tls(_)) && self.written > 0)
    }

    /// Writes what the socket takes; true when nothing is left.
    pub fn write_some(&mut self) -> io::Result<bool> {
        self.write_while(|| true)
    }

    fn write_while(&mut self, goes_on: impl Fn() -> bool) -> io::Result<bool> {
        while self.written < self.out.len() {
            if !goes_on() {
                return Ok(false);
            }
            match self.stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => self.written += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(e),
            }
        }
        match self.stream.flush() {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(e) => return Err(e),
        }
        self.out.clear();
        self.written = 0;
        self.appendix = 0;
        // A rare huge message must not hold its memory forever.
        self.out.shrink_to(KEEP);
        Ok(true)
    }

    /// Reads once. False: nothing there yet. The end of the stream is an error.
    pub fn read_some(&mut self) -> io::Result<bool> {
        match self.stream.read(&mut self.scratch) {
            Ok(0) => Err(io::Error::new(ErrorKind::UnexpectedEof, "Redis closed the connection")),
            Ok(n) => {
                self.incoming.extend_from_slice(&self.scratch[..n]);
                if n == self.scratch.len() && n < *READ.end() {
                    self.scratch.resize(*READ.end(), 0);
                }
                Ok(true)
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// The next whole reply among what was read.
    pub fn next_reply(&mut self) -> Result<Option<Reply>> {
        let had = self.incoming.len();
        let reply = self.frame.decode(&mut self.incoming)?;
        if reply.is_some() && self.incoming.is_empty() && had > KEEP_INCOMING {
            self.incoming = BytesMut::new();
        }
        Ok(reply)
    }

    /// Blocking: writes all that is outgoing. `Uncertain` if the server may have got it all
    /// although this failed (rule 13: it is never sent again).
    pub fn send(&mut self, deadline: Instant, interrupt: &mut Interrupt) -> Result<()> {
        loop {
            // The socket may take a large message in drops.
            match self.write_while(|| Instant::now() < deadline) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(self.broken(&e.to_string())),
            }
            interrupt()?;
            if Instant::now() >= deadline {
                return Err(self.broken("timed out"));
            }
        }
    }

    /// Blocking: the next reply.
    pub fn receive(&mut self, deadline: Instant, interrupt: &mut Interrupt) -> Result<Reply> {
        match self.next_reply()? {
            Some(reply) => return Ok(reply),
            None => self.spin.wait(self.fd()),
        }
        loop {
            match self.read_some() {
                // A part of a reply is no reason to wait forever: the rest may come in drops.
                Ok(true) => {
                    if let Some(reply) = self.next_reply()? {
                        return Ok(reply);
                    }
                }
                Ok(false) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(self.broken(&e.to_string())),
            }
            interrupt()?;
            if Instant::now() >= deadline {
                return Err(self.broken("no answer in time"));
            }
        }
    }

    fn broken(&self, what: &str) -> Error {
        if self.is_written() {
            Error::Uncertain(format!("the connection to Redis broke before its answer came: {what}"))
        } else {
            Error::Unavailable(format!("the connection to Redis broke: {what}"))
        }
    }

    /// Whether the server has closed an idle connection, or sent something without a request.
    pub fn is_stale(&self) -> bool {
        spin::is_readable(self.fd())
    }
}
