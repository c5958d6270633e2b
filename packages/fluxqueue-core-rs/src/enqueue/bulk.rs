//! Many calls, in the calling thread. While Redis executes one chunk, the next is written.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::calls::Body;
use super::command::{self, Naming};
use super::redirects::{Pause, Redirects};
use super::route::Target;
use super::thread::ThreadConnections;
use super::verdict::{TaskId, Verdict, Verdicts};
use super::wrapping::Wrapping;
use crate::connection::{Backoff, Connection, Deployment};
use crate::errors::{Error, Result};
use crate::fork;
use crate::python::signals::interrupt;

/// How many chunks may wait for their replies.
pub const IN_FLIGHT: usize = 2;

/// Calls for one command.
pub struct Chunk {
    pub body: Body,
    deadline: Option<Instant>,
    /// It was written behind ASKING.
    asking: bool,
    naming: Naming,
}

impl Chunk {
    /// Whether no further call fits.
    pub fn is_full(&self) -> bool {
        self.body.count >= command::CHUNK_MESSAGES || self.body.bytes.len() >= command::CHUNK_BYTES
    }
}

/// Sends chunks in their order. It reads replies when it needs them.
pub struct Sender<'a> {
    deployment: &'a Deployment,
    target: &'a Arc<Target>,
    own: &'a mut ThreadConnections,
    generation: u32,
    /// Taken from `own` while chunks are on their way.
    connection: Option<Connection>,
    unsent: VecDeque<Chunk>,
    in_flight: VecDeque<Chunk>,
    /// Redis has not executed these: they are sent again in their order.
    refused: VecDeque<Chunk>,
    /// Calls that Redis has, but not as many replicas as the settings want.
    unacknowledged: usize,
    redirects: Redirects,
    /// The pause before a cut or refused chunk is sent again.
    pause: Pause,
    /// The connection broke in the middle of a chunk; it can only be read from.
    cut: bool,
    /// The last chunk was refused: one at a time, so that no chunk overtakes another.
    doubtful: bool,
    useless: bool,
    reason: String,
    backoff: Backoff,
    spare: Vec<Vec<u8>>,
    /// Calls that were given to `push`.
    pub taken: usize,
    /// Calls that Redis has executed.
    pub acknowledged: usize,
    /// Calls that were enqueued; fewer, if some found their tasks in Redis.
    pub enqueued: usize,
    /// The tasks of executed calls, if the script enqueued them, or `wants_all`.
    pub verdicts: Vec<(TaskId, Verdict)>,
    /// Whether to list tasks that were pushed too.
    pub wants_all: bool,
}

impl<'a> Sender<'a> {
    /// Nothing is connected before the first chunk.
    pub fn new(deployment: &'a Deployment, target: &'a Arc<Target>, own: &'a mut ThreadConnections) -> Sender<'a> {
        Sender {
            deployment,
            target,
            own,
            generation: fork::generation(),
            connection: None,
            unsent: VecDeque::new(),
            in_flight: VecDeque::new(),
            refused: VecDeque::new(),
            unacknowledged: 0,
            redirects: Redirects::new(target.hash_slot),
            pause: Pause::None,
            cut: false,
            doubtful: false,
            useless: false,
            reason: String::new(),
            backoff: Backoff::new(),
            spare: Vec::new(),
            taken: 0,
            acknowledged: 0,
            enqueued: 0,
            verdicts: Vec::new(),
            wants_all: false,
        }
    }

    /// An empty chunk.
    pub fn blank(&mut self) -> Chunk {
        let body = Body::new(self.spare.pop().unwrap_or_default(), self.target);
        Chunk { body, deadline: None, asking: false, naming: Naming::default() }
    }

    /// Takes a chunk; `advance` sends it.
    pub fn push(&mut self, chunk: Chunk) {
        self.taken += chunk.body.count;
        self.unsent.push_back(chunk);
    }

    /// Sends all chunks, and waits until at most `most` have no reply.
    pub fn advance(&mut self, most: usize) -> Result<()> {
        self.notice_fork()?;
        loop {
            let room = if self.doubtful { 1 } else { IN_FLIGHT };
            let again = self.cut || !self.refused.is_empty();
            if again && self.in_flight.is_empty() {
                self.begin_again()?;
            } else if !again && self.in_flight.len() < room && !self.unsent.is_empty() {
                self.write()?;
            } else if again || self.in_flight.len() > most || !self.unsent.is_empty() {
                self.read()?;
            } else {
                return Ok(());
            }
        }
    }

    /// After an error: reads the replies that are still to come. Returns how many calls
    /// remain uncertain.
    pub fn settle(&mut self) -> usize {
        let _ = self.notice_fork();
        while self.connection.is_some() && !self.in_flight.is_empty() {
            // After an error that ends the conversation there is no connection.
            let _ = self.read();
        }
        self.unanswered()
    }

    /// How many calls were written and have no reply, or are not replicated as wanted.
    pub fn unanswered(&self) -> usize {
        self.unacknowledged + self.in_flight.iter().map(|chunk| chunk.body.count).sum::<usize>()
    }

    fn wrapping(&self, asking: bool) -> Wrapping {
        Wrapping { asking, wait: self.deployment.config.wait }
    }

    /// The iterable may have forked: the chunks on their way are the parent's.
    fn notice_fork(&mut self) -> Result<()> {
        if self.generation == fork::generation() {
            return Ok(());
        }
        self.generation = fork::generation();
        self.connection = None;
        if self.in_flight.is_empty() {
            return Ok(());
        }
        Err(Error::Uncertain("the process was forked while chunks were on their way".into()))
    }

    fn write(&mut self) -> Result<()> {
        let Some(mut chunk) = self.unsent.pop_front() else { return Ok(()) };
        let deadline = *chunk.deadline.get_or_insert_with(|| Instant::now() + self.deployment.config.timeout);
        let mut connection = match self.connection.take() {
            // The chunk before this one is on its way there.
            Some(connection) => connection,
            None => {
                let course = self.redirects.course(self.deployment);
                chunk.asking = course.asking;
                match self.own.take(course.node.as_deref()) {
                    Some(connection) => connection,
                    None => match self.redirects.open(self.deployment, &course, deadline, &mut interrupt) {
                        Err(Error::Unavailable(reason)) if course.asking => {
                            return self.write_again(chunk, reason);
                        }
                        opened => opened?,
                    },
                }
            }
        };
        let wrapping = self.wrapping(chunk.asking);
        wrapping.before(connection.outgoing());
        let Body { bytes, count, target } = &chunk.body;
        target.dispatch.begin(connection.outgoing(), *count, chunk.naming);
        connection.outgoing().extend_from_slice(bytes);
        connection.append(&wrapping.after());
        match connection.send(deadline, &mut interrupt) {
            Ok(()) => self.in_flight.push_back(chunk),
            Err(Error::Unavailable(reason)) => self.write_again(chunk, reason)?,
            Err(error) => {
                self.in_flight.push_back(chunk);
                return Err(error);
            }
        }
        self.connection = Some(connection);
        Ok(())
    }

    /// Redis has nothing of the chunk, or a part that it does not execute.
    fn write_again(&mut self, chunk: Chunk, reason: String) -> Result<()> {
        self.cut = true;
        self.pause = Pause::Needed;
        self.reason = reason;
        self.unsent.push_front(chunk);
        Ok(())
    }

    fn read(&mut self) -> Result<()> {
        let (Some(mut connection), Some(chunk)) = (self.connection.take(), self.in_flight.pop_front()) else {
            return Err(Error::Uncertain("the connection to Redis broke".into()));
        };
        let deadline = chunk.deadline.unwrap_or_else(Instant::now);
        let wrapping = self.wrapping(chunk.asking);
        let answer = match wrapping.receive(&mut connection, deadline, &mut interrupt) {
            Ok(answer) => answer,
            Err(error) => {
                self.in_flight.push_front(chunk);
                return Err(error);
            }
        };
        let Body { count, target, .. } = &chunk.body;
        let (count, target) = (*count, target.clone());
        let verdicts = wrapping.verdicts(&target.dispatch, || count, &answer);
        if let Err(uncertain @ Error::Uncertain(_)) = verdicts {
            self.in_flight.push_front(chunk);
            return Err(uncertain);
        }
        let redirect = self.redirects.follow(self.deployment, &answer.reply, connection.node());
        self.useless |= command::is_useless_after(&answer.reply);
        if !self.in_flight.is_empty() || self.cut {
            self.connection = Some(connection);
        } else if !std::mem::take(&mut self.useless) {
            self.own.keep(connection);
        }
        match (redirect, verdicts) {
            (Some((pause, reason)), _) => {
                if !self.redirects.is_asking() {
                    self.own.forget();
                }
                self.refuse(chunk, reason.to_string(), pause);
                Ok(())
            }
            (None, Ok(verdicts)) => {
                self.acknowledged += count;
                self.enqueued += verdicts.enqueued(count);
                match verdicts {
                    Verdicts::Each(each) => self.verdicts.extend(target.dispatch.ids(&chunk.body.bytes).zip(each)),
                    Verdicts::AllEnqueued if self.wants_all => {
                        let ids = target.dispatch.ids(&chunk.body.bytes);
                        self.verdicts.extend(ids.map(|id| (id, Verdict::Enqueued)));
                    }
                    Verdicts::AllEnqueued => (),
                }
                self.backoff = Backoff::new();
                self.doubtful = false;
                let mut bytes = chunk.body.bytes;
                bytes.clear();
                self.spare.push(bytes);
                Ok(())
            }
            (None, Err(Error::Unavailable(reason))) => {
                self.refuse(chunk, reason, Pause::Needed);
                Ok(())
            }
            (None, Err(unknown)) if target.dispatch.needs_text(chunk.naming, &answer.reply) => {
                let chunk = Chunk { naming: Naming::Text, ..chunk };
                self.refuse(chunk, unknown.to_string(), Pause::None);
                Ok(())
            }
            (None, Err(error)) => {
                if matches!(error, Error::Unacknowledged(_)) {
                    self.unacknowledged += count;
                }
                Err(error)
            }
        }
    }

    /// Redis has executed nothing of the chunk.
    fn refuse(&mut self, chunk: Chunk, reason: String, pause: Pause) {
        self.reason = reason;
        self.refused.push_back(chunk);
        self.doubtful = true;
        self.pause = pause;
    }

    /// Sends cut and refused chunks again, after a pause.
    fn begin_again(&mut self) -> Result<()> {
        if std::mem::take(&mut self.cut) {
            self.connection = None;
        }
        while let Some(chunk) = self.refused.pop_back() {
            self.unsent.push_front(chunk);
        }
        let deadline = self.unsent.front().and_then(|chunk| chunk.deadline).unwrap_or_else(Instant::now);
        let failure = Error::Unavailable(std::mem::take(&mut self.reason));
        match std::mem::replace(&mut self.pause, Pause::None) {
            Pause::None => Ok(()),
            Pause::Needed => self.backoff.sleep(failure, deadline, &mut interrupt),
        }
    }
}
