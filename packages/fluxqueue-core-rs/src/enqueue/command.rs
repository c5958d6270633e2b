//! The one command that enqueues calls, and the verdict of its reply on each of them.
//!
//! Why: docs/decisions/0048-one-seam-for-enqueueing.md and
//! docs/decisions/0124-a-delayed-call-asks-redis-for-the-time.md

use super::per_call::Due;
use super::verdict::{TaskId, Verdict, Verdicts};
use crate::connection::{Refusal, Reply, Sent, arg, begin, redis_error};
use crate::errors::{Error, Result};
use crate::keys::Namespace;
use crate::scripts::{self, Script};

/// How many messages one command carries at most.
pub const CHUNK_MESSAGES: usize = 1_000;

/// A command of this size is full; its last message may exceed it.
pub const CHUNK_BYTES: usize = 1 << 20;

/// How the calls of a task get into Redis.
pub enum Dispatch {
    /// One LPUSH to this key.
    Push(String),
    /// The script `enqueue`, for calls that are more than a message in a list; with its
    /// keys, of which the first is the list that an LPUSH would name.
    Script(&'static Script, Vec<String>),
}

/// How a command names its script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// EVALSHA: the server has seen the text before.
    #[default]
    Digest,
    /// EVAL, which also teaches the server the digest.
    Text,
}

impl Dispatch {
    pub fn push(namespace: &Namespace, queue: &str) -> Dispatch {
        Dispatch::Push(namespace.pending(queue))
    }

    pub fn script(namespace: &Namespace, queue: &str) -> Dispatch {
        Dispatch::Script(scripts::enqueue(), namespace.of_client(queue))
    }

    /// The script, for calls with priorities. Other calls do not name the key of these, so
    /// that their client needs no right to it.
    pub fn ranked(namespace: &Namespace, queue: &str) -> Dispatch {
        Dispatch::Script(scripts::enqueue(), namespace.of_client_with_priorities(queue))
    }

    /// The script for calls that want locks or have limits. It takes other calls too.
    pub fn locking(namespace: &Namespace, queue: &str) -> Dispatch {
        Dispatch::Script(scripts::enqueue_unique(), namespace.of_client_with_locks(queue))
    }

    /// The name of the command, for errors.
    fn sent(&self) -> Sent<'static> {
        match self {
            Dispatch::Push(_) => Sent::Command("LPUSH"),
            Dispatch::Script(script, _) if std::ptr::eq(*script, scripts::enqueue()) => Sent::Script("enqueue"),
            Dispatch::Script(..) => Sent::Script("enqueue_unique"),
        }
    }

    /// Dispatches that are equal by this can share a command.
    pub fn group(&self) -> (usize, &str) {
        match self {
            Dispatch::Push(key) => (0, key),
            Dispatch::Script(_, keys) => (keys.len(), &keys[0]),
        }
    }

    /// The key of the queue's pending list, which is in the hash slot of all others.
    pub fn key(&self) -> &str {
        self.group().1
    }

    /// Appends all of the command that comes before its calls.
    pub fn begin(&self, out: &mut Vec<u8>, calls: usize, naming: Naming) {
        match self {
            Dispatch::Push(key) => {
                begin(out, 2 + calls);
                arg(out, b"LPUSH");
                arg(out, key.as_bytes());
            }
            Dispatch::Script(script, keys) => {
                begin(out, 3 + keys.len() + 2 * calls);
                let (verb, name) = match naming {
                    Naming::Digest => (&b"EVALSHA"[..], &script.digest),
                    Naming::Text => (&b"EVAL"[..], &script.text),
                };
                arg(out, verb);
                arg(out, name.as_bytes());
                arg(out, itoa::Buffer::new().format(keys.len()).as_bytes());
                keys.iter().for_each(|key| arg(out, key.as_bytes()));
            }
        }
    }

    /// Appends what the command says about a call besides its message. A push says nothing: its calls
    /// are due at once.
    pub fn begin_call(&self, out: &mut Vec<u8>, due: Due, wish: &str) {
        match self {
            Dispatch::Push(_) => debug_assert_eq!((due, wish), (Due::default(), "")),
            Dispatch::Script(..) => due.write(out, wish),
        }
    }

    /// Whether the script writes the calls.
    pub fn is_script(&self) -> bool {
        matches!(self, Dispatch::Script(..))
    }

    /// Rewrites a command with `calls` calls that names its script by digest: it then has the text.
    pub fn name_by_text(&self, command: &mut Vec<u8>, calls: usize) {
        let (mut by_digest, mut by_text) = (Vec::new(), Vec::new());
        self.begin(&mut by_digest, calls, Naming::Digest);
        self.begin(&mut by_text, calls, Naming::Text);
        command.splice(..by_digest.len(), by_text);
    }

    /// Whether the server has executed nothing, since it doesn't know the script by its digest.
    pub fn needs_text(&self, naming: Naming, reply: &Reply) -> bool {
        match (self, naming, reply) {
            (Dispatch::Script(..), Naming::Digest, Reply::Error(text)) => Refusal::read(text) == Refusal::NoScript,
            _ => false,
        }
    }

    /// The verdicts of a reply on the `calls` calls of a command. `Unavailable`: Redis has not
    /// executed the command, send it again. `Broker`: Redis refuses the command.
    /// `Uncertain`: this is not a reply to the command.
    pub fn verdicts(&self, calls: impl FnOnce() -> usize, reply: &Reply) -> Result<Verdicts> {
        let unexpected = || {
            let command = match self.sent() {
                Sent::Command(name) => format!("an {name}"),
                script @ Sent::Script(_) => script.to_string(),
            };
            Error::Uncertain(format!("Redis answered {command} with {}", kind(reply)))
        };
        match (self, reply) {
            (Dispatch::Push(_), Reply::Integer(_)) => Ok(Verdicts::AllEnqueued),
            (_, Reply::Error(text)) => Err(redis_error(text, self.sent())),
            (Dispatch::Push(_), _) => Err(unexpected()),
            (Dispatch::Script(..), reply) => {
                // The verdict on a lone call may come without an array around it.
                let items = if let Reply::Array(items) = reply { items } else { std::slice::from_ref(reply) };
                let each: Option<Vec<_>> = items.iter().map(Verdict::read).collect();
                each.filter(|each| each.len() == calls()).map(Verdicts::Each).ok_or_else(unexpected)
            }
        }
    }

    /// The ids of the tasks among the arguments of a command.
    pub fn ids<'a>(&self, body: &'a [u8]) -> impl Iterator<Item = TaskId> + use<'a> {
        let per_call = match self {
            Dispatch::Push(_) => 1,
            Dispatch::Script(..) => 2,
        };
        arguments(body).skip(per_call - 1).step_by(per_call).filter_map(TaskId::of_message)
    }
}

/// The calls of a push, as arguments of the script.
pub fn scripted(pushed: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(pushed.len() + pushed.len() / 8);
    for message in arguments(pushed) {
        Due::default().write(&mut out, "");
        arg(&mut out, message);
    }
    out
}

/// Takes arguments apart that `arg` has written.
fn arguments(mut body: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\r', body)?;
        let len: usize = std::str::from_utf8(body.get(1..end)?).ok()?.parse().ok()?;
        let argument = body.get(end + 2..end + 2 + len)?;
        body = body.get(end + 2 + len + 2..)?;
        Some(argument)
    })
}

/// A reply in words, for errors.
pub fn kind(reply: &Reply) -> &'static str {
    match reply {
        Reply::SimpleString(_) | Reply::BulkString(_) => "a string",
        Reply::Array(_) => "an array",
        Reply::Null => "null",
        Reply::Integer(_) | Reply::Error(_) => "something else",
    }
}

/// Whether this connection will refuse the next command too: after a failover it leads
/// to a replica, and only a new one finds the new master.
pub fn is_useless_after(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(text) if Refusal::read(text) == Refusal::ReadOnly)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "019aa0c2-7b1f-7c3e-8d2a-0123456789ab";

    fn push(queue: &str) -> Dispatch {
        Dispatch::push(&Namespace::default(), queue)
    }

    fn script(queue: &str) -> Dispatch {
        Dispatch::script(&Namespace::default(), queue)
    }

    fn error(text: &str) -> Reply {
        Reply::Error(text.into())
    }

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn a_push_is_one_lpush() {
        let begun = text(|out| push("q").begin(out, 2, Naming::Digest));
        assert_eq!(begun, "*4\r\n$5\r\nLPUSH\r\n$21\r\nfluxqueue:{q}:pending\r\n");
        assert_eq!(text(|out| push("q").begin_call(out, Due::default(), "")), "");
    }

    #[test]
    fn calls_of_a_push_are_due_at_once_in_a_script() {
        let (mut pushed, mut wanted) = (Vec::new(), Vec::new());
        for message in [&b"{}"[..], br#"{"v":1}"#] {
            arg(&mut pushed, message);
            script("q").begin_call(&mut wanted, Due::In(0), "");
            arg(&mut wanted, message);
        }
        assert_eq!(scripted(&pushed), wanted);
        assert!(scripted(b"").is_empty());
    }

    #[test]
    fn a_later_call_keeps_its_kind_of_time() {
        assert_eq!(Due::In(1_500).later(500), Due::In(2_000));
        assert_eq!(Due::At(1_500).later(500), Due::At(2_000));
        assert_eq!(Due::At(u64::MAX).later(1), Due::At(u64::MAX));
    }

    #[test]
    fn a_script_is_named_by_digest_and_then_by_text() {
        let dispatch = script("q");
        let Dispatch::Script(script, _) = &dispatch else { panic!("a script") };
        let keys = "$1\r\n2\r\n$21\r\nfluxqueue:{q}:pending\r\n$21\r\nfluxqueue:{q}:delayed\r\n";
        let call = "$5\r\n+1500\r\n$2\r\n{}\r\n";
        let write = |naming| {
            text(|out| {
                dispatch.begin(out, 1, naming);
                dispatch.begin_call(out, Due::In(1_500), "");
                arg(out, b"{}");
            })
        };
        let by_digest = format!("*7\r\n$7\r\nEVALSHA\r\n$40\r\n{}\r\n{keys}{call}", script.digest);
        assert_eq!(write(Naming::Digest), by_digest);
        let by_text = format!("*7\r\n$4\r\nEVAL\r\n${}\r\n{}\r\n{keys}{call}", script.text.len(), script.text);
        assert_eq!(write(Naming::Text), by_text);
        let mut command = by_digest.into_bytes();
        dispatch.name_by_text(&mut command, 1);
        assert_eq!(command, by_text.as_bytes());
    }

    #[test]
    fn calls_that_need_other_keys_share_no_command() {
        let namespace = Namespace::default();
        let (ranked, locking) = (Dispatch::ranked(&namespace, "q"), Dispatch::locking(&namespace, "q"));
        let dispatches = [push("q"), script("q"), ranked, locking, script("r")];
        for (at, one) in dispatches.iter().enumerate() {
            assert!(dispatches[..at].iter().all(|other| other.group() != one.group()));
        }
        let begun = text(|out| dispatches[2].begin(out, 1, Naming::Digest));
        assert!(begun.contains("$1\r\n3\r\n") && begun.ends_with("$25\r\nfluxqueue:{q}:prioritized\r\n"), "{begun}");
    }

    #[test]
    fn only_a_script_that_is_named_by_digest_can_be_unknown() {
        let unknown = error("NOSCRIPT No matching script.");
        assert!(script("q").needs_text(Naming::Digest, &unknown));
        assert!(!script("q").needs_text(Naming::Text, &unknown));
        assert!(!script("q").needs_text(Naming::Digest, &error("ERR no")));
        assert!(!push("q").needs_text(Naming::Digest, &unknown));
    }

    #[test]
    fn a_reply_says_whether_the_command_was_executed() {
        for dispatch in [push("q"), script("q")] {
            let verdicts = |reply| dispatch.verdicts(|| 2, &reply);
            assert!(matches!(verdicts(error("LOADING Redis is loading")), Err(Error::Unavailable(_))));
            assert!(matches!(verdicts(error("OOM command not allowed")), Err(Error::Broker(_))));
            assert!(matches!(verdicts(Reply::SimpleString("OK".into())), Err(Error::Uncertain(_))));
            assert!(matches!(verdicts(Reply::Null), Err(Error::Uncertain(_))));
        }
        assert!(matches!(push("q").verdicts(|| 2, &Reply::Integer(7)), Ok(Verdicts::AllEnqueued)));
        assert!(matches!(push("q").verdicts(|| 1, &Reply::Array(vec![])), Err(Error::Uncertain(_))));
        assert!(is_useless_after(&error("READONLY You can't write against a read only replica.")));
        assert!(!is_useless_after(&error("OOM command not allowed")));
    }

    #[test]
    fn a_script_has_a_verdict_on_each_call() {
        let one = Reply::Integer(1);
        let id = Reply::BulkString(ID.into());
        let verdicts = |items: &[&Reply]| {
            let items = items.iter().map(|item| (*item).clone()).collect();
            script("q").verdicts(|| 2, &Reply::Array(items))
        };
        let present = Verdict::Present(TaskId(ID.as_bytes().try_into().expect("an id")));
        match verdicts(&[&one, &id]) {
            Ok(Verdicts::Each(each)) => assert_eq!(each, [Verdict::Enqueued, present]),
            other => panic!("{other:?}"),
        }
        for bad in [&[&one][..], &[&one, &one, &one], &[&one, &Reply::Integer(0)], &[&id, &Reply::Null]] {
            assert!(matches!(verdicts(bad), Err(Error::Uncertain(_))), "{bad:?}");
        }
        let alone = |reply: &Reply| script("q").verdicts(|| 1, reply);
        for (reply, verdict) in [(&one, Verdict::Enqueued), (&id, present)] {
            assert!(matches!(alone(reply), Ok(Verdicts::Each(each)) if each == [verdict]));
        }
        assert!(matches!(script("q").verdicts(|| 2, &one), Err(Error::Uncertain(_))));
        assert!(matches!(alone(&Reply::Integer(0)), Err(Error::Uncertain(_))));
        let not_an_id = Reply::BulkString("short".into());
        assert!(matches!(verdicts(&[&one, &not_an_id]), Err(Error::Uncertain(_))));
    }

    #[test]
    fn the_ids_of_a_command_are_those_of_its_messages() {
        let message = format!(r#"{{"v":1,"id":"{ID}","name":"n","args":[]}}"#);
        for dispatch in [push("q"), script("q")] {
            let mut body = Vec::new();
            for _ in 0..3 {
                dispatch.begin_call(&mut body, Due::default(), "");
                arg(&mut body, message.as_bytes());
            }
            let ids: Vec<_> = dispatch.ids(&body).map(|id| id.as_str().to_owned()).collect();
            assert_eq!(ids, [ID; 3]);
        }
    }
}
