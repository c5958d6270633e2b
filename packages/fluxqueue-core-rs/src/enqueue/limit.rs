//! The limits of tasks: what calls say about how many run at once, and how often one begins.
//!
//! Why: docs/decisions/0150-a-limited-task-gets-its-place-before-a-worker.md

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::message::{Limit, with_option};

/// The numbers of a limit, which all calls of a route share.
pub struct LimitTerms {
    numbers: String,
}

/// The key of one call's limit: its digest, and text for people. In Python it is a tuple.
#[derive(FromPyObject)]
pub struct CallLimit(String, String);

/// The digest of no key, to check the rest.
const NO_DIGEST: &str = "00000000000000000000000000000000";

impl LimitTerms {
    /// `most`: how many run at once, 0: any number. `period_us`: one begins in that time, 0: any
    /// number. `burst`: how many may begin at once after a while without any.
    pub fn new(most: u64, period_us: u64, burst: u64) -> PyResult<LimitTerms> {
        let numbers = format!("{most}:{period_us}:{burst}");
        match Limit::of(&format!("{NO_DIGEST}:{numbers}")) {
            Some(_) => Ok(LimitTerms { numbers }),
            None => Err(PyValueError::new_err(format!(
                "the limit of a route is {numbers}; give at most {} at once, at most {} µs, and a burst of 1 to {}",
                Limit::MOST_MAX,
                Limit::PERIOD_MAX,
                Limit::MOST_MAX
            ))),
        }
    }

    /// The options of a message, a JSON object, with the limit.
    pub fn opts(&self, opts: Option<&str>, CallLimit(digest, _): &CallLimit) -> String {
        with_option(opts, &format!(r#""l":"{digest}:{}""#, self.numbers))
    }
}

impl CallLimit {
    /// Refuses a key that no message can name.
    pub fn check(&self) -> PyResult<()> {
        match Limit::of(&format!("{}:0:0:1", self.0)) {
            Some(_) => Ok(()),
            None => Err(PyValueError::new_err(format!(
                "the digest of a limit is {:?}; give 32 hexadecimal digits in lower case",
                self.0
            ))),
        }
    }

    /// The text for the script besides the message, before that of the wish for a lock.
    pub fn before(&self, wish: &str) -> String {
        format!(" limit {} {}{wish}", self.1.len(), self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "0123456789abcdef0123456789abcdef";

    fn of_call(text: &str) -> CallLimit {
        CallLimit(DIGEST.to_owned(), text.to_owned())
    }

    #[test]
    fn the_limit_is_the_last_option_of_a_new_message() {
        let terms = LimitTerms::new(3, 40_000, 2).expect("good");
        for (opts, expected) in [
            (None, format!(r#"{{"l":"{DIGEST}:3:40000:2"}}"#)),
            (Some("{}"), format!(r#"{{"l":"{DIGEST}:3:40000:2"}}"#)),
            (Some(r#"{"p":5}"#), format!(r#"{{"p":5,"l":"{DIGEST}:3:40000:2"}}"#)),
        ] {
            assert_eq!(terms.opts(opts, &of_call("")), expected);
        }
    }

    #[test]
    fn the_script_learns_the_text_before_the_wish_for_a_lock() {
        assert_eq!(of_call("größe").before(" skip 0f 1 0 a b"), " limit 7 größe skip 0f 1 0 a b");
        assert_eq!(of_call("").before(""), " limit 0 ");
    }

    #[test]
    fn a_bad_limit_is_refused() {
        assert!(LimitTerms::new(Limit::MOST_MAX + 1, 0, 1).is_err());
        assert!(LimitTerms::new(0, Limit::PERIOD_MAX + 1, 1).is_err());
        assert!(LimitTerms::new(0, 1, 0).is_err());
        assert!(CallLimit("0F".into(), String::new()).check().is_err());
        assert!(of_call("").check().is_ok());
    }
}
