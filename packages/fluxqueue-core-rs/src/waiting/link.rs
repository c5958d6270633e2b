//! The conversation with one master about the results that are waited for.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::mailbox::WaitFault;
use super::waits::{ShardWaits, Waits};
use crate::connection::{
    Connection, Deployment, HashSlot, Heard, Redirect, Refusal, Reply, begin, command, hash_slot_of,
};
use crate::errors::{Error, Result};

/// The most keys of one MGET. Redis closes a subscriber's connection if its replies take more
/// than 32 MB (`client-output-buffer-limit pubsub`), so a broken connection begins with fewer.
pub const MOST_KEYS: usize = 128;

/// How many MGET may be under way. One, as long as the replies may be too large.
const MOST_LOOKS: usize = 8;

/// After this time without a word, the server is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(5);

/// A command whose reply has not come.
enum Question {
    Hello,
    /// Its replies are pushes, of which `left` are left.
    Subscribe {
        shard_key: HashSlot,
        left: usize,
        is_sharded: bool,
    },
    Unsubscribe(HashSet<Bytes>),
    Look(HashSlot, Vec<Bytes>),
    Beat(Option<HashSlot>),
}

/// The consequences of what was heard.
#[derive(Default)]
pub struct Heeded {
    /// The shard keys that belong to another server, or can't be served now.
    pub moved: Vec<HashSlot>,
}

/// A connection that speaks RESP 3.
pub struct ResultLink {
    /// The connection.
    pub connection: Connection,
    requests: VecDeque<Question>,
    heard_at: Instant,
    /// How many keys one MGET has.
    keys: usize,
    is_sharded: bool,
}

fn push_all(out: &mut Vec<u8>, verb: &[u8], words: &[Bytes]) {
    begin(out, 1 + words.len());
    crate::connection::arg(out, verb);
    words.iter().for_each(|word| crate::connection::arg(out, word));
}

/// The shard key of a channel, of which the name has the hash tag of its queue.
fn shard_key_of(deployment: &Deployment, channel: &[u8]) -> HashSlot {
    match deployment.is_cluster() {
        true => std::str::from_utf8(channel).map_or(0, hash_slot_of),
        false => 0,
    }
}

impl ResultLink {
    /// A link over a connection that does not block. `keys`: how many keys one MGET may have.
    pub fn new(mut connection: Connection, deployment: &Deployment, keys: usize, now: Instant) -> ResultLink {
        command(connection.outgoing(), [b"HELLO".as_slice(), b"3"]);
        let requests = VecDeque::from([Question::Hello]);
        ResultLink { connection, requests, heard_at: now, keys, is_sharded: deployment.is_cluster() }
    }

    /// How many keys one MGET has now.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// Writes what the waits of a shard key have to say: first the channels that they leave, then
    /// those that they join, then the looks.
    pub fn ask(&mut self, shard_key: HashSlot, shard: &mut ShardWaits) {
        let (join, leave): (&[u8], &[u8]) =
            if self.is_sharded { (b"SSUBSCRIBE", b"SUNSUBSCRIBE") } else { (b"SUBSCRIBE", b"UNSUBSCRIBE") };
        let leaving = shard.take_leaving();
        if !leaving.is_empty() {
            push_all(self.connection.outgoing(), leave, &leaving);
            self.requests.push_back(Question::Unsubscribe(leaving.into_iter().collect()));
        }
        let most = if self.keys < MOST_KEYS { 1 } else { MOST_LOOKS };
        let under_way = self.requests.iter().filter(|request| matches!(request, Question::Look(..))).count();
        for _ in under_way..most {
            let questions = shard.take_questions(self.keys);
            if questions.look.is_empty() {
                return;
            }
            let out = self.connection.outgoing();
            if !questions.subscribe.is_empty() {
                push_all(out, join, &questions.subscribe);
                let (left, is_sharded) = (questions.subscribe.len(), self.is_sharded);
                self.requests.push_back(Question::Subscribe { shard_key, left, is_sharded });
            }
            let (channels, keys): (Vec<_>, Vec<_>) = questions.look.into_iter().unzip();
            // GET alone refuses a key of another type: MGET finds nothing there.
            let verb: &[u8] = if keys.len() == 1 { b"GET" } else { b"MGET" };
            push_all(out, verb, &keys);
            self.requests.push_back(Question::Look(shard_key, channels));
        }
    }

    /// When `beat` has something to do.
    pub fn due(&self, timeout: Duration) -> Instant {
        self.heard_at + if self.requests.is_empty() { SILENCE } else { timeout }
    }

    /// Asks a silent server whether it is still there, and still the master. `key` is one that it
    /// serves, with its shard key.
    pub fn beat(
        &mut self,
        deployment: &Deployment,
        key: Option<(HashSlot, Bytes)>,
        timeout: Duration,
        now: Instant,
    ) -> Result<()> {
        if now < self.due(timeout) {
            return Ok(());
        }
        if !self.requests.is_empty() {
            return Err(Error::Unavailable("no answer in time".into()));
        }
        let out = self.connection.outgoing();
        let is_watched = matches!(deployment.config.address, crate::config::Address::Sentinel(_));
        let mut asked = None;
        match key {
            _ if is_watched => command(out, [b"ROLE".as_slice()]),
            Some((shard_key, key)) if deployment.is_cluster() => {
                command(out, [b"MGET".as_slice(), &key]);
                asked = Some(shard_key);
            }
            _ => command(out, [b"PING".as_slice()]),
        }
        self.heard_at = now;
        self.requests.push_back(Question::Beat(asked));
        Ok(())
    }

    /// Reads what has come.
    pub fn hear(&mut self, deployment: &Deployment, waits: &mut Waits, now: Instant) -> Result<Heeded> {
        let mut heeded = Heeded::default();
        loop {
            let read = self.connection.read_some();
            let is_more = read.map_err(|error| Error::Unavailable(error.to_string()))?;
            if is_more {
                self.heard_at = now;
            }
            while let Some(heard) = self.connection.next_heard()? {
                match heard {
                    Heard::Push(parts) => self.pushed(deployment, waits, &parts, &mut heeded),
                    Heard::Reply(Reply::Error(text)) => self.refused(deployment, waits, &text, &mut heeded)?,
                    Heard::Reply(reply) => self.replied(deployment, waits, reply)?,
                }
            }
            if !is_more || self.connection.is_drained() {
                return Ok(heeded);
            }
        }
    }

    fn pushed(&mut self, deployment: &Deployment, waits: &mut Waits, parts: &[Reply], heeded: &mut Heeded) {
        let (Some(Reply::BulkString(kind)), Some(Reply::BulkString(channel))) = (parts.first(), parts.get(1)) else {
            return;
        };
        let shard_key = shard_key_of(deployment, channel);
        match &kind[..] {
            b"message" | b"smessage" => {
                let Some(shard) = waits.of(shard_key) else { return };
                match parts.get(2) {
                    // A copy: the rest of the read must not stay in memory with it.
                    Some(Reply::BulkString(result)) if !result.is_empty() => {
                        shard.told(channel, Bytes::copy_from_slice(result));
                    }
                    _ => shard.must_look(channel),
                }
            }
            b"subscribe" | b"ssubscribe" => {
                if let Some(Question::Subscribe { left, .. }) = self.requests.front_mut() {
                    *left -= 1;
                    if *left == 0 {
                        self.requests.pop_front();
                    }
                }
            }
            b"unsubscribe" | b"sunsubscribe" => {
                let is_ours = match self.requests.front_mut() {
                    Some(Question::Unsubscribe(channels)) => channels.remove(channel),
                    _ => false,
                };
                match self.requests.front() {
                    Some(Question::Unsubscribe(channels)) if channels.is_empty() => drop(self.requests.pop_front()),
                    // The hash slot has moved away.
                    _ if !is_ours => heeded.moved.push(shard_key),
                    _ => (),
                }
            }
            _ => (),
        }
    }

    fn replied(&mut self, deployment: &Deployment, waits: &mut Waits, reply: Reply) -> Result<()> {
        match (self.requests.pop_front(), reply) {
            (
                Some(Question::Look(shard_key, channels)),
                found @ (Reply::Array(_) | Reply::BulkString(_) | Reply::Null),
            ) => {
                let values = if let Reply::Array(values) = found { values } else { vec![found] };
                self.keys = (self.keys * 2).min(MOST_KEYS);
                let Some(shard) = waits.of(shard_key) else { return Ok(()) };
                for (channel, value) in channels.iter().zip(values) {
                    match value {
                        Reply::BulkString(result) => shard.found(channel, Bytes::copy_from_slice(&result)),
                        _ => shard.found(channel, Bytes::new()),
                    }
                }
                Ok(())
            }
            (Some(Question::Beat(_)), Reply::Array(parts)) if is_replica(&parts) => {
                // The next connection searches for the master.
                deployment.redirect("READONLY", self.connection.node().map(|node| &**node));
                Err(Error::Unavailable("the server is no longer the master".into()))
            }
            (Some(Question::Hello | Question::Beat(_)), _) => Ok(()),
            _ => Err(Error::Unavailable("what answers there is not Redis".into())),
        }
    }

    fn refused(&mut self, deployment: &Deployment, waits: &mut Waits, text: &str, heeded: &mut Heeded) -> Result<()> {
        let request = self.requests.pop_front();
        let looked_for = match &request {
            Some(Question::Look(_, channels)) if channels.len() == 1 => Some(channels[0].clone()),
            _ => None,
        };
        let (shard_key, name) = match request {
            Some(Question::Subscribe { shard_key, is_sharded: true, .. }) => (shard_key, "SSUBSCRIBE"),
            Some(Question::Subscribe { shard_key, .. }) => (shard_key, "SUBSCRIBE"),
            Some(Question::Look(shard_key, _)) => (shard_key, if looked_for.is_some() { "GET" } else { "MGET" }),
            Some(Question::Beat(Some(shard_key))) => (shard_key, "MGET"),
            // It answers.
            Some(Question::Beat(None)) => return Ok(()),
            Some(Question::Hello) => {
                let error = WaitFault::of(text, "HELLO");
                waits.fail_all(&error);
                return Err(error.error());
            }
            Some(Question::Unsubscribe(_)) | None => return Err(WaitFault::of(text, "UNSUBSCRIBE").error()),
        };
        let refusal = Refusal::read(text);
        match deployment.redirect(text, self.connection.node().map(|node| &**node)) {
            Some(Redirect::Unknown) => return Err(Error::Unavailable(text.to_owned())),
            Some(_) => {
                heeded.moved.push(shard_key);
                return Ok(());
            }
            None if refusal == Refusal::NotReady => {
                heeded.moved.push(shard_key);
                return Ok(());
            }
            None => (),
        }
        let Some(shard) = waits.of(shard_key) else { return Ok(()) };
        if name == "SSUBSCRIBE" && refusal == Refusal::Other {
            // A cluster of Redis 6.2 has no sharded channels. More of these may be under way.
            self.is_sharded = false;
            shard.begin_again();
        } else if let (Some(channel), Refusal::WrongType) = (looked_for, refusal) {
            shard.tell(&channel, &Err(WaitFault::of(text, name)));
        } else {
            shard.fail(&WaitFault::of(text, name));
        }
        Ok(())
    }
}

/// Whether this is the reply of ROLE by a replica.
fn is_replica(parts: &[Reply]) -> bool {
    matches!(parts.first(), Some(Reply::BulkString(role)) if &role[..] != b"master")
}
