//! The map from the hash slots of a cluster to the nodes that serve them: the reply to CLUSTER
//! SLOTS, corrected by the redirects since then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::hash_slot::{HASH_SLOTS, HashSlot};
use crate::config::{Config, Node};
use crate::connection::dial;
use crate::connection::framing::Reply;
use crate::connection::interrupt::Interrupt;
use crate::connection::share::share;
use crate::errors::{Error, Result};

/// The index for a hash slot without a known node.
const NO_NODE: u16 = u16::MAX;

/// The map, and the nodes to ask for it.
pub struct HashSlotMap {
    seeds: Vec<Arc<Node>>,
    view: Mutex<ClusterView>,
}

struct ClusterView {
    /// The index in `nodes` for each hash slot. Empty before the first reply.
    owners: Vec<u16>,
    nodes: Vec<Arc<Node>>,
    /// Whether to ask for the map before the next connection, since a node could not be
    /// reached or was not in the map.
    doubtful: bool,
    /// The index of the node to ask first. It changes each time, since a node that is cut off
    /// from the others replies with an old map.
    turn: usize,
}

impl HashSlotMap {
    pub fn new(seeds: Vec<Node>) -> HashSlotMap {
        let view = ClusterView { owners: Vec::new(), nodes: Vec::new(), doubtful: true, turn: 0 };
        HashSlotMap { seeds: seeds.into_iter().map(Arc::new).collect(), view: Mutex::new(view) }
    }

    fn lock(&self) -> MutexGuard<'_, ClusterView> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node that serves the hash slot, if the map has it.
    pub fn owner(&self, hash_slot: HashSlot) -> Option<Arc<Node>> {
        self.lock().owner(hash_slot)
    }

    /// Notes that the map may be wrong.
    pub fn doubt(&self) {
        self.lock().doubtful = true;
    }

    /// Notes that `node` serves the hash slot, as a redirect said.
    pub fn learn(&self, hash_slot: HashSlot, node: Arc<Node>) {
        let mut view = self.lock();
        let known = view.nodes.iter().position(|other| *other == node);
        let at = known.unwrap_or_else(|| {
            // Since the node is new, other hash slots have moved too. It knows them: ask it first.
            view.doubtful = true;
            view.turn = view.nodes.len();
            view.nodes.push(node);
            view.nodes.len() - 1
        });
        view.owners.resize(HASH_SLOTS, NO_NODE);
        view.owners[usize::from(hash_slot)] = u16::try_from(at).unwrap_or(NO_NODE);
    }

    /// Returns the node that serves the hash slot. Asks the cluster if the map does not have it, or
    /// may be wrong.
    pub fn find(
        &self,
        hash_slot: HashSlot,
        config: &Config,
        deadline: Instant,
        interrupt: &mut Interrupt,
    ) -> Result<Arc<Node>> {
        let known = {
            let view = self.lock();
            if view.doubtful { None } else { view.owner(hash_slot) }
        };
        if let Some(node) = known {
            return Ok(node);
        }
        self.ask(config, deadline, interrupt)?;
        self.owner(hash_slot)
            .ok_or_else(|| Error::Unavailable(format!("no node of the cluster serves hash slot {hash_slot}")))
    }

    /// Asks one node after another for the map.
    fn ask(&self, config: &Config, deadline: Instant, interrupt: &mut Interrupt) -> Result<()> {
        let nodes = self.lock().next_turn(&self.seeds);
        let credentials = (config.username.as_deref(), config.password.as_deref());
        let mut said = Vec::new();
        let mut refused = true;
        for (turn, node) in nodes.iter().enumerate() {
            let by = share(deadline, nodes.len() - turn);
            let answer = dial::question(config, node, credentials, &[b"CLUSTER", b"SLOTS"], by, interrupt);
            let error = match answer.and_then(|reply| read(&reply, node)) {
                Ok(ranges) => {
                    self.lock().replace(ranges);
                    return Ok(());
                }
                Err(error @ (Error::Unavailable(_) | Error::Uncertain(_) | Error::Broker(_) | Error::Denied(_))) => {
                    error
                }
                Err(error) => return Err(error),
            };
            refused &= matches!(error, Error::Broker(_) | Error::Denied(_));
            said.push(format!("{node}: {error}"));
        }
        let text = format!("no node of the cluster says who serves what ({})", said.join("; "));
        // Another attempt with the same password or rights would fail too.
        Err(if refused { Error::Denied(text) } else { Error::Unavailable(text) })
    }
}

impl ClusterView {
    fn owner(&self, hash_slot: HashSlot) -> Option<Arc<Node>> {
        self.nodes.get(usize::from(*self.owners.get(usize::from(hash_slot))?)).cloned()
    }

    /// All known nodes, then the other seeds, in the order in which to ask them.
    fn next_turn(&mut self, seeds: &[Arc<Node>]) -> Vec<Arc<Node>> {
        let first = self.turn.checked_rem(self.nodes.len()).unwrap_or(0);
        self.turn = first + 1;
        let mut nodes: Vec<_> = self.nodes[first..].iter().chain(&self.nodes[..first]).cloned().collect();
        nodes.extend(seeds.iter().filter(|seed| !self.nodes.contains(seed)).cloned());
        nodes
    }

    fn replace(&mut self, ranges: Vec<(HashSlot, HashSlot, Node)>) {
        self.nodes.clear();
        self.owners.clear();
        self.owners.resize(HASH_SLOTS, NO_NODE);
        for (first, last, node) in ranges {
            let at = self.nodes.iter().position(|known| **known == node).unwrap_or_else(|| {
                self.nodes.push(Arc::new(node));
                self.nodes.len() - 1
            });
            self.owners[usize::from(first)..=usize::from(last)].fill(u16::try_from(at).unwrap_or(NO_NODE));
        }
        self.doubtful = false;
    }
}

/// Reads the reply to CLUSTER SLOTS: each range of hash slots with its master.
fn read(reply: &Reply, from: &Node) -> Result<Vec<(HashSlot, HashSlot, Node)>> {
    let Reply::Array(ranges) = reply else {
        return Err(Error::Unavailable("what answers there is not a node of a Redis Cluster".into()));
    };
    if ranges.is_empty() {
        return Err(Error::Unavailable("it belongs to no cluster yet".into()));
    }
    Ok(ranges.iter().filter_map(|range| range_of(range, from)).collect())
}

fn range_of(range: &Reply, from: &Node) -> Option<(HashSlot, HashSlot, Node)> {
    let Reply::Array(parts) = range else { return None };
    let [Reply::Integer(first), Reply::Integer(last), Reply::Array(master), ..] = &parts[..] else { return None };
    let [host, Reply::Integer(port), rest @ ..] = &master[..] else { return None };
    let hash_slot = |n: &i64| HashSlot::try_from(*n).ok().filter(|hash_slot| usize::from(*hash_slot) < HASH_SLOTS);
    let (first, last) = (hash_slot(first)?, hash_slot(last)?);
    let host = match text(host) {
        // The host is null or empty: the node does not know its own address. It has the
        // address to which this client connected.
        None | Some("") => &from.host,
        // The node has no host name for clients, but the reply may have its IP address.
        Some("?") => address(rest)?,
        Some(host) => host,
    };
    let port = u16::try_from(*port).ok().filter(|port| *port > 0)?;
    (first <= last).then(|| (first, last, Node { host: host.trim_matches(['[', ']']).to_owned(), port }))
}

fn text(reply: &Reply) -> Option<&str> {
    match reply {
        Reply::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// Finds `ip` in the rest of a node's entry, which is its id, then names and values.
fn address(rest: &[Reply]) -> Option<&str> {
    let [_, Reply::Array(pairs), ..] = rest else { return None };
    pairs.chunks_exact(2).find(|pair| text(&pair[0]) == Some("ip")).and_then(|pair| text(&pair[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: &str, port: u16) -> Node {
        Node { host: host.into(), port }
    }

    fn string(text: &str) -> Reply {
        Reply::BulkString(text.to_owned().into())
    }

    fn range(first: i64, last: i64, host: Reply, port: i64, more: Vec<Reply>) -> Reply {
        let mut master = vec![host, Reply::Integer(port), string("id")];
        master.extend(more);
        let replica = Reply::Array(vec![string("replica"), Reply::Integer(9), string("id")]);
        Reply::Array(vec![Reply::Integer(first), Reply::Integer(last), Reply::Array(master), replica])
    }

    fn map(ranges: Vec<Reply>) -> HashSlotMap {
        let map = HashSlotMap::new(vec![node("seed", 1)]);
        let ranges = read(&Reply::Array(ranges), &node("asked", 2)).expect("ranges");
        map.lock().replace(ranges);
        map
    }

    fn host(map: &HashSlotMap, hash_slot: HashSlot) -> Option<String> {
        map.owner(hash_slot).map(|node| node.to_string())
    }

    #[test]
    fn the_master_of_each_range_is_read() {
        let named = vec![Reply::Array(vec![string("ip"), string("10.0.0.3")])];
        let map = map(vec![
            range(0, 99, string("10.0.0.1"), 1, vec![]),
            range(100, 199, Reply::Null, 2, vec![]),
            range(200, 299, string(""), 3, vec![]),
            range(300, 399, string("?"), 4, named),
            range(400, 499, string("?"), 5, vec![]),
            range(16_000, 16_383, string("10.0.0.1"), 1, vec![]),
            range(16_384, 16_390, string("x"), 1, vec![]),
            range(9, 8, string("x"), 1, vec![]),
            Reply::Null,
        ]);
        for (hash_slot, owner) in [
            (0, Some("10.0.0.1:1")),
            (99, Some("10.0.0.1:1")),
            (100, Some("asked:2")),
            (299, Some("asked:3")),
            (300, Some("10.0.0.3:4")),
            (400, None),
            (500, None),
            (16_383, Some("10.0.0.1:1")),
        ] {
            assert_eq!(host(&map, hash_slot).as_deref(), owner, "{hash_slot}");
        }
        assert_eq!(map.lock().nodes.len(), 4);
        assert!(read(&Reply::Array(vec![]), &node("asked", 2)).is_err());
        assert!(read(&Reply::Integer(1), &node("asked", 2)).is_err());
    }

    #[test]
    fn a_hash_slot_that_moves_is_learnt_and_an_unknown_node_is_asked_first() {
        let map = map(vec![range(0, 99, string("a"), 1, vec![]), range(100, 199, string("b"), 1, vec![])]);
        map.learn(5, Arc::new(node("b", 1)));
        assert_eq!((host(&map, 5).as_deref(), host(&map, 6).as_deref()), (Some("b:1"), Some("a:1")));
        assert!(!map.lock().doubtful);
        map.learn(5, Arc::new(node("c", 1)));
        assert_eq!(host(&map, 5).as_deref(), Some("c:1"));
        assert!(map.lock().doubtful);
        let order = |map: &HashSlotMap| -> Vec<String> {
            map.lock().next_turn(&map.seeds).iter().map(|node| node.host.clone()).collect()
        };
        assert_eq!(order(&map), ["c", "a", "b", "seed"]);
        assert_eq!(order(&map), ["a", "b", "c", "seed"]);
    }

    #[test]
    fn without_an_answer_nothing_is_known_but_what_was_learnt() {
        let map = HashSlotMap::new(vec![node("seed", 1)]);
        assert_eq!(map.owner(7), None);
        map.learn(7, Arc::new(node("a", 1)));
        assert_eq!((host(&map, 7).as_deref(), host(&map, 8)), (Some("a:1"), None));
    }
}
