//! The replies of the scripts; their headers are the contract.

use std::collections::HashSet;

use bytes::Bytes;

use crate::connection::Reply;
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
    pub claimed: Vec<Bytes>,
    /// More wait: they would have been too many bytes at once.
    pub more: bool,
    /// Messages of newer versions that were put off.
    pub put_off: i64,
}

fn odd(reply: &Reply) -> Error {
    Error::Broker(format!("a script answered something unexpected: {reply:?}"))
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

/// Reads the answer of `exchange`.
pub fn exchanged(reply: Reply) -> Result<Exchanged> {
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
        claimed: strings(claimed)?,
        more: integer(&more)? != 0,
        put_off: integer(&put_off)?,
    }))
}
