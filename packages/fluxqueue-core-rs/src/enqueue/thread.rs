//! One connection per thread and producer.
//!
//! While a call uses it, the connection is out of the table: a signal handler or
//! a finalizer that enqueues in the middle of the call opens another one. When
//! the thread ends, the table closes what it holds.

use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use pyo3::Python;

use crate::config::Config;
use crate::connection::Connection;
use crate::errors::{Error, Result};
use crate::fork;

/// After such a pause a connection is looked at before it is written to.
pub const IDLE: Duration = Duration::from_millis(10);

/// How much memory the buffer of a thread keeps.
const KEEP: usize = 64 * 1024;

/// A thread's means of enqueueing.
pub struct Line {
    connection: Option<Connection>,
    generation: u32,
    last_used: Instant,
    /// For the command that is being written.
    pub command: Vec<u8>,
}

impl Line {
    fn new() -> Line {
        Line { connection: None, generation: fork::generation(), last_used: Instant::now(), command: Vec::new() }
    }

    /// The connection, if there is one that can be written to.
    pub fn take(&mut self) -> Option<Connection> {
        let connection = self.connection.take()?;
        // A child of `fork` drops its copy of the descriptor and leaves the
        // conversation to its parent.
        let ours = self.generation == fork::generation();
        (ours && (self.last_used.elapsed() < IDLE || !connection.is_stale())).then_some(connection)
    }

    /// Keeps the connection for the next call. All its answers have been read.
    pub fn keep(&mut self, connection: Connection) {
        self.connection = Some(connection);
        self.generation = fork::generation();
        self.last_used = Instant::now();
    }
}

type Table = Vec<(Weak<Config>, Line)>;

thread_local! {
    static LINES: RefCell<Table> = const { RefCell::new(Vec::new()) };
}

// No Python code runs and nothing waits while the table is borrowed. It is gone
// while the thread ends, when finalizers may still enqueue.
fn with_table<T>(f: impl FnOnce(&mut Table) -> T) -> Option<T> {
    LINES.try_with(|lines| lines.try_borrow_mut().ok().map(|mut table| f(&mut table))).ok().flatten()
}

/// This thread's line for the producer that owns `config`, out of the table.
pub fn take(config: &Arc<Config>) -> Line {
    let found = with_table(|table| {
        let at = table.iter().position(|(owner, _)| std::ptr::eq(owner.as_ptr(), Arc::as_ptr(config)))?;
        Some(table.swap_remove(at).1)
    });
    found.flatten().unwrap_or_else(Line::new)
}

/// Puts the line back.
pub fn put(config: &Arc<Config>, mut line: Line) {
    line.command.clear();
    line.command.shrink_to(KEEP);
    with_table(|table| {
        // Those of producers that are gone, and one that was opened meanwhile.
        table.retain(|(owner, _)| owner.strong_count() > 0 && !std::ptr::eq(owner.as_ptr(), Arc::as_ptr(config)));
        table.push((Arc::downgrade(config), line));
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
