//! Connects a socket in slices, so that Ctrl+C works while a host does not answer.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, TcpKeepalive, Type};

use super::interrupt::{Interrupt, SLICE};
use crate::errors::{Error, Result};

/// The pause if a Unix socket's queue of new connections is full.
const QUEUE_FULL: Duration = Duration::from_millis(10);

/// After this time without an answer the next address is tried as well, and the first one that
/// answers wins: the "Connection Attempt Delay" of RFC 8305, section 5. If there are more addresses
/// than time, the delay is shorter, down to the least that the RFC allows.
const DELAY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

/// The most addresses that an error names.
const NAMED: usize = 5;

fn failed(error: io::Error) -> Error {
    Error::Unavailable(error.to_string())
}

fn open(domain: Domain) -> io::Result<Socket> {
    let mut socket = Socket::new(domain, Type::STREAM, None)?;
    if socket.as_raw_fd() <= 2 {
        // The application has closed a standard stream, and its output must not go to Redis.
        // `try_clone` of the standard library returns a descriptor above 2.
        socket = OwnedFd::from(socket).try_clone()?.into();
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Begins to connect. True: it is connected already.
fn begin(socket: &Socket, address: &SockAddr) -> io::Result<bool> {
    match socket.connect(address) {
        Ok(()) => Ok(true),
        // After a signal the kernel goes on as well.
        Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) || e.kind() == ErrorKind::Interrupted => Ok(false),
        Err(e) => Err(e),
    }
}

/// Waits until one of the sockets is connected or has failed. Returns the index of the first one
/// that has. None: the time is over, or a signal has come.
fn wait(sockets: impl Iterator<Item = RawFd>, time: Duration) -> Option<usize> {
    let mut polls: Vec<_> = sockets.map(|fd| libc::pollfd { fd, events: libc::POLLOUT, revents: 0 }).collect();
    // Rounds up: a thread that wakes too early would spin.
    let ms = time.as_micros().div_ceil(1000) as libc::c_int;
    // SAFETY: the array is alive and of that length.
    unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, ms) };
    polls.iter().position(|poll| poll.revents != 0)
}

fn finish(socket: &Socket) -> io::Result<()> {
    match socket.take_error()? {
        Some(error) => Err(error),
        None => socket.set_nonblocking(false),
    }
}

/// The attempts to connect to one of several addresses.
#[derive(Default)]
struct Race {
    running: Vec<(SocketAddr, Socket)>,
    failures: Vec<(SocketAddr, String)>,
}

impl Race {
    /// Tries one more address. Some: it is connected already.
    fn begin(&mut self, address: SocketAddr) -> Option<(Socket, SocketAddr)> {
        let begun = open(Domain::for_address(address)).and_then(|socket| {
            let connected = begin(&socket, &address.into())?;
            Ok((socket, connected))
        });
        match begun {
            Ok((socket, true)) => return self.end(address, socket),
            Ok((socket, false)) => self.running.push((address, socket)),
            Err(error) => self.failures.push((address, error.to_string())),
        }
        None
    }

    /// An attempt is over. Some: it has succeeded.
    fn end(&mut self, address: SocketAddr, socket: Socket) -> Option<(Socket, SocketAddr)> {
        match finish(&socket) {
            Ok(()) => Some((socket, address)),
            Err(error) => {
                self.failures.push((address, error.to_string()));
                None
            }
        }
    }

    /// Waits for the attempts. `Some(None)`: one of them has failed.
    fn wait(&mut self, time: Duration) -> Option<Option<(Socket, SocketAddr)>> {
        let at = wait(self.running.iter().map(|(_, socket)| socket.as_raw_fd()), time)?;
        let (address, socket) = self.running.remove(at);
        Some(self.end(address, socket))
    }

    /// The reason of each address. Those that have not answered come last.
    fn problem(self) -> Error {
        let silent =
            self.running.into_iter().map(|(address, _)| (address, io::Error::from(ErrorKind::TimedOut).to_string()));
        let all: Vec<_> = self.failures.into_iter().chain(silent).collect();
        Error::Unavailable(match &all[..] {
            [(_, reason)] => reason.clone(),
            several => {
                let named = several.iter().take(NAMED).map(|(address, reason)| format!("{}: {reason}", address.ip()));
                let mut text = named.collect::<Vec<_>>().join(", ");
                if several.len() > NAMED {
                    text.push_str(&format!(", and {} more addresses", several.len() - NAMED));
                }
                text
            }
        })
    }
}

/// Opens a TCP connection to the first of the addresses that answers: "Happy Eyeballs", RFC 8305.
/// A dead address costs a quarter of a second, not all the time there is.
pub fn tcp(addresses: &[SocketAddr], deadline: Instant, interrupt: &mut Interrupt) -> Result<(TcpStream, SocketAddr)> {
    let mut next = Instant::now();
    let share = deadline.saturating_duration_since(next) / addresses.len().max(1) as u32;
    let delay = share.clamp(DELAY.0, DELAY.1);
    let mut untried = addresses.iter().peekable();
    let mut race = Race::default();
    loop {
        let now = Instant::now();
        let mut connected = None;
        if (now >= next || race.running.is_empty())
            && let Some(address) = untried.next()
        {
            next = now + delay;
            connected = race.begin(*address);
        }
        if connected.is_none() && !race.running.is_empty() {
            let until = if untried.peek().is_some() { next.min(deadline) } else { deadline };
            connected = match race.wait(SLICE.min(until.saturating_duration_since(now))) {
                Some(ended) => {
                    // After a failure the next address is tried at once.
                    next = now;
                    ended
                }
                None => None,
            };
        }
        if let Some((socket, address)) = connected {
            return Ok((with_options(socket).map_err(failed)?, address));
        }
        if race.running.is_empty() && untried.peek().is_none() {
            return Err(race.problem());
        }
        interrupt()?;
        if Instant::now() >= deadline {
            return Err(race.problem());
        }
    }
}

fn with_options(socket: Socket) -> io::Result<TcpStream> {
    socket.set_tcp_nodelay(true)?;
    // If the peer vanishes, the kernel notices within about half a minute.
    let alive = TcpKeepalive::new().with_time(Duration::from_secs(15)).with_interval(Duration::from_secs(5));
    socket.set_tcp_keepalive(&alive)?;
    Ok(socket.into())
}

/// Opens a connection to a Unix socket.
pub fn unix(path: &Path, deadline: Instant, interrupt: &mut Interrupt) -> Result<UnixStream> {
    let address = SockAddr::unix(path).map_err(failed)?;
    let socket = open(Domain::UNIX).map_err(failed)?;
    let mut begun = false;
    loop {
        let step =
            if begun { Ok(wait([socket.as_raw_fd()].into_iter(), SLICE).is_some()) } else { begin(&socket, &address) };
        match step {
            Ok(true) => break,
            Ok(false) => begun = true,
            Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::sleep(QUEUE_FULL),
            Err(e) => return Err(failed(e)),
        }
        interrupt()?;
        if Instant::now() >= deadline {
            return Err(failed(ErrorKind::TimedOut.into()));
        }
    }
    finish(&socket).map_err(failed)?;
    Ok(OwnedFd::from(socket).into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A port on 127.0.0.1 that answers, and one that takes no connection: its queue of new
    /// connections is full, so the kernel answers no SYN.
    struct Ports {
        good: TcpListener,
        _silent: Socket,
        _crowd: Vec<Socket>,
        silent: SocketAddr,
    }

    fn ports() -> Ports {
        let silent = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        silent.bind(&any.into()).expect("a port");
        silent.listen(0).expect("listens");
        let address = silent.local_addr().expect("bound").as_socket().expect("an IP address");
        let crowd = (0..4).map(|_| {
            let socket = open(Domain::IPV4).expect("a socket");
            let _ = begin(&socket, &address.into());
            socket
        });
        Ports {
            good: TcpListener::bind(any).expect("a port"),
            _crowd: crowd.collect(),
            _silent: silent,
            silent: address,
        }
    }

    /// A port that nothing listens on.
    fn refusing() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound")
    }

    fn dial(addresses: &[SocketAddr], ms: u64) -> Result<SocketAddr> {
        let deadline = Instant::now() + Duration::from_millis(ms);
        tcp(addresses, deadline, &mut || Ok(())).map(|(_, address)| address)
    }

    #[test]
    fn a_dead_address_costs_a_share_of_the_time() {
        let ports = ports();
        let good = ports.good.local_addr().expect("bound");
        for others in [vec![ports.silent], vec![refusing()], vec![ports.silent, refusing(), ports.silent]] {
            let addresses: Vec<_> = others.into_iter().chain([good]).collect();
            assert_eq!(dial(&addresses, 60_000).expect("connected"), good, "{addresses:?}");
        }
        // Less time than four delays.
        assert_eq!(dial(&[ports.silent, ports.silent, ports.silent, good], 500).expect("connected"), good);
    }

    #[test]
    fn each_address_has_its_reason() {
        let (ports, refusing) = (ports(), refusing());
        let error = dial(&[ports.silent, refusing], 300).expect_err("no address answers").to_string();
        assert!(error.contains("127.0.0.1: Connection refused") && error.contains("127.0.0.1: timed out"), "{error}");
        let error = dial(&[refusing], 300).expect_err("refused").to_string();
        assert!(error.starts_with("Connection refused"), "{error}");
        let error = dial(&[refusing; 8], 300).expect_err("refused").to_string();
        assert!(error.ends_with("and 3 more addresses"), "{error}");
    }

    #[test]
    fn a_signal_ends_the_attempt() {
        let ports = ports();
        let mut interrupt = || Err(Error::Misuse("a signal"));
        let deadline = Instant::now() + Duration::from_secs(60);
        assert!(matches!(tcp(&[ports.silent], deadline, &mut interrupt), Err(Error::Misuse(_))));
    }
}
