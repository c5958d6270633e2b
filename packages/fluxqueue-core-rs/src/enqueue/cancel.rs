//! Cancelling a task: one call of the script `cancel`.
//!
//! Why: docs/decisions/0099-a-cancel-is-kept-until-the-task-ends.md

use std::sync::Arc;
use std::time::Instant;

use super::redirects::{Pause, Redirects};
use super::thread::{self, ThreadConnections};
use crate::connection::{Backoff, Call, Connection, Deployment, Refusal, Reply, Sent, hash_slot_of, redis_error};
use crate::errors::{Error, Result};
use crate::keys::Namespace;
use crate::python::signals::interrupt;
use crate::scripts;

/// How long the ids of cancelled tasks are kept: a week, in ms.
const KEPT: u64 = 7 * 86_400_000;

/// How many messages the script looks at to find the one of the task.
const MOST_LOOKED_AT: u64 = 2_000;

/// Cancels a task. Returns what the script says: `cancelled`, `already_done` or `requested`.
/// A second call does no harm, so a command whose reply is lost is sent again.
pub fn cancel(deployment: &Arc<Deployment>, namespace: &Namespace, queue: &str, id: &[u8; 36]) -> Result<String> {
    let mut own = thread::take(deployment);
    let cancelled = dispatch(deployment, &call(namespace, queue, id), &namespace.pending(queue), &mut own);
    thread::put(deployment, own);
    let about =
        |text| format!("task {} (queue '{queue}'): {text}; cancel it again, which does no harm", id.escape_ascii());
    cancelled.map_err(|error| match error {
        Error::Unavailable(text) => Error::Unavailable(about(text)),
        Error::Broker(text) => Error::Broker(about(text)),
        Error::Denied(text) => Error::Denied(about(text)),
        other => other,
    })
}

fn call(namespace: &Namespace, queue: &str, id: &[u8; 36]) -> Call {
    let mut call = Call::default();
    for key in namespace.of_queue(queue).into_iter().chain(namespace.of_consumer(queue, "")) {
        call.keys.push(key.as_bytes());
    }
    call.args.push(id);
    call.args.number(KEPT);
    call.args.number(MOST_LOOKED_AT);
    call
}

fn dispatch(deployment: &Deployment, call: &Call, key: &str, own: &mut ThreadConnections) -> Result<String> {
    let deadline = Instant::now() + deployment.config.timeout;
    let mut backoff = Backoff::new();
    let mut redirects = Redirects::new(hash_slot_of(key));
    let mut has_text = false;
    loop {
        let course = redirects.course(deployment);
        let reached = match own.take(course.node.as_deref()) {
            Some(connection) => Ok(connection),
            None => redirects.open(deployment, &course, deadline, &mut interrupt),
        };
        let answered = reached.and_then(|mut connection| {
            let reply = exchange(&mut connection, call, course.asking, has_text, deadline)?;
            Ok((connection, reply))
        });
        let (failure, pause) = match answered {
            Ok((connection, reply)) => {
                let redirect = redirects.follow(deployment, &reply, connection.node());
                let verdict = read(&reply);
                let learns = !has_text && is_unknown_script(&reply);
                if redirect.is_none() && (verdict.is_ok() || learns) {
                    own.keep(connection);
                }
                if learns {
                    has_text = true;
                    continue;
                }
                match (redirect, verdict) {
                    (Some((pause, reason)), _) => (reason, pause),
                    (None, Err(not_ready @ Error::Unavailable(_))) => (not_ready, Pause::Needed),
                    (None, other) => return other,
                }
            }
            Err(Error::Unavailable(text) | Error::Uncertain(text)) => (Error::Unavailable(text), Pause::Needed),
            Err(other) => return Err(other),
        };
        if pause == Pause::Needed {
            backoff.sleep(failure, deadline, &mut interrupt)?;
        }
    }
}

fn exchange(
    connection: &mut Connection,
    call: &Call,
    asking: bool,
    has_text: bool,
    deadline: Instant,
) -> Result<Reply> {
    if asking {
        crate::connection::command(connection.outgoing(), [b"ASKING".as_slice()]);
    }
    let write = if has_text { Call::eval } else { Call::evalsha };
    write(call, connection.outgoing(), scripts::cancel());
    connection.send(deadline, &mut interrupt)?;
    if asking {
        connection.receive(deadline, &mut interrupt)?;
    }
    connection.receive(deadline, &mut interrupt)
}

fn is_unknown_script(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(text) if Refusal::read(text) == Refusal::NoScript)
}

fn read(reply: &Reply) -> Result<String> {
    match reply {
        Reply::Error(text) => Err(redis_error(text, Sent::Script("cancel"))),
        Reply::Array(items) => match &items[..] {
            [Reply::BulkString(verdict)] => Ok(String::from_utf8_lossy(verdict).into_owned()),
            _ => Err(Error::Broker("the script cancel gave another reply than one word".to_owned())),
        },
        _ => Err(Error::Broker("the script cancel gave another reply than a list".to_owned())),
    }
}
