//! Connects in a thread of its own: looking a name up or shaking hands may take
//! seconds, and the leases of other queues must be renewed meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::shared::Shared;
use crate::config::Config;
use crate::connection::Connection;
use crate::errors::{Error, Result};

/// The connection for scripts and the one that blocks.
pub type Pair = (Connection, Connection);

/// Makes pairs of connections.
pub struct Connector {
    config: Arc<Config>,
    shared: Arc<Shared>,
    stopped: Arc<AtomicBool>,
    sender: Sender<(usize, Result<Pair>)>,
    receiver: Receiver<(usize, Result<Pair>)>,
}

fn connect(config: &Config, stopped: &AtomicBool) -> Result<Pair> {
    let mut interrupt = || match stopped.load(Ordering::Relaxed) {
        true => Err(Error::Unavailable("the worker stops".into())),
        false => Ok(()),
    };
    let pair = (Connection::open(config, &mut interrupt)?, Connection::open(config, &mut interrupt)?);
    pair.0.set_nonblocking(true)?;
    pair.1.set_nonblocking(true)?;
    Ok(pair)
}

impl Connector {
    /// Nothing is connected yet.
    pub fn new(config: Arc<Config>, shared: Arc<Shared>) -> Connector {
        let (sender, receiver) = channel();
        Connector { config, shared, stopped: Arc::default(), sender, receiver }
    }

    /// Begins to connect for a queue; the driver is woken when it is done.
    pub fn begin(&self, queue: usize) -> Result<()> {
        let (config, shared, stopped) = (self.config.clone(), self.shared.clone(), self.stopped.clone());
        let sender = self.sender.clone();
        let run = move || {
            // Nobody listens any more where the driver has ended.
            let _ = sender.send((queue, connect(&config, &stopped)));
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
