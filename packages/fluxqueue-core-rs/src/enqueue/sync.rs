//! One call, sent and answered in the calling thread.

use std::time::Instant;

use super::detours::{Detours, Pause};
use super::lpush::{self, Answer, Frame};
use super::thread::{Line, interrupt};
use crate::connection::{Backoff, Connection, Deployment, Slot};
use crate::errors::{Error, Result};

/// Sends `line.command` until Redis has executed or refused it, or the time is
/// over. A command that was written whole is not sent again, except where the
/// answer says that it was not executed.
pub fn deliver(deployment: &Deployment, slot: Slot, line: &mut Line) -> Result<()> {
    let deadline = Instant::now() + deployment.config.timeout;
    let mut backoff = Backoff::new();
    let mut detours = Detours::new(slot);
    loop {
        let course = detours.course(deployment);
        // Every way out but the good ones drops the connection: a late answer
        // must not be taken for that of the next command.
        let reached = match line.take(course.node.as_deref()) {
            Some(connection) => Ok(connection),
            None => detours.open(deployment, &course, deadline, &mut interrupt),
        };
        let frame = Frame { asking: course.asking, wait: deployment.config.wait };
        let sent = reached.and_then(|mut connection| {
            let answer = exchange(&mut connection, &frame, &line.command, deadline)?;
            Ok((connection, answer))
        });
        let (failure, pause) = match sent {
            Ok((connection, answer)) => {
                let outcome = frame.outcome(&answer);
                let detour = detours.follow(deployment, &answer.pushed, connection.node());
                if !matches!(outcome, Err(Error::Uncertain(_))) && !lpush::is_useless_after(&answer.pushed) {
                    line.keep(connection);
                }
                match (detour, outcome) {
                    (Some((pause, reason)), _) => {
                        if !detours.is_asking() {
                            line.forget();
                        }
                        (reason, pause)
                    }
                    (None, Err(not_ready @ Error::Unavailable(_))) => (not_ready, Pause::Needed),
                    (None, other) => return other,
                }
            }
            // Not connected, or Redis has only a part of the command, and executes none of it.
            Err(cut @ Error::Unavailable(_)) => (cut, Pause::Needed),
            Err(other) => return Err(other),
        };
        if pause == Pause::Needed {
            backoff.sleep(failure, deadline, &mut interrupt)?;
        }
    }
}

fn exchange(connection: &mut Connection, frame: &Frame, command: &[u8], deadline: Instant) -> Result<Answer> {
    frame.before(connection.outgoing());
    connection.outgoing().extend_from_slice(command);
    connection.append(&frame.after());
    connection.send(deadline, &mut interrupt)?;
    frame.receive(connection, deadline, &mut interrupt)
}
