//! Writing a message. The bytes that all calls of a task share are rendered once.

use super::head::Head;
use super::terms::Terms;
use crate::errors::Result;
use crate::names;

const ENQUEUED_AT: &[u8] = br#","enqueued_at":"#;
const DUE: &[u8] = br#","due":"#;
const HEADERS: &[u8] = br#","headers":"#;

/// The last members of a message, which few messages have.
#[derive(Default)]
pub struct Tail<'a> {
    /// A JSON object.
    pub headers: Option<&'a [u8]>,
    /// When the task was enqueued, ms since 1970, if its id does not say it.
    pub enqueued_at: Option<u64>,
    /// When a delayed task is due, ms since 1970.
    pub due: Option<u64>,
}

/// A message without its head, arguments and tail.
pub struct Envelope {
    /// `,"name":"...","args":`
    before_args: Vec<u8>,
    /// The terms, such as `,"max_retries":5,"timeout":2.5`.
    after_args: Vec<u8>,
}

impl Envelope {
    /// Checks the name. The terms are checked already.
    pub fn new(name: &str, terms: &Terms) -> Result<Envelope> {
        names::check_task(name)?;
        let mut before_args = Vec::from(&br#","name":"#[..]);
        serde_json::to_writer(&mut before_args, name).expect("a string can be written into memory");
        before_args.extend_from_slice(br#","args":"#);
        Ok(Envelope { before_args, after_args: terms.body().into_bytes() })
    }

    /// The length of the message that `write` appends.
    pub fn len(&self, head: &Head, args: &[u8], kwargs: Option<&[u8]>, tail: &Tail) -> usize {
        let kwargs = kwargs.map_or(0, |k| br#","kwargs":"#.len() + k.len());
        head.size() + self.before_args.len() + args.len() + kwargs + self.after_args.len() + tail.len() + 1
    }

    /// Appends a message; `args` is a JSON array, `kwargs` a JSON object.
    pub fn write(&self, out: &mut Vec<u8>, head: &Head, args: &[u8], kwargs: Option<&[u8]>, tail: &Tail) {
        out.reserve(self.len(head, args, kwargs, tail));
        head.write(out);
        out.extend_from_slice(&self.before_args);
        out.extend_from_slice(args);
        if let Some(kwargs) = kwargs {
            out.extend_from_slice(br#","kwargs":"#);
            out.extend_from_slice(kwargs);
        }
        out.extend_from_slice(&self.after_args);
        tail.write(out);
        out.push(b'}');
    }
}

impl Tail<'_> {
    fn len(&self) -> usize {
        let headers = self.headers.map_or(0, |h| HEADERS.len() + h.len());
        headers + self.times().map(|(name, ms)| name.len() + itoa::Buffer::new().format(ms).len()).sum::<usize>()
    }

    fn times(&self) -> impl Iterator<Item = (&'static [u8], u64)> {
        let named = |name: &'static [u8], time: Option<u64>| time.map(|ms| (name, ms));
        [named(ENQUEUED_AT, self.enqueued_at), named(DUE, self.due)].into_iter().flatten()
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (name, ms) in self.times() {
            out.extend_from_slice(name);
            out.extend_from_slice(itoa::Buffer::new().format(ms).as_bytes());
        }
        if let Some(headers) = self.headers {
            out.extend_from_slice(HEADERS);
            out.extend_from_slice(headers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &[u8; 36] = b"019aa0c2-7b1f-7c3e-8d2a-0123456789ab";

    /// This message is one of the golden vectors, which other tests read.
    #[test]
    fn headers_come_last() {
        let envelope = Envelope::new("n", &Terms { max_retries: 5, ..Terms::default() }).expect("a good name");
        let headers = br#"{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}"#;
        let mut out = Vec::new();
        let head = Head::new(ID);
        let tail = Tail { headers: Some(headers), ..Tail::default() };
        envelope.write(&mut out, &head, b"[1]", None, &tail);
        assert_eq!(out.len(), envelope.len(&head, b"[1]", None, &tail));
        let text = serde_json::to_string(&String::from_utf8(out).expect("UTF-8")).expect("a string");
        assert!(include_str!("../../tests/vectors/messages.json").contains(&text));
    }

    #[test]
    fn the_times_of_a_call_are_between_terms_and_headers() {
        let envelope = Envelope::new("n", &Terms { max_retries: 5, ..Terms::default() }).expect("a good name");
        let head = Head::new(ID);
        let tail =
            Tail { headers: Some(br#"{"a":"b"}"#), enqueued_at: Some(1_764_430_000_000), due: Some(1_764_430_000_001) };
        let mut out = Vec::new();
        envelope.write(&mut out, &head, b"[]", None, &tail);
        assert_eq!(out.len(), envelope.len(&head, b"[]", None, &tail));
        let text = String::from_utf8(out).expect("UTF-8");
        assert!(text.ends_with(r#""enqueued_at":1764430000000,"due":1764430000001,"headers":{"a":"b"}}"#), "{text}");
    }
}
