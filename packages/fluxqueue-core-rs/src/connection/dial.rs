//! Opening a connection: the socket, TLS, AUTH and SELECT.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};

use super::link::{Connection, Interrupt, Reply, redis_error};
use super::stream::Stream;
use crate::config::{Address, Config};
use crate::errors::{Error, Result};

/// How long a blocking read or write lasts before signals are looked at.
const SLICE: Duration = Duration::from_millis(100);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

fn unavailable(config: &Config, error: impl std::fmt::Display) -> Error {
    Error::Unavailable(format!("Redis at {} can't be reached: {error}", config.display_url))
}

fn tcp(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let deadline = Instant::now() + timeout;
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{host:?} has no address"));
    for address in (host, port).to_socket_addrs()? {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                // A peer that vanishes without a word is noticed within half a minute.
                let alive =
                    TcpKeepalive::new().with_time(Duration::from_secs(15)).with_interval(Duration::from_secs(5));
                SockRef::from(&stream).set_tcp_keepalive(&alive)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn socket(config: &Config, timeout: Duration) -> Result<Stream> {
    let failed = |e: io::Error| unavailable(config, e);
    let stream = match &config.address {
        Address::Tcp(host, port) => Stream::Tcp(tcp(host, *port, timeout).map_err(failed)?),
        Address::Tls(host, port) => {
            Stream::encrypt(tcp(host, *port, timeout).map_err(failed)?, host, &config.certificates)?
        }
        Address::Unix(path) => Stream::Unix(UnixStream::connect(path).map_err(failed)?),
    };
    stream.set_slice(SLICE.min(timeout)).map_err(failed)?;
    Ok(stream)
}

impl Connection {
    /// One attempt, within the connect timeout. The connection blocks.
    pub fn open(config: &Config, interrupt: &mut Interrupt) -> Result<Connection> {
        let deadline = Instant::now() + config.connect_timeout;
        let mut connection = Connection::new(socket(config, config.connect_timeout)?);
        let database = config.database.to_string();
        let mut greetings: Vec<Vec<&[u8]>> = Vec::new();
        match (&config.username, &config.password) {
            (Some(user), Some(password)) => greetings.push(vec![b"AUTH", user.as_bytes(), password.as_bytes()]),
            (None, Some(password)) => greetings.push(vec![b"AUTH", password.as_bytes()]),
            _ => {}
        }
        // Also without need: the answer shows that Redis is ready to serve.
        greetings.push(vec![b"SELECT", database.as_bytes()]);
        for greeting in &greetings {
            super::command(connection.outgoing(), greeting.iter().copied());
        }
        let lost = |e: Error| match e {
            Error::Python(_) => e,
            other => unavailable(config, other),
        };
        connection.send(deadline, interrupt).map_err(lost)?;
        for _ in &greetings {
            if let Reply::Error(text) = connection.receive(deadline, interrupt).map_err(lost)? {
                return Err(redis_error(&text));
            }
        }
        Ok(connection)
    }

    /// Attempts until `deadline`, with pauses, while Redis is away or loading.
    pub fn open_until(config: &Config, deadline: Instant, interrupt: &mut Interrupt) -> Result<Connection> {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match Connection::open(config, interrupt) {
                Err(error @ Error::Unavailable(_)) => error,
                other => return other,
            };
            if Instant::now() + pause >= deadline {
                return Err(error);
            }
            std::thread::sleep(pause);
            interrupt()?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
