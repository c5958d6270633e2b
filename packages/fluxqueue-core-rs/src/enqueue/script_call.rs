//! Calls of scripts other than `enqueue`, from the calling thread. Such a script may run twice,
//! so a command whose reply is lost is sent again.

use std::sync::Arc;
use std::time::Instant;

use pyo3::pybacked::PyBackedBytes;

use super::redirects::{Pause, Redirects};
use super::thread::{self, ThreadConnections};
use crate::connection::{Backoff, Call, Connection, Deployment, Refusal, Reply, Sent, hash_slot_of, redis_error};
use crate::errors::{Error, Result};
use crate::python::signals::interrupt;
use crate::scripts::Script;

/// A call without a usable reply.
pub struct Failed {
    /// The reason.
    pub error: Error,
    /// Whether the script was sent, so that Redis may have executed it, or a part of it.
    pub was_sent: bool,
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Error {
        failed.error
    }
}

/// Calls a script and returns its reply, which is not an error.
///
/// `name` is the name of the script, and `key` one of its keys.
pub fn run(
    deployment: &Arc<Deployment>,
    script: &Script,
    name: &'static str,
    call: &Call,
    key: &str,
) -> std::result::Result<Reply, Failed> {
    let mut own = thread::take(deployment);
    let mut was_sent = false;
    let reply = dispatch(deployment, script, name, call, key, &mut own, &mut was_sent);
    thread::put(deployment, own);
    reply.map_err(|error| Failed { error, was_sent })
}

/// Calls a script for `arguments` and returns its words, one for each thing that they declare.
///
/// `name` is the name of the script, and `keys` are its keys.
pub fn words(
    deployment: &Arc<Deployment>,
    script: &Script,
    name: &'static str,
    keys: &[String],
    arguments: &[PyBackedBytes],
) -> Result<Vec<String>> {
    let mut call = Call::default();
    for key in keys {
        call.keys.push(key.as_bytes());
    }
    for argument in arguments {
        call.args.push(argument);
    }
    let reply = run(deployment, script, name, &call, &keys[0])?;
    read_words(&reply).ok_or_else(|| Error::Broker(format!("the script {name} gave another reply than words")))
}

fn read_words(reply: &Reply) -> Option<Vec<String>> {
    let Reply::Array(items) = reply else { return None };
    let word = |item: &Reply| match item {
        Reply::BulkString(word) => Some(String::from_utf8_lossy(word).into_owned()),
        _ => None,
    };
    items.iter().map(word).collect()
}

fn dispatch(
    deployment: &Deployment,
    script: &Script,
    name: &'static str,
    call: &Call,
    key: &str,
    own: &mut ThreadConnections,
    was_sent: &mut bool,
) -> Result<Reply> {
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
            *was_sent = true;
            let reply = exchange(&mut connection, script, call, course.asking, has_text, deadline)?;
            Ok((connection, reply))
        });
        let (failure, pause) = match answered {
            Ok((connection, reply)) => {
                let redirect = redirects.follow(deployment, &reply, connection.node());
                let verdict = checked(&reply, name);
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
                    (None, other) => return other.map(|()| reply),
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
    script: &Script,
    call: &Call,
    asking: bool,
    has_text: bool,
    deadline: Instant,
) -> Result<Reply> {
    if asking {
        crate::connection::command(connection.outgoing(), [b"ASKING".as_slice()]);
    }
    let write = if has_text { Call::eval } else { Call::evalsha };
    write(call, connection.outgoing(), script);
    connection.send(deadline, &mut interrupt)?;
    if asking {
        connection.receive(deadline, &mut interrupt)?;
    }
    connection.receive(deadline, &mut interrupt)
}

fn is_unknown_script(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(text) if Refusal::read(text) == Refusal::NoScript)
}

fn checked(reply: &Reply, name: &'static str) -> Result<()> {
    match reply {
        Reply::Error(text) => Err(redis_error(text, Sent::Script(name))),
        _ => Ok(()),
    }
}
