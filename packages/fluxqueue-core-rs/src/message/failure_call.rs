//! The call that follows when a task with a callback has ended without success.
//!
//! Why: docs/decisions/0115-a-message-names-its-callback.md

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::callback::Callback;
use super::envelope::{Envelope, Tail};
use super::head::Head;
use super::parse::Message;
use super::terms::Terms;
use crate::{ids, names};

/// The limit of a message that applies where no setting is known: the default of clients.
pub const DEFAULT_MOST: usize = 8 * 1024 * 1024;

/// The member of a message.
const MEMBER: &[u8] = br#""on_failure""#;

/// The end of a task that has a callback.
pub struct Death<'a> {
    /// The task's queue.
    pub queue: &'a str,
    /// A reason of the dead set, or `expired`.
    pub reason: &'a str,
    /// The error, in one line.
    pub error: &'a str,
    /// Its traceback.
    pub traceback: Option<&'a str>,
    /// Whether an attempt ended the task.
    pub has_begun: bool,
    /// The most bytes of the call. Arguments that do not fit are left out of it.
    pub most: usize,
}

/// A call that a script enqueues together with the end of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureCall {
    /// The queue of the callback.
    pub queue: String,
    /// The message.
    pub message: Vec<u8>,
}

/// The members of `fluxqueue.Failure`.
#[derive(Serialize)]
struct Argument<'a> {
    id: &'a str,
    name: &'a str,
    queue: &'a str,
    reason: &'a str,
    error: &'a str,
    traceback: &'a str,
    attempts: u32,
    args: Option<&'a RawValue>,
    kwargs: Option<&'a RawValue>,
}

/// The task that has ended, as its message says.
struct Dead<'a> {
    id: &'a str,
    retries: u32,
    name: &'a str,
    args: Option<&'a RawValue>,
    kwargs: Option<&'a RawValue>,
    headers: Option<&'a [u8]>,
}

impl Death<'_> {
    /// The call of the task's callback. None: it has none.
    pub fn call(&self, message: &Message) -> Option<FailureCall> {
        let callback = Callback::read(message.on_failure()?).ok()?;
        // Arguments that can't be decoded here can't be decoded there.
        let has_arguments = self.reason != "malformed";
        let part = |range: std::ops::Range<usize>| serde_json::from_slice(&message.raw[range]).ok();
        Some(self.call_of(
            callback,
            Dead {
                id: message.task_id(),
                retries: message.retries,
                name: &message.name,
                args: has_arguments.then(|| part(message.args.clone())).flatten(),
                kwargs: message.kwargs.clone().filter(|_| has_arguments).and_then(part),
                headers: message.headers_json(),
            },
        ))
    }

    /// As `call`, for bytes that are not a whole message, if their callback can be read.
    pub fn call_of_bytes(&self, raw: &[u8]) -> Option<FailureCall> {
        #[derive(Deserialize)]
        struct Known<'a> {
            #[serde(borrow, default)]
            name: Option<Cow<'a, str>>,
            #[serde(borrow)]
            on_failure: &'a RawValue,
        }
        // Few messages have one, and this one may be long.
        memchr::memmem::find(raw, MEMBER)?;
        let (head, _) = Head::read(raw).ok()?;
        let known: Known = serde_json::from_slice(raw).ok()?;
        let callback = Callback::read(known.on_failure.get()).ok()?;
        let name = known.name.filter(|name| names::check_task(name).is_ok()).unwrap_or_default();
        let id = std::str::from_utf8(head.id).ok()?;
        let (args, kwargs, headers) = (None, None, None);
        Some(self.call_of(callback, Dead { id, retries: head.retries, name: &name, args, kwargs, headers }))
    }

    fn call_of(&self, callback: Callback, dead: Dead) -> FailureCall {
        let empty: &RawValue = serde_json::from_str("{}").expect("an object");
        let failure = Argument {
            id: dead.id,
            name: dead.name,
            queue: self.queue,
            reason: self.reason,
            error: self.error,
            traceback: self.traceback.unwrap_or_default(),
            attempts: dead.retries + u32::from(self.has_begun),
            args: dead.args,
            kwargs: dead.kwargs.or(dead.args.map(|_| empty)),
        };
        let whole = write(&callback, &failure, dead.headers);
        let short = || write(&callback, &Argument { args: None, kwargs: None, ..failure }, None);
        let message = if whole.len() > self.most { short() } else { whole };
        FailureCall { queue: callback.queue.map_or_else(|| self.queue.to_owned(), Cow::into_owned), message }
    }
}

/// The message of a call.
fn write(callback: &Callback, failure: &Argument, headers: Option<&[u8]>) -> Vec<u8> {
    let default = Terms::default();
    let terms = Terms {
        max_retries: callback.max_retries.unwrap_or(default.max_retries),
        timeout: callback.timeout,
        result_ttl: callback.result_ttl,
        on_failure: callback.on_failure.map(|inner| inner.get().to_owned()),
        ..default
    };
    let args = serde_json::to_vec(&[failure]).expect("strings and numbers can be written into memory");
    let envelope = Envelope::new(&callback.name, &terms).expect("`read` has checked the name");
    let (id, opts) = (ids::task_id(ids::unix_ms()), terms.opts());
    let head = Head { opts: opts.as_deref().map(str::as_bytes), ..Head::new(&id) };
    let mut out = Vec::new();
    envelope.write(&mut out, &head, &args, None, &Tail { headers, ..Tail::default() });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "019aa0c2-7b1f-7c3e-8d2a-0123456789ab";

    fn death<'a>(reason: &'a str, most: usize) -> Death<'a> {
        Death { queue: "q", reason, error: "E: \"x\"", traceback: Some("Trace"), has_begun: true, most }
    }

    fn raw(members: &str) -> Vec<u8> {
        format!(r#"{{"v":1,"id":"{ID}","retries":2,"name":"n",{members}}}"#).into_bytes()
    }

    fn called(members: &str, death: &Death) -> Option<(String, Message)> {
        let call = death.call(&Message::parse(raw(members).into()).expect("well formed"))?;
        Some((call.queue, Message::parse(call.message.into()).expect("a message")))
    }

    fn text(message: &Message) -> &str {
        std::str::from_utf8(&message.raw[message.args.clone()]).expect("text")
    }

    #[test]
    fn a_callback_gets_the_failure() {
        let members = r#""args":[1, {}],"kwargs":{"a":2},"headers":{"a":"b"},"on_failure":{"name":"alert","queue":"other","max_retries":0,"timeout":2.5,"result_ttl":60,"on_failure":{"name":"last"}}"#;
        let (queue, message) = called(members, &death("failed", 10_000)).expect("it has a callback");
        assert_eq!((queue.as_str(), message.name.as_str()), ("other", "alert"));
        let expected = format!(
            r#"[{{"id":"{ID}","name":"n","queue":"q","reason":"failed","error":"E: \"x\"","traceback":"Trace","attempts":3,"args":[1, {{}}],"kwargs":{{"a":2}}}}]"#
        );
        assert_eq!(text(&message), expected);
        assert_eq!((message.terms.max_retries, message.terms.timeout), (0, Some(2.5)));
        assert_eq!(message.opts_json(), Some(&br#"{"r":60000}"#[..]));
        assert_eq!(message.on_failure(), Some(r#"{"name":"last"}"#));
        assert_eq!(message.headers_json(), Some(&br#"{"a":"b"}"#[..]));
        assert_ne!(message.task_id(), ID);
    }

    #[test]
    fn a_task_without_a_callback_has_no_call() {
        assert!(called(r#""args":[]"#, &death("failed", 10_000)).is_none());
        assert!(death("failed", 10_000).call_of_bytes(&raw(r#""args":7"#)).is_none());
    }

    #[test]
    fn the_queue_is_that_of_the_task_by_default() {
        let (queue, message) = called(r#""args":[],"on_failure":{"name":"a"}"#, &death("failed", 10_000)).expect("one");
        assert_eq!((queue.as_str(), message.terms.max_retries), ("q", 3));
        assert!(text(&message).ends_with(r#""args":[],"kwargs":{}}]"#));
    }

    #[test]
    fn arguments_that_make_the_call_too_large_or_unreadable_are_left_out() {
        let members = format!(r#""args":["{}"],"on_failure":{{"name":"a"}}"#, "x".repeat(500));
        for (reason, most) in [("failed", 500), ("malformed", 10_000)] {
            let (_, message) = called(&members, &death(reason, most)).expect("one");
            assert!(text(&message).ends_with(r#""args":null,"kwargs":null}]"#));
        }
    }

    #[test]
    fn of_a_message_that_is_malformed_the_callback_may_be_known() {
        for members in [r#""args":7,"on_failure":{"name":"a"}"#, r#""on_failure":{"name":"a"},"timeout":0,"args":[]"#] {
            assert!(Message::parse(raw(members).into()).is_err());
            let call = death("malformed", 10_000).call_of_bytes(&raw(members)).expect("known");
            let message = Message::parse(call.message.into()).expect("a message");
            assert!(text(&message).contains(r#""name":"n","queue":"q","reason":"malformed""#));
        }
        for members in [r#""args":[},"on_failure":{"name":"a"}"#, r#""args":7,"on_failure":{"name":""}"#] {
            assert!(death("malformed", 10_000).call_of_bytes(&raw(members)).is_none());
        }
    }

    #[test]
    fn a_message_with_a_bad_callback_is_malformed() {
        let message = raw(r#""args":[],"on_failure":{"name":""}"#);
        let error = Message::parse(message.into()).expect_err("malformed").to_string();
        assert!(error.contains("its on_failure can't be read"), "{error}");
    }
}
