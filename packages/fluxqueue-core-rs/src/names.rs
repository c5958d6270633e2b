//! The rules for the names of queues and tasks. A queue's name is between braces in every
//! key. Names of both kinds are in log lines and on command lines.

use crate::errors::{Error, Result};

const QUEUE_MAX: usize = 128;
/// The most bytes that the name of a task may have.
pub const TASK_MAX: usize = 256;

/// Whether it is a control character, a line separator, or a character that reorders or
/// hides text (U+202E, U+200B), so that a log line would show another name. The function
/// puts a letter before the character, so that a combining accent counts as printable.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || c.is_whitespace()
        || (c != '{' && ['a', c].iter().collect::<String>().escape_debug().any(|e| e == '{'))
}

fn check(what: &str, name: &str, max: usize, refused: &[char]) -> Result<()> {
    let problem = if name.is_empty() {
        "is empty".to_owned()
    } else if name.len() > max {
        format!("has {} bytes, more than {max}", name.len())
    } else if let Some(c) = name.chars().find(|c| refused.contains(c) || is_unprintable(*c)) {
        format!("has the character {c:?}")
    } else {
        return Ok(());
    };
    let shown: String = name.chars().take(40).collect();
    Err(Error::Configuration(format!("the {what} {shown:?} {problem}; use letters, digits and . _ - : /")))
}

/// Checks the name of a queue. It may have no braces, which would end the hash tag, and no
/// comma, which separates queues on the command line.
pub fn check_queue(name: &str) -> Result<()> {
    check("queue name", name, QUEUE_MAX, &['{', '}', ','])
}

/// Checks the name of a task.
pub fn check_task(name: &str) -> Result<()> {
    check("task name", name, TASK_MAX, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

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
