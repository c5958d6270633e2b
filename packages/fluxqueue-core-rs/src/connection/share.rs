//! The time that one of several servers gets to answer.

use std::time::Instant;

/// Returns the deadline for the first of `servers` servers to ask. It leaves one share of the
/// time for each of the others, and one for the connection that follows.
pub fn share(deadline: Instant, servers: usize) -> Instant {
    let now = Instant::now();
    now + deadline.saturating_duration_since(now) / (servers as u32 + 1)
}
