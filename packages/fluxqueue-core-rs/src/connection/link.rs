//! A connection: it writes bytes and reads replies. Its owner decides whether it blocks.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;

use super::framing::{Frame, Reply};
use super::heard::{self, Heard};
use super::interrupt::{Interrupt, SLICE};
use super::spin::{self, Spin};
use super::stream::Stream;
use crate::config::Node;
use crate::errors::{Error, Result};

/// The bytes of one read: at first, and at most if there is more to read.
const READ: std::ops::RangeInclusive<usize> = 4 * 1024..=64 * 1024;

/// The most memory that the outgoing buffer keeps.
const KEEP: usize = 1 << 20;

/// After a reply above this size the connection makes a new incoming buffer. In the old one,
/// the next reply would keep the memory of both.
const KEEP_INCOMING: usize = 256 << 10;

thread_local! {
    /// The buffer of reads, one for all connections of a thread: a worker of many queues has
    /// thousands of connections.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A connection to Redis.
pub struct Connection {
    stream: Stream,
    node: Option<Arc<Node>>,
    address: Option<SocketAddr>,
    out: Vec<u8>,
    written: usize,
    appendix: usize,
    incoming: BytesMut,
    frame: Frame,
    /// The last read has emptied the socket.
    is_drained: bool,
    spin: Spin,
}

impl Connection {
    pub(super) fn new(stream: Stream, address: Option<SocketAddr>) -> Connection {
        Connection {
            stream,
            node: None,
            address,
            out: Vec::new(),
            written: 0,
            appendix: 0,
            incoming: BytesMut::new(),
            frame: Frame::default(),
            is_drained: false,
            spin: Spin::default(),
        }
    }

    /// Makes a connection from a socket that is already open.
    #[cfg(test)]
    pub fn over(socket: std::os::unix::net::UnixStream) -> Connection {
        Connection::new(Stream::Unix(socket), None)
    }

    /// Notes that it leads to one of several servers.
    pub(super) fn to(self, node: Arc<Node>) -> Connection {
        Connection { node: Some(node), ..self }
    }

    /// The address at the other end. None: it is a Unix socket.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The server at the other end. None: the URL has only one.
    pub fn node(&self) -> Option<&Arc<Node>> {
        self.node.as_ref()
    }

    /// Appends bytes after the command that counts. Redis executes that command even if not
    /// all of these bytes are written.
    pub fn append(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        self.appendix = bytes.len();
    }

    /// The descriptor to poll.
    pub fn fd(&self) -> RawFd {
        self.stream.fd()
    }

    /// Sets whether reads and writes return at once.
    pub fn set_nonblocking(&self, on: bool) -> Result<()> {
        self.stream.set_nonblocking(on).map_err(|e| Error::Unavailable(e.to_string()))
    }

    /// The buffer of commands to write. Append to it.
    pub fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Whether some bytes wait to be written.
    pub fn wants_write(&self) -> bool {
        self.written < self.out.len() || matches!(&self.stream, Stream::Tls(s) if s.wants_write())
    }

    /// The number of outgoing bytes that the socket has not taken yet.
    pub fn unsent(&self) -> usize {
        self.out.len() - self.written
    }

    /// Whether the connection uses TLS.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// Whether the server may have received the whole last command.
    pub fn is_written(&self) -> bool {
        self.written + self.appendix >= self.out.len() || (matches!(self.stream, Stream::Tls(_)) && self.written > 0)
    }

    /// Writes as much as the socket takes. True: nothing is left.
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
        // A rare huge message must not occupy its memory forever.
        self.out.shrink_to(KEEP);
        Ok(true)
    }

    /// Reads once. False: no bytes have arrived. The end of the stream is an error.
    pub fn read_some(&mut self) -> io::Result<bool> {
        SCRATCH.with_borrow_mut(|scratch| {
            if scratch.is_empty() {
                scratch.resize(*READ.start(), 0);
            }
            match self.stream.read(scratch) {
                Ok(0) => Err(io::Error::new(ErrorKind::UnexpectedEof, "Redis closed the connection")),
                Ok(n) => {
                    self.incoming.extend_from_slice(&scratch[..n]);
                    // TLS may hold more bytes, which the socket does not show.
                    self.is_drained = n < scratch.len() && !self.is_encrypted();
                    if n == scratch.len() && n < *READ.end() {
                        scratch.resize(*READ.end(), 0);
                    }
                    Ok(true)
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(false),
                Err(e) => Err(e),
            }
        })
    }

    /// Whether the last read has emptied the socket, so that the next one can wait until `poll`
    /// says that there is more.
    pub fn is_drained(&self) -> bool {
        self.is_drained
    }

    /// Returns the next whole reply from the bytes that were read.
    pub fn next_reply(&mut self) -> Result<Option<Reply>> {
        let had = self.incoming.len();
        let reply = self.frame.decode(&mut self.incoming)?;
        if reply.is_some() && self.incoming.is_empty() && had > KEEP_INCOMING {
            self.incoming = BytesMut::new();
        }
        Ok(reply)
    }

    /// As `next_reply`, on a connection that speaks RESP 3.
    pub fn next_heard(&mut self) -> Result<Option<Heard>> {
        heard::decode(&mut self.frame, &mut self.incoming)
    }

    /// Writes all outgoing bytes, and blocks meanwhile. `Uncertain`: the write failed, but
    /// the server may have received the whole command. Rule 13: it is never sent again.
    pub fn send(&mut self, deadline: Instant, interrupt: &mut Interrupt) -> Result<()> {
        loop {
            // The socket may take a large message in small pieces.
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

    /// Returns the next reply, and blocks until it has arrived.
    pub fn receive(&mut self, deadline: Instant, interrupt: &mut Interrupt) -> Result<Reply> {
        match self.next_reply()? {
            Some(reply) => return Ok(reply),
            None => _ = self.spin.wait(self.fd()),
        }
        loop {
            match self.read_some() {
                // The deadline also ends a reply that keeps arriving in small pieces.
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

    /// The record of its spins, for a caller that spins itself.
    pub fn spin(&mut self) -> &mut Spin {
        &mut self.spin
    }

    /// Whether the server closes the connection within about a slice, as it does after an error that
    /// concerns the connection and not the command.
    pub(super) fn is_hung_up(&mut self) -> bool {
        let end = Instant::now() + SLICE;
        while Instant::now() < end {
            match self.read_some() {
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
        false
    }

    fn broken(&self, what: &str) -> Error {
        if self.is_written() {
            Error::Uncertain(format!("the connection to Redis broke before its answer came: {what}"))
        } else {
            Error::Unavailable(format!("the connection to Redis broke: {what}"))
        }
    }

    /// Whether the server has closed an idle connection, or sent bytes without a request.
    pub fn is_stale(&self) -> bool {
        spin::is_readable(self.fd())
    }
}
