//! Where Redis is: one server, a service that Sentinels watch, or a cluster.

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

/// The way to the server that serves a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A socket in the file system.
    Unix(PathBuf),
    /// One server.
    Single(Node),
    /// The Sentinels know which server is the master.
    Sentinel(Sentinels),
    /// Each node knows which one serves a key. The client asks these nodes first.
    Cluster(Vec<Node>),
}

/// Sentinels, and the service that they watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentinels {
    /// At least one.
    pub nodes: Vec<Node>,
    /// The name under which they watch the master.
    pub service: String,
    /// Their own ACL user.
    pub username: Option<String>,
    /// Their own password.
    pub password: Option<String>,
}

impl Address {
    /// The hosts of the URL; none for a socket in the file system.
    pub fn nodes(&self) -> &[Node] {
        match self {
            Address::Unix(_) => &[],
            Address::Single(node) => std::slice::from_ref(node),
            Address::Sentinel(sentinels) => &sentinels.nodes,
            Address::Cluster(nodes) => nodes,
        }
    }

    /// `single`, `sentinel` or `cluster`.
    pub fn kind(&self) -> &'static str {
        match self {
            Address::Unix(_) | Address::Single(_) => "single",
            Address::Sentinel(_) => "sentinel",
            Address::Cluster(_) => "cluster",
        }
    }
}
