//! Tests of the outbox.

use std::sync::Arc;
use std::time::Duration;

use super::command::{self, Dispatch, Naming};
use super::outbox::{Answered, Gives, LoopCall, Outbox};
use super::route::{MakeDispatch, Target};
use super::wrapping::Wrapping;
use crate::config::Wait;
use crate::connection::Reply;
use crate::keys::Namespace;
use crate::message::Terms;

fn call(future: u32, queue: &str, body: &[u8]) -> LoopCall<u32> {
    call_by(Dispatch::push, future, queue, body)
}

fn call_by(dispatch: MakeDispatch, future: u32, queue: &str, body: &[u8]) -> LoopCall<u32> {
    let target = Target::new(&Namespace::default(), queue, "t", Terms::default(), dispatch).expect("valid names");
    let deadline = Duration::from_millis(u64::from(future));
    LoopCall {
        future,
        gives: Gives::Nothing,
        target: Arc::new(target),
        body: body.to_vec(),
        count: 1,
        deadline,
        number: 0,
    }
}

const PLAIN: Wrapping = Wrapping { asking: false, wait: Wait { replicas: 0, aof: false, timeout: Duration::ZERO } };

fn answered(outbox: &mut Outbox<u32>) -> Option<Vec<LoopCall<u32>>> {
    match outbox.answered(Reply::Integer(1)) {
        Answered::Whole(calls, _, _) => Some(calls),
        _ => None,
    }
}

fn numbers(calls: &[LoopCall<u32>]) -> Vec<u32> {
    calls.iter().map(|call| call.future).collect()
}

fn outbox(calls: impl IntoIterator<Item = LoopCall<u32>>) -> Outbox<u32> {
    let mut outbox = Outbox::new();
    calls.into_iter().for_each(|call| outbox.push(call));
    outbox
}

#[test]
fn one_command_per_queue_in_the_order_of_the_calls() {
    let mut outbox = outbox([call(1, "b", b"$1\r\nx\r\n"), call(2, "a", b"$1\r\ny\r\n"), call(3, "b", b"$1\r\nz\r\n")]);
    let mut out = Vec::new();
    let calls = outbox.take();
    outbox.compose(calls, &PLAIN, &mut out);
    let text = String::from_utf8(out).expect("ascii");
    let a = "*3\r\n$5\r\nLPUSH\r\n$21\r\nfluxqueue:{a}:pending\r\n$1\r\ny\r\n";
    let b = "*4\r\n$5\r\nLPUSH\r\n$21\r\nfluxqueue:{b}:pending\r\n$1\r\nx\r\n$1\r\nz\r\n";
    assert_eq!(text, format!("{a}{b}"));
    assert_eq!(numbers(&answered(&mut outbox).expect("two commands")), [2]);
    assert_eq!(numbers(&answered(&mut outbox).expect("two commands")), [1, 3]);
    assert!(matches!(outbox.answered(Reply::Null), Answered::Stray));
}

#[test]
fn deliveries_to_one_queue_have_a_command_each_and_a_script_can_have_its_text() {
    let by_script = |n| call_by(Dispatch::script, n, "a", b"$2\r\n+0\r\n$1\r\nx\r\n");
    let mut outbox = outbox([by_script(1), call(2, "a", b"$1\r\ny\r\n"), by_script(3), by_script(4)]);
    let commands = |outbox: &mut Outbox<u32>| {
        let (calls, mut out) = (outbox.take(), Vec::new());
        outbox.compose(calls, &PLAIN, &mut out);
        String::from_utf8(out).expect("ASCII")
    };
    let text = commands(&mut outbox);
    assert!(text.starts_with("*3\r\n$5\r\nLPUSH\r\n"), "{text}");
    assert_eq!(text.matches("\r\n$7\r\nEVALSHA\r\n").count(), 1);
    assert!(text.contains("*11\r\n$7\r\nEVALSHA\r\n"), "three calls with two arguments each: {text}");
    assert_eq!(numbers(&answered(&mut outbox).expect("a push")), [2]);
    let Answered::Whole(calls, Naming::Digest, _) = outbox.answered(Reply::Null) else { panic!("a script") };
    outbox.naming = Naming::Text;
    outbox.give_back(calls);
    assert!(commands(&mut outbox).starts_with("*11\r\n$4\r\nEVAL\r\n"));
    let Answered::Whole(calls, Naming::Text, _) = outbox.answered(Reply::Null) else { panic!("a script") };
    assert_eq!(numbers(&calls), [1, 3, 4]);
}

#[test]
fn a_command_has_at_most_a_thousand_messages_and_a_chunk_is_never_split() {
    let mut outbox = outbox((0..2_500).map(|n| call(n, "q", b"$1\r\nx\r\n")));
    outbox.push(LoopCall { count: 1_200, ..call(2_500, "q", b"many") });
    let calls = outbox.take();
    outbox.compose(calls, &PLAIN, &mut Vec::new());
    let sizes: Vec<usize> = std::iter::from_fn(|| answered(&mut outbox)).map(|calls| calls.len()).collect();
    assert_eq!(sizes, [1_000, 1_000, 500, 1]);
}

#[test]
fn take_is_bounded_in_bytes_and_takes_at_least_one() {
    let large = vec![b'x'; command::CHUNK_BYTES];
    let mut outbox =
        outbox([call(1, "q", &large), call(2, "q", &large), call(3, "q", b"small"), call(4, "q", b"small")]);
    assert_eq!(numbers(&outbox.take()), [1]);
    assert_eq!(numbers(&outbox.take()), [2]);
    assert_eq!(numbers(&outbox.take()), [3, 4]);
    assert!(outbox.take().is_empty());
}

/// Three commands of one call each; `lengths` are those of the commands.
fn three_in_flight() -> (Outbox<u32>, Vec<usize>) {
    let mut outbox = outbox((1..=4).map(|n| call(n, &format!("q{n}"), b"$1\r\nx\r\n")));
    let mut calls = outbox.take();
    let last = calls.pop().expect("four calls");
    let mut out = Vec::new();
    let mut lengths = Vec::new();
    for call in calls {
        let before = out.len();
        outbox.compose(vec![call], &PLAIN, &mut out);
        lengths.push(out.len() - before);
    }
    outbox.give_back(vec![last]);
    (outbox, lengths)
}

#[test]
fn only_commands_that_were_written_whole_are_uncertain() {
    for (unsent_of_second, uncertain) in [(0, vec![1, 2]), (1, vec![1]), (30, vec![1])] {
        let (mut outbox, lengths) = three_in_flight();
        let found = outbox.break_off(unsent_of_second + lengths[2], false);
        assert_eq!(numbers(&found), uncertain);
        let waiting: Vec<u32> = (uncertain.len() as u32 + 1..=4).collect();
        assert_eq!(numbers(&outbox.take_all()), waiting);
        assert!(!outbox.has_in_flight());
    }
}

#[test]
fn through_tls_a_command_may_have_arrived_once_a_byte_is_written() {
    let (mut outbox, lengths) = three_in_flight();
    let found = outbox.break_off(lengths[1] - 1 + lengths[2], true);
    assert_eq!(numbers(&found), [1, 2]);
    let (mut outbox, lengths) = three_in_flight();
    assert_eq!(numbers(&outbox.break_off(lengths[1] + lengths[2], true)), [1]);
}

#[test]
fn replies_around_the_command_are_told_apart() {
    let wait = Wait { replicas: 1, aof: false, timeout: Duration::from_secs(1) };
    let mut outbox = outbox([call(1, "a", b"$1\r\nx\r\n"), call(2, "b", b"$1\r\nx\r\n")]);
    let calls = outbox.take();
    outbox.compose(calls, &Wrapping { asking: true, wait }, &mut Vec::new());
    for number in [1, 2] {
        assert!(matches!(outbox.answered(Reply::SimpleString("OK".into())), Answered::InPart));
        assert!(matches!(outbox.answered(Reply::Integer(7)), Answered::InPart));
        let Answered::Whole(calls, _, answer) = outbox.answered(Reply::Integer(9)) else { panic!("the last answer") };
        assert_eq!(numbers(&calls), [number]);
        assert_eq!((answer.reply, answer.waited), (Reply::Integer(7), Some(Reply::Integer(9))));
    }
}

#[test]
fn a_command_counts_as_written_without_what_is_behind_it() {
    let wait = Wait { replicas: 1, aof: false, timeout: Duration::from_secs(1) };
    let wrapping = Wrapping { asking: false, wait };
    for (missing, uncertain) in [(0, 1), (wrapping.after().len(), 1), (wrapping.after().len() + 1, 0)] {
        let mut outbox = outbox([call(1, "a", b"$1\r\nx\r\n")]);
        let calls = outbox.take();
        outbox.compose(calls, &wrapping, &mut Vec::new());
        assert_eq!(outbox.break_off(missing, false).len(), uncertain, "{missing}");
    }
}

#[test]
fn positions_begin_again_with_a_new_connection() {
    let (mut outbox, lengths) = three_in_flight();
    outbox.break_off(lengths.iter().sum(), false);
    let calls = outbox.take();
    let mut out = Vec::new();
    outbox.compose(calls, &PLAIN, &mut out);
    assert_eq!(numbers(&outbox.break_off(out.len(), false)), [] as [u32; 0]);
    assert_eq!(numbers(&outbox.take_all()), [1, 2, 3, 4]);
}

#[test]
fn calls_that_are_given_back_keep_their_order() {
    let mut outbox = outbox((1..=6).map(|n| call(n, "q", b"x")));
    let mut calls = outbox.take();
    let second = calls.split_off(2);
    outbox.push(call(7, "q", b"x"));
    outbox.give_back(calls);
    outbox.give_back(second);
    assert_eq!(numbers(&outbox.take_all()), [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn only_overdue_calls_expire() {
    let mut outbox = outbox((1..=4).map(|n| call(n, "q", b"x")));
    assert_eq!(outbox.oldest(), Some(Duration::from_millis(1)));
    assert_eq!(numbers(&outbox.expire(Duration::from_millis(2))), [1, 2]);
    assert_eq!(outbox.oldest(), Some(Duration::from_millis(3)));
    assert_eq!(outbox.oldest_in_flight(), None);
    let calls = outbox.take();
    outbox.compose(calls, &PLAIN, &mut Vec::new());
    assert_eq!(outbox.oldest_in_flight(), Some(Duration::from_millis(3)));
    assert!(outbox.expire(Duration::from_secs(9)).is_empty());
}
