//! Writing a message. The bytes that all calls of a task share are rendered once.

use super::head::Head;
use super::terms::Terms;
use crate::errors::Result;
use crate::names;

/// A message without its head, arguments and headers.
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
    pub fn len(&self, head: &Head, args: &[u8], kwargs: Option<&[u8]>, headers: Option<&[u8]>) -> usize {
        let kwargs = kwargs.map_or(0, |k| br#","kwargs":"#.len() + k.len());
        let headers = headers.map_or(0, |h| br#","headers":"#.len() + h.len());
        head.size() + self.before_args.len() + args.len() + kwargs + self.after_args.len() + headers + 1
    }

    /// Appends a message; `args` is a JSON array, `kwargs` and `headers` JSON objects.
    pub fn write(&self, out: &mut Vec<u8>, head: &Head, args: &[u8], kwargs: Option<&[u8]>, headers: Option<&[u8]>) {
        out.reserve(self.len(head, args, kwargs, headers));
        head.write(out);
        out.extend_from_slice(&self.before_args);
        out.extend_from_slice(args);
        if let Some(kwargs) = kwargs {
            out.extend_from_slice(br#","kwargs":"#);
            out.extend_from_slice(kwargs);
        }
        out.extend_from_slice(&self.after_args);
        if let Some(headers) = headers {
            out.extend_from_slice(br#","headers":"#);
            out.extend_from_slice(headers);
        }
        out.push(b'}');
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
        envelope.write(&mut out, &head, b"[1]", None, Some(headers));
        assert_eq!(out.len(), envelope.len(&head, b"[1]", None, Some(headers)));
        let text = serde_json::to_string(&String::from_utf8(out).expect("UTF-8")).expect("a string");
        assert!(include_str!("../../tests/vectors/messages.json").contains(&text));
    }
}
