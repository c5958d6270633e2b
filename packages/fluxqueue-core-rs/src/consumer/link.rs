//! The states of a conversation, its connections, and the requests under way on them.
//!
//! Why: docs/decisions/0049-a-conversation-is-a-state-machine.md

use std::io;
use std::time::Duration;

use super::claimed::Claimed;
use super::outcome::Settlement;
use super::poll::{Poll, WatchedSocket};
use super::replies::{self, Exchanged};
use crate::connection::{Connection, Reply, Sent};
use crate::errors::Result;

/// How late the reply of a BLMOVE may be before its connection counts as broken.
const BLOCK_MARGIN: Duration = Duration::from_secs(2);

/// One of a conversation's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one for scripts, with one request at a time.
    Scripts,
    /// For BLMOVE.
    Blocking,
}

impl Side {
    /// Both.
    pub const BOTH: [Side; 2] = [Side::Scripts, Side::Blocking];
}

/// A reply. The driver decodes it before it locks the state, because the threads that run tasks
/// wait for that lock.
pub enum Answer {
    /// The reply of an exchange, with its messages.
    Exchange(Result<Exchanged>),
    /// The message that a BLMOVE returned.
    Moved(Claimed),
    /// Any other reply.
    Other(Reply),
}

/// The two connections of a conversation, to one server.
pub struct Pair {
    /// Above the connections, because a descriptor is watched until it is closed.
    watches: Vec<WatchedSocket>,
    /// The connection for scripts.
    pub scripts: Connection,
    /// For BLMOVE.
    pub blocking: Connection,
    /// When bytes were last read from the connection for scripts.
    pub heard: Duration,
}

impl Pair {
    /// A pair that has sent and received nothing yet.
    pub fn new(scripts: Connection, blocking: Connection) -> Pair {
        Pair { watches: Vec::new(), scripts, blocking, heard: Duration::ZERO }
    }

    /// Lets `poll` watch both connections. Their numbers follow from `first` on, in the order of
    /// `Side::BOTH`.
    pub fn watch(&mut self, poll: &Poll, first: usize) -> io::Result<()> {
        for (i, side) in Side::BOTH.into_iter().enumerate() {
            self.watches.push(poll.watch(self.side(side).fd(), first + i)?);
        }
        Ok(())
    }

    fn side(&self, side: Side) -> &Connection {
        match side {
            Side::Scripts => &self.scripts,
            Side::Blocking => &self.blocking,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut Connection {
        match side {
            Side::Scripts => &mut self.scripts,
            Side::Blocking => &mut self.blocking,
        }
    }
}

/// An `open` under way.
pub struct OpenSent {
    /// When it was sent.
    pub at: Duration,
    /// Whether the reply to the registration of the queue comes first.
    pub registers: bool,
}

/// A conversation that is connected, but whose consumer Redis does not know yet.
pub struct Opening {
    /// The connections.
    pub pair: Pair,
    /// None while `open` waits to be sent.
    pub sent: Option<OpenSent>,
}

/// The request of an open conversation that has no reply yet.
pub enum Request {
    /// `exchange`, with its outcomes and the number of tasks that it asks for.
    Exchange { sent: Duration, settlements: Vec<Settlement>, asked: usize },
    /// `open` with no new id, which closes the consumer.
    Close(Duration),
}

/// A conversation whose consumer Redis knows. Only this state sends outcomes (rule 2) and BLMOVE
/// (rule 1).
pub struct Open {
    /// The connections.
    pub pair: Pair,
    /// The request under way.
    pub request: Option<Request>,
    /// When the last exchange, or `open`, was sent.
    pub last_exchange: Duration,
    /// Whether Redis may have more tasks than this conversation has asked for.
    pub maybe_more: bool,
    /// When the reply of the BLMOVE under way is overdue.
    pub blocked_until: Option<Duration>,
    /// When a BLMOVE last returned a task with a priority or a limit, until an exchange sent after
    /// that has succeeded.
    pub took_ranked: Option<Duration>,
}

impl Open {
    /// The state after an `open`, sent at `sent`, has succeeded.
    pub fn new(pair: Pair, sent: Duration) -> Open {
        Open { pair, request: None, last_exchange: sent, maybe_more: true, blocked_until: None, took_ranked: None }
    }

    /// Records that no BLMOVE is under way any more, and that tasks may wait. `took_ranked`: now,
    /// if it has returned a task with a priority or a limit.
    pub fn block_ended(&mut self, took_ranked: Option<Duration>) {
        self.blocked_until = None;
        self.maybe_more = true;
        self.took_ranked = took_ranked.or(self.took_ranked);
    }

    /// Records that an exchange, sent at `sent`, has succeeded. `maybe_more`: what it has told of
    /// tasks that wait, if it asked for any.
    pub fn exchanged(&mut self, sent: Duration, maybe_more: Option<bool>) {
        self.maybe_more = maybe_more.unwrap_or(self.maybe_more);
        self.took_ranked = self.took_ranked.filter(|took| *took >= sent);
    }

    /// Records that a BLMOVE was sent that lasts until `until`.
    pub fn blocks_until(&mut self, until: Duration) {
        self.blocked_until = Some(until + BLOCK_MARGIN);
    }

    /// How many tasks the exchange under way asks for.
    pub fn asking(&self) -> usize {
        match &self.request {
            Some(Request::Exchange { asked, .. }) => *asked,
            _ => 0,
        }
    }
}

/// The states of a conversation.
pub enum Link {
    /// Not connected.
    Away,
    /// A thread is connecting.
    Connecting,
    /// Connected, and Redis has not answered `open`.
    Opening(Opening),
    /// Redis has answered `open`.
    Open(Open),
    /// Closed after a drain: the consumer holds nothing.
    Closed,
}

impl Link {
    fn pair(&self) -> Option<&Pair> {
        match self {
            Link::Opening(opening) => Some(&opening.pair),
            Link::Open(open) => Some(&open.pair),
            Link::Away | Link::Connecting | Link::Closed => None,
        }
    }

    fn pair_mut(&mut self) -> Option<&mut Pair> {
        match self {
            Link::Opening(opening) => Some(&mut opening.pair),
            Link::Open(open) => Some(&mut open.pair),
            Link::Away | Link::Connecting | Link::Closed => None,
        }
    }

    /// The conversation, if it is open.
    pub fn open(&self) -> Option<&Open> {
        if let Link::Open(open) = self { Some(open) } else { None }
    }

    /// The conversation, if it is open, to change it.
    pub fn open_mut(&mut self) -> Option<&mut Open> {
        if let Link::Open(open) = self { Some(open) } else { None }
    }

    /// One of the connections.
    pub fn connection(&self, side: Side) -> Option<&Connection> {
        self.pair().map(|pair| pair.side(side))
    }

    fn connection_mut(&mut self, side: Side) -> Option<&mut Connection> {
        self.pair_mut().map(|pair| pair.side_mut(side))
    }

    /// Both connections.
    pub fn connections(&self) -> impl Iterator<Item = (Side, &Connection)> {
        self.pair().into_iter().flat_map(|pair| [(Side::Scripts, &pair.scripts), (Side::Blocking, &pair.blocking)])
    }

    /// The next whole reply among the bytes read. It decodes messages of up to `most` bytes.
    pub fn next_answer(&mut self, side: Side, most: usize) -> Result<Option<Answer>> {
        let reply = self.connection_mut(side).map(Connection::next_reply).transpose()?.flatten();
        Ok(reply.map(|reply| match (side, reply) {
            (_, Reply::Error(text)) => Answer::Other(Reply::Error(text)),
            (Side::Scripts, reply) if self.awaits_exchange() => Answer::Exchange(replies::exchanged(reply, most)),
            (Side::Blocking, Reply::BulkString(message)) => Answer::Moved(Claimed::read(message, most)),
            (_, reply) => Answer::Other(reply),
        }))
    }

    /// The command or script that waits for its reply on this side.
    pub fn sent(&self, side: Side) -> Sent<'static> {
        match side {
            Side::Blocking => Sent::Command("BLMOVE"),
            Side::Scripts => Sent::Script(if self.awaits_exchange() { "exchange" } else { "open" }),
        }
    }

    fn awaits_exchange(&self) -> bool {
        matches!(self, Link::Open(Open { request: Some(Request::Exchange { .. }), .. }))
    }

    /// Reads once. Returns false if there is nothing to read yet.
    pub fn read_some(&mut self, side: Side, now: impl FnOnce() -> Duration) -> io::Result<bool> {
        let has_read = self.connection_mut(side).map_or(Ok(false), Connection::read_some)?;
        if has_read {
            self.hear(side, now());
        }
        Ok(has_read)
    }

    /// Writes pending bytes to the connections.
    pub fn write_some(&mut self) -> io::Result<()> {
        let Some(pair) = self.pair_mut() else { return Ok(()) };
        for connection in [&mut pair.scripts, &mut pair.blocking] {
            if connection.wants_write() {
                connection.write_some()?;
            }
        }
        for (watch, connection) in pair.watches.iter_mut().zip([&pair.scripts, &pair.blocking]) {
            watch.for_write(connection.wants_write())?;
        }
        Ok(())
    }

    /// Whether some bytes wait to be written.
    pub fn wants_write(&self) -> bool {
        self.connections().any(|(_, connection)| connection.wants_write())
    }

    /// Whether the last read has emptied the socket.
    pub fn is_drained(&self, side: Side) -> bool {
        self.connection(side).is_some_and(Connection::is_drained)
    }

    /// Whether a request waits for its reply.
    pub fn awaits_reply(&self) -> bool {
        self.asked_at().is_some()
    }

    fn asked_at(&self) -> Option<Duration> {
        match self {
            Link::Opening(opening) => opening.sent.as_ref().map(|sent| sent.at),
            Link::Open(open) => open.request.as_ref().map(|request| match request {
                Request::Exchange { sent, .. } | Request::Close(sent) => *sent,
            }),
            Link::Away | Link::Connecting | Link::Closed => None,
        }
    }

    /// Records that bytes were read, even if no reply is complete.
    fn hear(&mut self, side: Side, now: Duration) {
        match (side, self) {
            (Side::Scripts, link) => {
                if let Some(pair) = link.pair_mut() {
                    pair.heard = now;
                }
            }
            (Side::Blocking, Link::Open(open)) => {
                open.blocked_until = open.blocked_until.map(|until| until.max(now + BLOCK_MARGIN));
            }
            (Side::Blocking, _) => {}
        }
    }

    /// When the reply to the request under way is overdue. Rule 15: a large reply on a slow line
    /// is not late while parts of it arrive.
    fn reply_due(&self, patience: Duration) -> Option<Duration> {
        Some(self.asked_at()?.max(self.pair()?.heard) + patience)
    }

    /// The problem, if a request has waited for its reply for too long.
    pub fn overdue(&self, patience: Duration, now: Duration) -> Option<&'static str> {
        if self.reply_due(patience).is_some_and(|due| now >= due) {
            return Some("Redis does not answer");
        }
        let blocked_until = self.open()?.blocked_until?;
        (now >= blocked_until).then_some("Redis does not answer a BLMOVE")
    }

    /// When `overdue` can next return a problem.
    pub fn due(&self, patience: Duration) -> Option<Duration> {
        let blocked_until = self.open().and_then(|open| open.blocked_until);
        self.reply_due(patience).into_iter().chain(blocked_until).min()
    }

    /// Records that `open` has succeeded.
    pub fn opened(&mut self) {
        match std::mem::replace(self, Link::Away) {
            Link::Opening(Opening { pair, sent: Some(sent) }) => *self = Link::Open(Open::new(pair, sent.at)),
            other => *self = other,
        }
    }

    /// Takes the exchange under way, whose reply has come: when it was sent, its outcomes, and
    /// the number of tasks that it asks for.
    pub fn take_exchange(&mut self) -> Option<(Duration, Vec<Settlement>, usize)> {
        match self.open_mut()?.request.take()? {
            Request::Exchange { sent, settlements, asked } => Some((sent, settlements, asked)),
            Request::Close(_) => None,
        }
    }

    /// Withdraws the request under way, which Redis has not executed. Returns its outcomes.
    pub fn withdraw(&mut self) -> Option<Vec<Settlement>> {
        if let Link::Opening(opening) = self {
            opening.sent = None;
        }
        self.take_exchange().map(|(_, settlements, _)| settlements)
    }

    /// Ends the conversation after a break, a lost lease or a drain. Returns the outcomes that
    /// were under way: the reply of the next `open` shows which of them Redis executed.
    pub fn end(&mut self) -> Option<Vec<Settlement>> {
        if matches!(self, Link::Connecting | Link::Closed) {
            return None;
        }
        let settlements = self.withdraw();
        *self = Link::Away;
        settlements
    }
}
