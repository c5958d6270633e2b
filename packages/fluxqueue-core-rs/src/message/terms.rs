//! The terms of a task: its declaration's options that each message carries, so that a
//! worker needs no setting of the client.
//!
//! A new term is a field here, and a line in `default`, `read`, `check` and `members`. `parse.rs`
//! has a line for its reader. `Route` takes and shows each term by its field's name.
//!
//! Why: docs/decisions/0058-a-route-takes-terms-by-keyword.md

use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::Error;
use crate::python::text::shown;

/// The most seconds that one attempt may take: a year.
const LONGEST_TIMEOUT: f64 = 365.0 * 86_400.0;

/// The ranges of the terms, for errors.
const RETRIES: &str = "0 to 4294967295";
const SECONDS: &str = "seconds above 0, at most a year";

/// The terms of a task.
#[derive(Clone, Debug, IntoPyObject, PartialEq)]
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

/// The part of a message that has a term.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    /// The members behind the arguments, for workers.
    Body,
    /// The options in the head, which scripts read too.
    Opts,
}

/// A term that differs from its default: where the message has it, its name there, and its
/// value as JSON.
type Member = (Part, &'static str, String);

impl Default for Terms {
    fn default() -> Terms {
        Terms { max_retries: 3, timeout: None }
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
                _ => return Err(unknown(value.py(), &name)?),
            };
            read.map_err(|error| unreadable(&name, &value, range, error))?;
        }
        Ok(terms)
    }

    /// Whether every term is in its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        match self.timeout {
            Some(seconds) if !(seconds > 0.0 && seconds <= LONGEST_TIMEOUT) => {
                Err(OutOfRange { term: "timeout", value: seconds.to_string(), range: SECONDS })
            }
            _ => Ok(()),
        }
    }

    fn members(&self) -> Vec<Member> {
        let mut members = Vec::new();
        if self.max_retries != Terms::default().max_retries {
            members.push((Part::Body, "max_retries", self.max_retries.to_string()));
        }
        if let Some(seconds) = self.timeout {
            members.push((Part::Body, "timeout", seconds.to_string()));
        }
        members
    }

    /// The terms of the body that differ from their defaults, such as
    /// `,"max_retries":5,"timeout":2.5`.
    pub fn body(&self) -> String {
        render(&self.members(), Part::Body).map_or_else(String::new, |members| format!(",{members}"))
    }

    /// The options in the head, a JSON object. None: all have their defaults.
    pub fn opts(&self) -> Option<String> {
        render(&self.members(), Part::Opts).map(|members| format!("{{{members}}}"))
    }
}

/// The members of one part, as JSON without braces. None: the part has no members.
fn render(members: &[Member], part: Part) -> Option<String> {
    let of_part = members.iter().filter(|(of, _, _)| *of == part);
    of_part.map(|(_, name, value)| format!("\"{name}\":{value}")).reduce(|all, next| format!("{all},{next}"))
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
    use super::*;

    #[test]
    fn only_terms_that_differ_from_their_defaults_are_written() {
        assert_eq!(Terms::default().body(), "");
        assert_eq!(Terms { max_retries: 0, timeout: Some(2.5) }.body(), r#","max_retries":0,"timeout":2.5"#);
        assert_eq!(Terms { max_retries: 0, timeout: Some(2.5) }.opts(), None);
    }

    /// No term is in the options yet.
    #[test]
    fn each_part_of_a_message_has_its_own_terms() {
        let members = [
            (Part::Opts, "p", "5".to_owned()),
            (Part::Body, "timeout", "2.5".to_owned()),
            (Part::Opts, "u", "1".into()),
        ];
        assert_eq!(render(&members, Part::Opts).as_deref(), Some(r#""p":5,"u":1"#));
        assert_eq!(render(&members, Part::Body).as_deref(), Some(r#""timeout":2.5"#));
        assert_eq!(render(&members[1..2], Part::Opts), None);
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
