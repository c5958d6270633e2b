//! One connection per thread and producer; to a cluster one per node, from the
//! first call that needs it.
//!
//! While a call uses it, the connection is out of the table: a signal handler or
//! a finalizer that enqueues in the middle of the call opens another one. When
//! the thread ends, the table closes what it holds.

use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use pyo3::Python;

use crate::config::Node;
use crate::connection::{Connection, Deployment};
use crate::errors::{Error, Result};
use crate::fork;

/// After such a pause a connection is looked at before it is written to; the
/// look costs a hundredth of a round trip.
pub const IDLE: Duration = Duration::from_micros(100);

/// How much memory the buffer of a thread keeps.
const KEEP: usize = 64 * 1024;

/// A thread's means of enqueueing.
pub struct Line {
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

impl Line {
    fn new() -> Line {
        Line { idle: Vec::new(), generation: fork::generation(), command: Vec::new() }
    }

    /// The connection to that node (None: there is only one server), if there
    /// is one that can be written to.
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

    /// Keeps the connection for the next call. All its answers have been read.
    pub fn keep(&mut self, connection: Connection) {
        self.idle.push(Idle { connection, since: Instant::now() });
        self.generation = fork::generation();
    }

    /// Closes what is idle: nodes may have left the cluster.
    pub fn forget(&mut self) {
        self.idle.clear();
    }
}

type Table = Vec<(Weak<Deployment>, Line)>;

thread_local! {
    static LINES: RefCell<Table> = const { RefCell::new(Vec::new()) };
}

// No Python code runs and nothing waits while the table is borrowed. It is gone
// while the thread ends, when finalizers may still enqueue.
fn with_table<T>(f: impl FnOnce(&mut Table) -> T) -> Option<T> {
    LINES.try_with(|lines| lines.try_borrow_mut().ok().map(|mut table| f(&mut table))).ok().flatten()
}

/// This thread's line for the producer that owns `deployment`, out of the table.
pub fn take(deployment: &Arc<Deployment>) -> Line {
    let found = with_table(|table| {
        let at = table.iter().position(|(owner, _)| std::ptr::eq(owner.as_ptr(), Arc::as_ptr(deployment)))?;
        Some(table.swap_remove(at).1)
    });
    found.flatten().unwrap_or_else(Line::new)
}

/// Puts the line back.
pub fn put(deployment: &Arc<Deployment>, mut line: Line) {
    line.command.clear();
    line.command.shrink_to(KEEP);
    with_table(|table| {
        // Those of producers that are gone, and one that was opened meanwhile.
        table.retain(|(owner, _)| owner.strong_count() > 0 && !std::ptr::eq(owner.as_ptr(), Arc::as_ptr(deployment)));
        table.push((Arc::downgrade(deployment), line));
    });
}

/// What a waiting call looks at: raises KeyboardInterrupt, or what a signal
/// handler raises.
pub fn interrupt() -> Result<()> {
    match Python::try_attach(|py| py.check_signals()) {
        Some(outcome) => outcome.map_err(Error::Python),
        None => Err(Error::Unavailable("the interpreter is shutting down".into())),
    }
}
