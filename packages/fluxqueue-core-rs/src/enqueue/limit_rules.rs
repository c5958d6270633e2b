//! Declaring the rules of limits: one call of the script `limit_rules`.
//!
//! Why: docs/decisions/0153-a-rule-goes-before-the-numbers-of-a-message.md

use std::sync::Arc;

use super::schedule::words;
use super::script_call;
use crate::connection::{Call, Deployment};
use crate::errors::{Error, Result};
use crate::keys::Namespace;
use crate::scripts;

/// Calls the script with these arguments. Returns its words, one for each limit.
/// A second call does no harm, so a command whose reply is lost is sent again.
pub fn limit_rules(
    deployment: &Arc<Deployment>,
    namespace: &Namespace,
    queue: &str,
    arguments: &[Vec<u8>],
) -> Result<Vec<String>> {
    let mut call = Call::default();
    for key in namespace.of_rules(queue) {
        call.keys.push(key.as_bytes());
    }
    for argument in arguments {
        call.args.push(argument);
    }
    let reply = script_call::run(deployment, scripts::limit_rules(), "limit_rules", &call, &namespace.pending(queue))?;
    words(&reply).ok_or_else(|| Error::Broker("the script limit_rules gave another reply than words".to_owned()))
}
