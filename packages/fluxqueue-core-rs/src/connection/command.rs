//! Writes commands in the Redis protocol (RESP 2): each is an array of bulk strings.

use crate::scripts::Script;

/// The bytes of one argument.
pub type Arg<'a> = &'a [u8];

fn header(out: &mut Vec<u8>, kind: u8, n: usize) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends the start of a command with `parts` arguments, including its name.
pub fn begin(out: &mut Vec<u8>, parts: usize) {
    header(out, b'*', parts);
}

/// Appends the head of an argument of `len` bytes. The caller appends the bytes and CRLF.
pub fn bulk(out: &mut Vec<u8>, len: usize) {
    header(out, b'$', len);
}

/// Appends one argument.
pub fn arg(out: &mut Vec<u8>, bytes: &[u8]) {
    bulk(out, bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Appends a whole command.
pub fn command<'a, I>(out: &mut Vec<u8>, args: I)
where
    I: IntoIterator<Item = Arg<'a>>,
    I::IntoIter: ExactSizeIterator,
{
    let args = args.into_iter();
    begin(out, args.len());
    for bytes in args {
        arg(out, bytes);
    }
}

/// The bytes of some arguments in the protocol, and the number of arguments.
#[derive(Clone, Debug, Default)]
pub struct Args {
    bytes: Vec<u8>,
    count: usize,
}

impl Args {
    /// Appends an argument. Returns its position, from 1.
    pub fn push(&mut self, value: &[u8]) -> usize {
        arg(&mut self.bytes, value);
        self.count += 1;
        self.count
    }

    /// Appends a number. Returns its position.
    pub fn number(&mut self, n: impl itoa::Integer) -> usize {
        self.push(itoa::Buffer::new().format(n).as_bytes())
    }

    /// Appends '1' for true, '0' for false. Returns its position.
    pub fn flag(&mut self, on: bool) -> usize {
        self.push(if on { b"1" } else { b"0" })
    }
}

/// The KEYS and ARGV of a call of a script. In a cluster every key must be in KEYS. A value
/// in ARGV names a key by the position that `keys.push` returned.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// KEYS.
    pub keys: Args,
    /// ARGV.
    pub args: Args,
}

impl Call {
    /// Begins with the keys that are the same in all calls.
    pub fn new(keys: &Args) -> Call {
        Call { keys: keys.clone(), args: Args::default() }
    }

    fn write(&self, out: &mut Vec<u8>, verb: &[u8], script: &[u8]) {
        begin(out, 3 + self.keys.count + self.args.count);
        arg(out, verb);
        arg(out, script);
        arg(out, itoa::Buffer::new().format(self.keys.count).as_bytes());
        out.extend_from_slice(&self.keys.bytes);
        out.extend_from_slice(&self.args.bytes);
    }

    /// Appends the call of a script by its digest.
    pub fn evalsha(&self, out: &mut Vec<u8>, script: &Script) {
        self.write(out, b"EVALSHA", script.digest.as_bytes());
    }

    /// Appends the call of a script with its text. From then on the server knows the script.
    pub fn eval(&self, out: &mut Vec<u8>, script: &Script) {
        self.write(out, b"EVAL", script.text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_its_position_in_keys() {
        let mut queue = Args::default();
        queue.push(b"a");
        let mut call = Call::new(&queue);
        assert_eq!(call.keys.push(b"b"), 2);
        call.args.number(2);
        call.args.flag(true);
        let script = Script { text: "return 0".into(), digest: "d".into() };
        let mut out = Vec::new();
        call.evalsha(&mut out, &script);
        let expected = "*7\r\n$7\r\nEVALSHA\r\n$1\r\nd\r\n$1\r\n2\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\n1\r\n";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
