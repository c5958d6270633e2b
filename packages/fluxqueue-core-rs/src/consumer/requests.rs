//! The arguments of the scripts; their headers are the contract.

use bytes::Bytes;

use super::outcome::{Outcome, Settlement};

fn number(n: impl itoa::Integer) -> Vec<u8> {
    itoa::Buffer::new().format(n).as_bytes().to_vec()
}

/// ARGV of `open`; an empty `new` closes the old ids.
pub fn open(new: &str, lease_ms: u64, olds: &[String], keep: &[Bytes]) -> Vec<Vec<u8>> {
    let mut args = vec![new.as_bytes().to_vec(), number(lease_ms), number(olds.len())];
    args.extend(olds.iter().map(|old| old.as_bytes().to_vec()));
    args.extend(keep.iter().map(|field| field.to_vec()));
    args
}

/// What an exchange says beside its outcomes.
pub struct Exchange<'a> {
    /// The consumer id.
    pub consumer: &'a str,
    /// The lease.
    pub lease_ms: u64,
    /// How many messages to claim.
    pub claim: usize,
    /// From the suspects instead of from pending.
    pub suspects: bool,
    /// Whether dead tasks are kept.
    pub save_dead: bool,
    /// How long a message of a newer version is put off, ms.
    pub grace_ms: u64,
}

/// ARGV of `exchange`.
pub fn exchange(what: &Exchange, settlements: &[Settlement]) -> Vec<Vec<u8>> {
    let flag = |on: bool| if on { b"1".to_vec() } else { b"0".to_vec() };
    let source: &[u8] = if what.suspects { b"suspects" } else { b"pending" };
    let succeeded = settlements.iter().filter(|s| s.outcome == Outcome::Succeeded);
    let mut args = vec![
        what.consumer.as_bytes().to_vec(),
        number(what.lease_ms),
        number(what.claim),
        source.to_vec(),
        flag(what.save_dead),
        number(what.grace_ms),
        number(succeeded.clone().count()),
    ];
    args.extend(succeeded.map(|s| s.field.to_vec()));
    for Settlement { field, outcome } in settlements {
        let (kind, payload, extra): (&[u8], Vec<u8>, Vec<u8>) = match outcome {
            Outcome::Succeeded => continue,
            Outcome::Retry { message, delay } => (b"retry", message.to_vec(), number(*delay)),
            Outcome::Later { message, delay } => (b"later", message.to_vec(), number(*delay)),
            Outcome::Dead { reason, keep } => (b"dead", reason.clone(), flag(*keep)),
            Outcome::Release => (b"release", Vec::new(), Vec::new()),
        };
        args.extend([field.to_vec(), kind.to_vec(), payload, extra]);
    }
    args
}
