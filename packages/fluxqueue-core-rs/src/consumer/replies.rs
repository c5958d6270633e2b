//! The replies of the scripts; their heads are the contract.

use std::collections::HashSet;

use bytes::Bytes;

use super::claimed::Claimed;
use crate::connection::Reply;
use crate::errors::{Error, Result};

/// The reply of `open`.
pub enum Opened {
    /// Redis knew the id already.
    Refused,
    /// The clock of Redis (ms), and the fields that the new id holds.
    Holds(u64, HashSet<Bytes>),
}

/// The reply of `exchange`.
pub enum Exchanged {
    /// The lease is lost.
    Lost,
    /// The exchange was done.
    Done(Done),
}

/// The parts of a reply of `exchange`. The reply names a part only if it has news.
pub struct Done {
    /// The clock of Redis, ms since 1970.
    pub redis_ms: u64,
    /// The messages claimed.
    pub claimed: Vec<Claimed>,
    /// The entries of messages that the script parked itself.
    pub parked: Vec<Bytes>,
    /// How many messages of newer versions were deferred.
    pub put_off: i64,
    /// Whether the queue is paused.
    pub paused: bool,
    /// How many suspects wait.
    pub suspects: i64,
    /// Whether the claim stopped at the limit of bytes.
    pub more: bool,
    /// The ids of cancelled tasks that this consumer holds. None: no task of the queue is cancelled.
    pub cancelled: Option<Vec<Bytes>>,
    /// Whether a reader watches the queue; false if the exchange did not ask.
    pub watched: bool,
    /// The records of the strikes of the queue.
    pub strikes: Vec<Bytes>,
    /// Time since the last sweep: 0 if it is recent, None if no sweep is known.
    pub since_sweep_ms: Option<u64>,
}

impl Done {
    /// The fields of the messages that the script parked. An entry of the dead set is the field.
    /// It has a number as a suffix if the field was there already.
    pub fn parked_fields(&self) -> HashSet<Bytes> {
        self.parked.iter().map(|e| e.slice(..memchr::memchr(b'#', e).unwrap_or(e.len()))).collect()
    }
}

/// Names the kind of a reply without its content, which can be megabytes long and have the
/// arguments of a task.
fn odd(reply: &Reply) -> Error {
    let what = match reply {
        Reply::SimpleString(_) | Reply::BulkString(_) => "a string".to_owned(),
        Reply::Error(_) => "an error inside a reply".to_owned(),
        Reply::Integer(n) => n.to_string(),
        Reply::Array(items) => return odd_array(items.len()),
        Reply::Null => "null".to_owned(),
    };
    unexpected(&what)
}

fn odd_array(len: usize) -> Error {
    unexpected(&format!("an array of {len}"))
}

fn unexpected(what: &str) -> Error {
    Error::Broker(format!("a script answered something unexpected: {what}"))
}

fn integer(reply: &Reply) -> Result<i64> {
    match reply {
        Reply::Integer(n) => Ok(*n),
        other => Err(odd(other)),
    }
}

fn strings(reply: Reply) -> Result<Vec<Bytes>> {
    let Reply::Array(items) = reply else { return Err(odd(&reply)) };
    items
        .into_iter()
        .map(|item| match item {
            Reply::BulkString(bytes) => Ok(bytes),
            other => Err(odd(&other)),
        })
        .collect()
}

/// The size, in bytes, up to which the messages of a reply stay in its memory.
const SHARED: usize = 256 << 10;

/// Copies each message of a large reply. The messages of one reply share its memory, so one task
/// that runs for an hour would keep all of it.
fn apart(messages: Vec<Bytes>) -> Vec<Bytes> {
    if messages.iter().map(Bytes::len).sum::<usize>() <= SHARED {
        return messages;
    }
    messages.into_iter().map(|message| Bytes::copy_from_slice(&message)).collect()
}

/// Reads the reply of `open`.
pub fn opened(reply: Reply) -> Result<Opened> {
    let Reply::Array(items) = reply else { return Err(odd(&reply)) };
    match items.first().map(integer).transpose()? {
        Some(0) => Ok(Opened::Refused),
        Some(1) if items.len() >= 2 => {
            let now = integer(&items[1])?;
            let fields = strings(Reply::Array(items.into_iter().skip(2).collect()))?;
            Ok(Opened::Holds(now as u64, fields.into_iter().collect()))
        }
        _ => Err(odd(&Reply::Array(items))),
    }
}

/// Reads the reply of `exchange`, and each message in it that has up to `most` bytes.
pub fn exchanged(reply: Reply, most: usize) -> Result<Exchanged> {
    let Reply::Array(items) = reply else { return Err(odd(&reply)) };
    if items.len() == 1 && integer(&items[0])? == 0 {
        return Ok(Exchanged::Lost);
    }
    let len = items.len();
    let mut items = items.into_iter();
    let (Some(Reply::Integer(1)), Some(now), Some(claimed)) = (items.next(), items.next(), items.next()) else {
        return Err(odd_array(len));
    };
    let claimed = apart(strings(claimed)?).into_iter().map(|raw| Claimed::read(raw, most)).collect();
    let mut done = Done {
        redis_ms: integer(&now)? as u64,
        claimed,
        parked: Vec::new(),
        put_off: 0,
        paused: false,
        suspects: 0,
        more: false,
        cancelled: None,
        watched: false,
        strikes: Vec::new(),
        since_sweep_ms: Some(0),
    };
    while let Some(name) = items.next() {
        let (Reply::BulkString(name), Some(value)) = (name, items.next()) else { return Err(odd_array(len)) };
        match &name[..] {
            b"parked" => done.parked = strings(value)?,
            b"put_off" => done.put_off = integer(&value)?,
            b"paused" => done.paused = integer(&value)? != 0,
            b"suspects" => done.suspects = integer(&value)?,
            b"cancelled" => done.cancelled = Some(strings(value)?),
            b"strikes" => done.strikes = strings(value)?,
            b"more" => done.more = integer(&value)? != 0,
            b"watched" => done.watched = integer(&value)? != 0,
            b"unswept" => done.since_sweep_ms = u64::try_from(integer(&value)?).ok(),
            _ => (), // A later script may return more parts.
        }
    }
    Ok(Exchanged::Done(done))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reply() -> impl Strategy<Value = Reply> {
        let leaf = prop_oneof![
            ".{0,20}".prop_map(|text| Reply::SimpleString(text.into())),
            ".{0,20}".prop_map(|text| Reply::Error(text.into())),
            prop_oneof![0..3i64, any::<i64>()].prop_map(Reply::Integer),
            Just(Reply::Null),
            prop::collection::vec(any::<u8>(), 0..60).prop_map(|bytes| Reply::BulkString(bytes.into())),
        ];
        leaf.prop_recursive(3, 40, 10, |inner| prop::collection::vec(inner, 0..10).prop_map(Reply::Array))
    }

    const MESSAGE: &str = r#"{"v":1,"id":"019aa0c2-7b1f-7c3e-8d2a-0123456789ab","name":"n","args":[]}"#;

    fn text(of: &str) -> Reply {
        Reply::BulkString(Bytes::copy_from_slice(of.as_bytes()))
    }

    /// A reply of `exchange` that has every part.
    fn whole() -> Vec<Reply> {
        let mut parts = vec![Reply::Integer(1), Reply::Integer(1_700_000_000_000), Reply::Array(vec![text(MESSAGE)])];
        parts.extend([text("parked"), Reply::Array(vec![text("sha1:ab")])]);
        parts.extend([text("cancelled"), Reply::Array(vec![text("an id")])]);
        parts.extend([text("strikes"), Reply::Array(vec![text("a record")])]);
        for (name, value) in
            [("put_off", 3), ("paused", 1), ("suspects", 2), ("more", 1), ("watched", 1), ("unswept", 70_000)]
        {
            parts.extend([text(name), Reply::Integer(value)]);
        }
        parts
    }

    fn done(parts: Vec<Reply>) -> Done {
        match exchanged(Reply::Array(parts), 1000).expect("a good reply") {
            Exchanged::Done(done) => done,
            Exchanged::Lost => panic!("the lease is not lost"),
        }
    }

    #[test]
    fn a_whole_reply_is_read_by_the_names_of_its_parts() {
        let mut parts = whole();
        let later = [text("of a later script"), Reply::Array(vec![Reply::Null])];
        for at in [3, 7, parts.len()] {
            parts.splice(at..at, later.clone());
        }
        for parts in [whole(), parts] {
            let done = done(parts);
            assert_eq!((done.redis_ms, done.claimed.len()), (1_700_000_000_000, 1));
            assert_eq!(done.parked, [Bytes::from("sha1:ab")]);
            assert_eq!((done.put_off, done.paused, done.suspects, done.more), (3, true, 2, true));
            assert_eq!((done.watched, done.since_sweep_ms), (true, Some(70_000)));
            assert_eq!(done.cancelled, Some(vec![Bytes::from("an id")]));
            assert_eq!(done.strikes, [Bytes::from("a record")]);
        }
    }

    #[test]
    fn a_reply_without_news_has_three_parts() {
        let done = done(whole().into_iter().take(3).collect());
        assert_eq!((done.parked.len(), done.put_off, done.paused, done.suspects, done.more), (0, 0, false, 0, false));
        assert_eq!(done.since_sweep_ms, Some(0));
        assert!(matches!(exchanged(Reply::Array(vec![Reply::Integer(0)]), 1000), Ok(Exchanged::Lost)));
    }

    #[test]
    fn an_unknown_sweep_has_no_time() {
        let mut parts = whole();
        *parts.last_mut().expect("it has parts") = Reply::Integer(-1);
        assert_eq!(done(parts).since_sweep_ms, None);
    }

    #[test]
    fn a_name_without_a_value_is_refused() {
        let parts = whole();
        for len in (4..parts.len()).step_by(2) {
            assert!(exchanged(Reply::Array(parts[..len].to_vec()), 1000).is_err(), "{len}");
        }
    }

    proptest! {
        /// The error names the kind of the reply, but not its content.
        #[test]
        fn any_reply_is_read_or_refused(reply in reply()) {
            for text in [opened(reply.clone()).err(), exchanged(reply, 1000).err()].into_iter().flatten() {
                prop_assert!(text.to_string().len() < 200, "{text}");
            }
        }

        #[test]
        fn a_reply_with_one_odd_part_is_read_or_refused(at in 0..whole().len(), part in reply()) {
            let mut parts = whole();
            parts[at] = part;
            if let Err(error) = exchanged(Reply::Array(parts), 1000) {
                prop_assert!(error.to_string().len() < 200, "{error}");
            }
        }
    }

    /// The messages of one reply, `bytes` long each.
    fn claimed(bytes: usize) -> Vec<Bytes> {
        let answer = Bytes::from(vec![b'x'; 4 * bytes]);
        apart((0..4).map(|i| answer.slice(i * bytes..(i + 1) * bytes)).collect())
    }

    #[test]
    fn a_large_reply_does_not_stay_in_memory_for_one_message() {
        assert!(claimed(SHARED / 4).iter().all(|message| !message.is_unique()), "small ones cost no copy");
        assert!(claimed(SHARED / 4 + 1).iter().all(Bytes::is_unique));
    }

    #[test]
    fn the_arguments_of_a_task_stay_out_of_an_error() {
        let message = Reply::BulkString("secret".into());
        let error = exchanged(Reply::Array(vec![message.clone(), message]), 1000).err().expect("too short").to_string();
        assert!(error.ends_with("an array of 2") || error.ends_with("a string"), "{error}");
        assert!(!error.contains("secret"));
    }
}
