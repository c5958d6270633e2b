//! Which server has a queue: the one at the address, the master that the Sentinels name,
//! or the node of a cluster that owns its slot.

mod cluster;
mod redirect;
mod sentinel;
mod share;
mod slot;

use std::sync::Arc;
use std::time::Instant;

use self::cluster::SlotMap;
use self::redirect::Destination;
use self::sentinel::Watched;
use super::backoff::Backoff;
use super::dial;
use super::link::{Connection, Interrupt};
use crate::config::{Address, Config, Node};
use crate::errors::{Error, Result};

pub use slot::Slot;
pub use slot::of as slot_of;

/// A deployment of Redis: how to reach it, and what was learnt about which server has
/// which slots.
pub struct Deployment {
    /// The settings.
    pub config: Config,
    finder: Finder,
}

enum Finder {
    Fixed,
    Sentinel(Watched),
    Cluster(SlotMap),
}

/// The server that a connection must lead to.
#[derive(Clone)]
pub enum Goal {
    /// The one that serves the slot.
    Owner(Slot),
    /// This one: a redirect has named it, or another connection leads to it.
    Server(Arc<Node>),
}

/// Where a refusal sends a command. Nothing was executed.
pub enum Redirect {
    /// Another node serves the slot, and is known now.
    Moved,
    /// Another node has the keys of this one command.
    Ask(Arc<Node>),
    /// This server does not serve the slot. Which one does must be found again.
    Unknown,
}

impl Deployment {
    /// Nothing is connected yet.
    pub fn new(config: Config) -> Deployment {
        let finder = match &config.address {
            Address::Unix(_) | Address::Single(_) => Finder::Fixed,
            Address::Sentinel(sentinels) => Finder::Sentinel(Watched::new(sentinels.clone())),
            Address::Cluster(seeds) => Finder::Cluster(SlotMap::new(seeds.clone())),
        };
        Deployment { config, finder }
    }

    /// Whether keys with different hash tags may be on different servers.
    pub fn is_cluster(&self) -> bool {
        matches!(self.finder, Finder::Cluster(_))
    }

    /// Keys with the same shard key are always on one server: in a cluster those of one
    /// slot, elsewhere all.
    pub fn shard_key(&self, slot: Slot) -> Slot {
        if self.is_cluster() { slot } else { 0 }
    }

    /// The node of a cluster that serves the slot, as far as is known without asking. None in
    /// other deployments: one connection is as good as another.
    pub fn owner(&self, slot: Slot) -> Option<Arc<Node>> {
        match &self.finder {
            Finder::Cluster(map) => map.owner(slot),
            Finder::Fixed | Finder::Sentinel(_) => None,
        }
    }

    /// Reads an error reply of the server `from`. None if it is not about the server.
    pub fn redirect(&self, error: &str, from: Option<&Node>) -> Option<Redirect> {
        let code = error.split_whitespace().next().unwrap_or_default();
        match (&self.finder, code) {
            (Finder::Fixed, _) => None,
            (_, "READONLY" | "MASTERDOWN") | (Finder::Cluster(_), "CLUSTERDOWN") => {
                self.doubt();
                Some(Redirect::Unknown)
            }
            (Finder::Cluster(map), "MOVED" | "ASK") => match Destination::read(error, from) {
                Some(Destination::Moved(slot, node)) => {
                    map.learn(slot, node);
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

    /// One attempt, within the connect timeout. The connection blocks.
    pub fn open(&self, goal: &Goal, interrupt: &mut Interrupt) -> Result<Connection> {
        self.open_by(goal, Instant::now() + self.config.connect_timeout, interrupt)
    }

    /// Attempts until `deadline`, with pauses, while Redis is down or loading.
    pub fn open_until(&self, goal: &Goal, deadline: Instant, interrupt: &mut Interrupt) -> Result<Connection> {
        let mut backoff = Backoff::new();
        loop {
            let attempt = deadline.min(Instant::now() + self.config.connect_timeout);
            let error = match self.open_by(goal, attempt, interrupt) {
                Err(error @ Error::Unavailable(_)) => error,
                other => return other,
            };
            backoff.sleep(error, deadline, interrupt)?;
        }
    }

    fn open_by(&self, goal: &Goal, deadline: Instant, interrupt: &mut Interrupt) -> Result<Connection> {
        let opened = self.find_and_open(goal, deadline, interrupt);
        opened.map_err(|error| match error {
            Error::Unavailable(text) => {
                self.doubt();
                Error::Unavailable(format!("Redis at {} can't be reached: {text}", self.config.display_url))
            }
            other => other,
        })
    }

    fn find_and_open(&self, goal: &Goal, deadline: Instant, interrupt: &mut Interrupt) -> Result<Connection> {
        let config = &self.config;
        match (&self.finder, goal) {
            (Finder::Fixed, _) => dial::first_server(config, deadline, interrupt),
            (_, Goal::Server(node)) => self.open_server(node.clone(), deadline, interrupt),
            (Finder::Sentinel(watched), Goal::Owner(_)) => {
                let node = watched.master(config, deadline, interrupt)?;
                self.open_server(node, deadline, interrupt)
            }
            (Finder::Cluster(map), Goal::Owner(slot)) => {
                let node = map.find(*slot, config, deadline, interrupt)?;
                self.open_server(node, deadline, interrupt)
            }
        }
    }

    fn open_server(&self, node: Arc<Node>, deadline: Instant, interrupt: &mut Interrupt) -> Result<Connection> {
        let is_watched = matches!(self.finder, Finder::Sentinel(_));
        let place = node.to_string();
        dial::server(&self.config, node, is_watched, deadline, interrupt).map_err(|error| match error {
            Error::Unavailable(text) => Error::Unavailable(format!("{place}: {text}")),
            other => other,
        })
    }
}
