//! The rules for the names of queues and tasks. A queue's name is between braces in every
//! key. Names of both kinds are in log lines and on command lines.

use crate::errors::{Error, Result};

const NAMESPACE_MAX: usize = 64;
const QUEUE_MAX: usize = 128;
/// The most bytes that the name of a task may have.
pub const TASK_MAX: usize = 256;

/// The characters besides letters and digits that an error recommends.
const USABLE: &str = ". _ - : /";

/// Whether it is a control character, a line separator, or a character that reorders or
/// hides text (U+202E, U+200B), so that a log line would show another name. The function
/// puts a letter before the character, so that a combining accent counts as printable.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || c.is_whitespace()
        || (c != '{' && ['a', c].iter().collect::<String>().escape_debug().any(|e| e == '{'))
}

fn check(what: &str, name: &str, max: usize, is_refused: impl Fn(char) -> bool, usable: &str) -> Result<()> {
    let problem = if name.is_empty() {
        "is empty".to_owned()
    } else if name.len() > max {
        format!("has {} bytes, more than {max}", name.len())
    } else if let Some(c) = name.chars().find(|c| is_refused(*c)) {
        format!("has the character {c:?}")
    } else {
        return Ok(());
    };
    let shown: String = name.chars().take(40).collect();
    Err(Error::Configuration(format!("the {what} {shown:?} {problem}; use letters, digits and {usable}")))
}

/// Checks the name of a namespace. It has no colon, which ends it in a key, and no character
/// that means more than itself in the pattern of an ACL.
pub fn check_namespace(name: &str) -> Result<()> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || ['.', '_', '-'].contains(&c);
    check("namespace", name, NAMESPACE_MAX, |c| !is_good(c), ". _ - (ASCII)")
}

/// Checks the name of a queue. It may have no braces, which would end the hash tag, and no
/// comma, which separates queues on the command line.
pub fn check_queue(name: &str) -> Result<()> {
    check("queue name", name, QUEUE_MAX, |c| ['{', '}', ','].contains(&c) || is_unprintable(c), USABLE)
}

/// Checks the name of a task.
pub fn check_task(name: &str) -> Result<()> {
    check("task name", name, TASK_MAX, is_unprintable, USABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_a_plain_word() {
        for bad in ["", "a:b", "a{b", "a}", "a*", "a?", "[a]", "a\\", "a/b", "a b", "a\n", "größe", &"x".repeat(65)] {
            assert!(check_namespace(bad).is_err(), "{bad:?}");
        }
        for good in ["shop", "Shop.staging", "a_b-c", "7", &"x".repeat(64)] {
            assert!(check_namespace(good).is_ok(), "{good:?}");
        }
        let error = check_namespace("a:b").expect_err("a colon").to_string();
        assert_eq!(error, "the namespace \"a:b\" has the character ':'; use letters, digits and . _ - (ASCII)");
    }

    #[test]
    fn names_that_could_break_a_key_or_a_line_are_refused() {
        for bad in [
            "",
            "a}b",
            "{a",
            "a\nb",
            "a b",
            "a,b",
            "a\u{0}",
            "a\u{2028}b",
            "a\u{202e}b",
            "a\u{200b}",
            "\u{9b}1m",
            &"x".repeat(129),
        ] {
            assert!(check_queue(bad).is_err(), "{bad:?}");
        }
        for good in ["default", "mails.high", "a:b/c-d_e", "größe", &"x".repeat(128)] {
            assert!(check_queue(good).is_ok(), "{good:?}");
        }
        assert!(check_task("<lambda>").is_ok());
        for bad in ["a\rb", "a\u{202e}b", "a\u{feff}", "\u{1b}[2J", &"x".repeat(257)] {
            assert!(check_task(bad).is_err(), "{bad:?}");
        }
        for good in ["{braces}", "quote\"d", "back\\slash", "größe", "gro\u{308}ße", "任务", "🎉"] {
            assert!(check_task(good).is_ok(), "{good:?}");
        }
    }
}
