//! Reading a message.

use std::ops::Range;

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::callback;
use super::head::{Fault, Head, field, field_of};
use super::headers::{self, Headers};
use super::opts::{Condemned, Opts};
use super::terms::{BodyTerms, Terms};
use crate::errors::{Error, Result};
use crate::ids;
use crate::names::TASK_MAX;

/// A message that has been read. `raw` has all its bytes; ranges point into it.
#[derive(Clone, Debug)]
pub struct Message {
    /// The whole message.
    pub raw: Bytes,
    /// The range of its field.
    pub field: Range<usize>,
    /// The range of the options for scripts, a JSON object.
    opts: Option<Range<usize>>,
    /// The task's name.
    pub name: String,
    /// The range of the positional arguments, a JSON array.
    pub args: Range<usize>,
    /// The range of the keyword arguments, a JSON object.
    pub kwargs: Option<Range<usize>>,
    /// How many workers were lost while they held it.
    pub deliveries: u32,
    /// How many times the task has failed.
    pub retries: u32,
    /// How many times an operator has requeued the dead task.
    pub requeues: u32,
    /// The terms of the body that the task was enqueued with. The others are in `opts`.
    pub terms: BodyTerms,
    /// The range of the headers (`traceparent` and others), a JSON object.
    headers: Option<Range<usize>>,
    /// The range of the task's last checkpoint, a JSON value.
    pub checkpoint: Option<Range<usize>>,
    /// The range of the callback, a JSON object.
    on_failure: Option<Range<usize>>,
    /// When a worker first found that it has no task of this name; ms by the clock of Redis.
    pub unknown_since: Option<u64>,
    /// When it was enqueued, ms since 1970 by the client's clock.
    pub enqueued_at: u64,
    /// When a delayed task was due, ms since 1970; as the client has reckoned it.
    pub due: Option<u64>,
    /// The end that a script has condemned it to.
    pub condemned: Option<Condemned>,
    /// No attempt begins at this moment or later; ms by the clock of Redis.
    pub expires_at: Option<u64>,
}

#[derive(Deserialize)]
struct Parts<'a> {
    #[expect(dead_code, reason = "`Head` has read it; serde refuses a message that has it twice")]
    v: u32,
    #[serde(default)]
    deliveries: u32,
    #[serde(default)]
    retries: u32,
    #[serde(default)]
    requeues: u32,
    #[serde(borrow, default)]
    opts: Option<&'a RawValue>,
    name: String,
    #[serde(borrow)]
    args: &'a RawValue,
    #[serde(borrow, default)]
    kwargs: Option<&'a RawValue>,
    max_retries: Option<u32>,
    timeout: Option<f64>,
    #[serde(default)]
    timeout_wins: bool,
    #[serde(borrow, default, deserialize_with = "headers::check")]
    headers: Option<&'a str>,
    #[serde(borrow, default, deserialize_with = "present")]
    checkpoint: Option<&'a RawValue>,
    #[serde(borrow, default)]
    on_failure: Option<&'a RawValue>,
    unknown_since: Option<u64>,
    enqueued_at: Option<u64>,
    due: Option<u64>,
}

/// A member that is there; `null` is a value too.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(json: D) -> std::result::Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(json).map(Some)
}

/// An error keeps this many characters of a fault: serde quotes what it did not
/// expect, which may be megabytes.
const FAULT_MAX: usize = 300;

fn malformed(text: impl Into<String>) -> Error {
    let mut text = text.into();
    if let Some((end, _)) = text.char_indices().nth(FAULT_MAX) {
        text.truncate(end);
        text += "...";
    }
    Error::Malformed(text)
}

/// The range of `part` in `whole`.
fn range_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

impl<'a> Parts<'a> {
    fn read(raw: &'a [u8]) -> Result<Parts<'a>> {
        let text = std::str::from_utf8(raw).map_err(|e| malformed(format!("it is not UTF-8: {e}")))?;
        serde_json::from_str(text).map_err(|e| malformed(format!("it can't be read: {e}")))
    }

    fn check(&self, head: &Head) -> Result<()> {
        if (self.deliveries, self.retries, self.requeues) != (head.deliveries, head.retries, head.requeues) {
            return Err(malformed(Fault::Counters.to_string()));
        }
        if self.opts.is_some() && head.opts.is_none() {
            return Err(malformed(Fault::StrayOpts.to_string()));
        }
        // A worker keeps, logs and exports the name, so it is bounded; so are `headers`.
        let name = self.name.len();
        if name > TASK_MAX {
            return Err(malformed(format!("its name has {name} bytes, more than {TASK_MAX}")));
        }
        if !self.args.get().starts_with('[') {
            return Err(malformed("args is not an array"));
        }
        if let Some(ms) = self.enqueued_at.filter(|ms| *ms > ids::LATEST_MS) {
            return Err(malformed(format!("its enqueued_at is {ms}, more than {}", ids::LATEST_MS)));
        }
        if self.kwargs.is_some_and(|k| !k.get().starts_with('{')) {
            return Err(malformed("kwargs is not an object"));
        }
        if let Some(fault) = self.on_failure.and_then(|json| callback::fault(json.get())) {
            return Err(malformed(format!("its on_failure can't be read: {fault}")));
        }
        Ok(())
    }

    fn terms(&self) -> Result<BodyTerms> {
        let default = Terms::default();
        let max_retries = self.max_retries.unwrap_or(default.max_retries);
        let terms = Terms { max_retries, timeout: self.timeout, ..default };
        terms.check().map_err(|fault| malformed(fault.in_message()))?;
        Ok(BodyTerms { max_retries, timeout: self.timeout, timeout_wins: self.timeout_wins })
    }
}

/// The error for a message with a bad head. If the JSON is bad too, its reader says more
/// exactly what is wrong, and where.
fn bad_head(raw: &[u8], fault: Fault) -> Error {
    let json = if field(raw).is_some() { Parts::read(raw).err() } else { None };
    json.unwrap_or_else(|| malformed(fault.to_string()))
}

impl Message {
    /// Reads a message; `Error::Malformed` says what is wrong.
    pub fn parse(raw: Bytes) -> Result<Message> {
        let (head, len) = Head::read(&raw).map_err(|fault| bad_head(&raw, fault))?;
        let parts = Parts::read(&raw)?;
        parts.check(&head)?;
        let opts = head.opts.map(Opts::read).transpose().map_err(|fault| malformed(fault.to_string()))?;
        let (condemned, expires_at) = opts.map_or((None, None), |opts| (opts.condemned, opts.expires_at()));
        let id = Uuid::try_parse_ascii(head.id).map_err(|e| malformed(format!("its id is no UUID: {e}")))?;
        Ok(Message {
            field: head.field(len),
            opts: head.opts.map(|opts| range_in(&raw, opts)),
            args: range_in(&raw, parts.args.get().as_bytes()),
            kwargs: parts.kwargs.map(|kwargs| range_in(&raw, kwargs.get().as_bytes())),
            headers: parts.headers.map(|headers| range_in(&raw, headers.as_bytes())),
            checkpoint: parts.checkpoint.map(|checkpoint| range_in(&raw, checkpoint.get().as_bytes())),
            on_failure: parts.on_failure.map(|json| range_in(&raw, json.get().as_bytes())),
            terms: parts.terms()?,
            name: parts.name,
            deliveries: head.deliveries,
            retries: head.retries,
            requeues: head.requeues,
            unknown_since: parts.unknown_since,
            enqueued_at: parts.enqueued_at.unwrap_or_else(|| ids::created_ms(&id)),
            due: parts.due,
            condemned,
            expires_at,
            raw,
        })
    }

    /// The head of the message.
    pub fn head(&self) -> Head<'_> {
        let Message { deliveries, retries, requeues, .. } = *self;
        Head { id: self.id(), deliveries, retries, requeues, opts: self.opts_json() }
    }

    /// The bytes behind the head, from `,"name":` on.
    pub(super) fn behind_head(&self) -> &[u8] {
        let end = self.opts.as_ref().map_or(self.field.end, |opts| opts.end);
        &self.raw[end..]
    }

    fn id(&self) -> &[u8; 36] {
        self.raw[self.field.start..].first_chunk().expect("`parse` has read an id there")
    }

    /// The task's id.
    pub fn task_id(&self) -> &str {
        // `parse` has read these bytes as a UUID.
        std::str::from_utf8(self.id()).unwrap_or_default()
    }

    /// The options as their JSON object; a plain message has none.
    pub fn opts_json(&self) -> Option<&[u8]> {
        Some(&self.raw[self.opts.clone()?])
    }

    /// The options; those of a plain message have their defaults.
    pub fn opts(&self) -> Opts<'_> {
        // `parse` has read these bytes.
        self.opts_json().and_then(|json| Opts::read(json).ok()).unwrap_or_default()
    }

    /// The callback, a JSON object. None: a task without one.
    pub fn on_failure(&self) -> Option<&str> {
        std::str::from_utf8(&self.raw[self.on_failure.clone()?]).ok()
    }

    /// The headers as their JSON object.
    pub fn headers_json(&self) -> Option<&[u8]> {
        Some(&self.raw[self.headers.clone()?])
    }

    /// How the message ends at `now` (ms by the clock of Redis) without an attempt. None: it may
    /// begin.
    pub fn ends_unbegun(&self, now: u64) -> Option<Condemned> {
        let has_expired = self.expires_at.is_some_and(|at| at <= now);
        self.condemned.or(has_expired.then_some(Condemned::Expired))
    }

    /// Whether its outcome is kept when it ends.
    pub fn keeps_result(&self) -> bool {
        self.opts.is_some() && self.opts().result_ttl.is_some_and(|ms| ms > 0)
    }

    /// The headers: `traceparent` and others.
    pub fn headers(&self) -> Option<Headers<'_>> {
        // `parse` has read these bytes as text.
        let json = std::str::from_utf8(&self.raw[self.headers.clone()?]).unwrap_or_default();
        Some(Headers::checked(json))
    }

    /// The field under which a claimed hash holds the message.
    pub fn field_bytes(&self) -> Bytes {
        field_of(&self.raw, self.field.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::headers::{HEADER_BYTES_MAX, HEADERS_MAX};

    fn parse(name: &str, rest: &str) -> std::result::Result<Message, String> {
        let text = format!(r#"{{"v":1,"id":"019aa0c2-7b1f-7c3e-8d2a-0123456789ab","name":"{name}","args":[]{rest}}}"#);
        Message::parse(text.into()).map_err(|e| e.to_string())
    }

    fn headers(count: usize, value: &str) -> String {
        let pairs: Vec<_> = (0..count).map(|i| format!(r#""h{i}":"{value}""#)).collect();
        format!(r#","headers":{{{}}}"#, pairs.join(","))
    }

    #[test]
    fn name_and_headers_are_bounded() {
        assert!(parse(&"n".repeat(TASK_MAX), "").is_ok());
        let text = parse(&"n".repeat(TASK_MAX + 1), "").expect_err("too long");
        assert!(text.contains("257 bytes, more than 256"), "{text}");
        assert!(parse("n", &headers(HEADERS_MAX, "")).is_ok());
        let text = parse("n", &headers(HEADERS_MAX + 1, "")).expect_err("too many");
        assert!(text.contains("65 headers, more than 64"), "{text}");
        assert!(parse("n", &headers(1, &"x".repeat(HEADER_BYTES_MAX - 2))).is_ok());
        let text = parse("n", &headers(1, &"x".repeat(HEADER_BYTES_MAX))).expect_err("too large");
        assert!(text.contains("65538 bytes, more than 65536"), "{text}");
    }

    #[test]
    fn a_message_ends_unbegun_at_its_moment_or_once_condemned() {
        let ends = |opts: &str, now| {
            let id = "019aa0c2-7b1f-7c3e-8d2a-0123456789ab";
            let text = format!(r#"{{"v":2,"id":"{id}","opts":{{{opts}}},"name":"n","args":[]}}"#);
            Message::parse(text.into()).expect("well formed").ends_unbegun(now).map(Condemned::name)
        };
        assert_eq!([999, 1_000, 1_001].map(|now| ends(r#""x":1000"#, now)), [None, Some("expired"), Some("expired")]);
        assert_eq!(ends(r#""e":2,"x":1000"#, 2_000), Some("cancelled"));
        assert_eq!(ends(r#""e":1"#, 0), Some("expired"));
        assert_eq!(ends(r#""p":5"#, u64::MAX), None);
    }

    #[test]
    fn the_time_of_a_call_is_that_of_its_message_or_of_its_id() {
        assert_eq!(parse("n", "").expect("good").enqueued_at, 0x019a_a0c2_7b1f);
        assert_eq!(parse("n", r#","enqueued_at":281474976710655"#).expect("good").enqueued_at, ids::LATEST_MS);
        let text = parse("n", r#","enqueued_at":281474976710656"#).expect_err("too late");
        assert!(text.contains("its enqueued_at is 281474976710656, more than 281474976710655"), "{text}");
    }

    #[test]
    fn only_the_timeout_of_a_call_wins() {
        let wins = |rest| parse("n", rest).expect("good").terms.timeout_wins;
        assert!(!wins(r#","timeout":5"#) && wins(r#","timeout":5,"timeout_wins":true"#));
        assert!(parse("n", r#","timeout":5,"timeout_wins":1"#).is_err());
    }

    #[test]
    fn a_fault_does_not_repeat_the_whole_message() {
        let huge = "ü".repeat(100_000);
        let text = parse("n", &format!(r#","timeout":"{huge}""#)).expect_err("no number");
        assert!(text.starts_with("it can't be read: invalid type: string"), "{text}");
        assert!(text.chars().count() <= FAULT_MAX + 3);
    }
}
