//! Opening a connection: the socket, TLS, AUTH and SELECT.

use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::link::{Connection, Interrupt, Reply, SLICE, redis_error};
use super::reach;
use super::stream::Stream;
use crate::config::{Config, Place};
use crate::errors::{Error, Result};

fn unavailable(config: &Config, error: impl std::fmt::Display) -> Error {
    Error::Unavailable(format!("Redis at {} can't be reached: {error}", config.display_url))
}

fn socket(config: &Config, deadline: Instant, interrupt: &mut Interrupt) -> Result<Stream> {
    let stream = match &config.place {
        Place::Unix(path) => Stream::Unix(reach::unix(path, deadline, interrupt)?),
        Place::Single(node) if config.encrypted => {
            Stream::encrypt(reach::tcp(&node.host, node.port, deadline, interrupt)?, &node.host, &config.certificates)?
        }
        Place::Single(node) => Stream::Tcp(reach::tcp(&node.host, node.port, deadline, interrupt)?),
        Place::Sentinel(_) | Place::Cluster(_) => {
            return Err(Error::Configuration("this version connects to single servers alone".into()));
        }
    };
    // A timeout shorter than a slice must not last a whole slice.
    let slice = SLICE.min(config.timeout).max(Duration::from_millis(1));
    stream.set_slice(slice).map_err(|e| Error::Unavailable(e.to_string()))?;
    Ok(stream)
}

impl Connection {
    /// One attempt, within the connect timeout. The connection blocks.
    pub fn open(config: &Config, interrupt: &mut Interrupt) -> Result<Connection> {
        Connection::open_by(config, Instant::now() + config.connect_timeout, interrupt)
    }

    fn open_by(config: &Config, deadline: Instant, interrupt: &mut Interrupt) -> Result<Connection> {
        let lost = |e: Error| match e {
            Error::Unavailable(_) | Error::Uncertain(_) | Error::Broker(_) => unavailable(config, e),
            other => other,
        };
        if config.wait.is_on() {
            return Err(Error::Configuration("this version can't wait for replicas or the disk yet".into()));
        }
        let mut connection = Connection::new(socket(config, deadline, interrupt).map_err(lost)?);
        let database = config.database.to_string();
        let mut greetings: Vec<Vec<&[u8]>> = Vec::new();
        match (&config.username, &config.password) {
            (Some(user), Some(password)) => greetings.push(vec![b"AUTH", user.as_bytes(), password.as_bytes()]),
            (None, Some(password)) => greetings.push(vec![b"AUTH", password.as_bytes()]),
            // A user whom Redis asks for no password (`nopass`) takes any.
            (Some(user), None) => greetings.push(vec![b"AUTH", user.as_bytes(), b""]),
            (None, None) => {}
        }
        // Also without need: the answer shows that Redis is ready to serve.
        greetings.push(vec![b"SELECT", database.as_bytes()]);
        for greeting in &greetings {
            super::command(connection.outgoing(), greeting.iter().copied());
        }
        connection.send(deadline, interrupt).map_err(lost)?;
        for _ in &greetings {
            match connection.receive(deadline, interrupt).map_err(lost)? {
                Reply::SimpleString(_) => {}
                Reply::Error(text) => return Err(redis_error(&text)),
                // Also what a socket says that the kernel has connected to itself.
                _ => return Err(unavailable(config, "what answers there is not Redis")),
            }
        }
        Ok(connection)
    }

    /// Attempts until `deadline`, with pauses, while Redis is away or loading.
    pub fn open_until(config: &Config, deadline: Instant, interrupt: &mut Interrupt) -> Result<Connection> {
        let mut backoff = Backoff::new();
        loop {
            let attempt = deadline.min(Instant::now() + config.connect_timeout);
            let error = match Connection::open_by(config, attempt, interrupt) {
                Err(error @ Error::Unavailable(_)) => error,
                other => return other,
            };
            if !backoff.sleep(deadline, interrupt)? {
                return Err(error);
            }
        }
    }
}
