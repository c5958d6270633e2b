//! Opens a connection to one server: the socket, TLS, and the first commands.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::command::{Arg, command};
use super::connect;
use super::framing::Reply;
use super::interrupt::{Interrupt, SLICE};
use super::link::Connection;
use super::lookup;
use super::refusal::{Refusal, Sent, redis_error};
use super::share::share;
use super::stream::Stream;
use super::tls::TlsStream;
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

    /// The name of the command.
    fn name(&self) -> Cow<'static, str> {
        match self {
            Greeting::Auth(_) => "AUTH".into(),
            Greeting::Select(_) => "SELECT".into(),
            Greeting::Role => "ROLE".into(),
            Greeting::Wait => "WAIT".into(),
            Greeting::WaitAof => "WAITAOF".into(),
            Greeting::Question(words) => {
                let name: Vec<_> = words.iter().take(2).map(|word| String::from_utf8_lossy(word)).collect();
                name.join(" ").into()
            }
        }
    }

    fn check(&self, reply: &Reply, config: &Config) -> Result<()> {
        match (self, reply) {
            (Greeting::Wait | Greeting::WaitAof, Reply::Error(text)) => Err(can_not_wait(text, config)),
            (_, Reply::Error(text)) => Err(redis_error(text, Sent::Command(&self.name()))),
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

/// The error for a server that refuses to wait for replicas or the disk.
fn can_not_wait(text: &str, config: &Config) -> Error {
    let refusal = Refusal::read(text);
    let text = format!(
        "Redis can't wait for replicas or the disk, as wait_replicas or wait_aof asks: {text}; wait_aof needs Redis \
         7.2 or later with appendonly yes"
    );
    // A node of a cluster that has become a replica can't wait either. The map may not know it yet.
    let may_be_replica = refusal == Refusal::Other && matches!(config.address, Address::Cluster(_));
    if may_be_replica || refusal.is_temporary() { Error::Unavailable(text) } else { Error::Broker(text) }
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

/// Opens a TCP connection to a host, for another library. Leaves out the addresses in `silent`: the
/// caller has tried them. Returns how many others there are besides.
pub fn dial_host(
    host: &str,
    port: u16,
    silent: &[IpAddr],
    deadline: Instant,
    interrupt: &mut Interrupt,
) -> Result<(TcpStream, usize)> {
    let mut addresses = lookup::addresses(host, port, deadline, interrupt)?;
    addresses.retain(|address| !silent.contains(&address.ip()));
    if addresses.is_empty() {
        return Err(Error::Unavailable("no other address".into()));
    }
    let (socket, _) = connect::tcp(&addresses, deadline, interrupt)?;
    Ok((socket, addresses.len() - 1))
}

/// A server to connect to: one of those that a URL leads to, or may lead to.
#[derive(Clone, Copy)]
pub(super) struct DialTarget<'a> {
    /// The name and the port.
    pub node: &'a Node,
    /// The address, if it is known from another connection to the same server. It saves a lookup.
    pub address: Option<SocketAddr>,
}

impl<'a> DialTarget<'a> {
    /// A server whose addresses must be looked up.
    pub fn new(node: &'a Node) -> DialTarget<'a> {
        DialTarget { node, address: None }
    }
}

/// Connects to the first address of a server that answers, and lets `greet` exchange the first
/// commands. An address that takes the connection and then says nothing gets a share of the time.
fn reach<T>(
    config: &Config,
    target: DialTarget,
    deadline: Instant,
    interrupt: &mut Interrupt,
    greet: impl Fn(Connection, Instant, &mut Interrupt) -> Result<T>,
) -> Result<T> {
    let Node { host, port } = target.node;
    let mut untried = match target.address {
        Some(address) => vec![address],
        None => lookup::addresses(host, *port, deadline, interrupt)?,
    };
    let mut said = Vec::new();
    loop {
        let outcome = connect::tcp(&untried, deadline, interrupt).and_then(|(socket, address)| {
            untried.retain(|other| *other != address);
            let by = share(deadline, untried.len());
            let greeted = secure(config, socket, host, by, interrupt)
                .and_then(|stream| greet(Connection::new(stream, Some(address)), by, interrupt));
            match greeted {
                Err(Error::Unavailable(text)) if !untried.is_empty() => {
                    said.push(format!("{}: {text}", address.ip()));
                    Ok(None)
                }
                other => other.map(Some),
            }
        });
        match outcome {
            Ok(Some(reached)) => return Ok(reached),
            Ok(None) => interrupt()?,
            Err(Error::Unavailable(text)) if !said.is_empty() => {
                return Err(Error::Unavailable(format!("{}, {text}", said.join(", "))));
            }
            Err(error) => return Err(error),
        }
    }
}

fn secure(
    config: &Config,
    socket: TcpStream,
    host: &str,
    deadline: Instant,
    interrupt: &mut Interrupt,
) -> Result<Stream> {
    let stream = Stream::Tcp(socket);
    set_slice(config, &stream)?;
    match stream {
        Stream::Tcp(socket) if config.encrypted => {
            let tls = TlsStream::connect(socket, host, &config.certificates, deadline, interrupt)?;
            Ok(Stream::Tls(Box::new(tls)))
        }
        plain => Ok(plain),
    }
}

fn set_slice(config: &Config, stream: &Stream) -> Result<()> {
    // A timeout that is shorter than a slice must not last a whole slice.
    let slice = SLICE.min(config.timeout).min(config.connect_timeout).max(Duration::from_millis(1));
    stream.set_slice(slice).map_err(|e| Error::Unavailable(e.to_string()))
}

/// Sends the greetings, and checks the replies. Returns the last reply.
fn greet(
    connection: &mut Connection,
    config: &Config,
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
        if let Err(error) = greeting.check(&last, config) {
            // A server without room for another client (`maxclients`) says so without a code, and
            // hangs up. It may have room later.
            return Err(match &last {
                Reply::Error(text) if Refusal::read(text) == Refusal::Other && connection.is_hung_up() => {
                    Error::Unavailable(format!("Redis is not ready: {text}"))
                }
                _ => error,
            });
        }
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
    greet(&mut connection, config, &greetings, deadline, interrupt)?;
    Ok(connection)
}

/// Opens a connection to the only server of the URL, or to the address of it.
pub(super) fn first_server(
    config: &Config,
    address: Option<SocketAddr>,
    deadline: Instant,
    interrupt: &mut Interrupt,
) -> Result<Connection> {
    match (&config.address, config.address.nodes()) {
        (Address::Unix(path), _) => {
            let stream = Stream::Unix(connect::unix(path, deadline, interrupt)?);
            set_slice(config, &stream)?;
            introduce(Connection::new(stream, None), config, false, deadline, interrupt)
        }
        (_, [node, ..]) => {
            reach(config, DialTarget { node, address }, deadline, interrupt, |connection, by, interrupt| {
                introduce(connection, config, false, by, interrupt)
            })
        }
        (_, []) => Err(Error::Configuration("the Redis URL has no host".into())),
    }
}

/// Opens a connection to one of several servers. `is_watched`: Sentinels call it the master,
/// so check that it is.
pub(super) fn server(
    config: &Config,
    target: DialTarget,
    is_watched: bool,
    deadline: Instant,
    interrupt: &mut Interrupt,
) -> Result<Connection> {
    let node = Arc::new(target.node.clone());
    reach(config, target, deadline, interrupt, |connection, by, interrupt| {
        introduce(connection.to(node.clone()), config, is_watched, by, interrupt)
    })
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
    reach(config, DialTarget::new(node), deadline, interrupt, |mut connection, by, interrupt| {
        let greetings: Vec<_> = auth(credentials).into_iter().chain([Greeting::Question(words)]).collect();
        greet(&mut connection, config, &greetings, by, interrupt)
    })
}
