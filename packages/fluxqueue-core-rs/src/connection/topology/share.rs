//! The time that one of several servers gets to answer.

use std::time::Instant;

/// The deadline for the first of `servers` servers to ask. It leaves time for the others,
/// and for what follows.
pub fn share(deadline: Instant, servers: usize) -> Instant {
    let now = Instant::now();
    now + deadline.saturating_duration_since(now) / (servers as u32 + 1)
}
