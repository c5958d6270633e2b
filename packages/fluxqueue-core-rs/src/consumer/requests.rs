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
    /// The question whether a reader watches the queue, and the keys that it needs.
    pub watch: Option<(&'a ReaderQuestion, [String; 4])>,
}

/// The question whether a reader watches the queue.
pub struct ReaderQuestion {
    /// The start of the present slot of time, s since 1970.
    pub start: u64,
    /// The counts since the last question; empty for nothing.
    pub counts: String,
    /// The report about this process; empty for none.
    pub report: String,
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
    if let Some((watch, keys)) = &what.watch {
        let positions = keys.each_ref().map(|key| call.keys.push(key.as_bytes()));
        call.args.number(positions[0]);
        call.args.push(b"watch");
        call.args.push(watch.counts.as_bytes());
        call.args.push(watch.report.as_bytes());
    }
}
