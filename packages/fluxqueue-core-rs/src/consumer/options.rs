//! The options of a worker that are the same for all its queues.

use std::time::Duration;

/// The options that conversations need.
pub struct Options {
    /// How long a consumer lives without an exchange.
    pub lease: Duration,
    /// Whether to serve the suspects.
    pub suspects: bool,
    /// Whether to keep dead tasks.
    pub save_dead: bool,
    /// How long messages of newer versions are deferred before they are parked, ms.
    pub unknown_grace: u64,
    /// The text that describes the worker to operators.
    pub who: String,
    /// Whether Redis is a cluster.
    pub is_cluster: bool,
}

impl Options {
    /// Options for tests.
    #[cfg(test)]
    pub fn for_tests(lease: Duration, who: &str) -> Options {
        let (suspects, save_dead, unknown_grace, is_cluster) = (false, true, 1000, false);
        Options { lease, suspects, save_dead, unknown_grace, who: who.to_owned(), is_cluster }
    }

    /// Rule 7: the local deadline, if the last exchange that succeeded was sent at `sent`. It is
    /// a little earlier than the end of the lease, because clocks run at slightly different
    /// speeds.
    pub fn fresh_until(&self, sent: Duration) -> Duration {
        sent + self.lease - self.lease / 20
    }

    /// How long after an exchange the worker renews the lease.
    pub fn renewal(&self) -> Duration {
        self.lease / 3
    }

    /// How long a script may take to answer before the connection counts as broken.
    pub fn patience(&self) -> Duration {
        (self.lease * 3 / 10).max(Duration::from_millis(500))
    }

    /// The lease in ms.
    pub fn lease_ms(&self) -> u64 {
        self.lease.as_millis() as u64
    }
}
