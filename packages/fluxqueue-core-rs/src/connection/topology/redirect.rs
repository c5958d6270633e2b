//! Reads the replies MOVED and ASK. A node of a cluster sends them if it did not execute the
//! command, and names the node that will.

use std::sync::Arc;

use super::hash_slot::{HASH_SLOTS, HashSlot};
use crate::config::Node;

/// The node that a redirect names.
#[derive(Debug, PartialEq, Eq)]
pub enum Destination {
    /// The node that serves the hash slot from now on.
    Moved(HashSlot, Arc<Node>),
    /// The node that has the keys of this one command, since the hash slot is moving there.
    Ask(Arc<Node>),
}

impl Destination {
    /// Reads `MOVED 3999 host:port`. If the host is empty, it is the host of `from`, which sent
    /// the reply.
    pub fn read(text: &str, from: Option<&Node>) -> Option<Destination> {
        let mut words = text.split_whitespace();
        let (kind, hash_slot, address) = (words.next()?, words.next()?, words.next()?);
        let hash_slot: HashSlot = hash_slot.parse().ok().filter(|hash_slot| usize::from(*hash_slot) < HASH_SLOTS)?;
        // Redis writes an IPv6 address without brackets.
        let (host, port) = address.rsplit_once(':')?;
        let host = match host.trim_matches(['[', ']']) {
            "" => &from?.host,
            // The node has no host name for clients.
            "?" => return None,
            host => host,
        };
        let node = Arc::new(Node { host: host.to_owned(), port: port.parse().ok().filter(|port| *port > 0)? });
        match kind {
            "MOVED" => Some(Destination::Moved(hash_slot, node)),
            "ASK" => Some(Destination::Ask(node)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: &str, port: u16) -> Arc<Node> {
        Arc::new(Node { host: host.into(), port })
    }

    #[test]
    fn redirects_are_read() {
        let from = node("asked", 1);
        for (text, expected) in [
            ("MOVED 3999 127.0.0.1:6381", Some(Destination::Moved(3999, node("127.0.0.1", 6381)))),
            ("ASK 0 redis-1.example.org:6381", Some(Destination::Ask(node("redis-1.example.org", 6381)))),
            ("MOVED 16383 ::1:6381", Some(Destination::Moved(16383, node("::1", 6381)))),
            ("MOVED 16383 [::1]:6381", Some(Destination::Moved(16383, node("::1", 6381)))),
            ("MOVED 1 :6381", Some(Destination::Moved(1, node("asked", 6381)))),
            ("MOVED 1 ?:6381", None),
            ("MOVED 16384 a:1", None),
            ("MOVED -1 a:1", None),
            ("MOVED 1 a:0", None),
            ("MOVED 1 a:65536", None),
            ("MOVED 1 a", None),
            ("MOVED", None),
            ("", None),
            ("MOVEDX 1 a:1", None),
        ] {
            assert_eq!(Destination::read(text, Some(&*from)), expected, "{text}");
        }
        assert_eq!(Destination::read("MOVED 1 :6381", None), None);
    }
}
