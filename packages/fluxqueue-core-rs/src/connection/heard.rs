//! Reads what a server says in RESP 3: replies, and pushes between them.
//!
//! A connection that speaks RESP 3 can subscribe to channels and send other commands too.

use bytes::{Bytes, BytesMut};

use super::framing::{Frame, Reply, broken};
use crate::errors::Result;

/// A reply to a command, or a push.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// The reply to the oldest command that has none yet.
    Reply(Reply),
    /// The parts of a push: its kind, then the rest.
    Push(Vec<Reply>),
}

/// Takes the next whole reply or push out of the buffer. None: it has not arrived whole yet.
pub fn decode(frame: &mut Frame, incoming: &mut BytesMut) -> Result<Option<Heard>> {
    frame.take_whole(incoming)?.map(read).transpose()
}

/// Reads one whole reply or push. A map becomes an array of its keys and values.
fn read(whole: Bytes) -> Result<Heard> {
    let is_push = whole.first() == Some(&b'>');
    let mut reader = Reader { whole, at: 0 };
    match reader.element()? {
        Reply::Array(parts) if is_push => Ok(Heard::Push(parts)),
        reply => Ok(Heard::Reply(reply)),
    }
}

struct Reader {
    whole: Bytes,
    at: usize,
}

impl Reader {
    /// `Frame` has found the end of the whole, so the depth and all lengths are within bounds.
    fn element(&mut self) -> Result<Reply> {
        let rest = &self.whole[self.at..];
        let end = memchr::memmem::find(rest, b"\r\n").ok_or_else(|| broken("a line that does not end"))?;
        let line = self.whole.slice(self.at..self.at + end);
        self.at += end + 2;
        let (Some(kind), text) = (line.first(), line.slice(line.len().min(1)..)) else {
            return Err(broken("an empty line"));
        };
        let number = || std::str::from_utf8(&text).ok().and_then(|text| text.parse::<i64>().ok());
        Ok(match kind {
            b'+' | b',' | b'(' => Reply::SimpleString(text),
            b'-' => Reply::Error(String::from_utf8_lossy(&text).into_owned().into()),
            b':' => Reply::Integer(number().ok_or_else(|| broken("a number that is none"))?),
            b'#' => Reply::Integer(i64::from(&text[..] == b"t")),
            b'_' => Reply::Null,
            b'$' | b'=' | b'!' => match number() {
                Some(length) if length >= 0 => Reply::BulkString(self.bytes(length as usize)?),
                _ => Reply::Null,
            },
            _ => match number() {
                Some(items) if items >= 0 => {
                    let items = if *kind == b'%' { 2 * items } else { items };
                    Reply::Array((0..items).map(|_| self.element()).collect::<Result<_>>()?)
                }
                _ => Reply::Null,
            },
        })
    }

    fn bytes(&mut self, length: usize) -> Result<Bytes> {
        let end = self.at + length;
        if end + 2 > self.whole.len() {
            return Err(broken("a string that does not end"));
        }
        let bytes = self.whole.slice(self.at..end);
        self.at = end + 2;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushes_and_replies_that_arrive_byte_by_byte_are_told_apart() {
        let sent = b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n*2\r\n_\r\n$2\r\nno\r\n%1\r\n+a\r\n:1\r\n\
                     >3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$-1\r\n-NOPERM no\r\n#t\r\n";
        let (mut frame, mut incoming, mut heard) = (Frame::default(), BytesMut::new(), Vec::new());
        for byte in sent {
            incoming.extend_from_slice(&[*byte]);
            heard.extend(decode(&mut frame, &mut incoming).expect("good"));
        }
        let text = |text: &'static str| Reply::BulkString(text.into());
        assert_eq!(
            heard,
            [
                Heard::Push(vec![text("subscribe"), text("c"), Reply::Integer(1)]),
                Heard::Reply(Reply::Array(vec![Reply::Null, text("no")])),
                Heard::Reply(Reply::Array(vec![Reply::SimpleString("a".into()), Reply::Integer(1)])),
                Heard::Push(vec![text("message"), text("c"), Reply::Null]),
                Heard::Reply(Reply::Error("NOPERM no".into())),
                Heard::Reply(Reply::Integer(1)),
            ]
        );
        assert!(incoming.is_empty());
    }
}
