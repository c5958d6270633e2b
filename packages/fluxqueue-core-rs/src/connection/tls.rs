//! TLS over a TCP connection. Each call does a bounded number of reads and writes, so that its
//! owner can look at the clock and at signals however slowly the bytes come.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConnection;

use super::certificates;
use super::interrupt::Interrupt;
use super::tls_errors;
use crate::config::Certificates;
use crate::errors::{Error, Result};

/// Reads that get one whole record of TLS (16 KiB) if its bytes are there: rustls asks for 4 KiB
/// at a time.
const READS: usize = 6;

/// An encrypted connection.
pub struct TlsStream {
    tls: ClientConnection,
    pub(super) tcp: TcpStream,
    host: String,
    shows_certificate: bool,
}

impl TlsStream {
    /// Encrypts a TCP connection: makes the handshake.
    pub fn connect(
        tcp: TcpStream,
        host: &str,
        certificates: &Certificates,
        deadline: Instant,
        interrupt: &mut Interrupt,
    ) -> Result<TlsStream> {
        let config = Arc::new(certificates::client_config(certificates)?);
        let tls = ClientConnection::new(config, certificates::server_name(host)?)
            .map_err(|e| Error::Configuration(format!("TLS can't be set up: {e}")))?;
        let shows_certificate = certificates.cert.is_some();
        let mut stream = TlsStream { tls, tcp, host: host.to_owned(), shows_certificate };
        while stream.tls.is_handshaking() || stream.tls.wants_write() {
            let step = if stream.tls.wants_write() { stream.send() } else { stream.receive() };
            match step {
                Ok(0) => return Err(Error::Unavailable("Redis closed the connection during the TLS handshake".into())),
                Ok(_) => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(e) => return Err(Error::Unavailable(e.to_string())),
            }
            interrupt()?;
            if Instant::now() >= deadline {
                return Err(Error::Unavailable(tls_errors::NO_ANSWER.into()));
            }
        }
        Ok(stream)
    }

    /// Whether bytes wait to be written.
    pub fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    /// Reads from the socket once.
    fn receive(&mut self) -> io::Result<usize> {
        let read = self.tls.read_tls(&mut self.tcp)?;
        if let Err(error) = self.tls.process_new_packets() {
            // Tells the server why. It may be gone already.
            let _ = self.tls.write_tls(&mut self.tcp);
            let text = tls_errors::text(&error, &self.host, self.shows_certificate);
            return Err(io::Error::new(ErrorKind::InvalidData, text));
        }
        Ok(read)
    }

    /// Writes to the socket once.
    fn send(&mut self) -> io::Result<usize> {
        let error = match self.tls.write_tls(&mut self.tcp) {
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => error,
            sent => return sent,
        };
        // The server may have said why before it closed the connection.
        match self.receive() {
            Err(reason) if reason.kind() == ErrorKind::InvalidData => Err(reason),
            _ => Err(error),
        }
    }
}

impl Read for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for _ in 0..READS {
            match self.tls.reader().read(buffer) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                // Without a goodbye of TLS: a reply that is cut short is noticed anyway.
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            self.receive()?;
        }
        self.tls.reader().read(buffer)
    }
}

impl Write for TlsStream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.tls.wants_write() {
            self.send()?;
        }
        match self.tls.writer().write(buffer)? {
            // Its buffer is full.
            0 if !buffer.is_empty() => Err(ErrorKind::WouldBlock.into()),
            taken => {
                // It has taken these bytes, so the next call returns an error of this one.
                let _ = self.send();
                Ok(taken)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.tls.wants_write() {
            self.send()?;
        }
        if self.tls.wants_write() { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
    }
}
