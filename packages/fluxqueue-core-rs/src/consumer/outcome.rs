//! How an attempt ended, on its way to Redis.

use bytes::Bytes;

/// The end of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Succeeded,
    /// It failed; the message with the raised count runs again after `delay` ms.
    Retry { message: Bytes, delay: u64 },
    /// It did not fail, but comes back after `delay` ms.
    Later { message: Bytes, delay: u64 },
    /// It is dead; `keep` overrides the setting that dead tasks are not kept.
    Dead { reason: Vec<u8>, keep: bool },
    /// It was not run, or cut off by a drain: back to its queue, nothing counted.
    Release,
}

/// An outcome with the field that it settles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The field in the claimed hash.
    pub field: Bytes,
    /// What has become of it.
    pub outcome: Outcome,
}

impl Settlement {
    /// About how many bytes telling it takes.
    pub fn bytes(&self) -> usize {
        let payload = match &self.outcome {
            Outcome::Retry { message, .. } | Outcome::Later { message, .. } => message.len(),
            Outcome::Dead { reason, .. } => reason.len(),
            Outcome::Succeeded | Outcome::Release => 0,
        };
        self.field.len() + payload
    }
}
