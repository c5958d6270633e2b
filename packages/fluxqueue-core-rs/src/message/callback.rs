//! The member `on_failure` of a message: the callback that is called when its task has ended
//! without success.
//!
//! A message names its callback, so that a scheduler, which has no code, can call it too:
//!
//! ```text
//! "on_failure":{"name":"alert","queue":"alerts","max_retries":0,"on_failure":{...}}
//! ```
//!
//! Why: docs/decisions/0115-a-message-names-its-callback.md

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::names;

/// The most bytes of the member.
pub const CALLBACK_MAX: usize = 4096;

/// The most callbacks in one another.
const DEEPEST: usize = 8;

/// The most seconds of a term: a year.
pub const LONGEST: f64 = 365.0 * 86_400.0;

/// The task that the member names, and the terms of its call. A term that is absent has its
/// default.
#[derive(Deserialize)]
pub struct Callback<'a> {
    /// The task's name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Its queue. None: that of the task that has ended.
    #[serde(borrow, default)]
    pub queue: Option<Cow<'a, str>>,
    /// As in `Terms`.
    pub max_retries: Option<u32>,
    /// As in `Terms`.
    pub timeout: Option<f64>,
    /// As in `Terms`.
    pub result_ttl: Option<f64>,
    /// Its own callback.
    #[serde(borrow, default)]
    pub on_failure: Option<&'a RawValue>,
}

/// Whether a term can be this number of seconds.
pub fn is_span(seconds: f64) -> bool {
    seconds > 0.0 && seconds <= LONGEST
}

impl<'a> Callback<'a> {
    /// Reads the member; the error says what is wrong.
    pub fn read(json: &'a str) -> Result<Callback<'a>, String> {
        if json.len() > CALLBACK_MAX {
            return Err(format!("it has {} bytes, more than {CALLBACK_MAX}", json.len()));
        }
        let outermost = Callback::read_one(json)?;
        let (mut inner, mut depth) = (outermost.on_failure, 1);
        while let Some(json) = inner {
            if depth == DEEPEST {
                return Err(format!("it has callbacks in one another, more than {DEEPEST} deep"));
            }
            (inner, depth) = (Callback::read_one(json.get())?.on_failure, depth + 1);
        }
        Ok(outermost)
    }

    /// Reads the member, but not the callback in it.
    fn read_one(json: &'a str) -> Result<Callback<'a>, String> {
        let callback: Callback = serde_json::from_str(json).map_err(|error| error.to_string())?;
        names::check_task(&callback.name).map_err(|error| error.to_string())?;
        if let Some(queue) = &callback.queue {
            names::check_queue(queue).map_err(|error| error.to_string())?;
        }
        for (term, seconds) in [("timeout", callback.timeout), ("result_ttl", callback.result_ttl)] {
            if let Some(seconds) = seconds.filter(|seconds| !is_span(*seconds)) {
                return Err(format!("its {term} is {seconds}, not a number of seconds above 0, at most a year"));
            }
        }
        Ok(callback)
    }
}

/// Why a message can't have this member. None: it can.
pub fn fault(json: &str) -> Option<String> {
    Callback::read(json).err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_callback_is_refused() {
        let nested = |times| {
            (0..times).fold(r#"{"name":"a"}"#.to_owned(), |inner, _| format!(r#"{{"name":"a","on_failure":{inner}}}"#))
        };
        for json in [
            "7",
            "{}",
            r#"{"name":""}"#,
            r#"{"name":"a","queue":"{"}"#,
            r#"{"name":"a","timeout":0}"#,
            r#"{"name":"a","result_ttl":1e9}"#,
            r#"{"name":"a","on_failure":{"name":1}}"#,
            &nested(DEEPEST),
            &format!(r#"{{"name":"a","x":"{}"}}"#, "x".repeat(CALLBACK_MAX)),
        ] {
            assert!(fault(json).is_some(), "{json}");
        }
        assert_eq!(fault(&nested(DEEPEST - 1)), None);
        assert_eq!(fault(r#"{"name":"a","later":{"x":[]}}"#), None);
    }
}
