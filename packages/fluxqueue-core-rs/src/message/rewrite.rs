//! A message with one thing changed. All other bytes stay as they are, options too.
//!
//! Why: docs/decisions/0004-unknown-since-in-the-message.md

use bytes::Bytes;

use super::head::{GROWTH_MAX, Head, OPTS_MAX, REQUEUES_MAX};
use super::opts::{COUNT_MAX, Opts};
use super::parse::Message;
use crate::errors::Result;

const UNKNOWN_SINCE: &[u8] = br#","unknown_since":"#;
const CHECKPOINT: &[u8] = br#","checkpoint":"#;

/// The bytes between the head and the closing brace, without the note that a worker did
/// not know the name; and whether no such note is left.
fn rest(message: &Message) -> (&[u8], bool) {
    // JSON may end in white space.
    let rest = message.behind_head().trim_ascii_end();
    let rest = rest.strip_suffix(b"}").unwrap_or(rest);
    if message.unknown_since.is_none() {
        return (rest, true);
    }
    // `with_unknown_since` writes the note last. Another program may have written it
    // elsewhere; then it stays.
    match memchr::memmem::rfind(rest, UNKNOWN_SINCE) {
        Some(at) if rest[at + UNKNOWN_SINCE.len()..].iter().all(u8::is_ascii_digit) => (&rest[..at], true),
        _ => (rest, false),
    }
}

fn rewrite(message: &Message, head: Head, unknown_since: Option<u64>) -> Bytes {
    let (rest, has_no_note) = rest(message);
    let mut out = Vec::with_capacity(message.raw.len() + GROWTH_MAX);
    head.write(&mut out);
    out.extend_from_slice(rest);
    if let Some(since) = unknown_since
        && has_no_note
    {
        out.extend_from_slice(UNKNOWN_SINCE);
        out.extend_from_slice(itoa::Buffer::new().format(since).as_bytes());
    }
    out.push(b'}');
    out.into()
}

/// The next attempt, after a failure of the task.
pub fn with_retry(message: &Message) -> Bytes {
    rewrite(message, Head { retries: message.retries.saturating_add(1), ..message.head() }, None)
}

/// The same attempt, which the task has put off.
pub fn with_snooze(message: &Message) -> Bytes {
    with_opts(message, |opts| opts.snoozes = COUNT_MAX.min(opts.snoozes + 1))
}

/// The same attempt, which a drain has cut off.
pub fn with_release(message: &Message) -> Bytes {
    with_opts(message, |opts| opts.releases = COUNT_MAX.min(opts.releases + 1))
}

fn with_opts(message: &Message, change: impl FnOnce(&mut Opts)) -> Bytes {
    let mut opts = message.opts();
    change(&mut opts);
    let json = opts.write();
    // Only options that another program wrote leave no room: the count then stays.
    let json = if json.len() > OPTS_MAX { message.opts_json().unwrap_or_default() } else { json.as_bytes() };
    rewrite(message, Head { opts: Some(json), ..message.head() }, None)
}

/// The first attempt again, for a dead task that an operator requeues: without its counts, and
/// without what was noted of their causes. It has another field than each attempt before it.
///
/// Why: docs/decisions/0165-a-dead-task-begins-again.md
pub fn with_requeue(message: &Message, keeps_expiry: bool) -> Bytes {
    let mut opts = message.opts();
    (opts.condemned, opts.snoozes, opts.releases) = (None, 0, 0);
    if !keeps_expiry {
        opts.expires = None;
    }
    let json = (!opts.is_empty()).then(|| opts.write());
    let opts = json.as_deref().map(str::as_bytes);
    let requeues = REQUEUES_MAX.min(message.requeues + 1);
    rewrite(message, Head { deliveries: 0, retries: 0, requeues, opts, ..message.head() }, None)
}

/// The same attempt, with the checkpoint that its task has reached: a JSON value.
///
/// Why: docs/decisions/0113-a-checkpoint-is-part-of-the-message.md
pub fn with_checkpoint(message: &Message, checkpoint: &[u8]) -> Bytes {
    let raw = &message.raw;
    let mut out = Vec::with_capacity(raw.len() + CHECKPOINT.len() + checkpoint.len());
    if let Some(last) = &message.checkpoint {
        out.extend_from_slice(&raw[..last.start]);
        out.extend_from_slice(checkpoint);
        out.extend_from_slice(&raw[last.end..]);
        return out.into();
    }
    // JSON may end in white space.
    let whole = raw.trim_ascii_end();
    out.extend_from_slice(whole.strip_suffix(b"}").unwrap_or(whole));
    out.extend_from_slice(CHECKPOINT);
    out.extend_from_slice(checkpoint);
    out.push(b'}');
    out.into()
}

/// How many bytes the message has with a checkpoint of `bytes` bytes.
pub fn len_with_checkpoint(message: &Message, bytes: usize) -> usize {
    match &message.checkpoint {
        Some(last) => message.raw.len() - last.len() + bytes,
        None => message.raw.len() + CHECKPOINT.len() + bytes,
    }
}

/// The same attempt, noting when a worker first did not know its name.
pub fn with_unknown_since(message: &Message, since_ms: u64) -> Bytes {
    rewrite(message, message.head(), Some(since_ms))
}

/// The same attempt after the loss of the worker that held it, and the new count.
/// Rule 9: counts are raised here; a script stores them if the old field is still there. Rule 18: a
/// condemned message stays as it is.
pub fn with_delivery(raw: Bytes) -> Result<(Message, Bytes, u32)> {
    let message = Message::parse(raw)?;
    if message.condemned.is_some() {
        let (raw, deliveries) = (message.raw.clone(), message.deliveries);
        return Ok((message, raw, deliveries));
    }
    let deliveries = message.deliveries.saturating_add(1);
    let raised = rewrite(&message, Head { deliveries, ..message.head() }, message.unknown_since);
    Ok((message, raised, deliveries))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::envelope::{Envelope, Tail};
    use crate::message::head::field;
    use crate::message::terms::Terms;

    const ID: &[u8; 36] = b"019aa0c2-7b1f-7c3e-8d2a-0123456789ab";

    fn message(name: &str, args: &str, kwargs: Option<&str>, max_retries: u32) -> Bytes {
        let envelope = Envelope::new(name, &Terms { max_retries, ..Terms::default() }).expect("a good name");
        let mut out = Vec::new();
        envelope.write(&mut out, &Head::new(ID), args.as_bytes(), kwargs.map(str::as_bytes), &Tail::default());
        out.into()
    }

    /// The same message with options, and so of version 2.
    fn with_opts(raw: Bytes, opts: &str) -> Bytes {
        let message = Message::parse(raw).expect("well formed");
        let mut out = Vec::new();
        Head { opts: Some(opts.as_bytes()), ..message.head() }.write(&mut out);
        out.extend_from_slice(message.behind_head());
        out.into()
    }

    #[test]
    fn a_small_message_has_no_defaults() {
        let raw = message("noop", "[1]", None, 3);
        assert_eq!(&raw[..], br#"{"v":1,"id":"019aa0c2-7b1f-7c3e-8d2a-0123456789ab","name":"noop","args":[1]}"#);
    }

    #[test]
    fn unknown_fields_and_exact_bytes_survive_a_retry() {
        let raw = Bytes::from(
            r#"{"v":1,"id":"019aa0c2-7b1f-7c3e-8d2a-0123456789ab","name":"n","args":[[],9007199254740993],"later":{"x": []}}"#,
        );
        let retried = with_retry(&Message::parse(raw.clone()).expect("well formed"));
        let again = Message::parse(retried.clone()).expect("well formed");
        assert_eq!(again.retries, 1);
        assert!(retried.ends_with(br#""name":"n","args":[[],9007199254740993],"later":{"x": []}}"#));
        let (_, raised, deliveries) = with_delivery(retried).expect("well formed");
        assert_eq!(deliveries, 1);
        let begin = br#"{"v":1,"id":"019aa0c2-7b1f-7c3e-8d2a-0123456789ab","deliveries":1,"retries":1,"name":"n""#;
        assert!(raised.starts_with(begin));
    }

    #[test]
    fn no_message_grows_by_more_than_the_bound() {
        let plain = message("n", "[]", None, u32::MAX);
        for (sent, condemned, most) in [
            (plain.clone(), r#"{"e":2,"s":99999,"b":99999}"#, GROWTH_MAX),
            (
                with_opts(plain, r#"{"p":5}"#),
                r#"{"e":2,"p":5,"s":99999,"b":99999}"#,
                GROWTH_MAX - r#","opts":{}"#.len() + 1,
            ),
        ] {
            let message = Message::parse(sent.clone()).expect("well formed");
            let opts = Some(condemned.as_bytes());
            let (deliveries, retries, requeues) = (u32::MAX, u32::MAX, REQUEUES_MAX);
            let head = Head { deliveries, retries, requeues, opts, ..message.head() };
            assert_eq!(rewrite(&message, head, Some(u64::MAX)).len(), sent.len() + most);
        }
    }

    #[test]
    fn an_unknown_name_is_noted_and_forgotten_by_a_retry() {
        let first = Message::parse(message("n", r#"[",\"unknown_since\":7}"]"#, None, 5)).expect("well formed");
        let noted = Message::parse(with_unknown_since(&first, 123)).expect("well formed");
        assert_eq!(noted.unknown_since, Some(123));
        assert_eq!(noted.field_bytes(), first.field_bytes());
        let renoted = with_unknown_since(&noted, 123);
        assert_eq!(renoted, noted.raw);
        let retried = Message::parse(with_retry(&noted)).expect("well formed");
        assert_eq!((retried.unknown_since, retried.terms.max_retries), (None, 5));
        let (_, raised, _) = with_delivery(noted.raw).expect("well formed");
        assert_eq!(Message::parse(raised).expect("well formed").unknown_since, Some(123));
    }

    #[test]
    fn a_requeued_message_has_only_the_count_of_requeues() {
        let plain = message("n", "[1]", None, 5);
        let begun = Message::parse(plain.clone()).expect("well formed");
        let noted = with_unknown_since(&Message::parse(with_retry(&begun)).expect("well formed"), 7);
        let (_, raised, _) = with_delivery(noted).expect("well formed");
        let dead = Message::parse(raised).expect("well formed");
        let again = with_requeue(&dead, true);
        assert!(again.starts_with(br#"{"v":1,"id":"019aa0c2-7b1f-7c3e-8d2a-0123456789ab","requeues":1,"name":"n""#));
        let begin_again = Message::parse(again.clone()).expect("well formed");
        assert_eq!(begin_again.behind_head(), begun.behind_head());
        assert_ne!(begin_again.field_bytes(), begun.field_bytes());
        let twice = Message::parse(with_requeue(&begin_again, true)).expect("well formed");
        assert_eq!((twice.requeues, twice.retries), (2, 0));
        assert_eq!(Message::parse(with_retry(&twice)).expect("well formed").requeues, 2);
        // Of a message that was condemned and put off nothing is left in its options.
        let counted = Message::parse(with_opts(plain.clone(), r#"{"e":1,"s":3,"b":2}"#)).expect("well formed");
        assert_eq!(with_requeue(&counted, true), again);
        let opts = r#"{"e":1,"p":5,"x":1764430000000,"r":60000,"s":3,"zz":"1"}"#;
        let known = Message::parse(with_opts(plain, opts)).expect("well formed");
        let kept = |keeps| {
            let again = Message::parse(with_requeue(&known, keeps)).expect("well formed");
            String::from_utf8_lossy(again.opts_json().expect("there")).into_owned()
        };
        assert_eq!(kept(true), r#"{"p":5,"x":1764430000000,"r":60000,"zz":"1"}"#);
        assert_eq!(kept(false), r#"{"p":5,"r":60000,"zz":"1"}"#);
    }

    #[test]
    fn a_note_behind_an_object_is_forgotten_without_harm() {
        for last in [r#""headers":{"a":"b"}"#, r#""headers":{}"#, r#""kwargs":{"a":{}}"#] {
            let raw = format!(r#"{{"v":1,"id":"019aa0c2-7b1f-7c3e-8d2a-0123456789ab","name":"n","args":[],{last}}}"#);
            let first = Message::parse(raw.into()).expect("well formed");
            let noted = Message::parse(with_unknown_since(&first, 123)).expect("well formed");
            assert_eq!(with_retry(&noted), with_retry(&first));
            let (_, raised, _) = with_delivery(noted.raw).expect("well formed");
            assert_eq!(Message::parse(raised).expect("well formed").unknown_since, Some(123));
        }
    }

    #[test]
    fn a_checkpoint_is_replaced_and_survives_every_rewriting() {
        let head = r#"{"v":1,"id":"019aa0c2-7b1f-7c3e-8d2a-0123456789ab","name":"n","args":[{"checkpoint":1}]"#;
        for end in
            ["}", "} \n", r#","checkpoint":null}"#, r#","checkpoint" : [0] ,"later":{}}"#, r#","unknown_since":7}"#]
        {
            let first = Message::parse(format!("{head}{end}").into()).expect("JSON");
            let once = Message::parse(with_checkpoint(&first, br#"{"row":"}"}"#)).expect("JSON");
            assert_eq!(once.field_bytes(), first.field_bytes());
            let raw = with_checkpoint(&once, b"[2]");
            assert_eq!(with_checkpoint(&first, b"[2]"), raw);
            assert_eq!(len_with_checkpoint(&once, 3), raw.len());
            assert_eq!(len_with_checkpoint(&first, 3), raw.len() + usize::from(end == "} \n") * 2);
            let last = |raw: Bytes| {
                let message = Message::parse(raw.clone()).expect("JSON");
                String::from_utf8_lossy(&raw[message.checkpoint.expect("there")]).into_owned()
            };
            let message = Message::parse(raw.clone()).expect("JSON");
            let raised = with_delivery(raw).expect("JSON").1;
            for raw in [with_retry(&message), with_snooze(&message), with_release(&message), raised] {
                assert_eq!(last(raw), "[2]", "{end}");
            }
            let noted = Message::parse(with_unknown_since(&message, 9)).expect("JSON");
            assert_eq!(last(with_retry(&noted)), "[2]", "{end}");
        }
        let plain = Message::parse(format!("{head}}}").into()).expect("JSON");
        assert_eq!(&with_checkpoint(&plain, b"3")[..], format!(r#"{head},"checkpoint":3}}"#).as_bytes());
    }

    #[test]
    fn messages_of_other_programs_can_be_rewritten() {
        let head = r#"{"v":1,"id":"019aa0c2-7b1f-7c3e-8d2a-0123456789ab","name":"n","args":[]"#;
        for (end, since) in
            [(r#","unknown_since":7,"later":{}}"#, 7), (r#","unknown_since" : 7}"#, 7), ("}\n \t\r\n", 123)]
        {
            let message = Message::parse(format!("{head}{end}").into()).expect("JSON");
            let noted = Message::parse(with_unknown_since(&message, 123)).expect("rewritten");
            assert_eq!(noted.unknown_since, Some(since), "{end}");
            assert_eq!(Message::parse(with_retry(&noted)).expect("rewritten").retries, 1);
            assert!(with_delivery(with_delivery(message.raw).expect("rewritten").1).is_ok());
        }
    }

    proptest! {
        #[test]
        fn messages_are_read_as_they_were_written(
            name in "[a-z\"\\\\é]{1,20}",
            args in proptest::collection::vec(any::<i64>(), 0..5),
            word in ".{0,30}",
            max_retries in any::<u32>(),
            opts in proptest::option::of(r#"\{("[a-z]{2,3}":("[0-9a-f:]{0,30}"|[1-9][0-9]{0,11}))?\}"#),
            failures in 0u32..4,
            losses in 0u32..4,
        ) {
            let args = serde_json::to_string(&args).expect("numbers");
            let kwargs = serde_json::to_string(&std::collections::HashMap::from([("w", &word)])).expect("a string");
            let mut raw = message(&name, &args, Some(&kwargs), max_retries);
            if let Some(opts) = &opts { raw = with_opts(raw, opts); }
            for _ in 0..failures { raw = with_retry(&Message::parse(raw).expect("well formed")); }
            for _ in 0..losses { raw = with_delivery(raw).expect("well formed").1; }
            let m = Message::parse(raw.clone()).expect("well formed");
            prop_assert_eq!(&m.name, &name);
            prop_assert_eq!(&raw[m.args.clone()], args.as_bytes());
            prop_assert_eq!(&raw[m.kwargs.clone().expect("given")], kwargs.as_bytes());
            prop_assert_eq!((m.retries, m.deliveries, m.terms.max_retries), (failures, losses, max_retries));
            prop_assert_eq!(m.opts_json(), opts.as_deref().map(str::as_bytes));
            prop_assert_eq!(field(&raw), Some(m.field.clone()));
        }

        #[test]
        fn no_bytes_make_it_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
            well_begun in any::<bool>(),
            has_opts in any::<bool>(),
        ) {
            if well_begun {
                let plain = message("n", "[]", None, 3);
                let mut whole = if has_opts { with_opts(plain, r#"{"p":5}"#) } else { plain }.to_vec();
                whole.truncate(bytes.len() % (whole.len() + 1));
                whole.append(&mut bytes);
                bytes = whole;
            }
            let raw = Bytes::from(bytes);
            let position = field(&raw);
            if let Ok(m) = Message::parse(raw.clone()) {
                prop_assert_eq!(Some(m.field.clone()), position);
                let _ = with_retry(&m);
            }
            let _ = with_delivery(raw);
        }
    }
}
