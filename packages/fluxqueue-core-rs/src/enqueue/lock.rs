//! The locks that calls of unique tasks want.
//!
//! Why: docs/decisions/0130-a-lock-belongs-to-a-task-until-its-end.md

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::message::{Lock, MOMENT_MAX, with_option};

/// The ways of the script with a lock that another task has.
const CONFLICTS: [&str; 4] = ["skip", "replace", "debounce", THROTTLE];

/// No end frees a lock of this kind: its message does not name it.
const THROTTLE: &str = "throttle";

/// The part that the locks of all calls of a route share.
pub struct LockTerms {
    conflict: String,
    ttl_ms: u64,
    is_until_start: bool,
    most_ms: u64,
}

/// The lock of one call: its digest, text for people, and whether the caller chose the task's id.
/// In Python it is a tuple.
#[derive(FromPyObject)]
pub struct CallLock(String, String, bool);

impl LockTerms {
    /// `most_ms`: for how long calls are put off at most.
    pub fn new(conflict: String, ttl_ms: u64, is_until_start: bool, most_ms: u64) -> PyResult<LockTerms> {
        if !CONFLICTS.contains(&conflict.as_str()) || ttl_ms > MOMENT_MAX || most_ms > MOMENT_MAX {
            let known = CONFLICTS.join(", ");
            return Err(PyValueError::new_err(format!(
                "the lock of a route has {conflict:?}, {ttl_ms} ms and {most_ms} ms; give one of {known}, and times of \
                 at most 13 digits"
            )));
        }
        Ok(LockTerms { conflict, ttl_ms, is_until_start, most_ms })
    }

    /// The arguments of `new`.
    pub fn parts(&self) -> (&str, u64, bool, u64) {
        (&self.conflict, self.ttl_ms, self.is_until_start, self.most_ms)
    }

    /// The text for the script besides the message, behind the time of the call.
    pub fn wish(&self, CallLock(digest, text, _): &CallLock) -> String {
        format!(" {} {digest} {} {} {text}", self.conflict, self.ttl_ms, self.most_ms)
    }

    /// The options of a message, a JSON object, with the lock.
    pub fn opts(&self, opts: Option<&str>, CallLock(digest, _, names_id): &CallLock) -> Option<String> {
        if self.conflict == THROTTLE {
            return opts.map(str::to_owned);
        }
        let until = if self.is_until_start { "s" } else { "" };
        let id = if *names_id { "i" } else { "" };
        Some(with_option(opts, &format!(r#""u":"{digest}:{}{until}{id}""#, self.ttl_ms)))
    }
}

impl CallLock {
    /// Refuses a lock that no message can name.
    pub fn check(&self) -> PyResult<()> {
        match Lock::of(&format!("{}:1", self.0)) {
            Some(_) => Ok(()),
            None => Err(PyValueError::new_err(format!(
                "the digest of a lock is {:?}; give 32 hexadecimal digits in lower case",
                self.0
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "0123456789abcdef0123456789abcdef";

    fn terms(conflict: &str, is_until_start: bool) -> LockTerms {
        LockTerms::new(conflict.to_owned(), 60_000, is_until_start, 5_000).expect("good")
    }

    fn of_call(names_id: bool) -> CallLock {
        CallLock(DIGEST.to_owned(), "a task [1]".to_owned(), names_id)
    }

    #[test]
    fn the_lock_is_the_last_option_of_a_new_message() {
        for (opts, until_start, names_id, expected) in [
            (None, false, false, format!(r#"{{"u":"{DIGEST}:60000"}}"#)),
            (Some("{}"), true, false, format!(r#"{{"u":"{DIGEST}:60000s"}}"#)),
            (Some(r#"{"p":5}"#), true, true, format!(r#"{{"p":5,"u":"{DIGEST}:60000si"}}"#)),
        ] {
            assert_eq!(terms("skip", until_start).opts(opts, &of_call(names_id)), Some(expected));
        }
    }

    #[test]
    fn a_message_does_not_name_a_lock_that_only_time_frees() {
        assert_eq!(terms("throttle", false).opts(None, &of_call(true)), None);
        assert_eq!(terms("throttle", false).opts(Some("{}"), &of_call(true)).as_deref(), Some("{}"));
    }

    #[test]
    fn the_script_learns_what_the_message_does_not_say() {
        assert_eq!(terms("debounce", false).wish(&of_call(false)), format!(" debounce {DIGEST} 60000 5000 a task [1]"));
    }

    #[test]
    fn a_bad_lock_is_refused() {
        assert!(LockTerms::new("none".into(), 1, false, 1).is_err());
        assert!(LockTerms::new("skip".into(), MOMENT_MAX + 1, false, 1).is_err());
        assert!(CallLock("0F".into(), String::new(), false).check().is_err());
        assert!(of_call(false).check().is_ok());
    }
}
