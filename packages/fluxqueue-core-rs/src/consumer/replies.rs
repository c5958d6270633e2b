//! The replies of the scripts; their headers are the contract.

use std::collections::HashSet;

use bytes::Bytes;

use super::claimed::Claimed;
use crate::connection::{Reply, redis_error};
use crate::errors::{Error, Result};

/// What `open` answered.
pub enum Opened {
    /// The id was known already.
    Refused,
    /// By the clock of Redis (ms), and the fields that the new id holds.
    Holds(u64, HashSet<Bytes>),
}

/// What `exchange` answered.
pub enum Exchanged {
    /// The lease is lost.
    Lost,
    /// It was done.
    Done(Done),
}

/// The parts of an exchange's answer.
pub struct Done {
    /// The clock of Redis, ms since 1970.
    pub redis_ms: u64,
    /// The queue is paused.
    pub paused: bool,
    /// How many suspects wait.
    pub suspects: i64,
    /// Since the last rescue sweep; None where there has been none.
    pub since_sweep_ms: Option<u64>,
    /// Entries of the dead set that were parked just now.
    pub parked: Vec<Bytes>,
    /// Messages claimed.
    pub claimed: Vec<Claimed>,
    /// More wait: they would have been too many bytes at once.
    pub more: bool,
    /// Messages of newer versions that were put off.
    pub put_off: i64,
}

/// Without what it holds: that may be megabytes, and somebody's arguments.
fn odd(reply: &Reply) -> Error {
    let what = match reply {
        Reply::SimpleString(_) | Reply::BulkString(_) => "a string".to_owned(),
        Reply::Error(text) => return redis_error(text),
        Reply::Integer(n) => n.to_string(),
        Reply::Array(items) => format!("an array of {}", items.len()),
        Reply::Null => "null".to_owned(),
    };
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

/// What an answer has at most whose parts stay where they are.
const SHARED: usize = 256 << 10;

/// The messages of one answer share its memory, so one task that runs for an hour would
/// keep all of it. A large answer is worth a copy of each.
fn apart(messages: Vec<Bytes>) -> Vec<Bytes> {
    if messages.iter().map(Bytes::len).sum::<usize>() <= SHARED {
        return messages;
    }
    messages.into_iter().map(|message| Bytes::copy_from_slice(&message)).collect()
}

/// Reads the answer of `open`.
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

/// Reads the answer of `exchange`, and the messages of up to `most` bytes in it.
pub fn exchanged(reply: Reply, most: usize) -> Result<Exchanged> {
    let Reply::Array(items) = reply else { return Err(odd(&reply)) };
    if items.len() == 1 && integer(&items[0])? == 0 {
        return Ok(Exchanged::Lost);
    }
    let [_, now, paused, suspects, age, _gone, parked, claimed, more, put_off]: [Reply; 10] =
        items.try_into().map_err(|items| odd(&Reply::Array(items)))?;
    Ok(Exchanged::Done(Done {
        redis_ms: integer(&now)? as u64,
        paused: integer(&paused)? != 0,
        suspects: integer(&suspects)?,
        since_sweep_ms: u64::try_from(integer(&age)?).ok(),
        parked: strings(parked)?,
        claimed: apart(strings(claimed)?).into_iter().map(|raw| Claimed::read(raw, most)).collect(),
        more: integer(&more)? != 0,
        put_off: integer(&put_off)?,
    }))
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

    /// What an exchange answers, but for one part of it.
    fn almost_exchanged() -> impl Strategy<Value = Reply> {
        let whole = || {
            let number = Reply::Integer;
            let list = || Reply::Array(vec![Reply::BulkString("m".into())]);
            vec![
                number(1),
                number(1_700_000_000_000),
                number(0),
                number(2),
                number(-1),
                number(0),
                list(),
                list(),
                number(1),
            ]
        };
        (0..9usize, reply()).prop_map(move |(at, part)| {
            let mut parts = whole();
            parts[at] = part;
            Reply::Array(parts)
        })
    }

    proptest! {
        /// The error says what came, and not what was in it.
        #[test]
        fn any_reply_is_read_or_refused(reply in prop_oneof![reply(), almost_exchanged()]) {
            for text in [opened(reply.clone()).err(), exchanged(reply.clone(), 1000).err()].into_iter().flatten() {
                prop_assert!(text.to_string().len() < 200, "{text}");
            }
        }
    }

    /// Messages of an answer, of so many bytes each.
    fn claimed(bytes: usize) -> Vec<Bytes> {
        let answer = Bytes::from(vec![b'x'; 4 * bytes]);
        apart((0..4).map(|i| answer.slice(i * bytes..(i + 1) * bytes)).collect())
    }

    #[test]
    fn a_large_answer_does_not_stay_in_memory_for_the_sake_of_one_message() {
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
