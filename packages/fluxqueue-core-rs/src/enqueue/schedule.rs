//! Adding, changing and removing periodic tasks: one call of the script `schedule`.
//!
//! Why: docs/decisions/0140-a-periodic-task-is-a-ready-message.md

use std::sync::Arc;

use super::script_call;
use crate::connection::{Call, Deployment, Reply};
use crate::errors::{Error, Result};
use crate::keys::Namespace;
use crate::scripts;

/// Calls the script with these arguments. Returns its words, one for each entry.
/// A second call does no harm, so a command whose reply is lost is sent again.
pub fn schedule(
    deployment: &Arc<Deployment>,
    namespace: &Namespace,
    queue: &str,
    arguments: &[Vec<u8>],
) -> Result<Vec<String>> {
    let mut call = Call::default();
    for key in namespace.of_periodic(queue) {
        call.keys.push(key.as_bytes());
    }
    for argument in arguments {
        call.args.push(argument);
    }
    let reply = script_call::run(deployment, scripts::schedule(), "schedule", &call, &namespace.pending(queue))?;
    words(&reply).ok_or_else(|| Error::Broker("the script schedule gave another reply than words".to_owned()))
}

/// The words of such a reply.
pub fn words(reply: &Reply) -> Option<Vec<String>> {
    let Reply::Array(items) = reply else { return None };
    let word = |item: &Reply| match item {
        Reply::BulkString(word) => Some(String::from_utf8_lossy(word).into_owned()),
        _ => None,
    };
    items.iter().map(word).collect()
}
