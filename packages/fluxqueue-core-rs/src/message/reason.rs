//! Why a message is dead: the JSON that the dead set keeps with it.

use serde::Serialize;

/// The most bytes of the class of an exception and of a place in the code.
const MOST: usize = 200;

#[derive(Serialize)]
struct Reason<'a> {
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceback: Option<&'a str>,
}

/// The reasons of tasks that ran and raised. The others could not run.
const FAILURES: [&str; 6] =
    ["failed", "rejected", "no_retry_on", "not_in_retry_on", "retry_refused", "snoozed_too_often"];

/// Whether a task that is dead for this reason ran and raised. A worker may discard such a task.
pub fn is_failure(reason: &str) -> bool {
    FAILURES.contains(&reason)
}

/// Whether the error of a task that is dead for this reason is an exception, written as `type: text`.
pub fn has_exception(reason: &str) -> bool {
    is_failure(reason) || reason == "arguments"
}

/// `{"reason":...,"class":...,"place":...,"error":...,"traceback":...}`. Without a traceback there is
/// neither a class nor a place. `lua/lib/groups.lua` reads both.
pub fn dead_reason(reason: &str, error: &str, traceback: Option<&str>) -> Vec<u8> {
    let class = traceback.map(|_| class_of(error));
    let place = traceback.map(place_of);
    serde_json::to_vec(&Reason { reason, class, place, error, traceback }).expect("strings can be written into memory")
}

/// The class that begins the text of an error, such as `KeyError: 'a'`. Empty if no class does.
fn class_of(error: &str) -> String {
    let class = error.split(':').next().unwrap_or_default().split(' ').next().unwrap_or_default();
    let is_class = class.chars().all(|c| c.is_alphanumeric() || "._<>".contains(c));
    if is_class { plain(class) } else { String::new() }
}

/// Where a traceback ends: `<folder>/<file>:<line> in <function>`, of the last frame that is not in an
/// installed package. Empty if it has no frame.
fn place_of(traceback: &str) -> String {
    let mut last = None;
    for line in traceback.lines().rev() {
        let Some(place) = frame(line) else { continue };
        if !line.contains("site-packages") && !line.contains("/lib/python") {
            return place;
        }
        last = last.or(Some(place));
    }
    last.unwrap_or_default()
}

/// Reads `  File "/a/b/c.py", line 3, in f`.
fn frame(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("File \"")?;
    let (path, rest) = rest.split_once("\", line ")?;
    let (number, function) = rest.split_once(", in ")?;
    number.parse::<u32>().ok()?;
    // The folders above differ from host to host, and from release to release.
    let start = path.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
    Some(plain(&format!("{}:{number} in {function}", &path[start..])))
}

/// Text that a script can read without decoding JSON, shortened.
fn plain(text: &str) -> String {
    let mut plain: String =
        text.chars().map(|c| if c == '"' || c == '\\' || c.is_control() { '?' } else { c }).collect();
    let end = (0..=MOST.min(plain.len())).rev().find(|at| plain.is_char_boundary(*at)).unwrap_or_default();
    plain.truncate(end);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACEBACK: &str = "Traceback (most recent call last):\n  File \"/srv/r7/shop/tasks.py\", line 42, in send\n    \
                             post()\n  File \"/v/lib/python3.12/site-packages/http/x.py\", line 7, in post\nOSError: a\n";

    fn text(of: Vec<u8>) -> String {
        String::from_utf8(of).expect("JSON is text")
    }

    #[test]
    fn a_reason_without_a_traceback_has_no_place() {
        assert_eq!(text(dead_reason("failed", "e", None)), r#"{"reason":"failed","error":"e"}"#);
    }

    #[test]
    fn the_place_is_the_last_one_in_the_own_code() {
        let made = text(dead_reason("failed", "OSError: a", Some(TRACEBACK)));
        assert!(
            made.starts_with(
                r#"{"reason":"failed","class":"OSError","place":"shop/tasks.py:42 in send","error":"OSError: a","traceback":"#
            ),
            "{made}"
        );
    }

    #[test]
    fn without_own_code_it_is_that_of_the_package() {
        let of_package: String = TRACEBACK.lines().skip(3).map(|line| format!("{line}\n")).collect();
        assert_eq!(place_of(&of_package), "http/x.py:7 in post");
        assert_eq!(place_of("nothing"), "");
    }

    #[test]
    fn odd_text_is_read_by_scripts_too() {
        assert_eq!(class_of("a.b.Error"), "a.b.Error");
        assert_eq!(class_of("Error (in Group: x)"), "Error");
        assert_eq!(class_of("\"x\": y"), "");
        assert_eq!(frame("File \"C:\\a\"b\\x.py\", line 3, in f\u{7}").as_deref(), Some("C:?a?b?x.py:3 in f?"));
        assert_eq!(plain(&"é".repeat(150)).len(), MOST);
    }
}
