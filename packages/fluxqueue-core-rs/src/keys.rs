//! The name of every key in Redis. No other code formats a key. docs/protocol.md has the
//! table of their types and owners.

use crate::errors::{Error, Result};
use crate::names;

/// The registry: the set of the names of all queues that a worker has served.
pub const QUEUES: &str = "fluxqueue:queues";

/// The keys of a queue. Every script but the client's takes them first, in this order.
/// `lua/lib/keys.lua` gives them names.
pub const OF_QUEUE: &[&str] = &[
    "consumers",
    "sweep",
    "pending",
    "suspects",
    "delayed",
    "dead",
    "dead:messages",
    "dead:reasons",
    "stats",
    "paused",
    "newer",
];

/// The keys of one consumer. Scripts take them after those of the queue, in this order.
pub const OF_CONSUMER: &[&str] = &["claimed", "inbox"];

/// The hash that says which worker a consumer is. Scripts that begin or end a consumer
/// take it after the keys of that consumer. An exchange does not need it.
const WORKERS: &str = "workers";

fn queue_key(kind: &str, queue: &str) -> String {
    format!("fluxqueue:{{{queue}}}:{kind}")
}

fn consumer_key(kind: &str, queue: &str, consumer: &str) -> String {
    format!("fluxqueue:{{{queue}}}:{kind}:{consumer}")
}

/// The list of the messages that wait for a worker.
pub fn pending(queue: &str) -> String {
    queue_key("pending", queue)
}

/// The list of the messages that have lost two workers or more.
pub fn suspects(queue: &str) -> String {
    queue_key("suspects", queue)
}

/// The list into which the BLMOVE of a consumer moves messages.
pub fn inbox(queue: &str, consumer: &str) -> String {
    consumer_key("inbox", queue, consumer)
}

/// The keys of a queue that the script of a client takes.
pub fn of_client(queue: &str) -> Vec<String> {
    vec![pending(queue), queue_key("delayed", queue)]
}

/// The keys of a queue that every other script takes.
pub fn of_queue(queue: &str) -> Vec<String> {
    OF_QUEUE.iter().map(|kind| queue_key(kind, queue)).collect()
}

/// The keys of a consumer, in the order in which scripts take them.
pub fn of_consumer(queue: &str, consumer: &str) -> impl Iterator<Item = String> {
    OF_CONSUMER.iter().map(move |kind| consumer_key(kind, queue, consumer))
}

/// The hash that says which worker a consumer is.
pub fn workers(queue: &str) -> String {
    queue_key(WORKERS, queue)
}

/// Every kind of key that `by_kind` knows.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    ["queues", WORKERS].into_iter().chain(OF_QUEUE.iter().copied()).chain(OF_CONSUMER.iter().copied())
}

/// Returns a key by its kind, for Python.
pub fn by_kind(kind: &str, queue: &str, consumer: &str) -> Result<String> {
    if kind == "queues" {
        return Ok(QUEUES.to_owned());
    }
    names::check_queue(queue)?;
    if kind == WORKERS || OF_QUEUE.contains(&kind) {
        return Ok(queue_key(kind, queue));
    }
    if OF_CONSUMER.contains(&kind) {
        return Ok(consumer_key(kind, queue, consumer));
    }
    let known: Vec<_> = kinds().collect();
    Err(Error::Configuration(format!("no key of the kind {kind:?}; there are {}", known.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_key_carries_the_hash_tag() {
        assert_eq!(by_kind("dead:messages", "q", "").expect("known"), "fluxqueue:{q}:dead:messages");
        assert_eq!(by_kind("inbox", "q", "c1").expect("known"), "fluxqueue:{q}:inbox:c1");
        assert_eq!(by_kind("queues", "", "").expect("known"), QUEUES);
        assert!(by_kind("nonsense", "q", "").is_err());
        assert!(by_kind("pending", "a}b", "").is_err());
    }
}
