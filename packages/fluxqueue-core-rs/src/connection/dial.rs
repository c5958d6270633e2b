//! Opens a connection to one server: the socket, TLS, and the first commands.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::command::{Arg, command};
use super::connect;
use super::framing::Reply;
use super::link::{Connection, Interrupt, SLICE};
use super::refusal::redis_error;
use super::stream::Stream;
use crate::config::{Address, Config, Node};
use crate::errors::{Error, Result};

/// The user and the password.
type Credentials<'a> = (Option<&'a str>, Option<&'a str>);

/// One of the first commands on a connection.
enum Greeting<'a> {
    Auth(Credentials<'a>),
    /// Sent even for database 0: the reply shows that Redis is ready to serve.
    Select(u32),
    /// Checks that the server is a master. Sentinels may name one that no longer is.
    /// Why: docs/decisions/0027-the-master-is-asked-for-at-each-dial.md
    Role,
    /// Checks that the user may wait for replicas, before there is a task to wait for.
    Wait,
    /// Checks that the user may wait for the disk, and that the server can.
    WaitAof,
    /// Any other command. Its reply goes to the caller.
    Question(&'a [Arg<'a>]),
}

impl Greeting<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Greeting::Auth((Some(user), password)) => {
                // If a user needs no password (`nopass`), Redis accepts any password.
                command(out, [b"AUTH", user.as_bytes(), password.unwrap_or_default().as_bytes()]);
            }
            Greeting::Auth((None, password)) => {
                command(out, [b"AUTH".as_slice(), password.unwrap_or_default().as_bytes()]);
            }
            Greeting::Select(database) => command(out, [b"SELECT", database.to_string().as_bytes()]),
            Greeting::Role => command(out, [b"ROLE".as_slice()]),
            Greeting::Wait => command(out, [b"WAIT".as_slice(), b"0", b"1"]),
            Greeting::WaitAof => command(out, [b"WAITAOF".as_slice(), b"1", b"0", b"1"]),
            Greeting::Question(words) => command(out, words.iter().copied()),
        }
    }

    fn check(&self, reply: &Reply) -> Result<()> {
        match (self, reply) {
            (Greeting::WaitAof, Reply::Error(text)) if text.contains("unknown command") => {
                Err(Error::Broker("wait_aof is on, but this server has no WAITAOF: it needs Redis 7.2".into()))
            }
            // The server is a replica, for example the master before a failover. Its reply to
            // the first command says more: `MOVED` leads to the new master.
            (Greeting::Wait | Greeting::WaitAof, Reply::Error(text)) if text.contains("replica instances") => Ok(()),
            (Greeting::Wait | Greeting::WaitAof, Reply::Error(text)) => Err(Error::Broker(format!(
                "Redis can't wait for replicas or the disk, as wait_replicas or wait_aof asks: {text}"
            ))),
            (_, Reply::Error(text)) => Err(redis_error(text)),
            (Greeting::Role, Reply::Array(parts)) => match parts.first() {
                Some(Reply::BulkString(role)) if &role[..] == b"master" => Ok(()),
                _ => Err(Error::Unavailable("the Sentinels call it the master, but it is not (or not yet)".into())),
            },
            (Greeting::Auth(_) | Greeting::Select(_), Reply::SimpleString(_))
            | (Greeting::Wait, Reply::Integer(_))
            | (Greeting::WaitAof, Reply::Array(_))
            | (Greeting::Question(_), _) => Ok(()),
            // The server is not Redis, or the kernel has connected the socket to itself.
            _ => Err(Error::Unavailable("what answers there is not Redis".into())),
        }
    }
}

fn auth<'a>(credentials: Credentials<'a>) -> Option<Greeting<'a>> {
    (credentials != (None, None)).then_some(Greeting::Auth(credentials))
}

/// Makes an error of the first commands `Unavailable`. No task was written yet, so no outcome
/// is uncertain. A server that speaks another protocol is not Redis.
fn not_reached(error: Error) -> Error {
    match error {
        Error::Uncertain(text) | Error::Broker(text) => Error::Unavailable(text),
        other => other,
    }
}

fn tcp(config: &Config, node: &Node, deadline: Instant, interrupt: &mut Interrupt) -> Result<Stream> {
    let socket = connect::tcp(&node.host, node.port, deadline, interrupt)?;
    match config.encrypted {
        true => Stream::encrypt(socket, &node.host, &config.certificates),
        false => Ok(Stream::Tcp(socket)),
    }
}

fn connection(config: &Config, stream: Stream, node: Option<Arc<Node>>) -> Result<Connection> {
    // A timeout that is shorter than a slice must not last a whole slice.
    let slice = SLICE.min(config.timeout).max(Duration::from_millis(1));
    stream.set_slice(slice).map_err(|e| Error::Unavailable(e.to_string()))?;
    Ok(Connection::new(stream, node))
}

/// Sends the greetings, and checks the replies. Returns the last reply.
fn greet(
    connection: &mut Connection,
    greetings: &[Greeting],
    deadline: Instant,
    interrupt: &mut Interrupt,
) -> Result<Reply> {
    for greeting in greetings {
        greeting.write(connection.outgoing());
    }
    connection.send(deadline, interrupt).map_err(not_reached)?;
    let mut last = Reply::Null;
    for greeting in greetings {
        last = connection.receive(deadline, interrupt).map_err(not_reached)?;
        greeting.check(&last)?;
    }
    Ok(last)
}

fn introduce(
    mut connection: Connection,
    config: &Config,
    is_watched: bool,
    deadline: Instant,
    interrupt: &mut Interrupt,
) -> Result<Connection> {
    let credentials = (config.username.as_deref(), config.password.as_deref());
    let mut greetings: Vec<_> = auth(credentials).into_iter().collect();
    greetings.push(Greeting::Select(config.database));
    if is_watched {
        greetings.push(Greeting::Role);
    }
    if config.wait.replicas > 0 {
        greetings.push(Greeting::Wait);
    }
    if config.wait.aof {
        greetings.push(Greeting::WaitAof);
    }
    greet(&mut connection, &greetings, deadline, interrupt)?;
    Ok(connection)
}

/// Opens a connection to the only server of the URL.
pub(super) fn first_server(config: &Config, deadline: Instant, interrupt: &mut Interrupt) -> Result<Connection> {
    let stream = match (&config.address, config.address.nodes()) {
        (Address::Unix(path), _) => Stream::Unix(connect::unix(path, deadline, interrupt)?),
        (_, [node, ..]) => tcp(config, node, deadline, interrupt)?,
        (_, []) => return Err(Error::Configuration("the Redis URL has no host".into())),
    };
    introduce(connection(config, stream, None)?, config, false, deadline, interrupt)
}

/// Opens a connection to one of several servers. `is_watched`: Sentinels call it the master,
/// so check that it is.
pub(super) fn server(
    config: &Config,
    node: Arc<Node>,
    is_watched: bool,
    deadline: Instant,
    interrupt: &mut Interrupt,
) -> Result<Connection> {
    let stream = tcp(config, &node, deadline, interrupt)?;
    introduce(connection(config, stream, Some(node))?, config, is_watched, deadline, interrupt)
}

/// Asks one question on a separate connection.
pub(super) fn question(
    config: &Config,
    node: &Node,
    credentials: Credentials,
    words: &[Arg],
    deadline: Instant,
    interrupt: &mut Interrupt,
) -> Result<Reply> {
    let mut connection = connection(config, tcp(config, node, deadline, interrupt)?, None)?;
    let greetings: Vec<_> = auth(credentials).into_iter().chain([Greeting::Question(words)]).collect();
    greet(&mut connection, &greetings, deadline, interrupt)
}
