//! Commands in the Redis protocol (RESP 2): an array of bulk strings.

use crate::scripts::Script;

/// Anything that can stand as one argument.
pub type Arg<'a> = &'a [u8];

fn header(out: &mut Vec<u8>, kind: u8, n: usize) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends the start of a command of `parts` arguments, its name included.
pub fn begin(out: &mut Vec<u8>, parts: usize) {
    header(out, b'*', parts);
}

/// Appends what stands before an argument of `len` bytes; CRLF follows these.
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

fn run(out: &mut Vec<u8>, verb: &[u8], script: &[u8], keys: &[String], args: &[Vec<u8>]) {
    begin(out, 3 + keys.len() + args.len());
    arg(out, verb);
    arg(out, script);
    arg(out, itoa::Buffer::new().format(keys.len()).as_bytes());
    for key in keys {
        arg(out, key.as_bytes());
    }
    for value in args {
        arg(out, value);
    }
}

/// Appends a call of a script by its digest.
pub fn evalsha(out: &mut Vec<u8>, script: &Script, keys: &[String], args: &[Vec<u8>]) {
    run(out, b"EVALSHA", script.digest.as_bytes(), keys, args);
}

/// Appends a call of a script with its text, which the server then remembers.
pub fn eval(out: &mut Vec<u8>, script: &Script, keys: &[String], args: &[Vec<u8>]) {
    run(out, b"EVAL", script.text.as_bytes(), keys, args);
}
