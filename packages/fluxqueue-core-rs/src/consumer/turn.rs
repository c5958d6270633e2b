//! The parts of its worker that a conversation needs during its turn.

use std::sync::Arc;
use std::time::Duration;

use super::options::Options;
use super::pace::Pace;
use super::scripts::Forms;
use super::state::State;
use crate::config::Node;
use crate::connection::{Deployment, Redirect, Refusal, Sent, redis_error};
use crate::errors::Error;

/// The values that all conversations of a driver share.
pub struct Context {
    /// The worker's options.
    pub options: Options,
    /// The scripts.
    pub scripts: Forms,
    /// Where Redis is.
    pub deployment: Arc<Deployment>,
    /// When the requests of idle queues are due.
    pub pace: Pace,
}

/// The consequence of an error reply.
pub enum Consequence {
    /// It sends the command again with the script's text.
    WithText,
    /// It sends the command again after a pause.
    Later,
    /// The conversation ends, and the next one asks another server.
    Elsewhere(Error),
    /// The server does not have the command, or does not accept the script.
    Never(Error),
    /// The conversation ends.
    Ends(Error),
}

impl Context {
    /// Judges the error reply of the server `from` to what was `sent`.
    pub fn judge(&self, sent: Sent, text: &str, from: Option<&Node>) -> Consequence {
        let redirect = self.deployment.redirect(text, from);
        if let Some(Redirect::Moved | Redirect::Unknown) = redirect {
            let text = format!("this server does not serve the queue (now): {text}");
            return Consequence::Elsewhere(Error::Unavailable(text));
        }
        match Refusal::of(text, sent) {
            // While a hash slot moves, its keys are on two servers. No script can run before all of
            // them have arrived.
            refusal if matches!(redirect, Some(Redirect::Ask(_))) || refusal.is_temporary() => Consequence::Later,
            Refusal::NoScript if matches!(sent, Sent::Script(_)) => Consequence::WithText,
            Refusal::Other => Consequence::Never(redis_error(text, sent)),
            _ => Consequence::Ends(redis_error(text, sent)),
        }
    }
}

/// The locked state, the context and the time.
pub struct Turn<'a> {
    /// The state that the driver shares with the threads that run tasks.
    pub state: &'a mut State,
    /// The values that all conversations share.
    pub context: &'a mut Context,
    /// The clock of leases.
    pub now: Duration,
}
