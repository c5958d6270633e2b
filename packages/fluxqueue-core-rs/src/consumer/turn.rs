//! The parts of its worker that a conversation needs during its turn.

use std::sync::Arc;
use std::time::Duration;

use super::link::Side;
use super::options::Options;
use super::pace::Pace;
use super::scripts::Scripts;
use super::state::State;
use crate::config::Node;
use crate::connection::{Deployment, Redirect, Refusal, redis_error};
use crate::errors::{Error, Result};

/// The values that all conversations of a driver share.
pub struct Context {
    /// The worker's options.
    pub options: Options,
    /// The scripts, in the form that the server accepts.
    pub scripts: Scripts,
    /// Where Redis is.
    pub deployment: Arc<Deployment>,
    /// When the requests of idle queues are due.
    pub pace: Pace,
}

/// The consequence of an error reply.
pub enum Consequence {
    /// The conversation sends the command again at once.
    Again,
    /// It sends the command again with the script's text.
    WithText,
    /// It sends the command again after a pause.
    Later,
    /// The conversation ends, and the next one asks another server.
    Elsewhere(Error),
    /// The conversation ends.
    Ends(Error),
}

impl Context {
    /// Judges an error reply of the server `from`.
    pub fn judge(&mut self, side: Side, text: &str, from: Option<&Node>) -> Result<Consequence> {
        let redirect = self.deployment.redirect(text, from);
        if let Some(Redirect::Moved | Redirect::Unknown) = redirect {
            let text = format!("this server does not serve the queue (now): {text}");
            return Ok(Consequence::Elsewhere(Error::Unavailable(text)));
        }
        let refusal = Refusal::read(text);
        Ok(match side {
            // While a hash slot moves, its keys are on two servers. No script can run before all of
            // them have arrived.
            _ if matches!(redirect, Some(Redirect::Ask(_))) || refusal.is_temporary() => Consequence::Later,
            Side::Scripts if refusal == Refusal::NoScript => Consequence::WithText,
            Side::Scripts if self.scripts.adapt_to(text)? => Consequence::Again,
            Side::Scripts | Side::Blocking => Consequence::Ends(redis_error(text)),
        })
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
