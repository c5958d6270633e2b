//! The search for the server of a queue: the one at the address, the master that the
//! Sentinels name, or the node of a cluster that serves the queue's hash slot.

mod cluster;
mod hash_slot;
mod redirect;
mod sentinel;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use self::cluster::HashSlotMap;
use self::redirect::Destination;
use self::sentinel::Watched;
use super::backoff::Backoff;
use super::dial::{self, DialTarget};
use super::interrupt::Interrupt;
use super::link::Connection;
use crate::config::{Address, Config, Node};
use crate::errors::{Error, Result};

pub use hash_slot::HashSlot;
pub use hash_slot::of as hash_slot_of;

/// A deployment of Redis: its settings, and the servers that are known so far.
pub struct Deployment {
    /// The settings.
    pub config: Config,
    finder: Finder,
}

enum Finder {
    Fixed,
    Sentinel(Watched),
    Cluster(HashSlotMap),
}

/// The remedy if no Redis listens on this machine, as for a new user.
fn advice(config: &Config, text: &str) -> &'static str {
    let Address::Single(node) = &config.address else { return "" };
    let is_refused = text.contains(&io::Error::from_raw_os_error(libc::ECONNREFUSED).to_string());
    let is_plain = !config.encrypted && config.username.is_none() && config.password.is_none();
    match node.host.as_str() {
        "127.0.0.1" | "localhost" if is_refused && is_plain => {
            "; no Redis listens there: start one, or for development `fluxqueue dev`"
        }
        "127.0.0.1" | "localhost" | "::1" if is_refused => "; no Redis listens there: start one",
        _ => "",
    }
}

/// The server that a connection must lead to.
#[derive(Clone)]
pub enum Goal {
    /// The server that serves the hash slot.
    Owner(HashSlot),
    /// This server, since a redirect named it or another connection leads to it.
    Server(Arc<Node>),
}

/// The destination to which a refusal sends a command. Redis did not execute the command.
pub enum Redirect {
    /// Another node serves the hash slot, and the map has it now.
    Moved,
    /// This node has the keys of this one command.
    Ask(Arc<Node>),
    /// Another server serves the hash slot. The next connection searches for it.
    Unknown,
}

impl Deployment {
    /// Makes a deployment, without a connection.
    pub fn new(config: Config) -> Deployment {
        let finder = match &config.address {
            Address::Unix(_) | Address::Single(_) => Finder::Fixed,
            Address::Sentinel(sentinels) => Finder::Sentinel(Watched::new(sentinels.clone())),
            Address::Cluster(seeds) => Finder::Cluster(HashSlotMap::new(seeds.clone())),
        };
        Deployment { config, finder }
    }

    /// Whether keys with different hash tags can be on different servers.
    pub fn is_cluster(&self) -> bool {
        matches!(self.finder, Finder::Cluster(_))
    }

    /// The shard key of a hash slot. Keys with the same shard key are always on one server: in a
    /// cluster the keys of one hash slot, in other deployments all keys.
    pub fn shard_key(&self, hash_slot: HashSlot) -> HashSlot {
        if self.is_cluster() { hash_slot } else { 0 }
    }

    /// The node of a cluster that serves the hash slot, if the map has it. None in other
    /// deployments: there, every connection can serve every hash slot.
    pub fn owner(&self, hash_slot: HashSlot) -> Option<Arc<Node>> {
        match &self.finder {
            Finder::Cluster(map) => map.owner(hash_slot),
            Finder::Fixed | Finder::Sentinel(_) => None,
        }
    }

    /// Reads the redirect in an error reply of the server `from`, and notes it in the map. None:
    /// the error is not a redirect.
    pub fn redirect(&self, error: &str, from: Option<&Node>) -> Option<Redirect> {
        let code = error.split_whitespace().next().unwrap_or_default();
        match (&self.finder, code) {
            (Finder::Fixed, _) => None,
            (_, "READONLY" | "MASTERDOWN") | (Finder::Cluster(_), "CLUSTERDOWN") => {
                self.doubt();
                Some(Redirect::Unknown)
            }
            (Finder::Cluster(map), "MOVED" | "ASK") => match Destination::read(error, from) {
                Some(Destination::Moved(hash_slot, node)) => {
                    map.learn(hash_slot, node);
                    Some(Redirect::Moved)
                }
                Some(Destination::Ask(node)) => Some(Redirect::Ask(node)),
                None => {
                    map.doubt();
                    Some(Redirect::Unknown)
                }
            },
            _ => None,
        }
    }

    fn doubt(&self) {
        match &self.finder {
            Finder::Fixed => {}
            Finder::Sentinel(watched) => watched.doubt(),
            Finder::Cluster(map) => map.doubt(),
        }
    }

    /// Connects in one attempt, within the connect timeout. The connection blocks.
    pub fn open(&self, goal: &Goal, interrupt: &mut Interrupt) -> Result<Connection> {
        self.open_by(goal, self.attempt_ends(), interrupt)
    }

    /// Opens another connection to the server of `first`, in one attempt. It goes to the same
    /// address, since the name may have others, and needs no lookup.
    pub fn open_beside(&self, first: &Connection, interrupt: &mut Interrupt) -> Result<Connection> {
        let deadline = self.attempt_ends();
        self.explained(match first.node() {
            None => dial::first_server(&self.config, first.address(), deadline, interrupt),
            Some(node) => self.open_server(DialTarget { node, address: first.address() }, deadline, interrupt),
        })
    }

    /// When an attempt that begins now is over.
    fn attempt_ends(&self) -> Instant {
        Instant::now() + self.config.connect_timeout
    }

    /// Connects, and repeats the attempt until `deadline`, with pauses, while Redis is down or
    /// loading.
    pub fn open_until(&self, goal: &Goal, deadline: Instant, interrupt: &mut Interrupt) -> Result<Connection> {
        let mut backoff = Backoff::new();
        loop {
            let error = match self.open_by(goal, deadline, interrupt) {
                Err(error @ Error::Unavailable(_)) => error,
                other => return other,
            };
            backoff.sleep(error, deadline, interrupt)?;
        }
    }

    /// Connects in one attempt, which ends at `deadline` at the latest.
    pub fn open_by(&self, goal: &Goal, deadline: Instant, interrupt: &mut Interrupt) -> Result<Connection> {
        let deadline = deadline.min(self.attempt_ends());
        self.explained(self.find_and_open(goal, deadline, interrupt))
    }

    fn explained(&self, opened: Result<Connection>) -> Result<Connection> {
        opened.map_err(|error| match error {
            Error::Unavailable(text) => {
                self.doubt();
                let advice = advice(&self.config, &text);
                Error::Unavailable(format!("Redis at {} can't be reached: {text}{advice}", self.config.display_url))
            }
            other => other,
        })
    }

    fn find_and_open(&self, goal: &Goal, deadline: Instant, interrupt: &mut Interrupt) -> Result<Connection> {
        let config = &self.config;
        match (&self.finder, goal) {
            (Finder::Fixed, _) => dial::first_server(config, None, deadline, interrupt),
            (_, Goal::Server(node)) => self.open_server(DialTarget::new(node), deadline, interrupt),
            (Finder::Sentinel(watched), Goal::Owner(_)) => {
                let node = watched.master(config, deadline, interrupt)?;
                self.open_server(DialTarget::new(&node), deadline, interrupt)
            }
            (Finder::Cluster(map), Goal::Owner(hash_slot)) => {
                let node = map.find(*hash_slot, config, deadline, interrupt)?;
                self.open_server(DialTarget::new(&node), deadline, interrupt)
            }
        }
    }

    fn open_server(&self, target: DialTarget, deadline: Instant, interrupt: &mut Interrupt) -> Result<Connection> {
        let is_watched = matches!(self.finder, Finder::Sentinel(_));
        dial::server(&self.config, target, is_watched, deadline, interrupt).map_err(|error| match error {
            Error::Unavailable(text) => Error::Unavailable(format!("{}: {text}", target.node)),
            other => other,
        })
    }
}
