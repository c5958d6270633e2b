//! The registry of queues if it is in another slot than the queue: in a cluster it needs
//! another connection, for one command.

use std::time::Instant;

use crate::connection::{
    Backoff, Deployment, Goal, Interrupt, Redirect, Refusal, Reply, command, redis_error, slot_of,
};
use crate::errors::{Error, Result};
use crate::keys;

/// Adds the queue to the registry, within the connect timeout. Some: Redis refuses, and
/// would refuse again.
///
/// Without it no scheduler would know the queue: no retry would ever be due, and no task
/// of a lost worker would return. So a conversation begins only after it, unless Redis
/// refuses for good.
pub fn add(deployment: &Deployment, queue: &str, interrupt: &mut Interrupt) -> Result<Option<Error>> {
    let owner = Goal::Owner(slot_of(keys::QUEUES));
    let deadline = Instant::now() + deployment.config.connect_timeout;
    let mut backoff = Backoff::new();
    let mut goal = owner.clone();
    loop {
        let asking = matches!(goal, Goal::Server(_));
        let mut connection = deployment.open(&goal, interrupt)?;
        goal = owner.clone();
        if asking {
            command(connection.outgoing(), [b"ASKING".as_slice()]);
        }
        for word in [b"SADD".as_slice(), b"SISMEMBER"] {
            command(connection.outgoing(), [word, keys::QUEUES.as_bytes(), queue.as_bytes()]);
        }
        connection.send(deadline, interrupt)?;
        if asking {
            connection.receive(deadline, interrupt)?;
        }
        let added = connection.receive(deadline, interrupt)?;
        // If Redis can't add it for lack of memory, it may be there already.
        let is_known = connection.receive(deadline, interrupt)? == Reply::Integer(1);
        let Reply::Error(text) = added else { return Ok(None) };
        if is_known {
            return Ok(None);
        }
        match deployment.redirect(&text, connection.node().map(AsRef::as_ref)) {
            Some(Redirect::Ask(node)) => goal = Goal::Server(node),
            Some(Redirect::Moved | Redirect::Unknown) => {}
            None if Refusal::read(&text).is_temporary() => {}
            None => return Ok(Some(redis_error(&text))),
        }
        // Even if the next node is known: two that do not agree would make us spin.
        let failure = Error::Unavailable(format!("the queue can't be registered: {text}"));
        backoff.sleep(failure, deadline, interrupt)?;
    }
}
