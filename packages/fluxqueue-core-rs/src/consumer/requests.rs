//! The arguments of the scripts; their heads are the contract.

use bytes::Bytes;

use super::outcome::{EffectKeys, Outcome, Settlement};
use crate::connection::Call;

/// ARGV of `open`; an empty `new` closes the old ids.
pub fn open(call: &mut Call, new: &str, lease_ms: u64, who: &str, olds: &[String], keep: &[Bytes]) {
    call.args.push(new.as_bytes());
    call.args.number(lease_ms);
    call.args.push(who.as_bytes());
    call.args.number(olds.len());
    for old in olds {
        call.args.push(old.as_bytes());
    }
    for field in keep {
        call.args.push(field);
    }
}

/// The values of an exchange, except for its outcomes.
pub struct Exchange<'a> {
    /// The consumer id.
    pub consumer: &'a str,
    /// The lease.
    pub lease_ms: u64,
    /// How many messages to claim.
    pub claim: usize,
    /// Whether to claim from the suspects instead of from pending.
    pub suspects: bool,
    /// Whether dead tasks are kept.
    pub save_dead: bool,
    /// How long a message of a newer version is deferred, ms.
    pub grace_ms: u64,
    /// Where effects go.
    pub effects: EffectKeys<'a>,
}

/// ARGV of `exchange`, and the keys that its outcomes touch.
pub fn exchange(call: &mut Call, what: &Exchange, settlements: &[Settlement]) {
    call.args.push(what.consumer.as_bytes());
    call.args.number(what.lease_ms);
    call.args.number(what.claim);
    call.args.push(if what.suspects { b"suspects" } else { b"pending" });
    call.args.flag(what.save_dead);
    call.args.number(what.grace_ms);
    let is_plain = |settlement: &&Settlement| settlement.outcome == Outcome::Succeeded;
    call.args.number(settlements.iter().filter(is_plain).count());
    settlements.iter().filter(is_plain).for_each(|settlement| settlement.encode(call, what.effects));
    settlements
        .iter()
        .filter(|settlement| !is_plain(settlement))
        .for_each(|settlement| settlement.encode(call, what.effects));
}
