//! Connects in a thread of its own: looking a name up or shaking hands may take
//! seconds, and the leases of other queues must be renewed meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::registry;
use super::shared::Shared;
use crate::connection::{Connection, Deployment, Goal, slot_of};
use crate::errors::{Error, Result};
use crate::keys;

/// What a conversation begins with.
pub struct Pair {
    /// The connection for scripts.
    pub scripts: Connection,
    /// The one that blocks.
    pub blocking: Connection,
    /// Why the queue could not be registered, where the registry is elsewhere.
    pub not_registered: Option<Error>,
}

/// Makes pairs of connections.
pub struct Connector {
    deployment: Arc<Deployment>,
    shared: Arc<Shared>,
    stopped: Arc<AtomicBool>,
    sender: Sender<(usize, Result<Pair>)>,
    receiver: Receiver<(usize, Result<Pair>)>,
}

fn connect(deployment: &Deployment, queue: &str, stopped: &AtomicBool) -> Result<Pair> {
    let mut interrupt = || match stopped.load(Ordering::Relaxed) {
        true => Err(Error::Unavailable("the worker stops".into())),
        false => Ok(()),
    };
    let not_registered = match deployment.is_cluster() {
        true => registry::add(deployment, queue, &mut interrupt)?,
        false => None,
    };
    let goal = Goal::Owner(slot_of(&keys::pending(queue)));
    let scripts = deployment.open(&goal, &mut interrupt)?;
    // The same server: what blocks on one of them is what scripts of the other wake.
    let goal = scripts.node().map_or(goal, |node| Goal::Server(node.clone()));
    let blocking = deployment.open(&goal, &mut interrupt)?;
    scripts.set_nonblocking(true)?;
    blocking.set_nonblocking(true)?;
    Ok(Pair { scripts, blocking, not_registered })
}

impl Connector {
    /// Nothing is connected yet.
    pub fn new(deployment: Arc<Deployment>, shared: Arc<Shared>) -> Connector {
        let (sender, receiver) = channel();
        Connector { deployment, shared, stopped: Arc::default(), sender, receiver }
    }

    /// Begins to connect for a queue; the driver is woken when it is done.
    pub fn begin(&self, queue: usize, name: &str) -> Result<()> {
        let (deployment, shared, stopped) = (self.deployment.clone(), self.shared.clone(), self.stopped.clone());
        let name = name.to_owned();
        let sender = self.sender.clone();
        let run = move || {
            // Nobody listens any more where the driver has ended.
            let _ = sender.send((queue, connect(&deployment, &name, &stopped)));
            shared.driver.set();
        };
        let spawned = thread::Builder::new().name("fluxqueue-connect".into()).spawn(run);
        spawned.map(drop).map_err(|e| Error::Unavailable(format!("no thread could be started: {e}")))
    }

    /// What has been connected since the last call.
    pub fn finished(&self) -> impl Iterator<Item = (usize, Result<Pair>)> + '_ {
        self.receiver.try_iter()
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}
