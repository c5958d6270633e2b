//! How an attempt ended, on its way to Redis.

use bytes::Bytes;

use crate::connection::Call;

/// The end of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Succeeded,
    /// It failed; the message with the raised count runs again after `delay` ms.
    Retry { message: Bytes, delay: u64 },
    /// It did not fail, but is put off: it runs again after `delay` ms.
    Later { message: Bytes, delay: u64 },
    /// It is dead; `keep` overrides the setting that dead tasks are not kept.
    Dead { reason: Vec<u8>, keep: bool },
    /// It did not run, or a drain cut it off: back to its queue, nothing is counted.
    Release,
}

/// An outcome with the field that it settles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The field in the claimed hash.
    pub field: Bytes,
    /// How the attempt ended.
    pub outcome: Outcome,
}

impl Settlement {
    /// Appends the four values by which `exchange` is told of it. (A plain success needs
    /// its field alone, in the list of successes.)
    pub fn encode(&self, call: &mut Call) {
        let args = &mut call.args;
        args.push(&self.field);
        match &self.outcome {
            Outcome::Succeeded => {
                args.push(b"done");
                args.push(b"");
                args.push(b"");
            }
            Outcome::Retry { message, delay } => {
                args.push(b"retry");
                args.push(message);
                args.number(*delay);
            }
            Outcome::Later { message, delay } => {
                args.push(b"later");
                args.push(message);
                args.number(*delay);
            }
            Outcome::Dead { reason, keep } => {
                args.push(b"dead");
                args.push(reason);
                args.flag(*keep);
            }
            Outcome::Release => {
                args.push(b"release");
                args.push(b"");
                args.push(b"");
            }
        }
    }

    /// About how many bytes this takes.
    pub fn bytes(&self) -> usize {
        let payload = match &self.outcome {
            Outcome::Retry { message, .. } | Outcome::Later { message, .. } => message.len(),
            Outcome::Dead { reason, .. } => reason.len(),
            Outcome::Succeeded | Outcome::Release => 0,
        };
        self.field.len() + payload
    }
}
