//! How an attempt ended, on its way to Redis.

use bytes::Bytes;

use crate::connection::Call;
use crate::keys::Namespace;
use crate::message::{Condemned, FailureCall, KeptResult, Message};

/// The end of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded. The field alone says so, in the list of successes.
    Succeeded,
    /// It succeeded, and its message has options. The script must read them, so this outcome has
    /// four values.
    Done,
    /// It failed; the message with the raised count runs again after `delay` ms.
    Retry { message: Bytes, delay: u64 },
    /// It did not fail, but is deferred: it runs again after `delay` ms.
    Later { message: Bytes, delay: u64 },
    /// It is dead. `keep` overrides the setting that discards dead tasks.
    Dead { reason: Vec<u8>, keep: bool },
    /// It did not begin, and does not run: it has expired, or was cancelled.
    Ended(Condemned),
    /// It did not run: the message returns to its queue as it is. If a drain cut the attempt off,
    /// `message` replaces it, with the raised count of releases.
    Release { message: Option<Bytes> },
    /// No end: the note of a running task. `progress` is kept where its result will be, and
    /// `message` has its checkpoint.
    Noted { progress: Option<Box<KeptResult>>, message: Option<Bytes> },
    /// One of the ends above, whose result is kept.
    Kept { end: Box<Outcome>, result: Box<KeptResult> },
    /// One of the ends above, after which the callback of the task is called.
    Followed { end: Box<Outcome>, call: Box<FailureCall> },
}

/// Where the effects of the outcomes of a queue go.
#[derive(Clone, Copy, Debug)]
pub struct EffectKeys<'a> {
    /// The keys of this application.
    pub namespace: &'a Namespace,
    /// The start of the keys of results.
    pub prefix: &'a str,
    /// Whether the channels of results are sharded.
    pub is_sharded: bool,
}

impl EffectKeys<'_> {
    /// Appends the effect that keeps a result, in front of its outcome.
    fn encode(&self, result: &KeptResult, call: &mut Call) {
        let key = call.keys.push(&[self.prefix.as_bytes(), &result.id].concat());
        call.args.number(key);
        call.args.push(if self.is_sharded { b"keep_sharded" } else { b"keep" });
        call.args.push(&result.json);
        call.args.number(result.ttl_ms);
    }

    /// Appends the effect that enqueues a call, in front of its outcome. Its list does not go
    /// into KEYS: it may be on another server, or out of this user's rights.
    fn encode_call(&self, push: &FailureCall, call: &mut Call) {
        call.args.push(self.namespace.pending(&push.queue).as_bytes());
        call.args.push(b"push");
        call.args.push(&push.message);
        call.args.push(b"");
    }
}

impl Outcome {
    /// The same end, with a result if there is one to keep.
    pub fn keeping(self, result: Option<KeptResult>) -> Outcome {
        match result {
            Some(result) => Outcome::Kept { end: Box::new(self), result: Box::new(result) },
            None => self,
        }
    }

    /// The same end, with the call that follows it if there is one.
    pub fn following(self, call: Option<FailureCall>) -> Outcome {
        match call {
            Some(call) => Outcome::Followed { end: Box::new(self), call: Box::new(call) },
            None => self,
        }
    }

    /// The outcome of a message whose attempt succeeded.
    pub fn of_success(message: &Message) -> Outcome {
        if message.opts_json().is_none() { Outcome::Succeeded } else { Outcome::Done }
    }
}

/// An outcome with the field that it settles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The field in the claimed hash.
    pub field: Bytes,
    /// How the attempt ended.
    pub outcome: Outcome,
}

impl Settlement {
    /// Appends its values for `exchange`: the field alone for a plain success, four values for
    /// every other outcome.
    pub fn encode(&self, call: &mut Call, effects: EffectKeys) {
        self.encode_as(&self.outcome, call, effects);
    }

    fn encode_as(&self, outcome: &Outcome, call: &mut Call, effects: EffectKeys) {
        if let Outcome::Kept { end, result } = outcome {
            effects.encode(result, call);
            return self.encode_as(end, call, effects);
        }
        if let Outcome::Followed { end, call: push } = outcome {
            effects.encode_call(push, call);
            return self.encode_as(end, call, effects);
        }
        if let Outcome::Noted { progress: Some(progress), .. } = outcome {
            effects.encode(progress, call);
        }
        let args = &mut call.args;
        args.push(&self.field);
        match outcome {
            Outcome::Succeeded | Outcome::Kept { .. } | Outcome::Followed { .. } => (),
            Outcome::Done => {
                args.push(b"done");
                args.push(b"");
                args.push(b"");
            }
            Outcome::Retry { message, delay } => {
                args.push(b"retry");
                args.push(message);
                args.number(*delay);
            }
            Outcome::Later { message, delay } => {
                args.push(b"later");
                args.push(message);
                args.number(*delay);
            }
            Outcome::Dead { reason, keep } => {
                args.push(b"dead");
                args.push(reason);
                args.flag(*keep);
            }
            Outcome::Ended(how) => {
                args.push(how.name().as_bytes());
                args.push(b"");
                args.push(b"");
            }
            Outcome::Noted { message, .. } => {
                args.push(b"note");
                args.push(message.as_deref().unwrap_or_default());
                args.push(b"");
            }
            Outcome::Release { message } => {
                args.push(b"release");
                args.push(message.as_deref().unwrap_or_default());
                args.push(b"");
            }
        }
    }

    /// Whether it ends the attempt.
    pub fn is_end(&self) -> bool {
        !matches!(self.outcome, Outcome::Noted { .. })
    }

    /// The approximate size of its values, bytes.
    pub fn bytes(&self) -> usize {
        self.field.len() + self.outcome.bytes()
    }
}

impl Outcome {
    fn bytes(&self) -> usize {
        match self {
            Outcome::Retry { message, .. } | Outcome::Later { message, .. } => message.len(),
            Outcome::Dead { reason, .. } => reason.len(),
            Outcome::Succeeded | Outcome::Done | Outcome::Ended(_) => 0,
            Outcome::Release { message } => message.as_ref().map_or(0, Bytes::len),
            Outcome::Noted { progress, message } => {
                message.as_ref().map_or(0, Bytes::len) + progress.as_ref().map_or(0, |report| report.json.len())
            }
            Outcome::Kept { end, result } => end.bytes() + result.json.len(),
            Outcome::Followed { end, call } => end.bytes() + call.message.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::requests::{Exchange, exchange};
    use crate::message::Ending;
    use crate::scripts::Script;

    const ID: &str = "019aa0c2-7b1f-7c3e-8d2a-0123456789ab";

    fn message(text: String) -> Message {
        Message::parse(text.into()).expect("well formed")
    }

    fn settlement(message: &Message, outcome: Outcome) -> Settlement {
        Settlement { field: message.field_bytes(), outcome }
    }

    /// KEYS and ARGV of an exchange, from the number of successes on.
    fn all_told(settlements: &[Settlement]) -> (Vec<String>, Vec<String>) {
        let namespace = &Namespace::default();
        let effects = EffectKeys { namespace, prefix: "result:", is_sharded: false };
        let what = Exchange {
            consumer: "c",
            lease_ms: 1,
            claim: 0,
            suspects: false,
            save_dead: true,
            grace_ms: 0,
            effects,
            watch: None,
        };
        let mut call = Call::default();
        exchange(&mut call, &what, settlements);
        let mut out = Vec::new();
        call.evalsha(&mut out, &Script { text: String::new(), digest: String::new() });
        let text = String::from_utf8(out).expect("text");
        let mut words = text.split("\r\n").skip(2).step_by(2).skip(2).map(str::to_owned);
        let keys: usize = words.next().expect("a number").parse().expect("a number");
        (words.by_ref().take(keys).collect(), words.skip(6).collect())
    }

    fn told(settlements: &[Settlement]) -> Vec<String> {
        all_told(settlements).1
    }

    #[test]
    fn an_effect_precedes_its_outcome_and_names_its_key_by_position() {
        let raw = format!(r#"{{"v":2,"id":"{ID}","opts":{{"r":60000}},"name":"n","args":[]}}"#);
        let message = message(raw.clone());
        let result = Ending::of_message(&message, 7).expect("kept").succeeded(b"3");
        let json = String::from_utf8(result.json.clone()).expect("text");
        let field = format!("{ID}\"");
        let retried = settlement(&message, Outcome::Retry { message: raw.clone().into(), delay: 7 });
        let done = settlement(&message, Outcome::of_success(&message).keeping(Some(result)));
        assert_eq!(done.bytes(), field.len() + json.len());
        let (keys, args) = all_told(&[retried, done]);
        assert_eq!(keys, [format!("result:{ID}")]);
        assert_eq!(args[1..], [&field, "retry", &raw, "7", "1", "keep", &json, "60000", &field, "done", "", ""]);
    }

    #[test]
    fn a_call_that_follows_is_an_effect_beside_the_result() {
        let message = message(format!(r#"{{"v":2,"id":"{ID}","opts":{{"r":60000}},"name":"n","args":[]}}"#));
        let result = Ending::of_message(&message, 7).expect("kept").dead("failed", "no", None);
        let json = String::from_utf8(result.json.clone()).expect("text");
        let call = FailureCall { queue: "other".to_owned(), message: b"{}".to_vec() };
        let end = Outcome::Dead { reason: b"why".to_vec(), keep: true };
        let dead = settlement(&message, end.keeping(Some(result)).following(Some(call)));
        let field = format!("{ID}\"");
        assert_eq!(dead.bytes(), field.len() + json.len() + "why".len() + "{}".len());
        let (keys, args) = all_told(&[dead]);
        assert_eq!(keys, [format!("result:{ID}")]);
        let pushed = ["fluxqueue:{other}:pending", "push", "{}", ""];
        assert_eq!(args[..5], [["0"].as_slice(), &pushed].concat());
        assert_eq!(args[5..], ["1", "keep", &json, "60000", &field, "dead", "why", "1"]);
    }

    #[test]
    fn only_a_plain_success_is_encoded_as_its_field_alone() {
        let plain = message(format!(r#"{{"v":1,"id":"{ID}","name":"n","args":[]}}"#));
        let with_options =
            message(format!(r#"{{"v":2,"id":"{ID}","retries":1,"opts":{{"p":5}},"name":"n","args":[]}}"#));
        let settlements = [&with_options, &plain].map(|m| settlement(m, Outcome::of_success(m)));
        let (first, second) = (format!("{ID}\""), format!("{ID}\",\"retries\":1"));
        assert_eq!(told(&settlements), ["1", &first, &second, "done", "", ""]);
    }

    #[test]
    fn every_other_outcome_has_four_values() {
        let raw = format!(r#"{{"v":1,"id":"{ID}","name":"n","args":[]}}"#);
        let plain = message(raw.clone());
        let field = format!("{ID}\"");
        for (outcome, values) in [
            (Outcome::Retry { message: raw.clone().into(), delay: 7 }, ["retry", &raw, "7"]),
            (Outcome::Later { message: raw.clone().into(), delay: 8 }, ["later", &raw, "8"]),
            (Outcome::Dead { reason: b"{}".to_vec(), keep: true }, ["dead", "{}", "1"]),
            (Outcome::Ended(Condemned::Expired), ["expired", "", ""]),
            (Outcome::Ended(Condemned::Cancelled), ["cancelled", "", ""]),
            (Outcome::Noted { progress: None, message: Some(raw.clone().into()) }, ["note", &raw, ""]),
            (Outcome::Release { message: None }, ["release", "", ""]),
            (Outcome::Release { message: Some(raw.clone().into()) }, ["release", &raw, ""]),
        ] {
            let told = told(&[settlement(&plain, outcome)]);
            assert_eq!(told[..2], ["0", &field]);
            assert_eq!(told[2..], values);
        }
    }
}
