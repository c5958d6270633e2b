//! Cancelling a task: one call of the script `cancel`.
//!
//! Why: docs/decisions/0099-a-cancel-is-kept-until-the-task-ends.md

use std::sync::Arc;

use super::script_call;
use crate::connection::{Call, Deployment, Reply};
use crate::errors::{Error, Result};
use crate::keys::Namespace;
use crate::scripts;

/// How long the ids of cancelled tasks are kept: a week, in ms.
const KEPT: u64 = 7 * 86_400_000;

/// How many messages the script looks at to find the one of the task.
const MOST_LOOKED_AT: u64 = 2_000;

/// Cancels a task. Returns what the script says: `cancelled`, `already_done` or `requested`.
/// A second call does no harm, so a command whose reply is lost is sent again.
pub fn cancel(deployment: &Arc<Deployment>, namespace: &Namespace, queue: &str, id: &[u8; 36]) -> Result<String> {
    let call = call(namespace, queue, id);
    let cancelled = script_call::run(deployment, scripts::cancel(), "cancel", &call, &namespace.pending(queue))
        .and_then(|reply| read(&reply));
    let about =
        |text| format!("task {} (queue '{queue}'): {text}; cancel it again, which does no harm", id.escape_ascii());
    cancelled.map_err(|error| match error {
        Error::Unavailable(text) => Error::Unavailable(about(text)),
        Error::Broker(text) => Error::Broker(about(text)),
        Error::Denied(text) => Error::Denied(about(text)),
        other => other,
    })
}

fn call(namespace: &Namespace, queue: &str, id: &[u8; 36]) -> Call {
    let mut call = Call::default();
    for key in namespace.of_queue(queue).into_iter().chain(namespace.of_consumer(queue, "")) {
        call.keys.push(key.as_bytes());
    }
    call.args.push(id);
    call.args.number(KEPT);
    call.args.number(MOST_LOOKED_AT);
    call
}

fn read(reply: &Reply) -> Result<String> {
    match reply {
        Reply::Array(items) => match &items[..] {
            [Reply::BulkString(verdict)] => Ok(String::from_utf8_lossy(verdict).into_owned()),
            _ => Err(Error::Broker("the script cancel gave another reply than one word".to_owned())),
        },
        _ => Err(Error::Broker("the script cancel gave another reply than a list".to_owned())),
    }
}
