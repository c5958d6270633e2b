//! The terms of a task: its declaration's options that each message carries, so that a
//! worker needs no setting of the client.
//!
//! A new term is a field here, and a line in `default`, `read`, `check`, and `body` or `opts`.
//! `parse.rs` has a line for its reader. `Route` takes and shows each term by its field's name.
//!
//! Why: docs/decisions/0058-a-route-takes-terms-by-keyword.md
//! Why: docs/decisions/0096-options-are-typed.md

use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::callback;
use super::opts::{Expiry, MOMENT_MAX, Opts, PRIORITY_MAX};
use crate::errors::Error;
use crate::python::text::shown;

/// The ranges of the terms, for errors.
const RETRIES: &str = "0 to 4294967295";
const SECONDS: &str = "seconds above 0, at most a year";
const PRIORITIES: &str = "0 to 9";
const CALLBACK: &str = "a task, or the name of one";
const MOMENTS: &str = "milliseconds since 1970, of at most 13 digits";

/// The terms of a task.
#[derive(Clone, Debug, IntoPyObject, PartialEq)]
pub struct Terms {
    /// How many failures are followed by another attempt.
    pub max_retries: u32,
    /// Seconds that one attempt may take.
    pub timeout: Option<f64>,
    /// Whether the timeout is the call's: it wins over the one that the worker declares.
    pub timeout_wins: bool,
    /// 0 to 9; tasks of a higher priority begin first.
    pub priority: u8,
    /// Seconds from the call on, after which no attempt begins.
    pub expires: Option<f64>,
    /// The moment after which no attempt begins, in ms since 1970. It replaces `expires`.
    pub expires_at: Option<u64>,
    /// Seconds for which the outcome is kept.
    pub result_ttl: Option<f64>,
    /// The task that is called when this one has died, as the member `on_failure` of the message.
    pub on_failure: Option<String>,
}

/// The terms that a message has behind its arguments. The others are in its options.
#[derive(Clone, Debug, PartialEq)]
pub struct BodyTerms {
    /// How many failures are followed by another attempt.
    pub max_retries: u32,
    /// Seconds that one attempt may take.
    pub timeout: Option<f64>,
    /// Whether that wins over the one that the worker declares.
    pub timeout_wins: bool,
}

/// A term that is out of its range.
#[derive(Debug, PartialEq)]
pub struct OutOfRange {
    term: &'static str,
    value: String,
    range: &'static str,
}

impl Default for Terms {
    fn default() -> Terms {
        Terms {
            max_retries: 3,
            timeout: None,
            timeout_wins: false,
            priority: 0,
            expires: None,
            expires_at: None,
            result_ttl: None,
            on_failure: None,
        }
    }
}

impl Terms {
    /// Reads the terms that `Route` takes by keyword. Their ranges are not checked.
    pub fn read(keywords: Option<&Bound<'_, PyDict>>) -> PyResult<Terms> {
        let mut terms = Terms::default();
        for (keyword, value) in keywords.into_iter().flatten() {
            let name = keyword.str()?.to_string_lossy().into_owned();
            let (read, range) = match name.as_str() {
                "max_retries" => (value.extract().map(|number| terms.max_retries = number), RETRIES),
                "timeout" => (value.extract().map(|seconds| terms.timeout = seconds), SECONDS),
                "timeout_wins" => (value.extract().map(|wins| terms.timeout_wins = wins), "True or False"),
                "priority" => (value.extract().map(|number| terms.priority = number), PRIORITIES),
                "expires" => (value.extract().map(|seconds| terms.expires = seconds), SECONDS),
                "expires_at" => (value.extract().map(|ms| terms.expires_at = ms), MOMENTS),
                "result_ttl" => (value.extract().map(|seconds| terms.result_ttl = seconds), SECONDS),
                "on_failure" => (value.extract().map(|json| terms.on_failure = json), CALLBACK),
                _ => return Err(unknown(value.py(), &name)?),
            };
            read.map_err(|error| unreadable(&name, &value, range, error))?;
        }
        Ok(terms)
    }

    /// Whether every term is in its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        for (term, seconds) in [("timeout", self.timeout), ("expires", self.expires), ("result_ttl", self.result_ttl)] {
            if let Some(seconds) = seconds
                && !callback::is_span(seconds)
            {
                return Err(OutOfRange { term, value: seconds.to_string(), range: SECONDS });
            }
        }
        if let Some(fault) = self.on_failure.as_deref().and_then(callback::fault) {
            let value = format!("not readable ({fault})");
            return Err(OutOfRange { term: "on_failure", value, range: CALLBACK });
        }
        if self.priority > PRIORITY_MAX {
            return Err(OutOfRange { term: "priority", value: self.priority.to_string(), range: PRIORITIES });
        }
        match self.expires_at {
            Some(ms) if ms > MOMENT_MAX => {
                Err(OutOfRange { term: "expires_at", value: ms.to_string(), range: MOMENTS })
            }
            _ => Ok(()),
        }
    }

    /// The terms of the body that differ from their defaults, such as
    /// `,"max_retries":5,"timeout":2.5`.
    pub fn body(&self) -> String {
        let mut body = String::new();
        if self.max_retries != Terms::default().max_retries {
            body += &format!(r#","max_retries":{}"#, self.max_retries);
        }
        if let Some(seconds) = self.timeout {
            body += &format!(r#","timeout":{seconds}"#);
            body += if self.timeout_wins { r#","timeout_wins":true"# } else { "" };
        }
        if let Some(json) = &self.on_failure {
            body += &format!(r#","on_failure":{json}"#);
        }
        body
    }

    /// The options in the head, a JSON object. None: all have their defaults.
    pub fn opts(&self) -> Option<String> {
        let opts = Opts {
            priority: self.priority,
            expires: self.expires_at.map(Expiry::At).or(self.expires.map(|seconds| Expiry::In(ms(seconds)))),
            result_ttl: self.result_ttl.map(ms),
            ..Opts::default()
        };
        (!opts.is_empty()).then(|| opts.write())
    }

    /// Whether only a script can enqueue a call: by its priority it belongs elsewhere than into the
    /// list, or its options need the time of Redis.
    pub fn need_script(&self) -> bool {
        self.priority > 0 || (self.expires.is_some() && self.expires_at.is_none())
    }
}

/// Milliseconds, at least one. `check` has bounded the seconds.
fn ms(seconds: f64) -> u64 {
    (seconds * 1_000.0).round().max(1.0) as u64
}

/// The error for a keyword that names no term.
fn unknown(py: Python<'_>, name: &str) -> PyResult<PyErr> {
    let known: Vec<String> = Terms::default().into_pyobject(py)?.keys().extract()?;
    Ok(PyTypeError::new_err(format!("a route has no term {name:?}; it takes {}", known.join(", "))))
}

/// The error for a value that Rust can't hold. A number of too many bits is a wrong setting, not
/// an OverflowError.
fn unreadable(name: &str, value: &Bound<'_, PyAny>, range: &str, error: PyErr) -> PyErr {
    let py = value.py();
    if error.is_instance_of::<PyOverflowError>(py) {
        return Error::Configuration(format!("{name} is {}; give {range}", shown(value))).into();
    }
    match error.is_instance_of::<PyTypeError>(py) {
        true => PyTypeError::new_err(format!("{name}: {}", error.value(py))),
        false => error,
    }
}

impl OutOfRange {
    /// The error for the declaration of a task.
    pub fn in_declaration(self, task: &str) -> Error {
        let OutOfRange { term, value, range } = self;
        Error::Configuration(format!("the {term} of task {task:?} is {value}; give {range}, or None"))
    }

    /// The text about a message.
    pub(super) fn in_message(self) -> String {
        let OutOfRange { term, value, range } = self;
        format!("its {term} is {value}, not a number of {range}")
    }
}

#[cfg(test)]
mod tests {
    use super::callback::LONGEST;
    use super::*;

    #[test]
    fn only_terms_that_differ_from_their_defaults_are_written() {
        assert_eq!(Terms::default().body(), "");
        let of_body = Terms { max_retries: 0, timeout: Some(2.5), ..Terms::default() };
        assert_eq!(of_body.body(), r#","max_retries":0,"timeout":2.5"#);
        let of_call = Terms { timeout_wins: true, ..of_body.clone() };
        assert_eq!(of_call.body(), r#","max_retries":0,"timeout":2.5,"timeout_wins":true"#);
        assert_eq!(of_body.opts(), None);
        let of_head = Terms { priority: 5, expires: Some(1.5), result_ttl: Some(60.0), ..Terms::default() };
        assert_eq!(of_head.body(), "");
        assert_eq!(of_head.opts().as_deref(), Some(r#"{"p":5,"x":"+00000001500","r":60000}"#));
    }

    #[test]
    fn a_moment_replaces_the_seconds_until_it() {
        let terms = Terms { expires: Some(1.5), expires_at: Some(1_764_430_000_000), ..Terms::default() };
        assert_eq!(terms.opts().as_deref(), Some(r#"{"x":1764430000000}"#));
    }

    #[test]
    fn a_script_is_needed_for_the_time_of_redis_and_for_the_order() {
        let default = Terms::default;
        for (terms, expected) in [
            (default(), false),
            (Terms { timeout: Some(1.0), result_ttl: Some(1.0), ..default() }, false),
            (Terms { expires_at: Some(1), ..default() }, false),
            (Terms { expires: Some(1.0), expires_at: Some(1), ..default() }, false),
            (Terms { expires: Some(1.0), ..default() }, true),
            (Terms { priority: 1, ..default() }, true),
        ] {
            assert_eq!(terms.need_script(), expected, "{terms:?}");
        }
    }

    #[test]
    fn the_shortest_time_is_a_millisecond() {
        assert_eq!([1e-9, 0.0014, 0.0016, LONGEST].map(ms), [1, 1, 2, 31_536_000_000]);
    }

    #[test]
    fn options_have_ranges() {
        for (bad, text) in [
            (Terms { priority: 10, ..Terms::default() }, "its priority is 10, not a number of 0 to 9"),
            (
                Terms { expires: Some(0.0), ..Terms::default() },
                "its expires is 0, not a number of seconds above 0, at most a year",
            ),
            (
                Terms { result_ttl: Some(LONGEST + 1.0), ..Terms::default() },
                "its result_ttl is 31536001, not a number of seconds above 0, at most a year",
            ),
            (
                Terms { expires_at: Some(MOMENT_MAX + 1), ..Terms::default() },
                "its expires_at is 10000000000000, not a number of milliseconds since 1970, of at most 13 digits",
            ),
        ] {
            assert_eq!(bad.check().expect_err("out of range").in_message(), text);
        }
        let good = Terms { priority: 9, expires: Some(LONGEST), expires_at: Some(MOMENT_MAX), ..Terms::default() };
        assert_eq!(good.check(), Ok(()));
    }

    #[test]
    fn a_timeout_is_more_than_nothing_and_at_most_a_year() {
        let check = |seconds| Terms { timeout: Some(seconds), ..Terms::default() }.check();
        for good in [f64::MIN_POSITIVE, 1.0, LONGEST] {
            assert_eq!(check(good), Ok(()));
        }
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, LONGEST + 1.0] {
            let fault = check(bad).expect_err("out of range");
            let text = fault.in_declaration("t").to_string();
            assert_eq!(
                text,
                format!("the timeout of task \"t\" is {bad}; give seconds above 0, at most a year, or None")
            );
        }
        let text = check(-2.5).expect_err("out of range").in_message();
        assert_eq!(text, "its timeout is -2.5, not a number of seconds above 0, at most a year");
    }
}
