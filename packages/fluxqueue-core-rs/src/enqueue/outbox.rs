//! The calls of an event loop: those that wait to be written, and those that wait for
//! their replies. It knows neither Python nor sockets.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::command::{self, Naming};
use super::route::Target;
use super::wrapping::{Replies, Wrapping};
use crate::connection::Reply;

/// The result of a future once Redis has the task.
pub enum Gives<F> {
    Nothing,
    This(F),
    /// The verdicts, if the script enqueued the calls.
    Verdicts,
    /// The value that this function returns, or raises. It takes the id of the task that is in the
    /// place of the call, or None.
    Judged(F),
}

/// One call, or one chunk of a bulk; `F` is the future of its caller.
pub struct LoopCall<F> {
    pub future: F,
    pub gives: Gives<F>,
    pub target: Arc<Target>,
    /// The calls, as arguments of the command.
    pub body: Vec<u8>,
    /// The number of calls.
    pub count: usize,
    /// On the loop's `LiveClock`.
    pub deadline: Duration,
    /// Its position in the order of calls, from `push`.
    pub number: u64,
}

impl<F> LoopCall<F> {
    /// The objects of Python that it keeps.
    pub fn held(&self) -> impl Iterator<Item = &F> {
        let result = if let Gives::This(object) | Gives::Judged(object) = &self.gives { Some(object) } else { None };
        result.into_iter().chain([&self.future])
    }
}

/// The calls of one command.
pub struct Batch<F> {
    pub calls: Vec<LoopCall<F>>,
    /// The reply to ASKING is still to come.
    asking: bool,
    /// The reply to the command, while that to WAIT is still to come.
    reply: Option<Reply>,
    waits: bool,
    naming: Naming,
    /// Where the command lies in the stream of this connection.
    begin: u64,
    end: u64,
}

/// The command that a reply belongs to.
pub enum Answered<F> {
    /// A command whose replies are complete.
    Whole(Vec<LoopCall<F>>, Naming, Replies),
    /// A command with further replies.
    InPart,
    /// No command.
    Stray,
}

/// Dropping a future may run code of the application, which may enqueue. So an outbox
/// drops none: it returns them, and the caller drops them where nothing is locked.
pub struct Outbox<F> {
    waiting: VecDeque<LoopCall<F>>,
    /// How the next commands name their script.
    pub naming: Naming,
    in_flight: VecDeque<Batch<F>>,
    appended: u64,
    pushed: u64,
}

impl<F> Outbox<F> {
    pub const fn new() -> Outbox<F> {
        Outbox { waiting: VecDeque::new(), naming: Naming::Digest, in_flight: VecDeque::new(), appended: 0, pushed: 0 }
    }

    pub fn push(&mut self, call: LoopCall<F>) {
        self.pushed += 1;
        self.waiting.push_back(LoopCall { number: self.pushed, ..call });
    }

    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub fn has_in_flight(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// All calls: those that wait, then those in flight.
    pub fn calls(&self) -> impl Iterator<Item = &LoopCall<F>> {
        let in_flight = self.in_flight.iter().flat_map(|batch| &batch.calls);
        self.waiting.iter().chain(in_flight)
    }

    /// The oldest waiting calls, about a command's worth of bytes.
    pub fn take(&mut self) -> Vec<LoopCall<F>> {
        let mut bytes = 0;
        let fits = |call: &LoopCall<F>| {
            let first = bytes == 0;
            bytes += call.body.len();
            first || bytes <= command::CHUNK_BYTES
        };
        let n = self.waiting.iter().map(fits).take_while(|fits| *fits).count();
        self.waiting.drain(..n).collect()
    }

    /// All waiting calls.
    pub fn take_all(&mut self) -> Vec<LoopCall<F>> {
        self.waiting.drain(..).collect()
    }

    /// Lets calls wait again, in the order in which they came.
    pub fn give_back(&mut self, calls: Vec<LoopCall<F>>) {
        if calls.is_empty() {
            return;
        }
        self.waiting.extend(calls);
        self.waiting.make_contiguous().sort_by_key(|call| call.number);
    }

    /// Appends one command per dispatch and chunk to `out`. Calls that share a dispatch
    /// keep their order.
    pub fn compose(&mut self, mut calls: Vec<LoopCall<F>>, wrapping: &Wrapping, out: &mut Vec<u8>) {
        let after = wrapping.after();
        calls.sort_by(|a, b| a.target.dispatch.group().cmp(&b.target.dispatch.group()));
        let mut calls = calls.into_iter().peekable();
        while let Some(first) = calls.next() {
            let target = first.target.clone();
            let (mut count, mut bytes) = (first.count, first.body.len());
            let mut batch = vec![first];
            while let Some(call) = calls.next_if(|call| {
                call.target.dispatch.group() == target.dispatch.group()
                    && count + call.count <= command::CHUNK_MESSAGES
                    && bytes + call.body.len() <= command::CHUNK_BYTES
            }) {
                count += call.count;
                bytes += call.body.len();
                batch.push(call);
            }
            let (begin, before) = (self.appended, out.len());
            wrapping.before(out);
            target.dispatch.begin(out, count, self.naming);
            for call in &batch {
                out.extend_from_slice(&call.body);
            }
            // Redis executes the command even if nothing behind it arrives.
            let end = begin + (out.len() - before) as u64;
            out.extend_from_slice(&after);
            self.appended += (out.len() - before) as u64;
            let (asking, waits) = (wrapping.asking, !after.is_empty());
            self.in_flight.push_back(Batch {
                calls: batch,
                asking,
                reply: None,
                waits,
                naming: self.naming,
                begin,
                end,
            });
        }
    }

    /// Takes in the next reply.
    pub fn answered(&mut self, reply: Reply) -> Answered<F> {
        let Some(batch) = self.in_flight.front_mut() else { return Answered::Stray };
        if std::mem::take(&mut batch.asking) {
            // If Redis refuses ASKING, it refuses the command too.
            return Answered::InPart;
        }
        if std::mem::take(&mut batch.waits) {
            batch.reply = Some(reply);
            return Answered::InPart;
        }
        let Some(batch) = self.in_flight.pop_front() else { return Answered::Stray };
        let answer = match batch.reply {
            None => Replies { reply, waited: None },
            Some(first) => Replies { reply: first, waited: Some(reply) },
        };
        Answered::Whole(batch.calls, batch.naming, answer)
    }

    /// The connection is gone, and its socket has not taken the last `unsent` bytes.
    /// Returns the calls that Redis may have executed; the others wait again (rule 13).
    /// Through TLS a command counts as written as soon as its first byte is.
    pub fn break_off(&mut self, unsent: usize, encrypted: bool) -> Vec<LoopCall<F>> {
        let written = self.appended.saturating_sub(unsent as u64);
        self.appended = 0;
        let mut uncertain = Vec::new();
        let mut unwritten = Vec::new();
        for batch in self.in_flight.drain(..) {
            let is_written = if encrypted { batch.begin < written } else { batch.end <= written };
            if is_written { uncertain.extend(batch.calls) } else { unwritten.extend(batch.calls) }
        }
        self.give_back(unwritten);
        uncertain
    }

    /// The deadline of the oldest call that waits for its reply.
    pub fn oldest_in_flight(&self) -> Option<Duration> {
        self.in_flight.iter().flat_map(|batch| &batch.calls).map(|call| call.deadline).min()
    }

    /// The deadline of the oldest call.
    pub fn oldest(&self) -> Option<Duration> {
        let waiting = self.waiting.iter().map(|call| call.deadline).min();
        waiting.into_iter().chain(self.oldest_in_flight()).min()
    }

    /// The waiting calls whose time is over.
    pub fn expire(&mut self, now: Duration) -> Vec<LoopCall<F>> {
        let (expired, left) = self.waiting.drain(..).partition(|call| call.deadline <= now);
        self.waiting = left;
        let expired: VecDeque<_> = expired;
        expired.into()
    }
}
