//! Registers a queue if the registry of queues is in another hash slot. In a cluster, this one
//! command needs another connection.

use std::time::Instant;

use crate::connection::{
    Backoff, Deployment, Goal, Interrupt, Redirect, Refusal, Reply, Sent, command, hash_slot_of, redis_error,
};
use crate::errors::{Error, Result};

/// Adds the queue to the registry, within the connect timeout. Returns an error as `Some` if
/// Redis refuses and would refuse again.
///
/// Without this entry no scheduler knows the queue: no retry ever becomes due, and no task of a
/// lost worker returns. So a conversation begins only after the registration, unless Redis
/// refuses for good.
pub fn add(deployment: &Deployment, queue: &str, interrupt: &mut Interrupt) -> Result<Option<Error>> {
    let registry = deployment.config.namespace.queues();
    let owner = Goal::Owner(hash_slot_of(&registry));
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
            command(connection.outgoing(), [word, registry.as_bytes(), queue.as_bytes()]);
        }
        connection.send(deadline, interrupt)?;
        if asking {
            connection.receive(deadline, interrupt)?;
        }
        let added = connection.receive(deadline, interrupt)?;
        // If Redis has no memory to add the queue, the queue may be there already.
        let is_known = connection.receive(deadline, interrupt)? == Reply::Integer(1);
        let Reply::Error(text) = added else { return Ok(None) };
        if is_known {
            return Ok(None);
        }
        match deployment.redirect(&text, connection.node().map(AsRef::as_ref)) {
            Some(Redirect::Ask(node)) => goal = Goal::Server(node),
            Some(Redirect::Moved | Redirect::Unknown) => {}
            None if Refusal::read(&text).is_temporary() => {}
            None => return Ok(Some(redis_error(&text, Sent::Command("SADD")))),
        }
        // Pauses even if the next node is known: two nodes that disagree would make this loop
        // spin.
        let failure = Error::Unavailable(format!("the queue can't be registered: {text}"));
        backoff.sleep(failure, deadline, interrupt)?;
    }
}
