//! Reads the golden vectors of the message, which tests/vectors/README.md describes.

use _core::message::{Condemned, Message, field, is_newer, with_delivery, with_release, with_retry, with_snooze};
use bytes::Bytes;
use serde_json::Value;

fn vectors(kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("vectors/messages.json")).expect("valid JSON");
    all[kind].as_array().expect("a list").clone()
}

fn bytes(value: &Value) -> Bytes {
    Bytes::copy_from_slice(value.as_str().expect("a string").as_bytes())
}

#[test]
fn well_formed_messages_are_read_and_rewritten_to_the_byte() {
    for vector in vectors("well_formed") {
        let what = &vector["what"];
        let raw = bytes(&vector["message"]);
        let m = Message::parse(raw.clone()).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(m.field_bytes(), bytes(&vector["field"]), "{what}");
        assert_eq!(m.name, vector["name"].as_str().expect("a string"), "{what}");
        assert_eq!(raw[m.args.clone()], bytes(&vector["args"]), "{what}");
        let kwargs = m.kwargs.clone().map(|range| raw.slice(range));
        assert_eq!(kwargs, vector["kwargs"].as_str().map(|_| bytes(&vector["kwargs"])), "{what}");
        assert_eq!(
            m.opts_json().map(Bytes::copy_from_slice),
            vector["opts"].as_str().map(|_| bytes(&vector["opts"])),
            "{what}"
        );
        let opts = m.opts();
        let options = &vector["options"];
        assert_eq!(opts.condemned.map(Condemned::name), options["condemned"].as_str(), "{what}");
        assert_eq!(u64::from(opts.priority), options["priority"].as_u64().unwrap_or(0), "{what}");
        assert_eq!(opts.expires_at(), options["expires"].as_u64(), "{what}");
        assert_eq!(opts.result_ttl, options["result_ttl"].as_u64(), "{what}");
        assert_eq!(u64::from(opts.snoozes), options["snoozes"].as_u64().unwrap_or(0), "{what}");
        assert_eq!(u64::from(opts.releases), options["releases"].as_u64().unwrap_or(0), "{what}");
        for (name, rewritten) in [("snoozed", with_snooze(&m)), ("released", with_release(&m))] {
            if vector[name].is_string() {
                assert_eq!(rewritten, bytes(&vector[name]), "{what}, {name}");
            }
        }
        assert_eq!(u64::from(m.requeues), vector["requeues"].as_u64().unwrap_or(0), "{what}");
        let numbers = [m.retries, m.deliveries, m.terms.max_retries].map(u64::from);
        let expected = ["retries", "deliveries", "max_retries"].map(|name| vector[name].as_u64().expect("a number"));
        assert_eq!(numbers, expected, "{what}");
        assert_eq!(Some(m.enqueued_at), vector["enqueued_at"].as_u64(), "{what}");
        assert_eq!(m.terms.timeout, vector["timeout"].as_f64(), "{what}");
        assert_eq!(m.terms.timeout_wins, vector["timeout_wins"].as_bool().unwrap_or(false), "{what}");
        assert_eq!(m.on_failure(), vector["on_failure"].as_str(), "{what}");
        assert_eq!(with_retry(&m), bytes(&vector["retried"]), "{what}");
        assert_eq!(with_delivery(raw).expect("well formed").1, bytes(&vector["raised"]), "{what}");
    }
}

#[test]
fn malformed_messages_are_refused() {
    for vector in vectors("malformed") {
        let raw = bytes(&vector["message"]);
        assert_eq!(field(&raw).is_some(), vector["has_field"].as_bool().expect("a flag"), "{}", vector["what"]);
        assert!(!is_newer(&raw), "{}", vector["what"]);
        assert!(Message::parse(raw).is_err(), "{}", vector["what"]);
    }
}

#[test]
fn newer_messages_are_known_by_their_version_alone() {
    for vector in vectors("newer") {
        let raw = bytes(&vector["message"]);
        assert!(is_newer(&raw) && field(&raw).is_none(), "{}", vector["what"]);
        assert!(Message::parse(raw).is_err(), "{}", vector["what"]);
    }
}
