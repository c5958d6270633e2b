//! Connects a socket in slices, so that Ctrl+C works while a host does not answer.

use std::io::{self, ErrorKind};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, TcpKeepalive, Type};

use super::link::{Interrupt, SLICE};
use crate::errors::{Error, Result};

/// The pause if a Unix socket's queue of new connections is full.
const QUEUE_FULL: Duration = Duration::from_millis(10);

fn failed(error: io::Error) -> Error {
    Error::Unavailable(error.to_string())
}

/// Waits until the socket is connected or has failed, for one slice at most.
fn wait_writable(fd: RawFd) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    // SAFETY: the pointer leads to one pollfd, which outlives the call.
    match unsafe { libc::poll(&raw mut poll, 1, SLICE.as_millis() as libc::c_int) } {
        0 => Ok(false),
        1.. => Ok(true),
        _ => Err(io::Error::last_os_error()),
    }
}

fn connect(domain: Domain, address: &SockAddr, deadline: Instant, interrupt: &mut Interrupt) -> Result<Socket> {
    let mut socket = Socket::new(domain, Type::STREAM, None).map_err(failed)?;
    if socket.as_raw_fd() <= 2 {
        // The application has closed a standard stream, and its output must not go to Redis.
        // `try_clone` of the standard library returns a descriptor above 2.
        socket = OwnedFd::from(socket).try_clone().map_err(failed)?.into();
    }
    socket.set_nonblocking(true).map_err(failed)?;
    let mut begun = false;
    loop {
        let step = if begun { wait_writable(socket.as_raw_fd()) } else { socket.connect(address).map(|()| true) };
        match step {
            Ok(true) => break,
            Ok(false) => {}
            Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => {
                begun = true;
                continue;
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::sleep(QUEUE_FULL),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(failed(e)),
        }
        interrupt()?;
        if Instant::now() >= deadline {
            return Err(failed(ErrorKind::TimedOut.into()));
        }
    }
    if let Some(error) = socket.take_error().map_err(failed)? {
        return Err(failed(error));
    }
    socket.set_nonblocking(false).map_err(failed)?;
    Ok(socket)
}

/// Opens a TCP connection to the first address of the host that answers.
pub fn tcp(host: &str, port: u16, deadline: Instant, interrupt: &mut Interrupt) -> Result<TcpStream> {
    let mut last = Error::Unavailable(format!("{host:?} has no address"));
    for address in (host, port).to_socket_addrs().map_err(failed)? {
        let domain = Domain::for_address(address);
        match connect(domain, &address.into(), deadline, interrupt) {
            Ok(socket) => {
                socket.set_tcp_nodelay(true).map_err(failed)?;
                // If the peer vanishes, the kernel notices within about half a minute.
                let alive =
                    TcpKeepalive::new().with_time(Duration::from_secs(15)).with_interval(Duration::from_secs(5));
                socket.set_tcp_keepalive(&alive).map_err(failed)?;
                return Ok(socket.into());
            }
            Err(error @ Error::Unavailable(_)) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// Opens a connection to a Unix socket.
pub fn unix(path: &Path, deadline: Instant, interrupt: &mut Interrupt) -> Result<UnixStream> {
    let address = SockAddr::unix(path).map_err(failed)?;
    let socket = connect(Domain::UNIX, &address, deadline, interrupt)?;
    Ok(OwnedFd::from(socket).into())
}
