//! Feeds the readers of replies and messages with bytes that are arbitrary, mutated, or cut
//! at any place. A reader never panics, holds little more memory than its input, and returns
//! the values that were written.
//!
//! Each test tries FLUXQUEUE_FUZZ_CASES inputs, 256 by default. `scripts/fuzz` tries many.
//!
//! Why: docs/decisions/0035-replies-are-bounded-before-they-are-decoded.md

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use _core::connection::{Frame, Reply};
use _core::message::{self, Envelope, Head, Message, Tail, Terms, with_delivery, with_retry, with_unknown_since};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use proptest::sample::Index;

/// Counts the bytes that each thread holds, and the most that it held.
struct Counting;

thread_local! {
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

fn count(bytes: isize) {
    // There is no cell while a thread ends, but then no test reads it.
    let _ = HELD.try_with(|held| {
        let now = held.get().0 + bytes;
        held.set((now, held.get().1.max(now)));
    });
}

// SAFETY: every request goes to the system's allocator unchanged. Counting allocates
// nothing, since the cell is initialized at compile time.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller guarantees that `layout` is valid.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above; `place` came from `System`.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `work`. Returns its result, and the most bytes that it held.
fn measured<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.with(|held| {
        let now = held.get().0;
        held.set((now, now));
        now
    });
    let result = work();
    (result, (HELD.with(Cell::get).1 - before).max(0) as usize)
}

/// The most bytes that a reader may hold for an input: a multiple of its size, and room for
/// small inputs (the decoder reserves 64 KiB of elements at each of eight depths).
fn may_hold(input: usize) -> usize {
    (1 << 20) + 100 * input
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("FLUXQUEUE_FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(256);
    ProptestConfig { cases, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() }
}

/// A change of some bytes: replace, remove, insert, double, or cut them off.
#[derive(Clone, Debug)]
enum Mutation {
    Replace(Index, u8),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    Twice(Index, usize),
    Cut(Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    // Bytes that change the meaning of those that follow.
    let telling = prop::sample::select(vec![
        &b"\r\n"[..],
        b"*",
        b"$",
        b"$-1\r\n",
        b"*1\r\n",
        b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
        b":",
        b"-ERR \r\n",
        b"99999999999999999999",
        b"9223372036854775807",
        b"-1",
        b"\"",
        b"\\",
        b"\\u",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b",\"name\":",
        b",\"retries\":1",
        b",\"deliveries\":4294967295",
        b",\"unknown_since\":7}",
        b"\xff",
        b"\0",
        b"1e999",
        b"{\"v\":1,\"id\":\"",
        b"{\"v\":2,\"id\":\"",
        b",\"opts\":{}",
        b",\"opts\":{\"p\":5,\"u\":\"0f:1\"}",
    ]);
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        (any::<Index>(), 1..20usize).prop_map(|(at, n)| Mutation::Remove(at, n)),
        (any::<Index>(), telling).prop_map(|(at, text)| Mutation::Insert(at, text.to_vec())),
        (any::<Index>(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, new)| Mutation::Insert(at, new)),
        (any::<Index>(), 1..40usize).prop_map(|(at, n)| Mutation::Twice(at, n)),
        any::<Index>().prop_map(Mutation::Cut),
    ]
}

fn mutate(mut bytes: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    for mutation in mutations {
        let size = bytes.len() + 1;
        match mutation {
            Mutation::Replace(at, byte) => {
                let at = at.index(size);
                if let Some(old) = bytes.get_mut(at) {
                    *old = *byte;
                }
            }
            Mutation::Remove(at, n) => {
                let at = at.index(size);
                bytes.drain(at..bytes.len().min(at + n));
            }
            Mutation::Insert(at, new) => {
                let at = at.index(size);
                bytes.splice(at..at, new.iter().copied());
            }
            Mutation::Twice(at, n) => {
                let at = at.index(size);
                let part = bytes[at..bytes.len().min(at + n)].to_vec();
                bytes.splice(at..at, part);
            }
            Mutation::Cut(at) => bytes.truncate(at.index(size)),
        }
    }
    bytes
}

/// Decodes bytes that arrive in pieces of these sizes. Returns the replies before the first
/// error, and whether there was one.
fn replies(bytes: &[u8], pieces: &[usize]) -> (Vec<Reply>, bool) {
    let (mut frame, mut incoming, mut found) = (Frame::default(), BytesMut::new(), Vec::new());
    let mut pieces = pieces.iter().copied().cycle();
    let mut rest = bytes;
    loop {
        loop {
            match frame.decode(&mut incoming) {
                Ok(Some(reply)) => found.push(reply),
                Ok(None) => break,
                Err(_) => return (found, true),
            }
        }
        if rest.is_empty() {
            return (found, false);
        }
        let (piece, later) = rest.split_at(rest.len().min(pieces.next().unwrap_or(rest.len()).max(1)));
        incoming.extend_from_slice(piece);
        rest = later;
    }
}

fn check_replies(bytes: &[u8], pieces: &[usize]) {
    let ((in_pieces, broke), held) = measured(|| replies(bytes, pieces));
    assert!(held <= may_hold(bytes.len()), "{held} bytes for {} bytes", bytes.len());
    assert_eq!((in_pieces, broke), replies(bytes, &[]));
}

fn encode(reply: &Reply, out: &mut Vec<u8>) {
    let mut line = |kind: char, text: &[u8]| {
        out.push(kind as u8);
        out.extend_from_slice(text);
        out.extend_from_slice(b"\r\n");
    };
    match reply {
        Reply::SimpleString(text) => line('+', text),
        Reply::Error(text) => line('-', text.as_bytes()),
        Reply::Integer(n) => line(':', n.to_string().as_bytes()),
        Reply::Null => line('$', b"-1"),
        Reply::BulkString(bytes) => {
            line('$', bytes.len().to_string().as_bytes());
            out.extend_from_slice(bytes);
            out.extend_from_slice(b"\r\n");
        }
        Reply::Array(items) => {
            line('*', items.len().to_string().as_bytes());
            items.iter().for_each(|item| encode(item, out));
        }
    }
}

fn reply() -> impl Strategy<Value = Reply> {
    let leaf = prop_oneof![
        "[ -~]{0,20}".prop_map(|text| Reply::SimpleString(text.into())),
        "[ -~]{0,20}".prop_map(|text| Reply::Error(text.into())),
        any::<i64>().prop_map(Reply::Integer),
        Just(Reply::Null),
        prop::collection::vec(any::<u8>(), 0..60).prop_map(|bytes| Reply::BulkString(bytes.into())),
    ];
    leaf.prop_recursive(6, 40, 8, |inner| prop::collection::vec(inner, 0..8).prop_map(Reply::Array))
}

/// JSON of arbitrary shape, as text.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(|f| format!("{f:e}")),
        any::<String>().prop_map(|text| serde_json::to_string(&text).expect("a string")),
    ];
    leaf.prop_recursive(4, 30, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((any::<String>(), inner), 0..6).prop_map(|pairs| {
                let pair = |(k, v): &(String, String)| format!("{}:{v}", serde_json::to_string(k).expect("a string"));
                format!("{{{}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

const ID: &[u8; 36] = b"019aa0c2-7b1f-7c3e-8d2a-0123456789ab";

prop_compose! {
    /// A message of the protocol whose counters were raised a few times.
    fn well_formed()(
        name in "[a-z\"\\\\é任/.-]{1,20}",
        args in prop::collection::vec(json(), 0..5),
        kwargs in prop::option::of(prop::collection::btree_map("[a-z\"\\\\]{0,8}", json(), 0..4)),
        max_retries in any::<u32>(),
        timeout in prop::option::of(0.001..3e7),
        headers in prop::option::of(prop::collection::btree_map("[a-z]{1,8}", any::<String>(), 0..4)),
        failures in 0..3u32,
        losses in 0..3u32,
        unknown in prop::option::of(any::<u64>()),
        opts in prop::option::of(r#"\{("[a-z]{2,3}":("[0-9a-f:]{0,30}"|[1-9][0-9]{0,11}))?\}"#),
    ) -> Vec<u8> {
        let envelope = Envelope::new(&name, &Terms { max_retries, timeout, ..Terms::default() }).expect("a good name");
        let args = format!("[{}]", args.join(","));
        let kwargs = kwargs.map(|pairs| {
            let pair = |(k, v): (&String, &String)| format!("{}:{v}", serde_json::to_string(k).expect("a string"));
            format!("{{{}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(","))
        });
        let headers = headers.map(|pairs| serde_json::to_string(&pairs).expect("strings"));
        let head = Head { opts: opts.as_deref().map(str::as_bytes), ..Head::new(ID) };
        let mut out = Vec::new();
        let tail = Tail { headers: headers.as_deref().map(str::as_bytes), ..Tail::default() };
        envelope.write(&mut out, &head, args.as_bytes(), kwargs.as_deref().map(str::as_bytes), &tail);
        let mut raw = Bytes::from(out);
        for _ in 0..failures {
            raw = with_retry(&Message::parse(raw).expect("well formed"));
        }
        for _ in 0..losses {
            raw = with_delivery(raw).expect("well formed").1;
        }
        if let Some(since) = unknown {
            raw = with_unknown_since(&Message::parse(raw).expect("well formed"), since);
        }
        raw.to_vec()
    }
}

fn parsed(raw: Bytes) -> Message {
    Message::parse(raw.clone()).unwrap_or_else(|e| panic!("{e}: {:?}", String::from_utf8_lossy(&raw)))
}

/// Checks that a message that can be read can also be rewritten, and that a rewrite changes
/// only one part.
fn check_message(raw: Vec<u8>) {
    let raw = Bytes::from(raw);
    let (outcome, held) = measured(|| Message::parse(raw.clone()));
    assert!(held <= may_hold(raw.len()), "{held} bytes for {} bytes", raw.len());
    let field = message::field(&raw);
    let Ok(m) = outcome else { return };
    assert_eq!(field, Some(m.field.clone()));
    let same = |other: &Message, what: &str| {
        assert_eq!(other.name, m.name, "{what}");
        assert_eq!(other.task_id(), m.task_id(), "{what}");
        assert_eq!(other.raw[other.args.clone()], raw[m.args.clone()], "{what}");
        let kwargs = |of: &Message| of.kwargs.clone().map(|range| of.raw.slice(range));
        assert_eq!(kwargs(other), kwargs(&m), "{what}");
        assert_eq!(other.opts(), m.opts(), "{what}");
        assert_eq!(other.terms, m.terms, "{what}");
    };
    let retried = parsed(with_retry(&m));
    same(&retried, "retried");
    assert_eq!((retried.retries, retried.deliveries), (m.retries.saturating_add(1), m.deliveries));
    let noted = parsed(with_unknown_since(&m, 12345));
    same(&noted, "noted");
    assert_eq!(noted.field_bytes(), m.field_bytes());
    // A note that another program has put in another place stays.
    assert!(
        noted.unknown_since == Some(12345) || (noted.unknown_since.is_some() && noted.unknown_since == m.unknown_since)
    );
    let (_, raised, deliveries) = with_delivery(raw.clone()).expect("it was read before");
    let raised = parsed(raised);
    same(&raised, "raised");
    assert_eq!((raised.deliveries, raised.retries), (deliveries, m.retries));
    assert_eq!(raised.unknown_since, m.unknown_since);
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn arbitrary_bytes_as_replies(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"*$+-:\r\n0123456789".to_vec())], 0..200),
        pieces in prop::collection::vec(1..20usize, 1..5),
    ) {
        check_replies(&bytes, &pieces);
    }

    #[test]
    fn replies_are_read_as_they_were_written(
        sent in prop::collection::vec(reply(), 1..4),
        pieces in prop::collection::vec(1..30usize, 1..5),
    ) {
        let mut bytes = Vec::new();
        sent.iter().for_each(|reply| encode(reply, &mut bytes));
        prop_assert_eq!(replies(&bytes, &pieces), (sent, false));
    }

    #[test]
    fn mutated_replies(
        sent in prop::collection::vec(reply(), 1..4),
        mutations in prop::collection::vec(mutation(), 1..6),
        pieces in prop::collection::vec(1..30usize, 1..5),
    ) {
        let mut bytes = Vec::new();
        sent.iter().for_each(|reply| encode(reply, &mut bytes));
        check_replies(&mutate(bytes, &mutations), &pieces);
    }

    #[test]
    fn nested_replies_and_huge_lengths(
        parts in prop::collection::vec(("[*$]", prop_oneof![0..4i64, any::<i64>(), Just(i64::MAX)]), 1..400),
        ends in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let heads: String = parts.iter().map(|(kind, n)| format!("{kind}{n}\r\n")).collect();
        check_replies(&[heads.as_bytes(), &ends].concat(), &[4096]);
    }

    #[test]
    fn arbitrary_bytes_as_messages(
        head in prop::sample::select(vec![&b""[..], br#"{"v":1,"id":"#, br#"{"v":1,"id":"019aa0c2-7b1f-7c3e-8d2a-0123456789ab""#,
            br#"{"v":1,"id":"019aa0c2-7b1f-7c3e-8d2a-0123456789ab","name":"#,
            br#"{"v":2,"id":"019aa0c2-7b1f-7c3e-8d2a-0123456789ab","opts":{"#,
            br#"{"v":2,"id":"019aa0c2-7b1f-7c3e-8d2a-0123456789ab","opts":{},"name":"n","args":[]"#]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        check_message([head, &bytes].concat());
    }

    #[test]
    fn messages_are_rewritten_in_one_thing_alone(raw in well_formed()) {
        prop_assert!(Message::parse(raw.clone().into()).is_ok());
        check_message(raw);
    }

    #[test]
    fn mutated_messages(raw in well_formed(), mutations in prop::collection::vec(mutation(), 1..6)) {
        check_message(mutate(raw, &mutations));
    }

    #[test]
    fn nested_messages(depth in prop_oneof![9 => 0..300usize, 1 => 0..20_000usize], close in any::<bool>(), open in "[\\[{]") {
        let inner = match open.as_str() {
            "[" => "[".repeat(depth) + &"]".repeat(if close { depth } else { 0 }),
            _ => r#"{"a":"#.repeat(depth) + "1" + &"}".repeat(if close { depth } else { 0 }),
        };
        for place in ["args", "kwargs", "headers", "later"] {
            let value = if place == "args" { format!("[{inner}]") } else { format!("[],\"{place}\":{inner}") };
            check_message(
                format!(r#"{{"v":1,"id":"019aa0c2-7b1f-7c3e-8d2a-0123456789ab","name":"n","args":{value}}}"#).into_bytes(),
            );
        }
    }
}
