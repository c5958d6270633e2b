//! Cancelling a task: one call of the script `cancel`.
//!
//! Why: docs/decisions/0099-a-cancel-is-kept-until-the-task-ends.md

use std::sync::Arc;

use super::script_call::{self, Failed};
use crate::connection::{Call, Deployment, Reply};
use crate::errors::{Error, Result};
use crate::ids;
use crate::keys::Namespace;
use crate::message::CancelledResult;
use crate::scripts;

/// How long the ids of cancelled tasks are kept: a week, in ms.
const KEPT: u64 = 7 * 86_400_000;

/// How many messages the script looks at to find the one of the task.
const MOST_LOOKED_AT: u64 = 2_000;

/// The script notes the cancel first, and then looks for the task.
const PERHAPS_NOTED: &str = "the cancel may be noted in Redis, and a worker that then claims the task ends it";

/// The server was not reached, or did not let the client in.
const NOT_NOTED: &str = "it is not cancelled";

/// Cancels a task. Returns what the script says: `cancelled`, `already_done` or `requested`.
/// A second call does no harm, so a command whose reply is lost is sent again.
pub fn cancel(deployment: &Arc<Deployment>, namespace: &Namespace, queue: &str, id: &[u8; 36]) -> Result<String> {
    let call = call(namespace, queue, id, deployment.is_cluster());
    let answered = script_call::run(deployment, scripts::cancel(), "cancel", &call, &namespace.pending(queue));
    let Failed { error, was_sent } = match answered.map(|reply| read(&reply)) {
        Ok(Ok(verdict)) => return Ok(verdict),
        Ok(Err(error)) => Failed { error, was_sent: true },
        Err(failed) => failed,
    };
    let about = |text, done| {
        let done = if was_sent { done } else { NOT_NOTED };
        format!("task {} (queue '{queue}'): {text}; {done}; cancel it again, which does no harm", id.escape_ascii())
    };
    Err(match error {
        Error::Unavailable(text) => Error::Unavailable(about(text, "whether it is cancelled is not known")),
        Error::Broker(text) => Error::Broker(about(text, PERHAPS_NOTED)),
        Error::Denied(text) => Error::Denied(about(text, PERHAPS_NOTED)),
        other => other,
    })
}

fn call(namespace: &Namespace, queue: &str, id: &[u8; 36], is_cluster: bool) -> Call {
    let mut call = Call::default();
    for key in namespace.of_queue(queue).into_iter().chain(namespace.of_caller(queue)) {
        call.keys.push(key.as_bytes());
    }
    call.args.push(id);
    call.args.number(KEPT);
    call.args.number(MOST_LOOKED_AT);
    let result = CancelledResult::of(id, ids::unix_ms());
    call.args.push(&result.before_attempts);
    call.args.push(&result.after_attempts);
    call.args.flag(is_cluster);
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
