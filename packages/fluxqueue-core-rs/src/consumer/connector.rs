//! Connects in a separate thread: a name lookup or a handshake can take seconds, and the driver
//! must renew the leases of other queues meanwhile.
//!
//! Why: docs/decisions/0008-connections-are-made-in-a-thread.md

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::link::Pair;
use super::registry;
use super::shared::Shared;
use crate::connection::{Deployment, Goal, hash_slot_of};
use crate::errors::{Error, Result};

/// The connections that a conversation begins with.
pub struct Connected {
    /// The connections.
    pub pair: Pair,
    /// Why the queue could not be registered, if the registry is on another server.
    pub not_registered: Option<Error>,
}

/// Makes pairs of connections.
pub struct Connector {
    deployment: Arc<Deployment>,
    shared: Arc<Shared>,
    stopped: Arc<AtomicBool>,
    sender: Sender<(usize, Result<Connected>)>,
    receiver: Receiver<(usize, Result<Connected>)>,
}

fn connect(deployment: &Deployment, queue: &str, stopped: &AtomicBool) -> Result<Connected> {
    let mut interrupt = || match stopped.load(Ordering::Relaxed) {
        true => Err(Error::Unavailable("the worker stops".into())),
        false => Ok(()),
    };
    let not_registered = match deployment.is_cluster() {
        true => registry::add(deployment, queue, &mut interrupt)?,
        false => None,
    };
    let goal = Goal::Owner(hash_slot_of(&deployment.config.namespace.pending(queue)));
    let scripts = deployment.open(&goal, &mut interrupt)?;
    // Both connections go to the same server, because a script on one of them wakes a BLMOVE on
    // the other.
    let blocking = deployment.open_beside(&scripts, &mut interrupt)?;
    scripts.set_nonblocking(true)?;
    blocking.set_nonblocking(true)?;
    Ok(Connected { pair: Pair::new(scripts, blocking), not_registered })
}

impl Connector {
    /// A connector without attempts to connect.
    pub fn new(deployment: Arc<Deployment>, shared: Arc<Shared>) -> Connector {
        let (sender, receiver) = channel();
        Connector { deployment, shared, stopped: Arc::default(), sender, receiver }
    }

    /// Begins to connect for a queue. Wakes the driver when the attempt ends.
    pub fn begin(&self, queue: usize, name: &str) -> Result<()> {
        let (deployment, shared, stopped) = (self.deployment.clone(), self.shared.clone(), self.stopped.clone());
        let name = name.to_owned();
        let sender = self.sender.clone();
        let run = move || {
            // If the driver has ended, the channel has no receiver.
            let _ = sender.send((queue, connect(&deployment, &name, &stopped)));
            shared.driver.set();
        };
        let spawned = thread::Builder::new().name("fluxqueue-connect".into()).spawn(run);
        spawned.map(drop).map_err(|e| Error::Unavailable(format!("no thread could be started: {e}")))
    }

    /// The attempts to connect that have ended since the last call.
    pub fn finished(&self) -> impl Iterator<Item = (usize, Result<Connected>)> + '_ {
        self.receiver.try_iter()
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}
