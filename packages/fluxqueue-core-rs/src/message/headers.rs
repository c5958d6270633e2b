//! The headers of a message. Reading a message checks them. Only a caller that asks for
//! them parses them, and without telemetry no caller does.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// How many headers a message may have. W3C allows 8,192 bytes of baggage and 16 KiB
/// of tracestate.
pub const HEADERS_MAX: usize = 64;
/// How many bytes the names and values of a message's headers may have together.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;

/// A checked JSON object of strings.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a>(&'a str);

/// `traceparent`, `tracestate` and `baggage`.
pub type TraceHeaders<'a> = (Option<Cow<'a, str>>, Option<Cow<'a, str>>, Option<Cow<'a, str>>);

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Calls a function with each name and value. If a name comes twice, the last value
/// counts, as in all JSON of this project.
struct Each<F>(F);

impl<'de, F: FnMut(Cow<'de, str>, Cow<'de, str>)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((Text(name), Text(value))) = map.next_entry()? {
            self.0(name, value);
        }
        Ok(())
    }
}

fn each<'a>(json: &'a str, visit: impl FnMut(Cow<'a, str>, Cow<'a, str>)) -> serde_json::Result<()> {
    let mut reader = serde_json::Deserializer::from_str(json);
    reader.deserialize_map(Each(visit))?;
    reader.end()
}

/// The value of a `traceparent` that is the only header, as it nearly always is. No parser
/// is needed.
fn lone_traceparent(json: &str) -> Option<&str> {
    let value = json.strip_prefix(r#"{"traceparent":""#)?.strip_suffix(r#""}"#)?;
    value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-').then_some(value)
}

impl<'a> Headers<'a> {
    /// The headers of a message that `check` has read.
    pub(super) fn checked(json: &'a str) -> Headers<'a> {
        Headers(json)
    }

    /// The headers that a worker with telemetry wants of every task.
    pub fn trace(&self) -> TraceHeaders<'a> {
        if let Some(value) = lone_traceparent(self.0) {
            return (Some(value.into()), None, None);
        }
        let mut found: TraceHeaders<'a> = (None, None, None);
        self.each(|name, value| match &*name {
            "traceparent" => found.0 = Some(value),
            "tracestate" => found.1 = Some(value),
            "baggage" => found.2 = Some(value),
            _ => {}
        });
        found
    }

    /// One header.
    pub fn get(&self, wanted: &str) -> Option<Cow<'a, str>> {
        let mut found = None;
        self.each(|name, value| {
            if name == wanted {
                found = Some(value);
            }
        });
        found
    }

    /// All headers.
    pub fn all(&self) -> HashMap<String, String> {
        let mut found = HashMap::new();
        self.each(|name, value| {
            found.insert(name.into_owned(), value.into_owned());
        });
        found
    }

    fn each(&self, visit: impl FnMut(Cow<'a, str>, Cow<'a, str>)) {
        // `check` has read this text without an error.
        let _ = each(self.0, visit);
    }
}

/// Why a message can't have these headers: they must be an object of strings within bounds,
/// because a worker keeps and exports them. None: it can.
pub fn fault(json: &str) -> Option<String> {
    if json.len() <= HEADER_BYTES_MAX && lone_traceparent(json).is_some() {
        return None;
    }
    let (mut count, mut bytes) = (0, 0);
    let read = each(json, |name, value| {
        count += 1;
        bytes += name.len() + value.len();
    });
    match read {
        Err(error) => Some(error.to_string()),
        Ok(()) if count > HEADERS_MAX => Some(format!("it has {count} headers, more than {HEADERS_MAX}")),
        Ok(()) if bytes > HEADER_BYTES_MAX => {
            Some(format!("its headers have {bytes} bytes, more than {HEADER_BYTES_MAX}"))
        }
        Ok(()) => None,
    }
}

/// The raw JSON of `headers`, checked.
pub(super) fn check<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de str>, D::Error> {
    let raw = Option::<&'de serde_json::value::RawValue>::deserialize(deserializer)?;
    let json = raw.map(serde_json::value::RawValue::get);
    match json.and_then(fault) {
        Some(fault) => Err(D::Error::custom(fault)),
        None => Ok(json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_name_counts_and_escapes_are_read() {
        let headers = Headers(r#"{"traceparent":"a","x":"é\u00e9\"","traceparent":"b","baggage":""}"#);
        assert_eq!(headers.trace(), (Some("b".into()), None, Some("".into())));
        assert_eq!(headers.get("x").as_deref(), Some("éé\""));
        assert_eq!(headers.get("y"), None);
        assert_eq!(headers.all().len(), 3);
    }

    #[test]
    fn a_lone_traceparent_is_read_without_the_parser_and_nothing_else_is() {
        let trace = |json| Headers(json).trace().0.map(Cow::into_owned);
        assert_eq!(lone_traceparent(r#"{"traceparent":"00-ab-01"}"#), Some("00-ab-01"));
        for json in [r#"{"traceparent":"a\u0062"}"#, r#"{"traceparent":"a","traceparent":"ab"}"#] {
            assert_eq!(lone_traceparent(json), None);
            assert!(trace(json).is_some());
        }
        assert_eq!(trace(r#"{"traceparent":"a","traceparent":"ab"}"#).as_deref(), Some("ab"));
    }
}
