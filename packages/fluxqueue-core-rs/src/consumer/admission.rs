//! Taking in what has been claimed: to be run, or settled at once where it can't be.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;

use super::event::Event;
use super::outcome::{Outcome, Settlement};
use super::shared::Shared;
use super::state::{Held, Stage, State, Work};
use crate::errors::{Error, Result};
use crate::message::{self, Message};

/// A message as it came, read before the state is locked: threads that run tasks
/// wait for that lock.
pub struct Claimed {
    /// None where it does not begin like a message.
    field: Option<Bytes>,
    message: Result<Message>,
}

impl Claimed {
    /// Reads it; of one that is larger than `most` bytes only the field.
    pub fn read(raw: Bytes, most: usize) -> Claimed {
        // The client's limit, and room for what retries and rescues add to a message
        // that was just within it.
        let is_too_large = raw.len() > most + message::GROWTH_MAX;
        let field = message::field(&raw).map(|range| message::field_of(&raw, range));
        let message = if is_too_large { Err(too_large(raw.len(), most)) } else { Message::parse(raw) };
        Claimed { field, message }
    }
}

impl State {
    /// Adds a message that has been claimed.
    pub fn admit(&mut self, shared: &Shared, queue: usize, claimed: Claimed, now: Duration, redis_ms: u64) {
        let Claimed { field: Some(field), message } = claimed else {
            return; // The script has parked it.
        };
        self.serial += 1;
        let serial = self.serial;
        self.queues[queue].held.insert(field.clone(), Held { serial, stage: Stage::Waiting });
        let (outcome, event) = match message {
            Err(error) => {
                let event = Event::Parked {
                    task_id: String::from_utf8_lossy(&field[..36]).into_owned(),
                    name: String::new(),
                    reason: "malformed".into(),
                    traceparent: None,
                };
                let reason = message::dead_reason("malformed", &error.to_string(), None);
                (Outcome::Dead { reason, keep: true }, event)
            }
            Ok(message) => match self.queues[queue].tasks.get(&message.name) {
                Some(&(task, is_async)) => {
                    let (claimed_at, begun_at) = (now, Duration::ZERO);
                    let work = Work { queue, serial, task, is_async, claimed_at, begun_at, shift: 0, message };
                    let queue = &mut self.queues[queue];
                    if is_async {
                        queue.async_ready.push(work)
                    } else {
                        queue.sync_ready.push(work)
                    }
                    return;
                }
                None => unknown(&message, redis_ms, self.unknown_grace),
            },
        };
        if let Some(held) = self.queues[queue].held.get_mut(&field) {
            held.stage = Stage::Settling;
        }
        self.queues[queue].push(Settlement { field, outcome }, now);
        self.settling += 1;
        shared.tell(self, queue, event);
    }

    /// Adds a message that a BLMOVE has brought. Where its field is held already
    /// (two messages made by hand with one id, or an outcome still under way),
    /// only the next exchange can tell what becomes of it.
    pub fn admit_blocked(&mut self, shared: &Shared, queue: usize, claimed: Claimed, now: Duration, redis_ms: u64) {
        let held = &self.queues[queue].held;
        if claimed.field.as_ref().is_some_and(|field| held.contains_key(field)) {
            self.queues[queue].doubles.push((claimed, now));
        } else {
            self.admit(shared, queue, claimed, now, redis_ms);
        }
    }

    /// An exchange sent at `sent` has adopted the inbox: a double that it did not
    /// park is ours by now, unless it arrived after that exchange was sent.
    pub fn resolve_doubles(
        &mut self,
        shared: &Shared,
        queue: usize,
        sent: Duration,
        parked: &HashSet<Bytes>,
        redis_ms: u64,
    ) {
        for (claimed, came) in std::mem::take(&mut self.queues[queue].doubles) {
            if claimed.field.as_ref().is_some_and(|field| parked.contains(field)) {
                continue;
            }
            if came < sent {
                self.admit(shared, queue, claimed, came, redis_ms);
            } else {
                self.queues[queue].doubles.push((claimed, came));
            }
        }
    }
}

/// Whoever sent it did not keep to the limit, or has a larger one.
fn too_large(len: usize, most: usize) -> Error {
    Error::Malformed(format!(
        "it has {len} bytes, more than max_message_bytes of this worker allows ({most}); where clients may send so \
         much, give workers the same limit (FLUXQUEUE_MAX_MESSAGE_BYTES), else store the data elsewhere and pass \
         a reference to it"
    ))
}

/// A name that is not registered: back for a while, since a rolling deployment
/// has old and new workers side by side, and parked only after the grace.
fn unknown(message: &Message, redis_ms: u64, grace: u64) -> (Outcome, Event) {
    let task_id = message.task_id().to_owned();
    let name = message.name.clone();
    let traceparent = message.headers().and_then(|headers| headers.get("traceparent")).map(Cow::into_owned);
    let since = message.unknown_since.unwrap_or(redis_ms);
    let passed = redis_ms.saturating_sub(since);
    if message.unknown_since.is_some() && passed >= grace {
        let error = format!("no worker knew a task of the name {name:?} for {} s", passed / 1000);
        let reason = message::dead_reason("unknown_task", &error, None);
        let event = Event::Parked { task_id, name, reason: "unknown_task".into(), traceparent };
        return (Outcome::Dead { reason, keep: true }, event);
    }
    let delay = (grace / 60).clamp(200, 5000).min((grace - passed.min(grace)).max(50));
    let message = message::with_unknown_since(message, since);
    let event = Event::UnknownTask { task_id, name, delay: delay as f64 / 1000.0, traceparent };
    (Outcome::Later { message, delay }, event)
}
