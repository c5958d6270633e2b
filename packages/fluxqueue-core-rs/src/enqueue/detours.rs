//! On the way to whoever serves a slot: where a command goes next, and what a
//! refusal changes. Elsewhere than with a cluster or Sentinels nothing does.

use std::sync::Arc;
use std::time::Instant;

use crate::config::Node;
use crate::connection::{Connection, Deployment, Detour, Goal, Interrupt, Reply, Slot};
use crate::errors::{Error, Result};

/// So many redirections in a row are followed at once. Nodes that send us from
/// one to the other do not agree yet.
const MOST_AT_ONCE: u32 = 4;

/// Whether to wait before the command is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Another server is known that will take it.
    None,
    /// There is no better server to ask.
    Needed,
}

/// Where the next command goes.
pub struct Course {
    /// The node, where one of a cluster is known.
    pub node: Option<Arc<Node>>,
    /// It is not the owner of the slot yet: ASKING stands before the command.
    pub asking: bool,
}

/// The detours of one slot's commands.
pub struct Detours {
    slot: Slot,
    ask: Option<Arc<Node>>,
    in_a_row: u32,
}

impl Detours {
    /// The next command goes to the owner of the slot.
    pub const fn new(slot: Slot) -> Detours {
        Detours { slot, ask: None, in_a_row: 0 }
    }

    /// Where the next command goes. A node that was named by ASK is for one
    /// command only.
    pub fn course(&mut self, deployment: &Deployment) -> Course {
        match self.ask.take() {
            Some(node) => Course { node: Some(node), asking: true },
            None => Course { node: deployment.owner(self.slot), asking: false },
        }
    }

    /// Whom to connect to for that course.
    pub fn goal(&self, course: &Course) -> Goal {
        match &course.node {
            Some(node) if course.asking => Goal::Server(node.clone()),
            _ => Goal::Owner(self.slot),
        }
    }

    /// Connects: to the owner until `deadline`; a node named by ASK is tried once.
    pub fn open(
        &self,
        deployment: &Deployment,
        course: &Course,
        deadline: Instant,
        interrupt: &mut Interrupt,
    ) -> Result<Connection> {
        match course.asking {
            true => deployment.open(&self.goal(course), interrupt),
            false => deployment.open_until(&self.goal(course), deadline, interrupt),
        }
    }

    /// Takes in an answer of the server `from`. Some: it was not executed because
    /// this is not the server to ask; with the reason for those whose time is over.
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
        let detour = deployment.detour(text, from.map(Arc::as_ref))?;
        self.in_a_row = self.in_a_row.saturating_add(1);
        let at_once = if self.in_a_row > MOST_AT_ONCE { Pause::Needed } else { Pause::None };
        let pause = match detour {
            Detour::Moved => at_once,
            Detour::Ask(node) => {
                self.ask = Some(node);
                at_once
            }
            Detour::Astray => Pause::Needed,
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

    fn follow(detours: &mut Detours, deployment: &Deployment, text: &str) -> Option<Pause> {
        detours.follow(deployment, &Reply::Error(text.into()), None).map(|(pause, _)| pause)
    }

    #[test]
    fn redirections_are_followed_and_ask_is_for_one_command() {
        let cluster = deployment("redis+cluster://a");
        let mut detours = Detours::new(7);
        assert!(detours.course(&cluster).node.is_none());
        assert_eq!(follow(&mut detours, &cluster, "MOVED 7 b:1"), Some(Pause::None));
        let course = detours.course(&cluster);
        assert_eq!((course.node.expect("learnt").host.as_str(), course.asking), ("b", false));
        assert_eq!(follow(&mut detours, &cluster, "ASK 7 c:1"), Some(Pause::None));
        let course = detours.course(&cluster);
        assert!(course.asking && matches!(detours.goal(&course), Goal::Server(node) if node.host == "c"));
        assert_eq!(detours.course(&cluster).node.expect("still").host, "b");
        assert_eq!(follow(&mut detours, &cluster, "TRYAGAIN wait"), None);
        assert_eq!(follow(&mut detours, &cluster, "CLUSTERDOWN wait"), Some(Pause::Needed));
        assert_eq!(follow(&mut detours, &cluster, "MOVED nonsense"), Some(Pause::Needed));
    }

    #[test]
    fn nodes_that_do_not_agree_are_given_time() {
        let cluster = deployment("redis+cluster://a");
        let mut detours = Detours::new(7);
        for at in 0..8 {
            let expected = if at < MOST_AT_ONCE { Pause::None } else { Pause::Needed };
            assert_eq!(follow(&mut detours, &cluster, &format!("MOVED 7 b:{}", 1 + at % 2)), Some(expected));
        }
    }

    #[test]
    fn a_replica_is_a_detour_only_where_somebody_knows_the_master() {
        let readonly = "READONLY You can't write against a read only replica.";
        let mut detours = Detours::new(7);
        assert_eq!(follow(&mut detours, &deployment("redis://a"), readonly), None);
        assert_eq!(follow(&mut detours, &deployment("redis+sentinel://a/m"), readonly), Some(Pause::Needed));
        assert_eq!(follow(&mut detours, &deployment("redis://a"), "MOVED 7 b:1"), None);
    }
}
