//! One connection per thread and producer; to a cluster one per node, from the
//! first call that needs it.
//!
//! While a call uses it, the connection is out of the table: a signal handler or
//! a finalizer that enqueues in the middle of the call opens another one. When
//! the thread ends, the table closes what it holds.

use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::config::Node;
use crate::connection::{Connection, Deployment};
use crate::fork;

/// A connection that was idle for longer is checked before it is written to. The check
/// costs a hundredth of a round trip.
pub const IDLE: Duration = Duration::from_micros(100);

/// How much memory the buffer of a thread keeps between calls.
const KEEP: usize = 64 * 1024;

/// A thread's connections for one producer.
pub struct ThreadConnections {
    idle: Vec<Idle>,
    generation: u32,
    /// For the command that is being written.
    pub command: Vec<u8>,
}

/// A connection between two calls.
struct Idle {
    connection: Connection,
    since: Instant,
}

impl ThreadConnections {
    fn new() -> ThreadConnections {
        ThreadConnections { idle: Vec::new(), generation: fork::generation(), command: Vec::new() }
    }

    /// An open connection to that node (None: there is only one server).
    pub fn take(&mut self, node: Option<&Node>) -> Option<Connection> {
        if self.generation != fork::generation() {
            // A child of `fork` drops its copies of the descriptors and leaves
            // the conversations to its parent.
            self.idle.clear();
        }
        let leads_there = |idle: &Idle| match node {
            None => true,
            Some(node) => idle.connection.node().is_some_and(|other| **other == *node),
        };
        let Idle { connection, since } = self.idle.swap_remove(self.idle.iter().position(leads_there)?);
        (since.elapsed() < IDLE || !connection.is_stale()).then_some(connection)
    }

    /// Keeps the connection for the next call. The caller has read all its replies.
    pub fn keep(&mut self, connection: Connection) {
        self.idle.push(Idle { connection, since: Instant::now() });
        self.generation = fork::generation();
    }

    /// Closes all idle connections: nodes may have left the cluster.
    pub fn forget(&mut self) {
        self.idle.clear();
    }
}

type Table = Vec<(Weak<Deployment>, ThreadConnections)>;

thread_local! {
    static TABLE: RefCell<Table> = const { RefCell::new(Vec::new()) };
}

// No Python code runs and nothing waits while the table is borrowed. It is gone while
// the thread ends, when finalizers may still enqueue.
fn with_table<T>(f: impl FnOnce(&mut Table) -> T) -> Option<T> {
    TABLE.try_with(|table| table.try_borrow_mut().ok().map(|mut table| f(&mut table))).ok().flatten()
}

/// Takes this thread's connections for the producer that owns `deployment`.
pub fn take(deployment: &Arc<Deployment>) -> ThreadConnections {
    let found = with_table(|table| {
        let at = table.iter().position(|(owner, _)| std::ptr::eq(owner.as_ptr(), Arc::as_ptr(deployment)))?;
        Some(table.swap_remove(at).1)
    });
    found.flatten().unwrap_or_else(ThreadConnections::new)
}

/// Puts them back.
pub fn put(deployment: &Arc<Deployment>, mut own: ThreadConnections) {
    own.command.clear();
    own.command.shrink_to(KEEP);
    with_table(|table| {
        // Out: those of producers that are gone, and those that a call opened meanwhile.
        table.retain(|(owner, _)| owner.strong_count() > 0 && !std::ptr::eq(owner.as_ptr(), Arc::as_ptr(deployment)));
        table.push((Arc::downgrade(deployment), own));
    });
}
