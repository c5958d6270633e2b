//! Many calls, in the calling thread: one chunk is on its way while the next is
//! being written, and Redis works on it meanwhile.

use std::collections::VecDeque;
use std::time::Instant;

use super::detours::{Detours, Pause};
use super::lpush::{self, Frame};
use super::route::Target;
use super::thread::{Line, interrupt};
use crate::connection::{Backoff, Connection, Deployment};
use crate::errors::{Error, Result};
use crate::fork;

/// How many chunks may be without an answer.
pub const IN_FLIGHT: usize = 2;

/// Messages for one command.
#[derive(Default)]
pub struct Chunk {
    /// The messages, as the arguments of the command.
    pub body: Vec<u8>,
    /// How many they are.
    pub count: usize,
    deadline: Option<Instant>,
    /// It was written behind ASKING.
    asking: bool,
}

impl Chunk {
    /// Whether it is to be sent.
    pub fn is_full(&self) -> bool {
        self.count >= lpush::CHUNK_MESSAGES || self.body.len() >= lpush::CHUNK_BYTES
    }
}

/// Sends chunks, in their order. Answers are read when they are needed.
pub struct Sender<'a> {
    deployment: &'a Deployment,
    target: &'a Target,
    line: &'a mut Line,
    generation: u32,
    /// Out of the line as long as an answer is to be read from it.
    connection: Option<Connection>,
    unsent: VecDeque<Chunk>,
    flying: VecDeque<Chunk>,
    /// Not executed, since Redis was not ready: to be sent again in their order.
    refused: VecDeque<Chunk>,
    /// Redis has them, but not all who are waited for.
    unacknowledged: usize,
    detours: Detours,
    /// The pause before what was cut or refused is sent again.
    pause: Pause,
    /// The connection broke in the middle of a chunk: it can only be read from.
    cut: bool,
    /// Redis was not ready last time: one chunk at a time, so that none
    /// overtakes another.
    doubtful: bool,
    useless: bool,
    reason: String,
    backoff: Backoff,
    spare: Vec<Vec<u8>>,
    /// Calls that were given to `push`.
    pub taken: usize,
    /// Calls that Redis has acknowledged.
    pub acknowledged: usize,
}

impl<'a> Sender<'a> {
    /// Nothing is connected before the first chunk.
    pub fn new(deployment: &'a Deployment, target: &'a Target, line: &'a mut Line) -> Sender<'a> {
        Sender {
            deployment,
            target,
            line,
            generation: fork::generation(),
            connection: None,
            unsent: VecDeque::new(),
            flying: VecDeque::new(),
            refused: VecDeque::new(),
            unacknowledged: 0,
            detours: Detours::new(target.slot),
            pause: Pause::None,
            cut: false,
            doubtful: false,
            useless: false,
            reason: String::new(),
            backoff: Backoff::new(),
            spare: Vec::new(),
            taken: 0,
            acknowledged: 0,
        }
    }

    /// An empty chunk.
    pub fn blank(&mut self) -> Chunk {
        Chunk { body: self.spare.pop().unwrap_or_default(), ..Chunk::default() }
    }

    /// Takes a chunk; `advance` sends it.
    pub fn push(&mut self, chunk: Chunk) {
        self.taken += chunk.count;
        self.unsent.push_back(chunk);
    }

    /// Sends all chunks, and waits until at most `most` have no answer.
    pub fn advance(&mut self, most: usize) -> Result<()> {
        self.notice_fork()?;
        loop {
            let room = if self.doubtful { 1 } else { IN_FLIGHT };
            let again = self.cut || !self.refused.is_empty();
            if again && self.flying.is_empty() {
                self.begin_again()?;
            } else if !again && self.flying.len() < room && !self.unsent.is_empty() {
                self.write()?;
            } else if again || self.flying.len() > most || !self.unsent.is_empty() {
                self.read()?;
            } else {
                return Ok(());
            }
        }
    }

    /// After an error: reads the answers that are still to come. Returns how
    /// many calls are left of which nobody knows whether Redis has them.
    pub fn settle(&mut self) -> usize {
        let _ = self.notice_fork();
        while self.connection.is_some() && !self.flying.is_empty() {
            // An error that ends the conversation takes the connection away.
            let _ = self.read();
        }
        self.unanswered()
    }

    /// How many calls were written and have no answer, or not that of all who
    /// are waited for.
    pub fn unanswered(&self) -> usize {
        self.unacknowledged + self.flying.iter().map(|chunk| chunk.count).sum::<usize>()
    }

    fn frame(&self, asking: bool) -> Frame {
        Frame { asking, wait: self.deployment.config.wait }
    }

    /// The iterable may have forked: what flies is the parent's.
    fn notice_fork(&mut self) -> Result<()> {
        if self.generation == fork::generation() {
            return Ok(());
        }
        self.generation = fork::generation();
        self.connection = None;
        if self.flying.is_empty() {
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
                let course = self.detours.course(self.deployment);
                chunk.asking = course.asking;
                match self.line.take(course.node.as_deref()) {
                    Some(connection) => connection,
                    None => match self.detours.open(self.deployment, &course, deadline, &mut interrupt) {
                        Err(Error::Unavailable(reason)) if course.asking => {
                            return self.write_again(chunk, reason);
                        }
                        opened => opened?,
                    },
                }
            }
        };
        let frame = self.frame(chunk.asking);
        frame.before(connection.outgoing());
        lpush::head(connection.outgoing(), &self.target.key, chunk.count);
        connection.outgoing().extend_from_slice(&chunk.body);
        connection.append(&frame.after());
        match connection.send(deadline, &mut interrupt) {
            Ok(()) => self.flying.push_back(chunk),
            Err(Error::Unavailable(reason)) => self.write_again(chunk, reason)?,
            Err(error) => {
                self.flying.push_back(chunk);
                return Err(error);
            }
        }
        self.connection = Some(connection);
        Ok(())
    }

    /// Redis has nothing of the chunk, or a part of which it executes nothing.
    fn write_again(&mut self, chunk: Chunk, reason: String) -> Result<()> {
        self.cut = true;
        self.pause = Pause::Needed;
        self.reason = reason;
        self.unsent.push_front(chunk);
        Ok(())
    }

    fn read(&mut self) -> Result<()> {
        let (Some(mut connection), Some(chunk)) = (self.connection.take(), self.flying.pop_front()) else {
            return Err(Error::Uncertain("the connection to Redis broke".into()));
        };
        let deadline = chunk.deadline.unwrap_or_else(Instant::now);
        let frame = self.frame(chunk.asking);
        let answer = match frame.receive(&mut connection, deadline, &mut interrupt) {
            Ok(answer) => answer,
            Err(error) => {
                self.flying.push_front(chunk);
                return Err(error);
            }
        };
        let outcome = frame.outcome(&answer);
        if matches!(outcome, Err(Error::Uncertain(_))) {
            self.flying.push_front(chunk);
            return outcome;
        }
        let detour = self.detours.follow(self.deployment, &answer.pushed, connection.node());
        self.useless |= lpush::is_useless_after(&answer.pushed);
        if !self.flying.is_empty() || self.cut {
            self.connection = Some(connection);
        } else if !std::mem::take(&mut self.useless) {
            self.line.keep(connection);
        }
        match (detour, outcome) {
            (Some((pause, reason)), _) => {
                if !self.detours.is_asking() {
                    self.line.forget();
                }
                self.refuse(chunk, reason.to_string(), pause);
                Ok(())
            }
            (None, Ok(())) => {
                self.acknowledged += chunk.count;
                self.backoff = Backoff::new();
                self.doubtful = false;
                let mut body = chunk.body;
                body.clear();
                self.spare.push(body);
                Ok(())
            }
            (None, Err(Error::Unavailable(reason))) => {
                self.refuse(chunk, reason, Pause::Needed);
                Ok(())
            }
            (None, Err(error)) => {
                if matches!(error, Error::Unacknowledged(_)) {
                    self.unacknowledged += chunk.count;
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

    /// Sends again what was cut or refused, after a pause.
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
