//! Where the commands of a hash slot go: to its owner, or to the node that a redirect names.
//! With a single server they always go to that server.

use std::sync::Arc;
use std::time::Instant;

use crate::config::Node;
use crate::connection::{Connection, Deployment, Goal, HashSlot, Interrupt, Redirect, Reply};
use crate::errors::{Error, Result};

/// This many redirects in a row are followed at once. After more of them, the nodes do
/// not agree yet.
const MOST_AT_ONCE: u32 = 4;

/// Whether to wait before the command is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Another server will take it.
    None,
    /// No better server is known.
    Needed,
}

/// Where the next command goes.
pub struct Course {
    /// The node of a cluster, if it is known.
    pub node: Option<Arc<Node>>,
    /// The node does not own the hash slot yet, so the command needs ASKING.
    pub asking: bool,
}

/// The redirects of one hash slot's commands.
pub struct Redirects {
    hash_slot: HashSlot,
    ask: Option<Arc<Node>>,
    in_a_row: u32,
}

impl Redirects {
    /// The next command goes to the owner of the hash slot.
    pub const fn new(hash_slot: HashSlot) -> Redirects {
        Redirects { hash_slot, ask: None, in_a_row: 0 }
    }

    /// Where the next command goes. A node that ASK has named gets one command only.
    pub fn course(&mut self, deployment: &Deployment) -> Course {
        match self.ask.take() {
            Some(node) => Course { node: Some(node), asking: true },
            None => Course { node: deployment.owner(self.hash_slot), asking: false },
        }
    }

    /// The goal of a connection for that course.
    pub fn goal(&self, course: &Course) -> Goal {
        match &course.node {
            Some(node) if course.asking => Goal::Server(node.clone()),
            _ => Goal::Owner(self.hash_slot),
        }
    }

    /// Connects: to the owner until `deadline`, to a node that ASK has named once.
    pub fn open(
        &self,
        deployment: &Deployment,
        course: &Course,
        deadline: Instant,
        interrupt: &mut Interrupt,
    ) -> Result<Connection> {
        match course.asking {
            true => deployment.open_by(&self.goal(course), deadline, interrupt),
            false => deployment.open_until(&self.goal(course), deadline, interrupt),
        }
    }

    /// Reads a reply of the server `from`. Some: the command was not executed, because
    /// another server must get it. The reason is for calls whose time is over.
    pub fn follow(
        &mut self,
        deployment: &Deployment,
        reply: &Reply,
        from: Option<&Arc<Node>>,
    ) -> Option<(Pause, Error)> {
        let Reply::Error(text) = reply else {
            self.in_a_row = 0;
            return None;
        };
        let redirect = deployment.redirect(text, from.map(Arc::as_ref))?;
        self.in_a_row = self.in_a_row.saturating_add(1);
        let at_once = if self.in_a_row > MOST_AT_ONCE { Pause::Needed } else { Pause::None };
        let pause = match redirect {
            Redirect::Moved => at_once,
            Redirect::Ask(node) => {
                self.ask = Some(node);
                at_once
            }
            Redirect::Unknown => Pause::Needed,
        };
        Some((pause, Error::Unavailable(format!("Redis is not ready: {text}"))))
    }

    /// Whether the next command goes to a node that ASK has named.
    pub fn is_asking(&self) -> bool {
        self.ask.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};

    fn deployment(url: &str) -> Deployment {
        Deployment::new(Config::new(Some(url), &Overrides::default()).expect("valid"))
    }

    fn follow(redirects: &mut Redirects, deployment: &Deployment, text: &str) -> Option<Pause> {
        redirects.follow(deployment, &Reply::Error(text.into()), None).map(|(pause, _)| pause)
    }

    #[test]
    fn redirects_are_followed_and_ask_is_for_one_command() {
        let cluster = deployment("redis+cluster://a");
        let mut redirects = Redirects::new(7);
        assert!(redirects.course(&cluster).node.is_none());
        assert_eq!(follow(&mut redirects, &cluster, "MOVED 7 b:1"), Some(Pause::None));
        let course = redirects.course(&cluster);
        assert_eq!((course.node.expect("learnt").host.as_str(), course.asking), ("b", false));
        assert_eq!(follow(&mut redirects, &cluster, "ASK 7 c:1"), Some(Pause::None));
        let course = redirects.course(&cluster);
        assert!(course.asking && matches!(redirects.goal(&course), Goal::Server(node) if node.host == "c"));
        assert_eq!(redirects.course(&cluster).node.expect("still").host, "b");
        assert_eq!(follow(&mut redirects, &cluster, "TRYAGAIN wait"), None);
        assert_eq!(follow(&mut redirects, &cluster, "CLUSTERDOWN wait"), Some(Pause::Needed));
        assert_eq!(follow(&mut redirects, &cluster, "MOVED nonsense"), Some(Pause::Needed));
    }

    #[test]
    fn nodes_that_do_not_agree_are_given_time() {
        let cluster = deployment("redis+cluster://a");
        let mut redirects = Redirects::new(7);
        for at in 0..8 {
            let expected = if at < MOST_AT_ONCE { Pause::None } else { Pause::Needed };
            assert_eq!(follow(&mut redirects, &cluster, &format!("MOVED 7 b:{}", 1 + at % 2)), Some(expected));
        }
    }

    #[test]
    fn a_replica_redirects_only_if_the_master_is_known_elsewhere() {
        let readonly = "READONLY You can't write against a read only replica.";
        let mut redirects = Redirects::new(7);
        assert_eq!(follow(&mut redirects, &deployment("redis://a"), readonly), None);
        assert_eq!(follow(&mut redirects, &deployment("redis+sentinel://a/m"), readonly), Some(Pause::Needed));
        assert_eq!(follow(&mut redirects, &deployment("redis://a"), "MOVED 7 b:1"), None);
    }
}
