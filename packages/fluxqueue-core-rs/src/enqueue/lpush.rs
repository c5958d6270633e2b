//! The one command that enqueues, what may stand around it, and what the
//! answers mean.

use std::time::Instant;

use crate::config::Wait;
use crate::connection::{Connection, Interrupt, Reply, arg, begin, command, redis_error};
use crate::errors::{Error, Result};

/// How many messages one command carries at most.
pub const CHUNK_MESSAGES: usize = 1_000;

/// When a command is full; one message more may be larger.
pub const CHUNK_BYTES: usize = 1 << 20;

/// Appends all of the command that stands before its `messages`.
pub fn head(out: &mut Vec<u8>, key: &str, messages: usize) {
    begin(out, 2 + messages);
    arg(out, b"LPUSH");
    arg(out, key.as_bytes());
}

/// What stands around the command: ASKING before it, WAIT or WAITAOF behind.
#[derive(Clone, Copy)]
pub struct Frame {
    pub asking: bool,
    pub wait: Wait,
}

/// The answers to all of it.
pub struct Answer {
    pub pushed: Reply,
    /// Where something was waited for.
    pub waited: Option<Reply>,
}

impl Frame {
    /// Appends what stands before the command: this node serves it although the
    /// slot is another's, since its keys are on their way here.
    pub fn before(&self, out: &mut Vec<u8>) {
        if self.asking {
            command(out, [b"ASKING".as_slice()]);
        }
    }

    /// What stands behind the command; empty where nothing is waited for.
    pub fn after(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.wait.is_on() {
            return out;
        }
        let Wait { replicas, aof, timeout } = self.wait;
        let (replicas, ms) = (replicas.to_string(), timeout.as_millis().max(1).to_string());
        match aof {
            true => command(&mut out, [b"WAITAOF".as_slice(), b"1", replicas.as_bytes(), ms.as_bytes()]),
            false => command(&mut out, [b"WAIT".as_slice(), replicas.as_bytes(), ms.as_bytes()]),
        }
        out
    }

    /// Waits for the answers. `Uncertain` where what comes is none.
    pub fn receive(&self, connection: &mut Connection, deadline: Instant, interrupt: &mut Interrupt) -> Result<Answer> {
        let mut next = || connection.receive(deadline, interrupt).map_err(no_answer);
        if self.asking {
            // Where it was refused, so is the command.
            next()?;
        }
        let pushed = next()?;
        let waited = if self.wait.is_on() { Some(next()?) } else { None };
        Ok(Answer { pushed, waited })
    }

    /// Whether Redis has executed the command and whoever is waited for has it.
    /// Errors as with `outcome`; `Unacknowledged`: executed, but not all have it.
    pub fn outcome(&self, answer: &Answer) -> Result<()> {
        outcome(&answer.pushed)?;
        match &answer.waited {
            None => Ok(()),
            Some(waited) => acknowledged(&self.wait, waited),
        }
    }
}

fn acknowledged(wait: &Wait, reply: &Reply) -> Result<()> {
    let integer = |reply: &Reply| match reply {
        Reply::Integer(n) => u32::try_from(*n).ok(),
        _ => None,
    };
    let (on_disk, replicas) = match reply {
        Reply::Array(parts) if wait.aof => match &parts[..] {
            [local, replicas] => (integer(local), integer(replicas)),
            _ => (None, None),
        },
        reply if !wait.aof => (Some(1), integer(reply)),
        _ => (None, None),
    };
    let (Some(on_disk), Some(replicas)) = (on_disk, replicas) else {
        let said = match reply {
            Reply::Error(text) => text,
            other => kind(other),
        };
        return Err(Error::Unacknowledged(format!("it is not known who else has it, since Redis answered: {said}")));
    };
    if on_disk > 0 && replicas >= wait.replicas {
        return Ok(());
    }
    let Wait { replicas: wanted, timeout, .. } = wait;
    let disk = if on_disk > 0 { "" } else { "it is not on the disk of the master, and " };
    Err(Error::Unacknowledged(format!("{disk}{replicas} of {wanted} replicas have it after {timeout:?}")))
}

/// The command was written, so its outcome is open where no answer can be read.
fn no_answer(error: Error) -> Error {
    match error {
        Error::Broker(text) | Error::Unavailable(text) => Error::Uncertain(text),
        other => other,
    }
}

/// Whether Redis has executed the command. `Unavailable`: not yet, send it again;
/// `Broker`: it refused; `Uncertain`: this answers something else.
pub fn outcome(reply: &Reply) -> Result<()> {
    match reply {
        Reply::Integer(_) => Ok(()),
        Reply::Error(text) => Err(redis_error(text)),
        other => Err(Error::Uncertain(format!("Redis answered an LPUSH with {}", kind(other)))),
    }
}

fn kind(reply: &Reply) -> &'static str {
    match reply {
        Reply::SimpleString(_) | Reply::BulkString(_) => "a string",
        Reply::Array(_) => "an array",
        Reply::Null => "null",
        Reply::Integer(_) | Reply::Error(_) => "something else",
    }
}

/// Whether this connection will refuse the next command as well: after a
/// failover it leads to a replica, and only a new one finds the new master.
pub fn is_useless_after(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(text) if text.starts_with("READONLY"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_answer_tells_whether_the_command_was_executed() {
        let error = |text: &str| Reply::Error(text.into());
        assert!(outcome(&Reply::Integer(1)).is_ok());
        assert!(matches!(outcome(&error("LOADING Redis is loading")), Err(Error::Unavailable(_))));
        assert!(matches!(outcome(&error("OOM command not allowed")), Err(Error::Broker(_))));
        assert!(matches!(outcome(&Reply::SimpleString("OK".into())), Err(Error::Uncertain(_))));
        assert!(matches!(outcome(&Reply::Null), Err(Error::Uncertain(_))));
        assert!(is_useless_after(&error("READONLY You can't write against a read only replica.")));
        assert!(!is_useless_after(&error("OOM command not allowed")));
    }

    fn frame(replicas: u32, aof: bool) -> Frame {
        Frame { asking: false, wait: Wait { replicas, aof, timeout: Duration::from_millis(250) } }
    }

    #[test]
    fn what_stands_around_the_command() {
        let text = |frame: Frame| {
            let mut before = Vec::new();
            frame.before(&mut before);
            String::from_utf8([before, frame.after()].concat()).expect("ascii")
        };
        assert_eq!(text(frame(0, false)), "");
        assert_eq!(text(Frame { asking: true, ..frame(0, false) }), "*1\r\n$6\r\nASKING\r\n");
        assert_eq!(text(frame(2, false)), "*3\r\n$4\r\nWAIT\r\n$1\r\n2\r\n$3\r\n250\r\n");
        assert_eq!(text(frame(0, true)), "*4\r\n$7\r\nWAITAOF\r\n$1\r\n1\r\n$1\r\n0\r\n$3\r\n250\r\n");
    }

    #[test]
    fn too_few_acknowledgements_leave_the_task_in_redis() {
        let outcome =
            |frame: Frame, waited: Reply| frame.outcome(&Answer { pushed: Reply::Integer(1), waited: Some(waited) });
        let both = |local, replicas| Reply::Array(vec![Reply::Integer(local), Reply::Integer(replicas)]);
        assert!(outcome(frame(2, false), Reply::Integer(2)).is_ok());
        assert!(outcome(frame(2, false), Reply::Integer(3)).is_ok());
        assert!(outcome(frame(1, true), both(1, 1)).is_ok());
        for (frame, waited, said) in [
            (frame(2, false), Reply::Integer(1), "1 of 2 replicas have it after 250ms"),
            (frame(1, true), both(1, 0), "0 of 1 replicas"),
            (frame(0, true), both(0, 0), "not on the disk"),
            (frame(1, true), Reply::Integer(1), "not known"),
            (frame(1, false), both(1, 1), "not known"),
            (frame(1, false), Reply::Error("ERR no".into()), "ERR no"),
        ] {
            match outcome(frame, waited) {
                Err(Error::Unacknowledged(text)) => assert!(text.contains(said), "{text}"),
                other => panic!("{said}: {other:?}"),
            }
        }
        // What the LPUSH was answered comes first.
        let refused = Answer { pushed: Reply::Error("OOM no".into()), waited: Some(Reply::Integer(9)) };
        assert!(matches!(frame(1, false).outcome(&refused), Err(Error::Broker(_))));
    }

    #[test]
    fn without_an_answer_the_outcome_is_open() {
        assert!(matches!(no_answer(Error::Broker("garbage".into())), Error::Uncertain(_)));
        assert!(matches!(no_answer(Error::Unavailable("cut".into())), Error::Uncertain(_)));
        assert!(matches!(no_answer(Error::Misuse("other")), Error::Misuse(_)));
    }
}
