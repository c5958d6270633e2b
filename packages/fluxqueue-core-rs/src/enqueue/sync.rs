//! One call, sent and answered in the calling thread.

use std::time::Instant;

use super::command::{self, Naming};
use super::redirects::{Pause, Redirects};
use super::route::Target;
use super::thread::ThreadConnections;
use super::verdict::Verdicts;
use super::wrapping::{Replies, Wrapping};
use crate::connection::{Backoff, Connection, Deployment};
use crate::errors::{Error, Result};
use crate::python::signals::interrupt;

/// Sends `own.command`, one call of `target`, until Redis has executed or refused it, or
/// its time is over. Rule 13: a command that was written whole is sent again only if
/// the reply says that it was not executed.
pub fn dispatch(deployment: &Deployment, target: &Target, own: &mut ThreadConnections) -> Result<Verdicts> {
    let deadline = Instant::now() + deployment.config.timeout;
    let mut backoff = Backoff::new();
    let mut redirects = Redirects::new(target.hash_slot);
    let mut naming = Naming::Digest;
    loop {
        let course = redirects.course(deployment);
        // Every way out but the good ones drops the connection: the next command must
        // not take a late reply for its own.
        let reached = match own.take(course.node.as_deref()) {
            Some(connection) => Ok(connection),
            None => redirects.open(deployment, &course, deadline, &mut interrupt),
        };
        let wrapping = Wrapping { asking: course.asking, wait: deployment.config.wait };
        let sent = reached.and_then(|mut connection| {
            let replies = exchange(&mut connection, &wrapping, &own.command, deadline)?;
            Ok((connection, replies))
        });
        let (failure, pause) = match sent {
            Ok((connection, replies)) => {
                let verdicts = wrapping.verdicts(&target.dispatch, || 1, &replies);
                let redirect = redirects.follow(deployment, &replies.reply, connection.node());
                if !matches!(verdicts, Err(Error::Uncertain(_))) && !command::is_useless_after(&replies.reply) {
                    own.keep(connection);
                }
                match (redirect, verdicts) {
                    (Some((pause, reason)), _) => {
                        if !redirects.is_asking() {
                            own.forget();
                        }
                        (reason, pause)
                    }
                    (None, Err(not_ready @ Error::Unavailable(_))) => (not_ready, Pause::Needed),
                    (None, Err(unknown)) if target.dispatch.needs_text(naming, &replies.reply) => {
                        naming = Naming::Text;
                        target.dispatch.name_by_text(&mut own.command, 1);
                        (unknown, Pause::None)
                    }
                    (None, other) => return other,
                }
            }
            // Not connected, or Redis has only a part of the command and executes none of it.
            Err(cut @ Error::Unavailable(_)) => (cut, Pause::Needed),
            Err(other) => return Err(other),
        };
        if pause == Pause::Needed {
            backoff.sleep(failure, deadline, &mut interrupt)?;
        }
    }
}

fn exchange(connection: &mut Connection, wrapping: &Wrapping, command: &[u8], deadline: Instant) -> Result<Replies> {
    wrapping.before(connection.outgoing());
    connection.outgoing().extend_from_slice(command);
    connection.append(&wrapping.after());
    connection.send(deadline, &mut interrupt)?;
    wrapping.receive(connection, deadline, &mut interrupt)
}
