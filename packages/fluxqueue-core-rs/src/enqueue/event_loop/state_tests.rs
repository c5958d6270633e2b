//! Tests of the decisions of a loop's connection.

use std::cell::Cell;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::link::Written;
use super::state::{LoopState, NextWrite, Replied};
use crate::config::{Config, Overrides, Wait};
use crate::connection::{Connection, Deployment};
use crate::enqueue::command::Dispatch;
use crate::enqueue::outbox::{Gives, LoopCall};
use crate::enqueue::route::Target;
use crate::enqueue::thread::IDLE;
use crate::keys::Namespace;
use crate::message::Terms;

const TIMEOUT: Duration = Duration::from_secs(8);
const NO_WAIT: Wait = Wait { replicas: 0, aof: false, timeout: Duration::ZERO };

fn call<F>(future: F) -> LoopCall<F> {
    let target = Target::new(&Namespace::default(), "q", "t", Terms::default(), Dispatch::push).expect("valid names");
    LoopCall {
        future,
        gives: Gives::Nothing,
        target: Arc::new(target),
        body: b"$1\r\nx\r\n".to_vec(),
        count: 1,
        deadline: TIMEOUT,
        number: 0,
    }
}

fn state<F>(calls: impl IntoIterator<Item = F>) -> LoopState<F> {
    let mut state = LoopState::new(0, TIMEOUT);
    for future in calls {
        state.push(call(future), Instant::now(), TIMEOUT);
    }
    state
}

/// Opens a connection. Returns the socket of the server.
fn open<F>(state: &mut LoopState<F>) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().expect("sockets");
    ours.set_nonblocking(true).expect("a socket");
    state.open(Connection::over(ours), false);
    theirs
}

fn cluster() -> Deployment {
    Deployment::new(Config::new(Some("redis+cluster://a"), &Overrides::default()).expect("valid"))
}

fn write<F>(state: &mut LoopState<F>) -> usize {
    let NextWrite::Calls(calls) = state.next() else { panic!("calls wait") };
    let count = calls.len();
    assert_eq!(state.write(calls, NO_WAIT).expect("open"), Written::All);
    count
}

fn read_one<F>(state: &mut LoopState<F>, server: &mut UnixStream, reply: &[u8]) -> Replied<F> {
    server.write_all(reply).expect("open");
    let (mut replied, broken) = state.read();
    assert_eq!(broken, None);
    assert_eq!(replied.len(), 1);
    replied.remove(0)
}

fn futures<F: Copy>(calls: &[LoopCall<F>]) -> Vec<F> {
    calls.iter().map(|call| call.future).collect()
}

#[test]
fn a_turn_has_one_flush_and_a_loop_has_one_tick() {
    let mut state = LoopState::new(0, TIMEOUT);
    let first = state.push(call(1), Instant::now(), TIMEOUT);
    assert!(first.flush && first.tick.is_some());
    let second = state.push(call(2), Instant::now(), TIMEOUT);
    assert!(!second.flush && second.tick.is_none());
    assert!(state.end_turn(), "a closed link must be opened");
    let third = state.push(call(3), Instant::now(), TIMEOUT);
    assert!(third.flush && third.tick.is_none());
    // The tick of the first call stays due, since the loop has it.
    state.flush_refused(&third);
    let fourth = state.push(call(4), Instant::now(), TIMEOUT);
    assert!(fourth.flush && fourth.tick.is_none());
    state.flush_refused(&first);
    assert!(state.push(call(5), Instant::now(), TIMEOUT).tick.is_some());
}

#[test]
fn calls_are_written_together_and_read_in_their_order() {
    let mut state = state([1, 2]);
    let mut server = open(&mut state);
    assert!(!state.end_turn(), "the link is open");
    assert_eq!(write(&mut state), 2);
    assert!(matches!(state.next(), NextWrite::Nothing));
    let replied = read_one(&mut state, &mut server, b":2\r\n");
    assert_eq!(futures(&replied.calls), [1, 2]);
    assert!(!state.has_in_flight());
}

#[test]
fn without_a_connection_calls_wait() {
    let mut state = state([1]);
    assert!(matches!(state.next(), NextWrite::Nothing));
    assert_eq!(state.write(vec![call(2)], NO_WAIT).expect("no connection"), Written::Later(None));
    assert!(state.break_off().is_none());
    assert_eq!(state.take_waiting().len(), 2);
}

#[test]
fn an_idle_connection_that_the_server_has_closed_gets_no_call() {
    let mut state = state([1]);
    drop(open(&mut state));
    std::thread::sleep(IDLE * 2);
    assert!(matches!(state.next(), NextWrite::Stale));
    let (_, uncertain) = state.break_off().expect("it was open");
    assert!(uncertain.is_empty());
    assert_eq!(futures(&state.take_waiting()), [1]);
}

#[test]
fn calls_that_were_written_are_uncertain_and_the_others_wait() {
    let mut state = state([1]);
    let _server = open(&mut state);
    write(&mut state);
    state.push(call(2), Instant::now(), TIMEOUT);
    let (_, uncertain) = state.break_off().expect("it was open");
    assert_eq!(futures(&uncertain), [1]);
    assert_eq!(futures(&state.take_waiting()), [2]);
}

#[test]
fn a_redirect_lets_its_calls_wait_for_another_server() {
    let cluster = cluster();
    let mut state = state([1]);
    let mut server = open(&mut state);
    write(&mut state);
    let Replied { calls, replies, .. } = read_one(&mut state, &mut server, b"-MOVED 0 b:1\r\n");
    assert!(state.redirect(&cluster, &replies.reply, calls).is_ok());
    assert!(state.is_leaving() && matches!(state.next(), NextWrite::Nothing));
    assert!(state.leaves_now());
    let (open, uncertain) = state.break_off().expect("it was open");
    assert!(open.reconnects_at_once() && uncertain.is_empty());
    assert!(!state.is_leaving(), "leaving ends with the connection");
    assert_eq!(futures(&state.take_waiting()), [1]);
}

#[test]
fn a_reply_other_than_a_redirect_returns_its_calls() {
    let cluster = cluster();
    let mut state = state([1]);
    let mut server = open(&mut state);
    write(&mut state);
    let Replied { calls, replies, .. } = read_one(&mut state, &mut server, b":1\r\n");
    let Err(calls) = state.redirect(&cluster, &replies.reply, calls) else { panic!("no redirect") };
    assert_eq!(futures(&calls), [1]);
}

#[test]
fn redis_that_is_not_ready_gets_its_calls_again_after_one_pause() {
    let mut state = state([1]);
    let mut server = open(&mut state);
    write(&mut state);
    state.push(call(2), Instant::now(), TIMEOUT);
    write(&mut state);
    let first = read_one(&mut state, &mut server, b"-LOADING wait\r\n");
    assert!(state.hold(first.calls, "loading".into()).is_some());
    let second = read_one(&mut state, &mut server, b"-LOADING wait\r\n");
    assert_eq!(state.hold(second.calls, "loading".into()), None);
    assert!(matches!(state.next(), NextWrite::Nothing));
    state.resume();
    assert_eq!(write(&mut state), 2);
    // One turn at a time, until Redis executes a command.
    state.push(call(3), Instant::now(), TIMEOUT);
    assert!(matches!(state.next(), NextWrite::Nothing));
    assert_eq!(futures(&read_one(&mut state, &mut server, b":2\r\n").calls), [1, 2]);
    state.executed();
    assert_eq!(write(&mut state), 1);
}

#[test]
fn a_failed_attempt_is_followed_by_another_if_calls_wait() {
    let mut idle = state::<u32>([]);
    assert_eq!(idle.pause("refused".into()), None);
    assert!(idle.end_turn(), "the next call connects");
    let mut busy = state([1]);
    let first = busy.pause("refused".into()).expect("a call waits");
    assert!(!busy.end_turn(), "the next attempt is scheduled");
    assert!(busy.pause("refused".into()).expect("a call waits") > first);
    let (expired, reason) = busy.expire(TIMEOUT * 2);
    assert_eq!((futures(&expired), reason.as_str()), (vec![1], "refused"));
    assert_eq!(busy.next_tick(), None);
}

#[test]
fn a_call_in_flight_is_late_after_its_timeout() {
    let mut state = LoopState::new(0, TIMEOUT);
    let mut now = Instant::now();
    state.push(call(1), now, TIMEOUT);
    let _server = open(&mut state);
    write(&mut state);
    for second in 1..=8 {
        now += Duration::from_secs(1);
        assert_eq!(state.tick(now), (Duration::from_secs(second), second == 8));
    }
}

#[test]
fn a_retired_connection_serves_its_last_calls() {
    let mut state = state([1]);
    let mut server = open(&mut state);
    state.retire();
    assert!(!state.is_retirement_due());
    write(&mut state);
    assert!(!state.is_retirement_due());
    read_one(&mut state, &mut server, b":1\r\n");
    assert!(state.is_retirement_due());
}

/// Counts the drops of futures.
struct Future<'a>(&'a Cell<u32>);

impl Drop for Future<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn the_state_drops_no_future() {
    let dropped = Cell::new(0);
    let mut state = state((0..3).map(|_| Future(&dropped)));
    let mut server = open(&mut state);
    write(&mut state);
    let replied = read_one(&mut state, &mut server, b"-NOSCRIPT\r\n");
    state.name_by_text(replied.calls);
    write(&mut state);
    let replied = read_one(&mut state, &mut server, b"-LOADING wait\r\n");
    assert!(state.hold(replied.calls, "loading".into()).is_some());
    state.resume();
    write(&mut state);
    drop(server);
    let (replied, broken) = state.read();
    assert!(replied.is_empty() && broken.is_some());
    let (_, uncertain) = state.break_off().expect("it was open");
    assert_eq!(state.pause("closed".into()), None);
    state.close();
    let outbox = state.take_outbox();
    assert_eq!((uncertain.len(), dropped.get()), (3, 0));
    drop((uncertain, outbox));
    assert_eq!(dropped.get(), 3);
}
