//! The name of every key in Redis. No other code formats a key. docs/protocol.md has the
//! table of their types and owners.

use crate::errors::{Error, Result};
use crate::names;

/// The start of every key of the default namespace, and of the prefixes of all others.
const PREFIX: &str = "fluxqueue";

/// The kind of the registry: the set of the names of all queues that a worker has served.
const QUEUES: &str = "queues";

/// The record of one task of Django's Tasks framework, whose id follows. `fluxqueue.django` writes it.
const DJANGO: &str = "django";

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
    "prioritized",
    "cancelled",
];

/// The keys of one consumer. Scripts take them after those of the queue, in this order.
pub const OF_CONSUMER: &[&str] = &["claimed", "inbox"];

/// The hash that says which worker a consumer is. Scripts that begin or end a consumer
/// take it after the keys of that consumer. An exchange does not need it.
const WORKERS: &str = "workers";

/// The keys of a queue's periodic tasks. Scripts take them last, in this order.
/// `lua/lib/periodic_keys.lua` gives them names.
pub const OF_PERIODIC: &[&str] = &[
    "periodic",
    "periodic:messages",
    "periodic:due",
    "periodic:runs",
    "periodic:changed",
    "periodic:seen",
    "periodic:notes",
];

/// The keys of a queue's limits. `lua/lib/limit.lua` says what they hold.
pub const OF_LIMITS: &[&str] = &["limits", "limits:tat", "limits:texts", "limits:rules", "limits:seen"];

/// The keys of one limit key, whose digest follows.
pub const OF_LIMIT: &[&str] = &["limit:line", "limit:places"];

/// While it exists, workers count what happens in the queue.
const WATCHED: &str = "watched";

/// The counts of workers in a slot of time, whose start (s since 1970) follows; or since they began
/// to count.
const SLOT: &str = "stats:slot";

/// The report of a consumer about its worker. Its id follows.
const REPORT: &str = "report";

/// The keys of a queue that operators write, and the index of the dead set that scripts keep for them.
pub const OF_OPERATORS: &[&str] = &["audit", "strikes", "jobs", "dead:groups", "dead:grouped"];

/// The keys of one group of dead tasks, whose digest follows, and of one job of an operator, whose id follows.
pub const OF_OPERATIONS: &[&str] = &["dead:group", "job"];

/// The kept outcome of one task, whose id follows. An outcome's effect names it.
const RESULT: &str = "result";

/// The index of the kept outcomes of a queue. Scripts make its name from that of `pending`.
const FINISHED: &str = "finished";

/// The lock of a unique task, whose digest follows.
const UNIQUE: &str = "unique";

/// The other kinds of keys of which a queue has many.
const OF_ONE: [&str; 4] = [RESULT, UNIQUE, SLOT, REPORT];

/// The channel of the outcome of one task, whose id follows. Not a key.
const DONE: &str = "done";

/// The keys of one application, apart from those of all other applications in this Redis.
///
/// Why: docs/decisions/0077-a-namespace-is-part-of-the-prefix.md
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// The start of every key, up to its first colon. A name has no colon, so no two
    /// namespaces have a key in common.
    prefix: String,
}

impl Default for Namespace {
    /// The namespace of applications that name none.
    fn default() -> Namespace {
        Namespace { prefix: PREFIX.to_owned() }
    }
}

impl Namespace {
    /// The namespace of this name. The empty name is the default's.
    pub fn new(name: &str) -> Result<Namespace> {
        if name.is_empty() {
            return Ok(Namespace::default());
        }
        names::check_namespace(name)?;
        Ok(Namespace { prefix: format!("{PREFIX}.{name}") })
    }

    /// The name. Empty for the default.
    pub fn name(&self) -> &str {
        self.prefix.get(PREFIX.len() + 1..).unwrap_or_default()
    }

    fn queue_key(&self, kind: &str, queue: &str) -> String {
        format!("{}:{{{queue}}}:{kind}", self.prefix)
    }

    fn consumer_key(&self, kind: &str, queue: &str, consumer: &str) -> String {
        format!("{}:{{{queue}}}:{kind}:{consumer}", self.prefix)
    }

    /// The registry: the set of the names of all queues that a worker has served.
    pub fn queues(&self) -> String {
        format!("{}:{QUEUES}", self.prefix)
    }

    /// The list of the messages that wait for a worker.
    pub fn pending(&self, queue: &str) -> String {
        self.queue_key("pending", queue)
    }

    /// The list of the messages that have lost two workers or more.
    pub fn suspects(&self, queue: &str) -> String {
        self.queue_key("suspects", queue)
    }

    /// The list into which the BLMOVE of a consumer moves messages.
    pub fn inbox(&self, queue: &str, consumer: &str) -> String {
        self.consumer_key("inbox", queue, consumer)
    }

    /// The keys of a queue that the script of a client takes.
    pub fn of_client(&self, queue: &str) -> Vec<String> {
        vec![self.pending(queue), self.queue_key("delayed", queue)]
    }

    /// The keys that the script of a client takes for calls with priorities.
    pub fn of_client_with_priorities(&self, queue: &str) -> Vec<String> {
        let mut keys = self.of_client(queue);
        keys.push(self.queue_key("prioritized", queue));
        keys
    }

    /// The keys that the script of a client takes for calls that want locks. The last one is the
    /// start of the keys of locks.
    pub fn of_client_with_locks(&self, queue: &str) -> Vec<String> {
        let mut keys = self.of_client_with_priorities(queue);
        keys.extend(["stats", "cancelled"].map(|kind| self.queue_key(kind, queue)));
        keys.push(self.consumer_key(UNIQUE, queue, ""));
        keys
    }

    /// The keys of a queue that every other script takes.
    pub fn of_queue(&self, queue: &str) -> Vec<String> {
        OF_QUEUE.iter().map(|kind| self.queue_key(kind, queue)).collect()
    }

    /// The keys of a queue's periodic tasks, in the order in which scripts take them.
    pub fn of_periodic(&self, queue: &str) -> Vec<String> {
        OF_PERIODIC.iter().map(|kind| self.queue_key(kind, queue)).collect()
    }

    /// When to look again at the keys of limits.
    pub fn limits(&self, queue: &str) -> String {
        self.queue_key(OF_LIMITS[0], queue)
    }

    /// The keys of a queue's limits that the script of their rules takes.
    pub fn of_rules(&self, queue: &str) -> Vec<String> {
        ["limits", "limits:rules", "limits:seen"].iter().map(|kind| self.queue_key(kind, queue)).collect()
    }

    /// The keys of a consumer, in the order in which scripts take them.
    pub fn of_consumer(&self, queue: &str, consumer: &str) -> impl Iterator<Item = String> {
        OF_CONSUMER.iter().map(move |kind| self.consumer_key(kind, queue, consumer))
    }

    /// The keys that the script of a caller who cancels takes last: the starts of the keys of all
    /// consumers and results.
    pub fn of_caller(&self, queue: &str) -> impl Iterator<Item = String> {
        self.of_consumer(queue, "").chain([self.result_prefix(queue)])
    }

    /// The hash that says which worker a consumer is.
    pub fn workers(&self, queue: &str) -> String {
        self.queue_key(WORKERS, queue)
    }

    /// The keys of an exchange that asks whether a reader watches the queue: the mark of the reader,
    /// the slot of time that begins at `start` (s since 1970), the totals, and the consumer's report.
    pub fn of_watch(&self, queue: &str, start: u64, consumer: &str) -> [String; 4] {
        [
            self.queue_key(WATCHED, queue),
            self.consumer_key(SLOT, queue, itoa::Buffer::new().format(start)),
            self.consumer_key(SLOT, queue, "total"),
            self.consumer_key(REPORT, queue, consumer),
        ]
    }

    /// The key of a kept outcome, without the task's id at its end.
    pub fn result_prefix(&self, queue: &str) -> String {
        self.consumer_key(RESULT, queue, "")
    }

    /// The channel of a kept outcome, without the task's id at its end.
    pub fn done_prefix(&self, queue: &str) -> String {
        self.consumer_key(DONE, queue, "")
    }

    /// Returns a key by its kind, for Python. `consumer` is the consumer's id, the task's, the job's, the
    /// digest of a lock, a limit or a group, or a slot of time.
    pub fn by_kind(&self, kind: &str, queue: &str, consumer: &str) -> Result<String> {
        if kind == QUEUES {
            return Ok(self.queues());
        }
        if kind == DJANGO {
            return Ok(format!("{}:{DJANGO}:{consumer}", self.prefix));
        }
        names::check_queue(queue)?;
        let is_of_queue = [WORKERS, FINISHED, WATCHED].contains(&kind);
        if is_of_queue || [OF_QUEUE, OF_PERIODIC, OF_LIMITS, OF_OPERATORS].iter().any(|kinds| kinds.contains(&kind)) {
            return Ok(self.queue_key(kind, queue));
        }
        if OF_ONE.contains(&kind) || [OF_CONSUMER, OF_LIMIT, OF_OPERATIONS].iter().any(|of| of.contains(&kind)) {
            return Ok(self.consumer_key(kind, queue, consumer));
        }
        let known: Vec<_> = kinds().collect();
        Err(Error::Configuration(format!("no key of the kind {kind:?}; there are {}", known.join(", "))))
    }
}

/// Every kind of key that `by_kind` knows.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    let of_queue = OF_QUEUE.iter().chain(OF_PERIODIC).chain(OF_LIMITS).chain(OF_OPERATORS).copied();
    let of_others = OF_CONSUMER.iter().chain(OF_LIMIT).chain(OF_OPERATIONS).copied();
    [QUEUES, DJANGO, WORKERS, FINISHED, WATCHED].into_iter().chain(OF_ONE).chain(of_queue).chain(of_others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_key_carries_the_hash_tag() {
        let by_kind = |kind, queue, consumer| Namespace::default().by_kind(kind, queue, consumer);
        assert_eq!(by_kind("dead:messages", "q", "").expect("known"), "fluxqueue:{q}:dead:messages");
        assert_eq!(by_kind("inbox", "q", "c1").expect("known"), "fluxqueue:{q}:inbox:c1");
        assert_eq!(by_kind("queues", "", "").expect("known"), "fluxqueue:queues");
        assert_eq!(by_kind("django", "", "c1").expect("known"), "fluxqueue:django:c1");
        assert!(by_kind("nonsense", "q", "").is_err());
        assert!(by_kind("pending", "a}b", "").is_err());
    }

    #[test]
    fn a_namespace_is_part_of_every_key() {
        let shop = Namespace::new("shop").expect("good");
        assert_eq!(shop.name(), "shop");
        for kind in kinds() {
            let default = Namespace::default().by_kind(kind, "q", "c").expect("known");
            let ours = shop.by_kind(kind, "q", "c").expect("known");
            assert_eq!(ours, default.replacen("fluxqueue:", "fluxqueue.shop:", 1), "{kind}");
        }
        assert_eq!(Namespace::new("").expect("the default"), Namespace::default());
        assert_eq!(Namespace::default().name(), "");
        assert!(Namespace::new("a:b").is_err());
    }
}
