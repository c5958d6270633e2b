//! The address of Redis: one server, a service that Sentinels watch, or a cluster.

use std::fmt;
use std::path::PathBuf;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// A name or an address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// The address of Redis, which says how to find the server of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A socket in the file system.
    Unix(PathBuf),
    /// One server.
    Single(Node),
    /// The Sentinels of a service, which know its master.
    Sentinel(Sentinels),
    /// The nodes of a cluster that a client asks first. Each node knows which one serves a
    /// key.
    Cluster(Vec<Node>),
}

/// The Sentinels, and the service that they watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentinels {
    /// The Sentinels, at least one.
    pub nodes: Vec<Node>,
    /// The name by which they know the master.
    pub service: String,
    /// The ACL user for the Sentinels.
    pub username: Option<String>,
    /// The password for the Sentinels.
    pub password: Option<String>,
}

impl Address {
    /// The hosts of the URL. Empty for a socket in the file system.
    pub fn nodes(&self) -> &[Node] {
        match self {
            Address::Unix(_) => &[],
            Address::Single(node) => std::slice::from_ref(node),
            Address::Sentinel(sentinels) => &sentinels.nodes,
            Address::Cluster(nodes) => nodes,
        }
    }

    /// The kind of address: `single`, `sentinel` or `cluster`.
    pub fn kind(&self) -> &'static str {
        match self {
            Address::Unix(_) | Address::Single(_) => "single",
            Address::Sentinel(_) => "sentinel",
            Address::Cluster(_) => "cluster",
        }
    }
}
