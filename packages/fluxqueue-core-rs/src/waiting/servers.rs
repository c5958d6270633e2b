//! The masters that the waits need, and which of them serves which shard key.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::link::{MOST_KEYS, ResultLink};
use super::mailbox::WaitFault;
use super::waits::Waits;
use crate::config::Node;
use crate::connection::{Backoff, Connection, Deployment, Goal, HashSlot};
use crate::consumer::Wake;
use crate::errors::{Error, Result};

/// How long a shard key waits whose hash slot is on its way to another server.
const WHILE_MOVING: Duration = Duration::from_millis(100);

enum ServerState {
    /// An attempt to connect is under way.
    Connecting,
    Open(Box<ResultLink>),
    /// The next attempt comes at this moment.
    Resting(Instant),
}

/// A master, or an attempt to reach one.
struct Server {
    number: u64,
    /// It owns this hash slot.
    hash_slot: HashSlot,
    /// The node, as far as it is known.
    node: Option<Arc<Node>>,
    /// It serves the waits of these.
    shard_keys: HashSet<HashSlot>,
    side: ServerState,
    backoff: Backoff,
    /// How many keys the first MGET of the next connection has.
    keys: usize,
}

/// All masters.
pub struct Servers {
    deployment: Arc<Deployment>,
    /// Wakes the thread when an attempt to connect ends.
    wake: Arc<Wake>,
    all: Vec<Server>,
    /// Shard keys that must wait before a server gets them.
    not_before: HashMap<HashSlot, Instant>,
    numbers: u64,
    sender: Sender<(u64, Result<Connection>)>,
    receiver: Receiver<(u64, Result<Connection>)>,
}

fn connect(deployment: &Deployment, hash_slot: HashSlot) -> Result<Connection> {
    let connection = deployment.open(&Goal::Owner(hash_slot), &mut || Ok(()))?;
    connection.set_nonblocking(true)?;
    Ok(connection)
}

impl Servers {
    /// No server yet.
    pub fn new(deployment: Arc<Deployment>, wake: Arc<Wake>) -> Servers {
        let (sender, receiver) = channel();
        Servers { deployment, wake, all: Vec::new(), not_before: HashMap::new(), numbers: 0, sender, receiver }
    }

    /// The open links.
    pub fn links(&mut self) -> impl Iterator<Item = &mut ResultLink> {
        self.all.iter_mut().filter_map(|server| match &mut server.side {
            ServerState::Open(link) => Some(&mut **link),
            _ => None,
        })
    }

    /// Reads all that has come. Returns the problem, if a server can't be reached.
    pub fn listen(&mut self, waits: &mut Waits, now: Instant) -> Option<String> {
        let mut problem = self.admit_connected(waits, now);
        self.hear(waits, now, &mut problem);
        problem
    }

    /// Sends all that can be said now. Notes the `problem`, if a server can't be reached.
    pub fn ask(&mut self, waits: &mut Waits, now: Instant, problem: &mut Option<String>) {
        self.assign(waits, now);
        self.connect(now, problem);
        self.speak(waits, now, problem);
        waits.drop_idle();
    }

    /// When the next turn is due, if nothing is heard before.
    pub fn due(&self, now: Instant) -> Instant {
        let timeout = self.deployment.config.timeout;
        let of_servers = self.all.iter().filter_map(|server| match &server.side {
            ServerState::Open(link) => Some(link.due(timeout)),
            ServerState::Resting(until) => Some(*until),
            ServerState::Connecting => None,
        });
        of_servers.chain(self.not_before.values().copied()).min().unwrap_or(now + Duration::from_secs(60))
    }

    fn admit_connected(&mut self, waits: &mut Waits, now: Instant) -> Option<String> {
        let deployment = self.deployment.clone();
        let mut problem = None;
        while let Ok((number, connected)) = self.receiver.try_recv() {
            let Some(at) = self.all.iter().position(|server| server.number == number) else { continue };
            match connected {
                Ok(connection) => {
                    let node = connection.node().cloned();
                    let is_same = |other: &Server| {
                        other.number != number
                            && node.is_some()
                            && other.node == node
                            && matches!(other.side, ServerState::Open(_))
                    };
                    if let Some(twin) = self.all.iter().position(is_same) {
                        let shard_keys = self.all[at].shard_keys.clone();
                        self.all[twin].shard_keys.extend(shard_keys);
                        self.all.remove(at);
                        continue;
                    }
                    let server = &mut self.all[at];
                    server.node = node;
                    server.side =
                        ServerState::Open(Box::new(ResultLink::new(connection, &deployment, server.keys, now)));
                }
                Err(error) => {
                    problem = Some(error.to_string());
                    if !matches!(error, Error::Unavailable(_) | Error::Uncertain(_)) {
                        // A wrong password, for example: the next attempt would fail too.
                        waits.fail_all(&WaitFault(error.to_string()));
                    }
                    let server = &mut self.all[at];
                    server.side = ServerState::Resting(now + server.backoff.next_pause());
                }
            }
        }
        problem
    }

    fn hear(&mut self, waits: &mut Waits, now: Instant, problem: &mut Option<String>) {
        let deployment = self.deployment.clone();
        let timeout = deployment.config.timeout;
        let mut moved = Vec::new();
        for server in &mut self.all {
            let ServerState::Open(link) = &mut server.side else { continue };
            let beats_for = server.shard_keys.iter().find_map(|key| Some((*key, waits.of(*key)?.any_key()?)));
            let heard = link.hear(&deployment, waits, now).and_then(|heeded| {
                link.beat(&deployment, beats_for, timeout, now)?;
                Ok(heeded)
            });
            match heard {
                Ok(heeded) => {
                    server.backoff = Backoff::new();
                    moved.extend(heeded.moved);
                }
                Err(error) => {
                    *problem = Some(error.to_string());
                    server.broke(waits, now);
                }
            }
        }
        for shard_key in moved {
            for server in &mut self.all {
                server.shard_keys.remove(&shard_key);
            }
            self.not_before.insert(shard_key, now + WHILE_MOVING);
            if let Some(shard) = waits.of(shard_key) {
                shard.begin_again();
            }
        }
    }

    /// Gives each shard key to a server.
    fn assign(&mut self, waits: &mut Waits, now: Instant) {
        let deployment = self.deployment.clone();
        self.not_before.retain(|_, until| *until > now);
        let wanted = waits.shard_keys();
        // In a cluster a server without a shard key may have left it.
        self.all.iter_mut().for_each(|server| server.shard_keys.retain(|key| wanted.contains(key)));
        if deployment.is_cluster() && !wanted.is_empty() {
            self.all.retain(|server| !server.shard_keys.is_empty());
        }
        for shard_key in wanted {
            let is_served = self.all.iter().any(|server| server.shard_keys.contains(&shard_key));
            if is_served || self.not_before.contains_key(&shard_key) {
                continue;
            }
            let owner = deployment.owner(shard_key);
            // Without a map any server will do: it says where the shard key belongs.
            let leads_there = |server: &Server| owner.is_none() || server.node == owner;
            match self.all.iter_mut().find(|server| leads_there(server)) {
                Some(server) => _ = server.shard_keys.insert(shard_key),
                None => {
                    self.numbers += 1;
                    self.all.push(Server {
                        number: self.numbers,
                        hash_slot: shard_key,
                        node: owner,
                        shard_keys: HashSet::from([shard_key]),
                        side: ServerState::Resting(now),
                        backoff: Backoff::new(),
                        keys: MOST_KEYS,
                    });
                }
            }
        }
    }

    fn connect(&mut self, now: Instant, problem: &mut Option<String>) {
        for server in &mut self.all {
            if !matches!(server.side, ServerState::Resting(until) if until <= now) || server.shard_keys.is_empty() {
                continue;
            }
            let (deployment, wake, sender) = (self.deployment.clone(), self.wake.clone(), self.sender.clone());
            let (number, hash_slot) = (server.number, server.hash_slot);
            let run = move || {
                // If the listener has ended, the channel has no receiver.
                let _ = sender.send((number, connect(&deployment, hash_slot)));
                wake.set();
            };
            server.side = match thread::Builder::new().name("fluxqueue-connect".into()).spawn(run) {
                Ok(_) => ServerState::Connecting,
                Err(error) => {
                    *problem = Some(format!("no thread could be started: {error}"));
                    ServerState::Resting(now + server.backoff.next_pause())
                }
            };
        }
    }

    fn speak(&mut self, waits: &mut Waits, now: Instant, problem: &mut Option<String>) {
        for server in &mut self.all {
            let ServerState::Open(link) = &mut server.side else { continue };
            for shard_key in &server.shard_keys {
                if let Some(shard) = waits.of(*shard_key).filter(|shard| shard.wants_to_ask()) {
                    link.ask(*shard_key, shard);
                }
            }
            if let Err(error) = link.connection.write_some() {
                *problem = Some(error.to_string());
                server.broke(waits, now);
            }
        }
    }
}

impl Server {
    /// Its connection broke: all its waits begin again on the next one.
    fn broke(&mut self, waits: &mut Waits, now: Instant) {
        if let ServerState::Open(link) = &self.side {
            // The replies may have been too large.
            self.keys = (link.keys() / 4).max(1);
        }
        for shard_key in &self.shard_keys {
            if let Some(shard) = waits.of(*shard_key) {
                shard.begin_again();
            }
        }
        // Another server may have its other shard keys now.
        let own = self.hash_slot;
        self.shard_keys.retain(|key| *key == own);
        self.node = None;
        self.side = ServerState::Resting(now + self.backoff.next_pause());
    }
}
