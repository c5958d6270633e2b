//! A claimed message as Redis returned it, and the decision whether it can run.
//!
//! Why: docs/decisions/0041-a-worker-has-the-limit-of-clients.md

use std::borrow::Cow;

use bytes::Bytes;

use super::event::Event;
use super::outcome::Outcome;
use super::work::Tasks;
use crate::errors::Error;
use crate::ids;
use crate::message::{self, Condemned, Death, Ending, Message};

/// A claimed message. The driver reads it before it locks the state, because the
/// threads that run tasks wait for that lock.
pub struct Claimed {
    /// The field in the claimed hash, or None if the text does not begin like a message.
    pub field: Option<Bytes>,
    /// In a box, because it passes through many hands until its task has ended.
    message: std::result::Result<Box<Message>, Box<Unreadable>>,
}

/// A message that can't be read, or is too large.
struct Unreadable {
    error: Error,
    /// Its end, if its head can be read and says that the result is kept.
    ending: Option<Ending<'static>>,
    raw: Bytes,
}

/// The fate of a claimed message.
pub enum Decision {
    /// Run it: the index of its task, and whether that is async.
    Run(usize, bool, Box<Message>),
    /// Settle it at once, because it can't run here.
    Settle(Outcome, Event),
}

impl Claimed {
    /// Reads a message. If it has more than `most` bytes, only its field is read.
    pub fn read(raw: Bytes, most: usize) -> Claimed {
        // The client's limit, plus the bytes that retries and rescues can add to a message.
        let is_too_large = raw.len() > most + message::GROWTH_MAX;
        let parsed = match is_too_large {
            true => Err(too_large(raw.len(), most)),
            false => Message::parse(raw.clone()),
        };
        match parsed {
            Ok(message) => Claimed { field: Some(message.field_bytes()), message: Ok(Box::new(message)) },
            Err(error) => {
                let field = message::field(&raw).map(|range| message::field_of(&raw, range));
                let ending = Ending::of_bytes(&raw, ids::unix_ms());
                Claimed { field, message: Err(Box::new(Unreadable { error, ending, raw })) }
            }
        }
    }

    /// Whether the next exchange tells Redis what other workers wait for: a message with a priority
    /// was at the head of `pending` (rule 16), and one with a limit has not paid for its rate.
    pub fn wants_exchange(&self) -> bool {
        self.message.as_ref().is_ok_and(|message| {
            let opts = message.opts();
            opts.priority > 0 || opts.limit.is_some()
        })
    }

    /// Whether it holds its lock until it begins: an exchange must have adopted it before, which
    /// frees the lock.
    pub fn locks_until_start(&self) -> bool {
        self.message.as_ref().is_ok_and(|message| message.opts().lock.is_some_and(|lock| lock.is_until_start))
    }

    /// Decides what to do with the message. `field` is its field; `grace` is in ms.
    pub fn decide(self, field: &Bytes, tasks: &Tasks, redis_ms: u64, grace: u64) -> Decision {
        match self.message {
            Ok(message) => match (message.ends_unbegun(redis_ms), tasks.get(&message.name)) {
                // Rules 18 and 19.
                (Some(how), _) => {
                    let (outcome, event) = unbegun(&message, how, tasks);
                    Decision::Settle(outcome, event)
                }
                (None, Some((task, is_async))) => Decision::Run(task, is_async, message),
                (None, None) => unknown(&message, tasks, redis_ms, grace),
            },
            Err(unreadable) => malformed(field, &unreadable, tasks),
        }
    }
}

fn malformed(field: &Bytes, unreadable: &Unreadable, tasks: &Tasks) -> Decision {
    let task_id = String::from_utf8_lossy(&field[..36]).into_owned();
    let (error, ending) = (unreadable.error.to_string(), unreadable.ending.as_ref());
    let (outcome, event) = parked("malformed", &error, task_id, String::new(), None, ending);
    let call = unbegun_death(tasks, "malformed", &error).call_of_bytes(&unreadable.raw);
    Decision::Settle(outcome.following(call), event)
}

/// The outcome and the event of a message that can't run: it goes to the dead set. `ending` is
/// there if its result is kept.
pub fn parked(
    reason: &str,
    error: &str,
    task_id: String,
    name: String,
    traceparent: Option<String>,
    ending: Option<&Ending>,
) -> (Outcome, Event) {
    let event = Event::Parked { task_id, name, reason: reason.to_owned(), traceparent };
    let outcome = Outcome::Dead { reason: message::dead_reason(reason, error, None), keep: true };
    (outcome.keeping(ending.map(|ending| ending.dead(reason, error, None))), event)
}

/// The end of a task that no attempt has ended, for its callback.
fn unbegun_death<'a>(tasks: &'a Tasks, reason: &'a str, error: &'a str) -> Death<'a> {
    Death { queue: &tasks.queue, reason, error, traceback: None, has_begun: false, most: tasks.most }
}

/// The outcome and the event of a message that ends without an attempt. `tasks` are those of its
/// queue.
pub fn unbegun(message: &Message, how: Condemned, tasks: &Tasks) -> (Outcome, Event) {
    let (task_id, name, traceparent) = (message.task_id().to_owned(), message.name.clone(), traceparent(message));
    let event = match how {
        Condemned::Expired => Event::Expired { task_id, name, traceparent },
        Condemned::Cancelled => Event::Cancelled { task_id, name, traceparent },
    };
    let result = Ending::of_message(message, ids::unix_ms()).map(|ending| ending.dead(how.name(), "", None));
    // The caller who cancels a task knows about it. Why: docs/decisions/0116-an-expiry-calls-back-and-a-cancelling-does-not.md
    let call = match how {
        Condemned::Expired => unbegun_death(tasks, how.name(), expired_before(message)).call(message),
        Condemned::Cancelled => None,
    };
    (Outcome::Ended(how).keeping(result).following(call), event)
}

/// The error of an expired task, for its callback. A lost worker may have begun an attempt or not.
fn expired_before(message: &Message) -> &'static str {
    let opts = message.opts();
    let counts = [message.retries, message.deliveries, message.requeues, opts.snoozes, opts.releases];
    match counts.iter().all(|count| *count == 0) {
        true => "it expired before an attempt began",
        false => "it expired before its next attempt began",
    }
}

fn traceparent(message: &Message) -> Option<String> {
    message.headers().and_then(|headers| headers.get("traceparent")).map(Cow::into_owned)
}

/// The error for a client that ignores the limit or has a larger one.
fn too_large(len: usize, most: usize) -> Error {
    Error::Malformed(format!(
        "it has {len} bytes, more than max_message_bytes of this worker allows ({most}); where clients may send so \
         much, give workers the same limit (FLUXQUEUE_MAX_MESSAGE_BYTES), else store the data elsewhere and pass \
         a reference to it"
    ))
}

/// Decides about a message whose task is not registered here. A rolling deployment has old and
/// new workers at the same time, so the worker defers the message, and parks it only after the
/// grace.
fn unknown(message: &Message, tasks: &Tasks, redis_ms: u64, grace: u64) -> Decision {
    let task_id = message.task_id().to_owned();
    let name = message.name.clone();
    let traceparent = traceparent(message);
    let since = message.unknown_since.unwrap_or(redis_ms);
    let passed = redis_ms.saturating_sub(since);
    if message.unknown_since.is_some() && passed >= grace {
        let error = format!(
            "no worker knew a task of the name {name:?} for {} s; if another application shares the queue, give each \
             its own namespace or queue",
            passed / 1000
        );
        let ending = Ending::of_message(message, redis_ms);
        let (outcome, event) = parked("unknown_task", &error, task_id, name, traceparent, ending.as_ref());
        let call = unbegun_death(tasks, "unknown_task", &error).call(message);
        return Decision::Settle(outcome.following(call), event);
    }
    let delay = (grace / 60).clamp(200, 5000).min((grace - passed.min(grace)).max(50));
    let message = message::with_unknown_since(message, since);
    let event = Event::UnknownTask { task_id, name, delay: delay as f64 / 1000.0, traceparent };
    Decision::Settle(Outcome::Later { message, delay }, event)
}
