//! The terms of a task: its declaration's options that each message carries, so that a
//! worker needs no setting of the client.
//!
//! A new term is a field here, a line in `default`, `check` and `write`, and a line
//! for its reader in `parse.rs`.

use std::io::Write;

use crate::errors::Error;

/// The most seconds that one attempt may take: a year.
const LONGEST_TIMEOUT: f64 = 365.0 * 86_400.0;

/// The terms of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// How many failures are followed by another attempt.
    pub max_retries: u32,
    /// Seconds that one attempt may take.
    pub timeout: Option<f64>,
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
        Terms { max_retries: 3, timeout: None }
    }
}

impl Terms {
    /// Whether every term is in its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        match self.timeout {
            Some(seconds) if !(seconds > 0.0 && seconds <= LONGEST_TIMEOUT) => Err(OutOfRange {
                term: "timeout",
                value: seconds.to_string(),
                range: "seconds above 0, at most a year",
            }),
            _ => Ok(()),
        }
    }

    /// Appends the terms that differ from their defaults, as members of a message.
    pub fn write(&self, out: &mut Vec<u8>) {
        let default = Terms::default();
        if self.max_retries != default.max_retries {
            write!(out, r#","max_retries":{}"#, self.max_retries).expect("memory can be written");
        }
        if let Some(seconds) = self.timeout {
            write!(out, r#","timeout":{seconds}"#).expect("memory can be written");
        }
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
    use super::*;

    fn written(terms: &Terms) -> String {
        let mut out = Vec::new();
        terms.write(&mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn only_terms_that_differ_from_their_defaults_are_written() {
        assert_eq!(written(&Terms::default()), "");
        assert_eq!(written(&Terms { max_retries: 0, timeout: Some(2.5) }), r#","max_retries":0,"timeout":2.5"#);
    }

    #[test]
    fn a_timeout_is_more_than_nothing_and_at_most_a_year() {
        let check = |seconds| Terms { timeout: Some(seconds), ..Terms::default() }.check();
        for good in [f64::MIN_POSITIVE, 1.0, LONGEST_TIMEOUT] {
            assert_eq!(check(good), Ok(()));
        }
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, LONGEST_TIMEOUT + 1.0] {
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
