//! Finds the end of a reply before the decoder reads it, without recursion and within bounds.
//! The server at the address need not be Redis.
//!
//! The decoder alone reads nested arrays by recursion, starts over after each read if a
//! reply arrives in pieces, and lets a line grow without limit.
//!
//! Why: docs/decisions/0035-replies-are-bounded-before-they-are-decoded.md

use bytes::{Bytes, BytesMut};
use redis_protocol::resp2::decode::decode_bytes_mut;
pub use redis_protocol::resp2::types::BytesFrame as Reply;

use crate::errors::{Error, Result};

/// The most levels of nested arrays. The scripts reply with arrays in an array.
const DEEPEST: usize = 8;
/// The most bytes of a line. An error of Redis may quote a command; a length has 20 digits.
const LONGEST_LINE: usize = 64 * 1024;
const MOST_ITEMS: i64 = 1 << 20;
/// The longest string that Redis takes (`proto-max-bulk-len`).
const LARGEST_STRING: i64 = 512 << 20;
const LARGEST_REPLY: usize = 1 << 30;

/// The scan of the reply at the start of a buffer: how far it has come.
#[derive(Default)]
pub struct Frame {
    /// Where the next element begins.
    at: usize,
    /// The number of elements that each open array still lacks.
    open: Vec<i64>,
    /// Whether the last element has begun, and only bytes are missing.
    is_last: bool,
}

pub(super) fn broken(what: impl std::fmt::Display) -> Error {
    Error::Broker(format!("what answers there does not speak the Redis protocol: {what}"))
}

impl Frame {
    /// Takes the next whole reply out of the buffer. None: it has not arrived whole yet. After
    /// an error the buffer is of no use.
    pub fn decode(&mut self, incoming: &mut BytesMut) -> Result<Option<Reply>> {
        if !self.is_whole(incoming)? {
            return Ok(None);
        }
        *self = Frame { open: std::mem::take(&mut self.open), ..Frame::default() };
        match decode_bytes_mut(incoming) {
            Ok(Some((reply, _, _))) => Ok(Some(reply)),
            Ok(None) => Err(broken("a reply that does not end")),
            Err(e) => Err(broken(e)),
        }
    }

    /// Takes the bytes of the next whole reply out of the buffer.
    pub(super) fn take_whole(&mut self, incoming: &mut BytesMut) -> Result<Option<Bytes>> {
        if !self.is_whole(incoming)? {
            return Ok(None);
        }
        let whole = incoming.split_to(self.at).freeze();
        *self = Frame { open: std::mem::take(&mut self.open), ..Frame::default() };
        Ok(Some(whole))
    }

    fn is_whole(&mut self, bytes: &[u8]) -> Result<bool> {
        while !self.is_last {
            let Some(rest) = bytes.get(self.at..).filter(|rest| !rest.is_empty()) else { return Ok(false) };
            let line = &rest[..rest.len().min(LONGEST_LINE)];
            let Some(end) = memchr::memmem::find(line, b"\r\n") else {
                return if line.len() < LONGEST_LINE { Ok(false) } else { Err(broken("a line that does not end")) };
            };
            self.at += end + 2;
            let Some((kind, number)) = line[..end].split_first() else { return Err(broken("an empty line")) };
            match kind {
                b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => self.element_ends(),
                b'$' | b'=' | b'!' => {
                    if let Some(length) = length(number, LARGEST_STRING)? {
                        self.at += length as usize + 2;
                    }
                    self.element_ends();
                }
                b'*' | b'>' | b'~' | b'%' => match length(number, MOST_ITEMS)? {
                    None | Some(0) => self.element_ends(),
                    Some(_) if self.open.len() == DEEPEST => return Err(broken("arrays nested too deeply")),
                    Some(pairs) if *kind == b'%' => self.open.push(2 * pairs),
                    Some(items) => self.open.push(items),
                },
                other => return Err(broken(format!("a reply that begins with the byte {other}"))),
            }
            if self.at > LARGEST_REPLY {
                return Err(broken(format!("a reply of more than {LARGEST_REPLY} bytes")));
            }
        }
        Ok(bytes.len() >= self.at)
    }

    fn element_ends(&mut self) {
        while let Some(left) = self.open.last_mut() {
            *left -= 1;
            if *left > 0 {
                return;
            }
            self.open.pop();
        }
        self.is_last = true;
    }
}

/// Reads a length of at most `most`. None for -1, which means null.
fn length(digits: &[u8], most: i64) -> Result<Option<i64>> {
    let number = std::str::from_utf8(digits).ok().and_then(|text| text.parse::<i64>().ok());
    match number {
        Some(-1) => Ok(None),
        Some(n) if (0..=most).contains(&n) => Ok(Some(n)),
        Some(n) => Err(broken(format!("the length {n}, where 0 to {most} is possible"))),
        None => Err(broken("a length that is no number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Result<Option<Reply>> {
        Frame::default().decode(&mut BytesMut::from(bytes))
    }

    #[test]
    fn replies_that_arrive_byte_by_byte_are_read_whole() {
        let sent = b"*3\r\n*2\r\n$3\r\na\r\n\r\n$-1\r\n*0\r\n:7\r\n+OK\r\n-ERR no\r\n$0\r\n\r\n";
        let (mut frame, mut incoming, mut replies) = (Frame::default(), BytesMut::new(), Vec::new());
        for byte in sent {
            incoming.extend_from_slice(&[*byte]);
            replies.extend(frame.decode(&mut incoming).expect("a good reply"));
        }
        let inner = Reply::Array(vec![Reply::BulkString("a\r\n".into()), Reply::Null]);
        assert_eq!(
            replies,
            [
                Reply::Array(vec![inner, Reply::Array(vec![]), Reply::Integer(7)]),
                Reply::SimpleString("OK".into()),
                Reply::Error("ERR no".into()),
                Reply::BulkString("".into()),
            ]
        );
        assert!(incoming.is_empty());
    }

    #[test]
    fn replies_without_bounds_are_refused() {
        for (bytes, said) in [
            ("*1\r\n".repeat(1_000_000), "nested too deeply"),
            ("+".to_owned() + &"x".repeat(LONGEST_LINE), "a line that does not end"),
            ("$536870913\r\n".to_owned(), "the length 536870913"),
            ("$-2\r\n".to_owned(), "the length -2"),
            ("*9223372036854775807\r\n".to_owned(), "the length"),
            ("*99999999999999999999\r\n".to_owned(), "no number"),
            ("$1x\r\n".to_owned(), "no number"),
            ("HTTP/1.1 400\r\n".to_owned(), "begins with the byte 72"),
            (":seven\r\n".to_owned(), "Redis protocol"),
            ("*3\r\n".to_owned() + "$536870912\r\n", ""),
        ] {
            let answer = decode(bytes.as_bytes());
            match said {
                "" => assert!(matches!(answer, Ok(None))),
                _ => assert!(answer.expect_err("refused").to_string().contains(said), "{said}"),
            }
        }
    }
}
