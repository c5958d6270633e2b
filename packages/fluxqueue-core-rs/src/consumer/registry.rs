//! The registry of queues, where it is in another slot than the queue: in a
//! cluster it needs a connection of its own, for one command.

use std::time::Instant;

use crate::connection::{Backoff, Deployment, Detour, Goal, Interrupt, Refusal, Reply, command, redis_error, slot_of};
use crate::errors::{Error, Result};
use crate::keys;

/// Adds the queue to the registry, within the connect timeout. Some: Redis
/// refuses, and the next time as well.
///
/// Without it no scheduler would know the queue: no retry would ever be due,
/// and nothing of a lost worker would come back. So no conversation begins
/// before, as long as there is hope.
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
        // What can't be added for want of memory may be there already.
        let is_known = connection.receive(deadline, interrupt)? == Reply::Integer(1);
        let Reply::Error(text) = added else { return Ok(None) };
        if is_known {
            return Ok(None);
        }
        match deployment.detour(&text, connection.node().map(AsRef::as_ref)) {
            Some(Detour::Ask(node)) => goal = Goal::Server(node),
            Some(Detour::Moved | Detour::Astray) => {}
            None if Refusal::read(&text).is_temporary() => {}
            None => return Ok(Some(redis_error(&text))),
        }
        // Also where the next node is known: two that do not agree would make us spin.
        let failure = Error::Unavailable(format!("the queue can't be registered: {text}"));
        backoff.sleep(failure, deadline, interrupt)?;
    }
}
