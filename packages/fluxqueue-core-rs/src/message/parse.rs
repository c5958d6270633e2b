//! Reading a message.

use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::headers::{self, Headers};
use super::{COUNTERS_MAX, DEFAULT_MAX_RETRIES, HEAD, ID_END, LONGEST_TIMEOUT, NAME};
use crate::errors::{Error, Result};
use crate::ids;
use crate::names::TASK_MAX;

/// Where the field of a message lies; None where it does not begin like one.
/// The same rule as `field` in `lua/prelude.lua`.
pub fn field(raw: &[u8]) -> Option<Range<usize>> {
    if !raw.starts_with(HEAD) || raw.get(ID_END) != Some(&b'"') {
        return None;
    }
    let after = ID_END + 1;
    let window = &raw[after..raw.len().min(after + COUNTERS_MAX)];
    memmem::find(window, NAME).map(|at| HEAD.len()..after + at)
}

/// Of a message with so many bytes the field is a copy.
const LARGE: usize = 4096;

/// A message's field, to be kept for longer than the message: a slice would keep
/// all of its bytes in memory.
pub fn field_of(raw: &Bytes, field: Range<usize>) -> Bytes {
    if raw.len() > LARGE { Bytes::copy_from_slice(&raw[field]) } else { raw.slice(field) }
}

/// Whether a later version of FluxQueue has written it: `{"v":2,` and the like. That
/// a message begins with its version holds for all versions, and nothing else. The
/// same rule as `newer` in `lua/prelude.lua`.
pub fn is_newer(raw: &[u8]) -> bool {
    let Some(rest) = raw.strip_prefix(br#"{"v":"#) else { return false };
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let version = &rest[..digits];
    (1..=9).contains(&digits) && version[0] != b'0' && version != b"1" && matches!(rest.get(digits), Some(b',' | b'}'))
}

/// The parts of a message; the bytes stay whole in `raw`.
#[derive(Clone, Debug)]
pub struct Message {
    /// The whole message.
    pub raw: Bytes,
    /// Where its field lies.
    pub field: Range<usize>,
    /// The task's name.
    pub name: String,
    /// Where the JSON array of positional arguments lies.
    pub args: Range<usize>,
    /// Where the JSON object of keyword arguments lies.
    pub kwargs: Option<Range<usize>>,
    /// How many workers were lost while they held it.
    pub deliveries: u32,
    /// How many times the task has failed.
    pub retries: u32,
    /// How many times it may fail and be run again.
    pub max_retries: u32,
    /// Seconds that one attempt may take.
    pub timeout: Option<f64>,
    /// Where the JSON object with `traceparent` and the like lies.
    headers: Option<Range<usize>>,
    /// When a worker first did not know the name; ms by the clock of Redis.
    pub unknown_since: Option<u64>,
    /// When it was enqueued, ms since 1970 by the client's clock.
    pub enqueued_at: u64,
}

#[derive(Deserialize)]
struct Parts<'a> {
    v: u32,
    #[serde(default)]
    deliveries: u32,
    #[serde(default)]
    retries: u32,
    name: String,
    #[serde(borrow)]
    args: &'a RawValue,
    #[serde(borrow, default)]
    kwargs: Option<&'a RawValue>,
    max_retries: Option<u32>,
    timeout: Option<f64>,
    #[serde(borrow, default, deserialize_with = "headers::check")]
    headers: Option<&'a str>,
    unknown_since: Option<u64>,
}

/// So many characters of a fault are kept: serde quotes what it did not expect,
/// which may be megabytes.
const FAULT_MAX: usize = 300;

fn malformed(text: impl Into<String>) -> Error {
    let mut text = text.into();
    if let Some((end, _)) = text.char_indices().nth(FAULT_MAX) {
        text.truncate(end);
        text += "...";
    }
    Error::Malformed(text)
}

/// What is read is held, logged and exported, so it is bounded; see `headers`.
fn check_name(parts: &Parts) -> Result<()> {
    let name = parts.name.len();
    if name > TASK_MAX {
        return Err(malformed(format!("its name has {name} bytes, more than {TASK_MAX}")));
    }
    Ok(())
}

/// Where a part of `whole` lies in it.
fn range_in(whole: &[u8], part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

impl Message {
    /// Reads a message; `Error::Malformed` says what is wrong.
    pub fn parse(raw: Bytes) -> Result<Message> {
        let field = field(&raw).ok_or_else(|| malformed("it does not begin like a message of this protocol"))?;
        let text = std::str::from_utf8(&raw).map_err(|e| malformed(format!("it is not UTF-8: {e}")))?;
        let parts: Parts = serde_json::from_str(text).map_err(|e| malformed(format!("it can't be read: {e}")))?;
        if parts.v != 1 {
            return Err(malformed(format!("its version is {}, this worker knows 1", parts.v)));
        }
        if text[field.clone()] != counters(&text[HEAD.len()..ID_END], parts.deliveries, parts.retries) {
            return Err(malformed("its counters are not where the protocol has them"));
        }
        check_name(&parts)?;
        let id =
            Uuid::try_parse(&text[HEAD.len()..ID_END]).map_err(|e| malformed(format!("its id is no UUID: {e}")))?;
        if !parts.args.get().starts_with('[') {
            return Err(malformed("args is not an array"));
        }
        if parts.kwargs.is_some_and(|k| !k.get().starts_with('{')) {
            return Err(malformed("kwargs is not an object"));
        }
        if let Some(timeout) = parts.timeout
            && !(timeout > 0.0 && timeout <= LONGEST_TIMEOUT)
        {
            return Err(malformed(format!(
                "its timeout is {timeout}, not a number of seconds above 0, at most a year"
            )));
        }
        let args = range_in(&raw, parts.args.get());
        let kwargs = parts.kwargs.map(|k| range_in(&raw, k.get()));
        let headers = parts.headers.map(|h| range_in(&raw, h));
        Ok(Message {
            field,
            args,
            kwargs,
            name: parts.name,
            deliveries: parts.deliveries,
            retries: parts.retries,
            max_retries: parts.max_retries.unwrap_or(DEFAULT_MAX_RETRIES),
            timeout: parts.timeout,
            headers,
            unknown_since: parts.unknown_since,
            enqueued_at: ids::created_ms(&id),
            raw,
        })
    }

    /// The task's id.
    pub fn task_id(&self) -> &str {
        // `parse` has read these bytes as a UUID.
        std::str::from_utf8(&self.raw[HEAD.len()..ID_END]).unwrap_or_default()
    }

    /// `traceparent` and the like.
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

/// The field of a message with these counters.
pub(super) fn counters(id: &str, deliveries: u32, retries: u32) -> String {
    let mut out = format!("{id}\"");
    if deliveries > 0 {
        out += &format!(",\"deliveries\":{deliveries}");
    }
    if retries > 0 {
        out += &format!(",\"retries\":{retries}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{HEADER_BYTES_MAX, HEADERS_MAX};
    use super::*;

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
    fn a_fault_does_not_repeat_the_whole_message() {
        let huge = "ü".repeat(100_000);
        let text = parse("n", &format!(r#","timeout":"{huge}""#)).expect_err("no number");
        assert!(text.starts_with("it can't be read: invalid type: string"), "{text}");
        assert!(text.chars().count() <= FAULT_MAX + 3);
    }
}
