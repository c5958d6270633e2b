//! Commands around an enqueueing command: ASKING before it, WAIT or WAITAOF behind it.

use std::time::Instant;

use super::command::{self, Dispatch};
use super::verdict::Verdicts;
use crate::config::Wait;
use crate::connection::{Connection, Interrupt, Reply, command};
use crate::errors::{Error, Result};

/// The commands around one command.
#[derive(Clone, Copy)]
pub struct Wrapping {
    pub asking: bool,
    pub wait: Wait,
}

/// The replies to a command and to what is around it.
pub struct Replies {
    /// The reply to the command.
    pub reply: Reply,
    /// The reply to WAIT or WAITAOF.
    pub waited: Option<Reply>,
}

impl Wrapping {
    /// Appends what comes before the command. After ASKING a node serves a hash slot of
    /// another node, since the hash slot's keys are on their way to it.
    pub fn before(&self, out: &mut Vec<u8>) {
        if self.asking {
            command(out, [b"ASKING".as_slice()]);
        }
    }

    /// The bytes behind the command. Empty, unless the call waits for replicas or the disk.
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

    /// Reads the replies. Returns `Uncertain` if one is not a valid reply.
    pub fn receive(
        &self,
        connection: &mut Connection,
        deadline: Instant,
        interrupt: &mut Interrupt,
    ) -> Result<Replies> {
        let mut next = || connection.receive(deadline, interrupt).map_err(no_reply);
        if self.asking {
            // If Redis refuses ASKING, it refuses the command too.
            next()?;
        }
        let reply = next()?;
        let waited = if self.wait.is_on() { Some(next()?) } else { None };
        Ok(Replies { reply, waited })
    }

    /// The verdicts of the replies on the calls of the command. Errors as with
    /// `Dispatch::verdicts`, and `Unacknowledged`: Redis has executed the command, but
    /// too few replicas have it, or the disk does not.
    pub fn verdicts(&self, dispatch: &Dispatch, calls: impl FnOnce() -> usize, replies: &Replies) -> Result<Verdicts> {
        let verdicts = dispatch.verdicts(calls, &replies.reply)?;
        match &replies.waited {
            None => Ok(verdicts),
            Some(waited) => acknowledged(&self.wait, waited).map(|()| verdicts),
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
            other => command::kind(other),
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

/// Rule 13: the command was written, so its outcome is unknown if no reply can be read.
fn no_reply(error: Error) -> Error {
    match error {
        Error::Broker(text) | Error::Unavailable(text) => Error::Uncertain(text),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn wrapping(replicas: u32, aof: bool) -> Wrapping {
        Wrapping { asking: false, wait: Wait { replicas, aof, timeout: Duration::from_millis(250) } }
    }

    #[test]
    fn the_wrapping_follows_the_settings() {
        let text = |wrapping: Wrapping| {
            let mut before = Vec::new();
            wrapping.before(&mut before);
            String::from_utf8([before, wrapping.after()].concat()).expect("ASCII")
        };
        assert_eq!(text(wrapping(0, false)), "");
        assert_eq!(text(Wrapping { asking: true, ..wrapping(0, false) }), "*1\r\n$6\r\nASKING\r\n");
        assert_eq!(text(wrapping(2, false)), "*3\r\n$4\r\nWAIT\r\n$1\r\n2\r\n$3\r\n250\r\n");
        assert_eq!(text(wrapping(0, true)), "*4\r\n$7\r\nWAITAOF\r\n$1\r\n1\r\n$1\r\n0\r\n$3\r\n250\r\n");
    }

    #[test]
    fn too_few_acknowledgements_leave_the_task_in_redis() {
        let push = Dispatch::push(&crate::keys::Namespace::default(), "q");
        let verdicts = |wrapping: Wrapping, waited: Reply| {
            wrapping.verdicts(&push, || 1, &Replies { reply: Reply::Integer(1), waited: Some(waited) })
        };
        let both = |local, replicas| Reply::Array(vec![Reply::Integer(local), Reply::Integer(replicas)]);
        assert!(verdicts(wrapping(2, false), Reply::Integer(2)).is_ok());
        assert!(verdicts(wrapping(2, false), Reply::Integer(3)).is_ok());
        assert!(verdicts(wrapping(1, true), both(1, 1)).is_ok());
        for (wrapping, waited, said) in [
            (wrapping(2, false), Reply::Integer(1), "1 of 2 replicas have it after 250ms"),
            (wrapping(1, true), both(1, 0), "0 of 1 replicas"),
            (wrapping(0, true), both(0, 0), "not on the disk"),
            (wrapping(1, true), Reply::Integer(1), "not known"),
            (wrapping(1, false), both(1, 1), "not known"),
            (wrapping(1, false), Reply::Error("ERR no".into()), "ERR no"),
        ] {
            match verdicts(wrapping, waited) {
                Err(Error::Unacknowledged(text)) => assert!(text.contains(said), "{text}"),
                other => panic!("{said}: {other:?}"),
            }
        }
        // The reply to the command counts first.
        let refused = Replies { reply: Reply::Error("OOM no".into()), waited: Some(Reply::Integer(9)) };
        assert!(matches!(wrapping(1, false).verdicts(&push, || 1, &refused), Err(Error::Broker(_))));
    }

    #[test]
    fn without_a_reply_the_outcome_is_unknown() {
        assert!(matches!(no_reply(Error::Broker("garbage".into())), Error::Uncertain(_)));
        assert!(matches!(no_reply(Error::Unavailable("cut".into())), Error::Uncertain(_)));
        assert!(matches!(no_reply(Error::Misuse("other")), Error::Misuse(_)));
    }
}
