//! The Lua scripts. Each is a file in `python/fluxqueue_core/lua/`, so that it is in the
//! wheel and the sdist, after the parts of `lua/lib/` that it needs.
//!
//! Why: docs/decisions/0045-scripts-are-made-of-parts.md

use std::sync::LazyLock;

use sha1_smol::Sha1;

use crate::errors::{Error, Result};
use crate::keys::Namespace;

/// Lets a script run at `maxmemory`. Without it even a renewal would fail, although settling
/// frees memory. Servers before Redis 7 reject this line.
const FLAGS: &str = "#!lua flags=allow-oom\n";

/// Does the same on servers before Redis 7: they let a script go on at `maxmemory` after its first
/// write, and this write needs no memory. It follows the part `keys`.
/// Why: docs/decisions/0072-scripts-go-on-at-maxmemory-on-redis-6-2.md
const FIRST_WRITE: &str = "redis.call('ZREM', CONSUMERS, '')\n";

/// The keys that a script takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// The keys that a client may write. Its script must fail at `maxmemory`, like LPUSH.
    Client,
    /// Those of a client whose calls want locks.
    Locks,
    /// The keys of the queue. The variants below take more keys after these.
    Queue,
    /// The keys of the queue, for a client: its script has one text for all versions of Redis. Then the
    /// starts of the keys of all consumers, and of all results.
    Caller,
    /// The keys of the queue, then the starts of the keys of all consumers.
    Trim,
    /// The keys of the queue, then the first of its limits and of its periodic tasks.
    Promote,
    /// The keys of the queue, then those of its periodic tasks. It enqueues, so it must fail at
    /// `maxmemory`.
    Tick,
    /// The keys of the queue's periodic tasks. Clients call it too.
    Schedule,
    /// The keys of the rules of limits. Workers call it, and operators.
    Rules,
    /// Also the keys of one consumer.
    Consumer,
    /// Also the keys of one consumer, which the script begins or ends, and the hash of the
    /// workers.
    Life,
    /// The keys of `Life`, then the keys of each consumer that the script ends.
    Lives,
}

struct Source {
    name: &'static str,
    takes: Takes,
    /// Each part follows the parts that it needs.
    parts: &'static [&'static str],
    body: &'static str,
}

macro_rules! part {
    ($name:literal) => {
        include_str!(concat!("../python/fluxqueue_core/lua/lib/", $name, ".lua"))
    };
}

/// `limits` stands for the parts with which a script keeps limits.
macro_rules! scripts {
    ($($name:literal takes $takes:ident, made of $($part:literal)* $(limits $($later:literal)*)?;)*) => {
        const SCRIPTS: &[Source] = &[$(Source {
            name: $name,
            takes: Takes::$takes,
            parts: &[
                $(part!($part),)*
                $(
                    part!("lock"), part!("condemn"), part!("arrive"),
                    part!("limit_numbers"), part!("limit_admission"), part!("limit_times"), part!("limit"),
                    $(part!($later)),*
                )?
            ],
            body: include_str!(concat!("../python/fluxqueue_core/lua/", $name, ".lua")),
        }),*];
    };
}

scripts! {
    "open" takes Lives, made of "keys" "clock" "message" "prefix" limits;
    "exchange" takes Consumer, made of "keys" "clock" "message" "prefix" limits "dead" "result" "finish" "newer" "hold" "settle"
        "claim" "watch";
    "sweep" takes Queue, made of "keys" "clock";
    "bury" takes Life, made of "keys" "clock" "message" "prefix" limits "dead" "result" "finish" "newer" "hold";
    "move" takes Consumer, made of "keys" "clock" "message" "prefix" limits "dead" "result" "finish";
    "reclaim" takes Life, made of "keys" "clock" "message" "prefix" limits;
    "promote" takes Promote, made of "keys" "clock" "message" "prefix" limits;
    "trim_dead" takes Trim, made of "keys" "clock" "message" "prefix" limits "stale" "groups";
    "requeue" takes Queue, made of "keys" "clock" "message" "prefix" limits "groups" "dead";
    "delete" takes Queue, made of "keys" "clock" "message" "prefix" limits "groups" "dead" "result" "finish" "removal";
    "transfer" takes Queue, made of "keys" "clock" "message" "prefix" limits "groups" "removal";
    "group_dead" takes Queue, made of "keys" "clock" "message" "prefix" "groups";
    "operate" takes Queue, made of "keys" "message" "prefix";
    "find" takes Caller, made of "keys" "message" "prefix";
    "search" takes Caller, made of "keys" "message" "prefix";
    "mend_limits" takes Queue, made of "keys" "clock" "message" "prefix" limits;
    "limit_rules" takes Rules, made of "clock";
    "cancel" takes Caller, made of "keys" "clock" "message" "prefix" "result" limits;
    "tick" takes Tick, made of "keys" "periodic_keys" "periodic_history" "clock" "message" "prefix" limits;
    "schedule" takes Schedule, made of "periodic_keys" "clock";
    "enqueue" takes Client, made of "client_keys" "one_call" "clock" "message" "arrive" "expiry";
    "enqueue_unique" takes Locks, made of "unique_keys" "clock" "message" "prefix" limits "expiry";
}

/// The names of all scripts.
pub fn names() -> impl Iterator<Item = &'static str> {
    SCRIPTS.iter().map(|script| script.name)
}

/// The start of the name of a script that writes what it does into the stream `audit`. Its last key
/// is that stream, and its last arguments are three: `lua/audit/begin.lua` describes them.
const AUDITED: &str = "audited ";

fn source(name: &str) -> Result<&'static Source> {
    let name = name.strip_prefix(AUDITED).unwrap_or(name);
    SCRIPTS.iter().find(|script| script.name == name).ok_or_else(|| {
        let known: Vec<_> = names().collect();
        Error::Configuration(format!("no script {name:?}; there are {}", known.join(", ")))
    })
}

/// The whole text of a script. `flags` is false for a server before Redis 7.
pub fn text(name: &str, flags: bool) -> Result<String> {
    let text = plain_text(name, flags)?;
    if !name.starts_with(AUDITED) {
        return Ok(text);
    }
    let begin = include_str!("../python/fluxqueue_core/lua/audit/begin.lua");
    let end = include_str!("../python/fluxqueue_core/lua/audit/end.lua");
    Ok(match text.strip_prefix(FLAGS) {
        Some(text) => format!("{FLAGS}{begin}{text}{end}"),
        None => format!("{begin}{text}{end}"),
    })
}

fn plain_text(name: &str, flags: bool) -> Result<String> {
    let Source { takes, parts, body, .. } = source(name)?;
    let (keys, parts) = match (takes, flags) {
        (Takes::Client | Takes::Locks | Takes::Caller | Takes::Tick | Takes::Schedule | Takes::Rules, _) => {
            return Ok(format!("{}{body}", parts.concat()));
        }
        (_, true) => return Ok(format!("{FLAGS}{}{body}", parts.concat())),
        (_, false) => parts.split_at(1),
    };
    Ok(format!("{}{FIRST_WRITE}{}{body}", keys.concat(), parts.concat()))
}

/// The KEYS of a script that is called for `consumer`. `olds` are the consumers that the
/// script `open` ends.
pub fn keys(
    name: &str,
    namespace: &Namespace,
    queue: &str,
    consumer: Option<&str>,
    olds: &[&str],
) -> Result<Vec<String>> {
    let takes = source(name)?.takes;
    let mut keys = match takes {
        Takes::Client => namespace.of_client(queue),
        Takes::Locks => namespace.of_client_with_locks(queue),
        Takes::Schedule => Vec::new(),
        Takes::Rules => namespace.of_rules(queue),
        _ => namespace.of_queue(queue),
    };
    match takes {
        Takes::Trim => keys.extend(namespace.of_consumer(queue, "")),
        Takes::Caller => keys.extend(namespace.of_caller(queue)),
        Takes::Promote => {
            keys.push(namespace.limits(queue));
            keys.extend(namespace.of_periodic(queue).into_iter().take(1));
        }
        Takes::Tick | Takes::Schedule => keys.extend(namespace.of_periodic(queue)),
        _ => (),
    }
    let is_for_consumer = matches!(takes, Takes::Consumer | Takes::Life | Takes::Lives);
    match consumer {
        Some(consumer) if is_for_consumer => keys.extend(namespace.of_consumer(queue, consumer)),
        None if !is_for_consumer => (),
        Some(_) => return Err(Error::Configuration(format!("the script {name} takes no consumer's keys"))),
        None => {
            return Err(Error::Configuration(format!("the script {name} takes a consumer's keys; name the consumer")));
        }
    }
    if matches!(takes, Takes::Life | Takes::Lives) {
        keys.push(namespace.workers(queue));
    }
    if !olds.is_empty() && takes != Takes::Lives {
        return Err(Error::Configuration(format!("the script {name} ends no consumers")));
    }
    keys.extend(olds.iter().flat_map(|old| namespace.of_consumer(queue, old)));
    Ok(keys)
}

/// Defines a function that returns the script of its name. The text is the same for every
/// version of Redis.
macro_rules! of_clients {
    ($($(#[$doc:meta])+ $name:ident;)*) => {$(
        $(#[$doc])+
        pub fn $name() -> &'static Script {
            static SCRIPT: LazyLock<Script> =
                LazyLock::new(|| Script::load(stringify!($name), false).expect("the list has this script"));
            &SCRIPT
        }
    )*};
}

of_clients! {
    /// The script of calls that a plain push can't write.
    enqueue;
    /// The script of calls that want locks or have limits.
    enqueue_unique;
    /// The script by which a client cancels a task.
    cancel;
    /// The script by which clients and workers change periodic tasks.
    schedule;
    /// The script by which workers declare the rules of limits.
    limit_rules;
}

/// A script with its digest, by which a connection calls it. A server that has forgotten
/// the script needs the text.
#[derive(Clone, Debug)]
pub struct Script {
    /// The whole text.
    pub text: String,
    /// Its SHA-1 in hexadecimal, for EVALSHA.
    pub digest: String,
}

impl Script {
    /// Makes the script of this name.
    pub fn load(name: &str, flags: bool) -> Result<Script> {
        let text = text(name, flags)?;
        let digest = Sha1::from(text.as_bytes()).digest().to_string();
        Ok(Script { text, digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::OF_QUEUE;

    #[test]
    fn the_flags_are_the_first_line_or_absent() {
        assert!(text("open", true).expect("known").starts_with("#!lua flags=allow-oom\n"));
        let plain = text("open", false).expect("known");
        assert!(!plain.contains("#!lua flags"));
        // The first write is the first call of all: a refusal by another command would come before.
        assert_eq!(plain.find("redis.call("), plain.find(FIRST_WRITE.trim_end()));
        assert!(text("nonsense", true).is_err());
        let audited = text("audited open", true).expect("known");
        assert_eq!(audited.matches(FLAGS.trim_end()).count(), 1);
        let whole = text("open", true).expect("known");
        assert!(audited.starts_with(FLAGS) && audited.contains(&whole[FLAGS.len()..]));
        assert_eq!(text("enqueue", true).expect("known"), enqueue().text);
    }

    #[test]
    fn the_keys_of_a_consumer_follow_those_of_the_queue() {
        let all = |name, consumer, olds| keys(name, &Namespace::default(), "q", consumer, olds);
        let names = |name, consumer, olds| all(name, consumer, olds).map(|keys| keys[OF_QUEUE.len()..].to_vec());
        assert!(names("sweep", None, &[]).expect("good").is_empty());
        let of_client = all("enqueue", None, &[]).expect("good");
        assert_eq!(of_client, ["fluxqueue:{q}:pending", "fluxqueue:{q}:delayed"]);
        assert_eq!(
            names("exchange", Some("c"), &[]).expect("good"),
            ["fluxqueue:{q}:claimed:c", "fluxqueue:{q}:inbox:c"]
        );
        assert_eq!(names("trim_dead", None, &[]).expect("good"), ["fluxqueue:{q}:claimed:", "fluxqueue:{q}:inbox:"]);
        assert_eq!(names("cancel", None, &[]).expect("good")[2..], ["fluxqueue:{q}:result:"]);
        let of_open = names("open", Some("new"), &["old"]).expect("good");
        assert_eq!(of_open[2..], ["fluxqueue:{q}:workers", "fluxqueue:{q}:claimed:old", "fluxqueue:{q}:inbox:old"]);
        assert_eq!(names("bury", Some("c"), &[]).expect("good")[2..], ["fluxqueue:{q}:workers"]);
        for (name, consumer, olds) in [
            ("sweep", Some("c"), &[][..]),
            ("enqueue", Some("c"), &[]),
            ("bury", None, &[]),
            ("exchange", Some("c"), &["old"]),
        ] {
            assert!(names(name, consumer, olds).is_err(), "{name}");
        }
    }
}
