//! A socket of any kind: TCP, TLS or Unix.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::config::Certificates;
use crate::errors::{Error, Result};

/// A connected socket.
pub enum Stream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS over TCP.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// The descriptor to poll.
    pub fn fd(&self) -> RawFd {
        match self {
            Stream::Tcp(s) => s.as_raw_fd(),
            Stream::Unix(s) => s.as_raw_fd(),
            Stream::Tls(s) => s.sock.as_raw_fd(),
        }
    }

    /// Sets whether reads and writes return at once.
    pub fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        match self {
            Stream::Tcp(s) => s.set_nonblocking(on),
            Stream::Unix(s) => s.set_nonblocking(on),
            Stream::Tls(s) => s.sock.set_nonblocking(on),
        }
    }

    /// Sets the longest time of one blocking read or write.
    pub fn set_slice(&self, slice: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(s) => s.set_read_timeout(Some(slice)).and_then(|()| s.set_write_timeout(Some(slice))),
            Stream::Unix(s) => s.set_read_timeout(Some(slice)).and_then(|()| s.set_write_timeout(Some(slice))),
            Stream::Tls(s) => s.sock.set_read_timeout(Some(slice)).and_then(|()| s.sock.set_write_timeout(Some(slice))),
        }
    }

    /// Encrypts a TCP connection. The first write makes the handshake.
    pub fn encrypt(tcp: TcpStream, host: &str, certificates: &Certificates) -> Result<Stream> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Error::Configuration(format!("{host:?} is not a host name that a certificate can be for")))?;
        let client = ClientConnection::new(Arc::new(tls(certificates)?), name)
            .map_err(|e| Error::Configuration(format!("TLS can't be set up: {e}")))?;
        Ok(Stream::Tls(Box::new(StreamOwned::new(client, tcp))))
    }
}

fn pem<T: PemObject>(path: &Path, what: &str) -> Result<Vec<T>> {
    let unreadable = |e: String| Error::Configuration(format!("{what} {} can't be read: {e}", path.display()));
    let file = File::open(path).map_err(|e| unreadable(e.to_string()))?;
    let items: std::result::Result<Vec<T>, _> = T::pem_reader_iter(BufReader::new(file)).collect();
    let items = items.map_err(|e| unreadable(e.to_string()))?;
    if items.is_empty() { Err(unreadable("it has no such PEM section".into())) } else { Ok(items) }
}

/// The certificates that the host trusts. The process reads them once: they are hundreds of
/// files, and reading them takes long if the kernel has not cached them.
static HOST_ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();

fn host_roots() -> Result<Arc<RootCertStore>> {
    if let Some(roots) = HOST_ROOTS.get() {
        return Ok(roots.clone());
    }
    // Read outside the lock. Otherwise a child that is forked meanwhile would wait for the
    // lock forever.
    let found = Arc::new(store(rustls_native_certs::load_native_certs().certs)?);
    Ok(HOST_ROOTS.get_or_init(|| found).clone())
}

fn store(trusted: Vec<CertificateDer<'static>>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted);
    if roots.is_empty() {
        return Err(Error::Configuration(
            "no trusted certificates; name a file with ssl_ca_certs in the Redis URL".into(),
        ));
    }
    Ok(roots)
}

fn tls(certificates: &Certificates) -> Result<ClientConfig> {
    let roots = match &certificates.ca {
        Some(path) => Arc::new(store(pem(path, "ssl_ca_certs")?)?),
        None => host_roots()?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Configuration(format!("TLS can't be set up: {e}")))?
        .with_root_certificates(roots);
    let (Some(cert), Some(key)) = (&certificates.cert, &certificates.key) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = pem(cert, "ssl_certfile")?;
    let key = pem::<PrivateKeyDer>(key, "ssl_keyfile")?.swap_remove(0);
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|e| Error::Configuration(format!("ssl_certfile and ssl_keyfile can't be used: {e}")))
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(s) => s.read(buffer),
            Stream::Unix(s) => s.read(buffer),
            Stream::Tls(s) => s.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(s) => s.write(buffer),
            Stream::Unix(s) => s.write(buffer),
            Stream::Tls(s) => s.write(buffer),
        }
    }

    /// Writes the bytes that TLS still holds. The other kinds hold none.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Tcp(_) | Stream::Unix(_) => Ok(()),
            Stream::Tls(s) => s.flush(),
        }
    }
}
