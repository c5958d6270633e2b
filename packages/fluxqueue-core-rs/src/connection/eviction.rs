//! Asks servers whether they evict keys, and so can delete tasks.

use std::sync::Arc;
use std::time::Instant;

use super::command::command;
use super::framing::Reply;
use super::interrupt::Interrupt;
use super::link::Connection;
use super::topology::{Deployment, Goal, hash_slot_of};
use crate::config::Node;
use crate::errors::Result;

/// The eviction of one server.
pub struct Eviction {
    /// The server, if there are several.
    pub node: Option<Arc<Node>>,
    /// `maxmemory-policy`.
    pub policy: String,
    /// The memory in bytes at which it begins; 0: never.
    pub maxmemory: u64,
}

/// Asks each server that has one of the queues. Leaves out servers that can't be reached, and
/// those where the user lacks the right to INFO.
pub fn evictions(deployment: &Deployment, queues: &[String], interrupt: &mut Interrupt) -> Vec<Eviction> {
    let mut asked = Vec::new();
    let mut found = Vec::new();
    for queue in queues {
        let hash_slot = hash_slot_of(&deployment.config.namespace.pending(queue));
        if deployment.owner(hash_slot).is_some_and(|node| asked.contains(&node)) {
            continue;
        }
        let Ok(mut connection) = deployment.open(&Goal::Owner(hash_slot), interrupt) else { continue };
        let node = connection.node().cloned();
        asked.extend(node.clone());
        let deadline = Instant::now() + deployment.config.connect_timeout;
        if let Ok(Some((policy, maxmemory))) = ask(&mut connection, deadline, interrupt) {
            found.push(Eviction { node, policy, maxmemory });
        }
        if !deployment.is_cluster() {
            break; // all queues are on one server
        }
    }
    found
}

fn ask(connection: &mut Connection, deadline: Instant, interrupt: &mut Interrupt) -> Result<Option<(String, u64)>> {
    command(connection.outgoing(), [b"INFO".as_slice(), b"memory"]);
    connection.send(deadline, interrupt)?;
    Ok(match connection.receive(deadline, interrupt)? {
        Reply::BulkString(text) => read(&String::from_utf8_lossy(&text)),
        _ => None,
    })
}

/// Reads the policy and the limit from the reply to `INFO memory`.
fn read(text: &str) -> Option<(String, u64)> {
    let value = |name| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    Some((value("maxmemory_policy")?.to_owned(), value("maxmemory")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_and_the_limit_are_read() {
        let text = "# Memory\r\nmaxmemory:100\r\nmaxmemory_human:100B\r\nmaxmemory_policy:allkeys-lru\r\n";
        assert_eq!(read(text), Some(("allkeys-lru".to_owned(), 100)));
        for text in ["", "maxmemory:1\r\n", "maxmemory:x\r\nmaxmemory_policy:noeviction\r\n"] {
            assert_eq!(read(text), None);
        }
    }
}
