//! The outcome that is kept of a task with the option `r`: its state with its value or its error.
//!
//! ```text
//! {"state":"succeeded","value":3,"attempts":1,"enqueued":1764430000000,"started":...,"finished":...,"worker":"h:7"}
//! {"state":"failed","error":{"type":"ValueError","text":"no","traceback":"..."},"attempts":4,...}
//! ```
//!
//! The state of a task that is dead is the reason of the dead set.
//!
//! Why: docs/decisions/0106-results-are-effects.md

use bytes::Bytes;
use serde::Serialize;
use uuid::Uuid;

use super::Message;
use super::head::Head;
use super::opts::{Condemned, Opts};
use super::reason::has_exception;
use crate::ids;

/// How a report of progress begins. No outcome begins so.
const REPORT: &[u8] = br#"{"progress":"#;

/// Whether what is kept of a task is a report of its progress, and no outcome.
pub fn is_report(kept: &[u8]) -> bool {
    kept.starts_with(REPORT)
}

/// An outcome that Redis keeps, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptResult {
    /// The task's id.
    pub id: [u8; 36],
    /// How long to keep it, ms.
    pub ttl_ms: u64,
    /// The outcome.
    pub json: Vec<u8>,
}

/// The outcome of a task that is cancelled while it waits, in two parts: the script that finds its
/// message writes the number of its attempts between them.
///
/// Why: docs/decisions/0170-a-cancel-tells-at-once.md
pub struct CancelledResult {
    /// The JSON up to the number.
    pub before_attempts: Vec<u8>,
    /// The JSON that follows the number.
    pub after_attempts: Vec<u8>,
}

impl CancelledResult {
    /// The outcome of the task of this id.
    pub fn of(id: &[u8; 36], finished: u64) -> CancelledResult {
        const ATTEMPTS: &[u8] = br#""attempts":"#;
        let enqueued = created_ms(id);
        let ending = Ending { id: *id, ttl_ms: 0, retries: 0, enqueued, started: None, finished, worker: None };
        let mut json = ending.dead(Condemned::Cancelled.name(), "", None).json;
        let at = json.windows(ATTEMPTS.len()).position(|part| part == ATTEMPTS).expect("every outcome has it");
        let after_attempts = json.split_off(at + ATTEMPTS.len() + 1); // the number is 0
        json.pop();
        CancelledResult { before_attempts: json, after_attempts }
    }
}

#[derive(Serialize)]
struct Failure<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceback: Option<&'a str>,
}

#[derive(Serialize)]
struct Times<'a> {
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    enqueued: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<u64>,
    finished: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<&'a str>,
}

/// The end of a task whose result is kept.
pub struct Ending<'a> {
    id: [u8; 36],
    ttl_ms: u64,
    retries: u32,
    /// When the task was enqueued, ms since 1970. None: the message does not say it.
    enqueued: Option<u64>,
    /// When the last attempt began, ms since 1970. None: the task ended without an attempt.
    pub started: Option<u64>,
    /// When the task ended, ms since 1970.
    pub finished: u64,
    /// The worker that ended it, as `host:pid`.
    pub worker: Option<&'a str>,
}

impl<'a> Ending<'a> {
    /// The end of the task of this head. None: nothing of it is kept.
    pub fn of(head: &Head, finished: u64) -> Option<Ending<'a>> {
        let ttl_ms = Opts::read(head.opts?).ok()?.result_ttl.filter(|ms| *ms > 0)?;
        let enqueued = created_ms(head.id);
        Some(Ending { id: *head.id, ttl_ms, retries: head.retries, enqueued, started: None, finished, worker: None })
    }

    /// As `of`, for bytes that may not be a whole message.
    pub fn of_bytes(raw: &[u8], finished: u64) -> Option<Ending<'a>> {
        let of_head = Ending::of(&Head::read(raw).ok()?.0, finished)?;
        // Only the whole message has the time of an id that the caller chose.
        Message::parse(Bytes::copy_from_slice(raw)).map_or(Some(of_head), |whole| Ending::of_message(&whole, finished))
    }

    /// As `of`, for a message.
    pub fn of_message(message: &Message, finished: u64) -> Option<Ending<'a>> {
        message.opts_json()?;
        let ending = Ending::of(&message.head(), finished)?;
        Some(Ending { enqueued: Some(message.enqueued_at).filter(|ms| *ms > 0), ..ending })
    }

    /// The result of a task that returned `value`, which is JSON.
    pub fn succeeded(&self, value: &[u8]) -> KeptResult {
        let mut json = br#"{"state":"succeeded","value":"#.to_vec();
        json.extend_from_slice(value);
        self.kept(json)
    }

    /// The result of a task that is dead for this reason.
    pub fn dead(&self, reason: &str, error: &str, traceback: Option<&str>) -> KeptResult {
        let (kind, text) = match has_exception(reason) {
            true => error.split_once(": ").map_or((Some(error), ""), |(kind, text)| (Some(kind), text)),
            false => (None, error),
        };
        let mut json = br#"{"state":"#.to_vec();
        write(&mut json, &reason);
        json.extend_from_slice(br#","error":"#);
        write(&mut json, &Failure { kind, text, traceback: traceback.filter(|text| !text.is_empty()) });
        self.kept(json)
    }

    /// How far the task is, in place of its result until it ends.
    ///
    /// Why: docs/decisions/0112-progress-is-kept-where-the-result-will-be.md
    pub fn reported(self, json: Vec<u8>) -> KeptResult {
        KeptResult { id: self.id, ttl_ms: self.ttl_ms, json }
    }

    fn kept(&self, mut json: Vec<u8>) -> KeptResult {
        // A task that ended without an attempt had one for each failure before.
        let attempts = self.retries + u32::from(self.started.is_some());
        let (enqueued, started, finished) = (self.enqueued, self.started, self.finished);
        let course = Times { attempts, enqueued, started, finished, worker: self.worker };
        let at = json.len();
        write(&mut json, &course);
        json[at] = b','; // in place of the brace
        KeptResult { id: self.id, ttl_ms: self.ttl_ms, json }
    }
}

/// When the task of this id was enqueued, ms since 1970. None: the id does not say it.
fn created_ms(id: &[u8; 36]) -> Option<u64> {
    Uuid::try_parse_ascii(id).ok().map(|id| ids::created_ms(&id)).filter(|ms| *ms > 0)
}

fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(out, value).expect("strings and numbers can be written into memory");
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "019aa0c2-7b1f-7c3e-8d2a-0123456789ab";

    fn ending(head: &str) -> Option<Ending<'static>> {
        Ending::of_bytes(format!(r#"{{"v":2,"id":"{ID}",{head},"name":"n"}}"#).as_bytes(), 7)
    }

    #[test]
    fn a_result_has_the_time_of_the_call_whatever_the_id() {
        let chosen = "131a97e8-985e-5683-90e2-4405f4272596";
        let raw = |rest: &str| format!(r#"{{"v":2,"id":"{chosen}","opts":{{"r":60000}},"name":"n"{rest}}}"#);
        let kept = |raw: &str| Ending::of_bytes(raw.as_bytes(), 7).expect("kept").succeeded(b"1");
        let known = kept(&raw(r#","args":[],"enqueued_at":1796037059313"#));
        assert!(text(&known).contains(r#","enqueued":1796037059313,"#), "{}", text(&known));
        // A message that can't be read does not say it.
        assert!(!text(&kept(&raw(r#","enqueued_at":1796037059313"#))).contains("enqueued"));
    }

    fn text(kept: &KeptResult) -> &str {
        std::str::from_utf8(&kept.json).expect("text")
    }

    #[test]
    fn only_a_message_with_the_option_has_a_result() {
        assert!(Ending::of_bytes(format!(r#"{{"v":1,"id":"{ID}","name":"n"}}"#).as_bytes(), 7).is_none());
        assert!(ending(r#""opts":{"p":5}"#).is_none());
        assert!(ending(r#""opts":{"r":0}"#).is_none());
        assert_eq!(ending(r#""opts":{"p":5,"r":60000}"#).expect("kept").ttl_ms, 60_000);
    }

    #[test]
    fn a_cancelled_result_is_that_of_a_worker_once_it_has_the_attempts() {
        let by_worker = ending(r#""retries":2,"opts":{"r":60000}"#).expect("kept").dead("cancelled", "", None);
        let parts = CancelledResult::of(ID.as_bytes().try_into().expect("an id"), 7);
        assert_eq!([&parts.before_attempts[..], b"2", &parts.after_attempts].concat(), by_worker.json);
        let chosen = CancelledResult::of(b"131a97e8-985e-5683-90e2-4405f4272596", 7);
        assert_eq!(chosen.after_attempts, br#","finished":7}"#);
    }

    #[test]
    fn a_result_says_how_the_task_ended_and_when() {
        let mut ending = ending(r#""retries":2,"opts":{"r":60000}"#).expect("kept");
        let lost = ending.dead("worker_lost", "3 workers: lost", None);
        assert_eq!(
            text(&lost),
            r#"{"state":"worker_lost","error":{"text":"3 workers: lost"},"attempts":2,"enqueued":1763633691423,"finished":7}"#
        );
        (ending.started, ending.worker) = (Some(5), Some("h:1"));
        let course = r#""attempts":3,"enqueued":1763633691423,"started":5,"finished":7,"worker":"h:1"}"#;
        assert_eq!(text(&ending.succeeded(b"[1]")), format!(r#"{{"state":"succeeded","value":[1],{course}"#));
        let failed = ending.dead("failed", "m.Bad: no: \"x\"", Some("Traceback"));
        let error = r#"{"type":"m.Bad","text":"no: \"x\"","traceback":"Traceback"}"#;
        assert_eq!(text(&failed), format!(r#"{{"state":"failed","error":{error},{course}"#));
        assert!(text(&ending.dead("failed", "KeyError", Some(""))).contains(r#"{"type":"KeyError","text":""}"#));
        assert_eq!(failed.id, *ID.as_bytes());
    }
}
