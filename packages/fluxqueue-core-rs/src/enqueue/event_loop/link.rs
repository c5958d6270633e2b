//! The link to Redis: closed, pausing, connecting or open, and what an open one may do.

use std::io::{self, ErrorKind};
use std::os::fd::RawFd;

use super::dial::Dial;
use crate::config::Wait;
use crate::connection::Connection;
use crate::enqueue::redirects::Pause;
use crate::enqueue::wrapping::Wrapping;

pub enum LoopLink {
    /// The next call connects.
    Closed,
    /// An attempt has failed, the next one is scheduled.
    Pausing,
    /// A thread is connecting.
    Connecting(DialAttempt),
    /// Connected. The loop watches for replies.
    Open(OpenLink),
}

/// An attempt to connect.
pub struct DialAttempt {
    pub dial: Dial,
    /// The attempt leads to a node that ASK has named.
    pub asking: bool,
}

/// An open connection.
pub struct OpenLink {
    pub connection: Connection,
    /// The connection leads to a node that ASK has named, for one turn of commands.
    asking: bool,
    /// The loop watches for room to write.
    writer: bool,
    /// Redis was not ready; writing goes on after a pause.
    held: bool,
    /// Redis has executed nothing since it refused a command. Until it executes one, only
    /// one turn of commands is in flight, so that no call overtakes another.
    doubtful: bool,
    /// Redis has answered on this connection.
    proven: bool,
    /// Another server must get the commands: nothing more is written here, and the loop
    /// connects to the other one after the last reply.
    leaving: Option<Pause>,
}

/// How far a write has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Written {
    /// The socket has taken everything.
    All,
    /// The rest must wait. Some: the loop must begin to watch this descriptor for room.
    Later(Option<RawFd>),
}

impl LoopLink {
    pub fn open(&self) -> Option<&OpenLink> {
        match self {
            LoopLink::Open(open) => Some(open),
            _ => None,
        }
    }

    pub fn open_mut(&mut self) -> Option<&mut OpenLink> {
        match self {
            LoopLink::Open(open) => Some(open),
            _ => None,
        }
    }

    /// Closes the link if an attempt is under way, and returns the attempt.
    pub fn take_attempt(&mut self) -> Option<DialAttempt> {
        match std::mem::replace(self, LoopLink::Closed) {
            LoopLink::Connecting(attempt) => Some(attempt),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Closes the link if it is open, and returns the connection, whose descriptor the loop
    /// still watches.
    pub fn take_open(&mut self) -> Option<OpenLink> {
        match std::mem::replace(self, LoopLink::Closed) {
            LoopLink::Open(open) => Some(open),
            other => {
                *self = other;
                None
            }
        }
    }
}

impl OpenLink {
    pub const fn new(connection: Connection, asking: bool) -> OpenLink {
        OpenLink { connection, asking, writer: false, held: false, doubtful: false, proven: false, leaving: None }
    }

    /// Whether the next commands may be composed. Not while the socket has not taken the
    /// last ones.
    pub fn takes_commands(&self, in_flight: bool) -> bool {
        let is_free = !self.held && self.leaving.is_none() && !self.connection.wants_write();
        is_free && !(self.doubtful && in_flight)
    }

    /// The wrapping of the commands that are composed next. A node that ASK has named gets
    /// no others.
    pub fn begin_commands(&mut self, wait: Wait) -> Wrapping {
        if self.asking {
            self.leaving = Some(Pause::None);
        }
        Wrapping { asking: self.asking, wait }
    }

    /// Writes as much as the socket takes.
    pub fn write(&mut self) -> io::Result<Written> {
        if self.write_some()? {
            return Ok(Written::All);
        }
        let watched = std::mem::replace(&mut self.writer, true);
        Ok(Written::Later((!watched).then(|| self.connection.fd())))
    }

    /// Writes more, when the socket has room. Some: that was all, and the loop must no longer
    /// watch this descriptor for room.
    pub fn write_rest(&mut self) -> io::Result<Option<RawFd>> {
        if !self.write_some()? {
            return Ok(None);
        }
        self.writer = false;
        Ok(Some(self.connection.fd()))
    }

    fn write_some(&mut self) -> io::Result<bool> {
        match self.connection.write_some() {
            Err(e) if e.kind() == ErrorKind::Interrupted => Ok(false),
            written => written,
        }
    }

    /// Whether the loop watches for room to write.
    pub fn is_watched_for_room(&self) -> bool {
        self.writer
    }

    /// A reply has arrived.
    pub fn prove(&mut self) {
        self.proven = true;
    }

    /// Redis has executed a command.
    pub fn trust(&mut self) {
        self.doubtful = false;
    }

    /// Redis has refused a command.
    pub fn doubt(&mut self) {
        self.doubtful = true;
    }

    /// Redis is not ready: nothing is written before `resume`. Returns whether writing was
    /// allowed so far.
    pub fn hold(&mut self) -> bool {
        self.doubt();
        !std::mem::replace(&mut self.held, true)
    }

    pub fn resume(&mut self) {
        self.held = false;
    }

    /// Another server must get the commands.
    pub fn leave(&mut self, pause: Pause) {
        self.leaving = Some(pause);
    }

    pub fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// Whether to connect to another server now. A node that ASK has named is left even if
    /// it got no command.
    pub fn leaves_now(&mut self, in_flight: bool) -> bool {
        if self.asking && self.leaving.is_none() {
            self.leaving = Some(Pause::None);
        }
        self.leaving.is_some() && !in_flight
    }

    /// Whether the next attempt follows the end of this connection without a pause: another
    /// server is known, or this one has worked.
    pub fn reconnects_at_once(&self) -> bool {
        match self.leaving {
            Some(pause) => pause == Pause::None,
            None => self.proven,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    const NO_WAIT: Wait = Wait { replicas: 0, aof: false, timeout: Duration::ZERO };

    fn open(asking: bool) -> (OpenLink, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("sockets");
        ours.set_nonblocking(true).expect("a socket");
        (OpenLink::new(Connection::over(ours), asking), theirs)
    }

    #[test]
    fn a_held_connection_takes_no_commands_before_it_resumes() {
        let (mut open, _theirs) = open(false);
        assert!(open.takes_commands(true));
        assert!(open.hold());
        assert!(!open.hold(), "a second refusal needs no second pause");
        assert!(!open.takes_commands(false));
        open.resume();
        assert!(open.takes_commands(false));
    }

    #[test]
    fn one_turn_of_commands_is_in_flight_until_redis_executes_one() {
        let (mut open, _theirs) = open(false);
        open.doubt();
        assert!(open.takes_commands(false) && !open.takes_commands(true));
        open.trust();
        assert!(open.takes_commands(true));
    }

    #[test]
    fn a_node_that_ask_has_named_gets_one_turn_of_commands() {
        let (mut open, _theirs) = open(true);
        assert!(open.takes_commands(false));
        assert!(open.begin_commands(NO_WAIT).asking);
        assert!(open.is_leaving() && !open.takes_commands(false));
        assert!(!open.leaves_now(true) && open.leaves_now(false));
        assert!(open.reconnects_at_once());
    }

    #[test]
    fn a_node_that_ask_has_named_is_left_without_a_command_too() {
        let (mut asked, _theirs) = open(true);
        assert!(asked.leaves_now(false));
        let (mut owner, _theirs) = open(false);
        assert!(!owner.begin_commands(NO_WAIT).asking);
        assert!(!owner.leaves_now(false) && !owner.is_leaving());
    }

    #[test]
    fn an_attempt_follows_at_once_if_it_can_succeed() {
        let (mut open, _theirs) = open(false);
        assert!(!open.reconnects_at_once(), "it has never worked");
        open.prove();
        assert!(open.reconnects_at_once());
        open.leave(Pause::Needed);
        assert!(!open.reconnects_at_once(), "no better server is known");
        open.leave(Pause::None);
        assert!(open.reconnects_at_once());
    }

    #[test]
    fn the_loop_watches_a_full_socket_once() {
        let (mut open, mut theirs) = open(false);
        let fd = open.connection.fd();
        assert_eq!(open.write().expect("open"), Written::All);
        let bytes = 8 << 20;
        open.connection.outgoing().resize(bytes, b'x');
        assert_eq!(open.write().expect("open"), Written::Later(Some(fd)));
        assert!(open.is_watched_for_room() && !open.takes_commands(false));
        assert_eq!(open.write().expect("open"), Written::Later(None));
        assert_eq!(open.write_rest().expect("open"), None);
        let reader = std::thread::spawn(move || theirs.read_exact(&mut vec![0; bytes]));
        while open.write_rest().expect("open").is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(!open.is_watched_for_room() && open.takes_commands(false));
        reader.join().expect("no panic").expect("all bytes");
    }

    #[test]
    fn only_an_open_link_has_a_connection_to_take() {
        let (open, _theirs) = open(false);
        let mut link = LoopLink::Pausing;
        assert!(link.take_open().is_none() && link.take_attempt().is_none() && link.open().is_none());
        assert!(matches!(link, LoopLink::Pausing));
        link = LoopLink::Open(open);
        assert!(link.take_attempt().is_none() && link.open().is_some());
        assert!(link.take_open().is_some());
        assert!(matches!(link, LoopLink::Closed));
    }
}
