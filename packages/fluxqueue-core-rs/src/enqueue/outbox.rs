//! What waits to be written on an event loop's connection, and what was written
//! and waits for its answer. Knows neither Python nor sockets.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::lpush;
use super::route::Target;

/// One call, or one chunk of a bulk; `F` is the future of its caller.
pub struct Call<F> {
    pub future: F,
    pub target: Arc<Target>,
    /// Its messages, as arguments of the command.
    pub body: Vec<u8>,
    /// How many they are.
    pub count: usize,
    pub deadline: Instant,
}

/// The calls of one command.
pub struct Batch<F> {
    pub calls: Vec<Call<F>>,
    /// Where the command lies in the stream of this connection.
    begin: u64,
    end: u64,
}

/// Dropping a future may run code of the application, which may enqueue. So
/// everything is handed out, to be dropped where nothing is locked.
pub struct Outbox<F> {
    waiting: VecDeque<Call<F>>,
    in_flight: VecDeque<Batch<F>>,
    appended: u64,
}

impl<F> Outbox<F> {
    pub const fn new() -> Outbox<F> {
        Outbox { waiting: VecDeque::new(), in_flight: VecDeque::new(), appended: 0 }
    }

    pub fn push(&mut self, call: Call<F>) {
        self.waiting.push_back(call);
    }

    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub fn has_in_flight(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// All futures, for the garbage collector.
    pub fn futures(&self) -> impl Iterator<Item = &F> {
        let in_flight = self.in_flight.iter().flat_map(|batch| &batch.calls);
        self.waiting.iter().chain(in_flight).map(|call| &call.future)
    }

    /// The oldest waiting calls, about a command's worth of bytes.
    pub fn take(&mut self) -> Vec<Call<F>> {
        let mut bytes = 0;
        let fits = |call: &Call<F>| {
            let first = bytes == 0;
            bytes += call.body.len();
            first || bytes <= lpush::CHUNK_BYTES
        };
        let n = self.waiting.iter().map(fits).take_while(|fits| *fits).count();
        self.waiting.drain(..n).collect()
    }

    /// All waiting calls.
    pub fn take_all(&mut self) -> Vec<Call<F>> {
        self.waiting.drain(..).collect()
    }

    /// Lets calls wait again, in the order in which they came.
    pub fn give_back(&mut self, calls: Vec<Call<F>>) {
        if calls.is_empty() {
            return;
        }
        self.waiting.extend(calls);
        // The timeout is the same for all, so the deadline tells who was first.
        self.waiting.make_contiguous().sort_by_key(|call| call.deadline);
    }

    /// Appends one command per queue and chunk to `out`. Calls of one queue keep
    /// their order.
    pub fn compose(&mut self, mut calls: Vec<Call<F>>, out: &mut Vec<u8>) {
        calls.sort_by(|a, b| a.target.key.cmp(&b.target.key));
        let mut calls = calls.into_iter().peekable();
        while let Some(first) = calls.next() {
            let target = first.target.clone();
            let (mut count, mut bytes) = (first.count, first.body.len());
            let mut batch = vec![first];
            while let Some(call) = calls.next_if(|call| {
                call.target.key == target.key
                    && count + call.count <= lpush::CHUNK_MESSAGES
                    && bytes + call.body.len() <= lpush::CHUNK_BYTES
            }) {
                count += call.count;
                bytes += call.body.len();
                batch.push(call);
            }
            let (begin, before) = (self.appended, out.len());
            lpush::head(out, &target.key, count);
            for call in &batch {
                out.extend_from_slice(&call.body);
            }
            self.appended += (out.len() - before) as u64;
            self.in_flight.push_back(Batch { calls: batch, begin, end: self.appended });
        }
    }

    /// The calls that the next answer is for.
    pub fn answered(&mut self) -> Option<Vec<Call<F>>> {
        self.in_flight.pop_front().map(|batch| batch.calls)
    }

    /// The connection is gone, with so many bytes not taken by the socket. Hands
    /// out the calls that Redis may have executed; the others wait again.
    /// Through TLS a command counts as written as soon as its first byte is.
    pub fn break_off(&mut self, unsent: usize, encrypted: bool) -> Vec<Call<F>> {
        let written = self.appended - unsent as u64;
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

    /// The deadline of the oldest call that waits for its answer.
    pub fn oldest_in_flight(&self) -> Option<Instant> {
        self.in_flight.iter().flat_map(|batch| &batch.calls).map(|call| call.deadline).min()
    }

    /// The deadline of the oldest call.
    pub fn oldest(&self) -> Option<Instant> {
        let waiting = self.waiting.iter().map(|call| call.deadline).min();
        waiting.into_iter().chain(self.oldest_in_flight()).min()
    }

    /// The waiting calls whose time is over.
    pub fn expire(&mut self, now: Instant) -> Vec<Call<F>> {
        let (expired, left) = self.waiting.drain(..).partition(|call| call.deadline <= now);
        self.waiting = left;
        let expired: VecDeque<_> = expired;
        expired.into()
    }
}
