//! The head of a message. Every byte of it is at a fixed position, so a script reads it
//! without decoding JSON.
//!
//! ```text
//! {"v":1,"id":"<36 characters>","deliveries":2,"retries":1,"requeues":1,"name":...
//! {"v":2,"id":"<36 characters>","deliveries":2,"retries":1,"opts":{"p":5},"name":...
//!              ^13             ^49                         ^ the field ends here
//! ```
//!
//! A counter that is 0 is left out. A message has options exactly if its version is
//! 2. The *field* (the id and the counters) names one attempt at one task: a claimed
//! hash holds the message under it. `field` and `is_newer` here and in the Lua scripts
//! are one rule; the golden vectors in `tests/vectors/messages.json` hold both to it.
//!
//! `opts` reads and writes the values of the options.
//!
//! Why: docs/decisions/0047-options-in-the-head-of-a-message.md

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;

use super::opts::{CONDEMNED_LEN, COUNTS_LEN};

/// The newest version of the message that this release reads.
pub const NEWEST_VERSION: u32 = 2;

/// The bytes that the options of a message may have, with both braces.
pub const OPTS_MAX: usize = 512;

/// How many bytes a message has grown by at most since its client measured it:
/// `,"deliveries":` and `,"retries":` with 10 digits each, `,"requeues":` with 5,
/// `,"unknown_since":` with 20, `,"opts":{"e":2}` of a script, two counts of 10 bytes in `opts`, 134
/// together. Nothing else is ever added to a message on its way.
pub const GROWTH_MAX: usize = COUNTERS_MAX + 37 + (OPTS.len() + 1 + CONDEMNED_LEN) + COUNTS_LEN;

const VERSION_1: &[u8] = br#"{"v":1,"id":""#;
const VERSION_2: &[u8] = br#"{"v":2,"id":""#;
const DELIVERIES: &[u8] = br#","deliveries":"#;
const RETRIES: &[u8] = br#","retries":"#;
const REQUEUES: &[u8] = br#","requeues":"#;
const OPTS: &[u8] = br#","opts":"#;
const NAME: &[u8] = br#","name":"#;

const ID_LEN: usize = 36;
const ID: Range<usize> = VERSION_1.len()..VERSION_1.len() + ID_LEN;
/// Where the counters begin: behind the id and its closing quote.
const COUNTERS: usize = ID.end + 1;
/// The bytes that the counters may take.
const COUNTERS_MAX: usize = 24 + 21 + 17;

/// The highest count of requeues; a count stays there.
pub const REQUEUES_MAX: u32 = 99_999;

/// The id and what the protocol itself knows about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// The task's id.
    pub id: &'a [u8; ID_LEN],
    /// How many workers were lost while they held the message.
    pub deliveries: u32,
    /// How many times the task has failed.
    pub retries: u32,
    /// How many times an operator has requeued the dead task. So no attempt has the field of one
    /// before its death.
    pub requeues: u32,
    /// The options that scripts read, a JSON object with its braces.
    pub opts: Option<&'a [u8]>,
}

/// Why bytes are not the head of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// They begin otherwise.
    Begin,
    /// The counters are not what `Head::write` writes.
    Counters,
    /// Version 2 without options.
    NoOpts,
    /// Options in version 1, or elsewhere than in the head.
    StrayOpts,
    /// The options are too long, or not what a script can read.
    BadOpts,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Begin => out.write_str("it does not begin like a message of this protocol"),
            Fault::Counters => out.write_str("its counters are not where the protocol has them"),
            Fault::NoOpts => out.write_str("its version is 2, but no opts stand between its counters and its name"),
            Fault::StrayOpts => {
                out.write_str("it has opts, which stand only in version 2, between the counters and the name")
            }
            Fault::BadOpts => write!(
                out,
                "its opts are not one flat JSON object of at most {OPTS_MAX} bytes, of printable ASCII without spaces \
                 and escapes, in front of the name"
            ),
        }
    }
}

impl<'a> Head<'a> {
    /// The head of a new plain message.
    pub const fn new(id: &'a [u8; ID_LEN]) -> Head<'a> {
        Head { id, deliveries: 0, retries: 0, requeues: 0, opts: None }
    }

    /// Reads the head; returns it with its length. The next bytes are `,"name":`.
    pub fn read(raw: &'a [u8]) -> Result<(Head<'a>, usize), Fault> {
        let (version, id) = begin(raw).ok_or(Fault::Begin)?;
        let mut rest = &raw[COUNTERS..];
        let counters = read_counters(&mut rest);
        let found = match (version, counters) {
            (Version::One, Some(_)) if rest.starts_with(NAME) => None,
            (Version::One, Some(_)) if rest.starts_with(OPTS) => return Err(Fault::StrayOpts),
            (Version::Two, Some(_)) if rest.starts_with(NAME) => return Err(Fault::NoOpts),
            (Version::Two, Some(_)) if rest.starts_with(OPTS) => Some(read_opts(&rest[OPTS.len()..])?),
            _ => return Err(if field(raw).is_some() { Fault::Counters } else { Fault::Begin }),
        };
        let [deliveries, retries, requeues] = counters.unwrap_or_default();
        let head = Head { id, deliveries, retries, requeues, opts: found };
        Ok((head, raw.len() - rest.len() + found.map_or(0, |opts| OPTS.len() + opts.len())))
    }

    /// How many bytes `write` appends.
    #[inline]
    pub fn size(&self) -> usize {
        let counters = counter_len(DELIVERIES, self.deliveries)
            + counter_len(RETRIES, self.retries)
            + counter_len(REQUEUES, self.requeues);
        COUNTERS + counters + self.opts.map_or(0, |opts| OPTS.len() + opts.len())
    }

    /// Where the field of a head of `len` bytes lies.
    pub fn field(&self, len: usize) -> Range<usize> {
        ID.start..len - self.opts.map_or(0, |opts| OPTS.len() + opts.len())
    }

    /// Appends the head: all bytes before `,"name":`.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.opts.is_some() { VERSION_2 } else { VERSION_1 });
        out.extend_from_slice(self.id);
        out.push(b'"');
        write_counter(out, DELIVERIES, self.deliveries);
        write_counter(out, RETRIES, self.retries);
        write_counter(out, REQUEUES, self.requeues);
        if let Some(opts) = self.opts {
            out.extend_from_slice(OPTS);
            out.extend_from_slice(opts);
        }
    }
}

enum Version {
    One,
    Two,
}

impl Version {
    /// The mark behind the counters, which ends the field.
    fn mark(&self) -> &'static [u8] {
        match self {
            Version::One => NAME,
            Version::Two => OPTS,
        }
    }
}

/// The version and the id of bytes that begin like a message.
fn begin(raw: &[u8]) -> Option<(Version, &[u8; ID_LEN])> {
    let version = match raw.get(..ID.start)? {
        VERSION_1 => Version::One,
        VERSION_2 => Version::Two,
        _ => return None,
    };
    let id = raw.get(ID)?.try_into().ok()?;
    (raw.get(ID.end) == Some(&b'"')).then_some((version, id))
}

/// Takes the counters off the beginning of `rest`; None if they are not what `Head::write` writes.
fn read_counters(rest: &mut &[u8]) -> Option<[u32; 3]> {
    let mut found = [0; 3];
    for (count, label) in found.iter_mut().zip([DELIVERIES, RETRIES, REQUEUES]) {
        *count = read_counter(rest, label)?;
    }
    (found[2] <= REQUEUES_MAX).then_some(found)
}

/// Takes a counter off the beginning of `rest`: 0 if it is not there, None if it is
/// not written as `write_counter` does.
fn read_counter(rest: &mut &[u8], label: &[u8]) -> Option<u32> {
    let Some(behind) = rest.strip_prefix(label) else { return Some(0) };
    let digits = behind.iter().take_while(|b| b.is_ascii_digit()).count();
    if behind.first() == Some(&b'0') {
        return None;
    }
    *rest = &behind[digits..];
    std::str::from_utf8(&behind[..digits]).ok()?.parse().ok()
}

#[inline]
fn write_counter(out: &mut Vec<u8>, label: &[u8], count: u32) {
    if count > 0 {
        out.extend_from_slice(label);
        out.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
    }
}

#[inline]
fn counter_len(label: &[u8], count: u32) -> usize {
    if count > 0 { label.len() + count.ilog10() as usize + 1 } else { 0 }
}

/// Reads the options at the beginning of `rest`. They contain no brace, so the first
/// closing one ends them.
fn read_opts(rest: &[u8]) -> Result<&[u8], Fault> {
    let window = &rest[..rest.len().min(OPTS_MAX)];
    let end = memchr::memchr(b'}', window).ok_or(Fault::BadOpts)?;
    let inside = window[..end].strip_prefix(b"{").ok_or(Fault::BadOpts)?;
    let is_plain = |b: &u8| b.is_ascii_graphic() && !matches!(b, b'{' | b'[' | b']' | b'\\');
    match inside.iter().all(is_plain) && rest[end + 1..].starts_with(NAME) {
        true => Ok(&rest[..=end]),
        false => Err(Fault::BadOpts),
    }
}

/// Where a message's field is. None if the message does not begin as this release
/// writes it. Like `field` of the Lua scripts, this does not check the counters.
pub fn field(raw: &[u8]) -> Option<Range<usize>> {
    let (version, _) = begin(raw)?;
    let mark = version.mark();
    let window = &raw[COUNTERS..raw.len().min(COUNTERS + COUNTERS_MAX + mark.len())];
    memmem::find(window, mark).map(|at| ID.start..COUNTERS + at)
}

/// The field of a larger message is copied.
const LARGE: usize = 4096;

/// The bytes of a message's field, to be kept longer than the message. A slice would
/// keep all of a large message in memory.
pub fn field_of(raw: &Bytes, field: Range<usize>) -> Bytes {
    if raw.len() > LARGE { Bytes::copy_from_slice(&raw[field]) } else { raw.slice(field) }
}

/// Whether a later release of FluxQueue has written the message: `{"v":3,` and the
/// like. All versions begin with their number; nothing else is common to all. The
/// same rule as `newer` of the Lua scripts.
pub fn is_newer(raw: &[u8]) -> bool {
    let Some(rest) = raw.strip_prefix(br#"{"v":"#) else { return false };
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if !(1..=9).contains(&digits) || rest[0] == b'0' || !matches!(rest.get(digits), Some(b',' | b'}')) {
        return false;
    }
    let number = std::str::from_utf8(&rest[..digits]).ok().and_then(|text| text.parse::<u32>().ok());
    number.is_some_and(|number| number > NEWEST_VERSION)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TASK: &[u8; ID_LEN] = b"019aa0c2-7b1f-7c3e-8d2a-0123456789ab";

    fn written(head: &Head) -> Vec<u8> {
        let mut out = Vec::new();
        head.write(&mut out);
        out
    }

    fn fault(counters: &str, version: u8) -> Option<Fault> {
        let text =
            format!(r#"{{"v":{version},"id":"019aa0c2-7b1f-7c3e-8d2a-0123456789ab"{counters},"name":"n","args":[]}}"#);
        Head::read(text.as_bytes()).err()
    }

    #[test]
    fn the_head_has_one_form_for_each_version() {
        let plain = Head::new(TASK);
        assert_eq!(written(&plain), br#"{"v":1,"id":"019aa0c2-7b1f-7c3e-8d2a-0123456789ab""#);
        let full = Head { deliveries: 1, retries: 2, requeues: 3, opts: Some(br#"{"p":5}"#), ..plain };
        let text = br#"{"v":2,"id":"019aa0c2-7b1f-7c3e-8d2a-0123456789ab","deliveries":1,"retries":2,"requeues":3,"opts":{"p":5}"#;
        assert_eq!(written(&full), text);
    }

    #[test]
    fn each_fault_has_its_name() {
        for (counters, version, expected) in [
            ("", 1, None),
            (r#","deliveries":1,"retries":2"#, 1, None),
            (r#","deliveries":4294967295,"retries":4294967295,"requeues":99999,"opts":{}"#, 2, None),
            (r#","requeues":100000"#, 1, Some(Fault::Counters)),
            (r#","requeues":1,"retries":1"#, 1, Some(Fault::Counters)),
            (r#","opts":{"u":"ab:1","p":5}"#, 2, None),
            ("", 2, Some(Fault::NoOpts)),
            (r#","deliveries":1"#, 2, Some(Fault::NoOpts)),
            (r#","opts":{}"#, 1, Some(Fault::StrayOpts)),
            (r#","retries":1,"deliveries":1"#, 1, Some(Fault::Counters)),
            (r#","retries":0"#, 1, Some(Fault::Counters)),
            (r#","retries":01"#, 1, Some(Fault::Counters)),
            (r#","retries":1.0"#, 1, Some(Fault::Counters)),
            (r#","retries":4294967296"#, 1, Some(Fault::Counters)),
            (r#","retries":,"opts":{}"#, 2, Some(Fault::Counters)),
            (r#","opts":[]"#, 2, Some(Fault::BadOpts)),
            (r#","opts":{"a":{}}"#, 2, Some(Fault::BadOpts)),
            (r#","opts":{"a":[]}"#, 2, Some(Fault::BadOpts)),
            (r#","opts":{"a": 1}"#, 2, Some(Fault::BadOpts)),
            (r#","opts":{"a":"é"}"#, 2, Some(Fault::BadOpts)),
            (r#","opts":{"a":"\u007d"}"#, 2, Some(Fault::BadOpts)),
            (r#","opts":{},"more":1"#, 2, Some(Fault::BadOpts)),
            (",\"other\":1", 0, Some(Fault::Begin)),
            (",\"other\":1", 3, Some(Fault::Begin)),
        ] {
            assert_eq!(fault(counters, version), expected, "{version} {counters}");
        }
    }

    #[test]
    fn opts_are_bounded() {
        let opts = |len: usize| format!(r#","opts":{{"a":"{}"}}"#, "x".repeat(len - 8));
        assert_eq!(opts(OPTS_MAX).len(), OPTS.len() + OPTS_MAX);
        assert_eq!(fault(&opts(OPTS_MAX), 2), None);
        assert_eq!(fault(&opts(OPTS_MAX + 1), 2), Some(Fault::BadOpts));
    }

    #[test]
    fn a_version_above_the_newest_is_newer() {
        for (text, expected) in [
            (&br#"{"v":1,"#[..], false),
            (br#"{"v":2,"#, false),
            (br#"{"v":3,"#, true),
            (br#"{"v":3}"#, true),
            (br#"{"v":999999999}"#, true),
            (br#"{"v":1000000000}"#, false),
            (br#"{"v":03}"#, false),
            (br#"{"v":0}"#, false),
            (br#"{"v":3"#, false),
            (br#"{"v":3.0}"#, false),
            (br#"{"v":}"#, false),
            (b"", false),
        ] {
            assert_eq!(is_newer(text), expected, "{}", String::from_utf8_lossy(text));
        }
    }

    proptest! {
        #[test]
        fn a_head_is_read_as_it_was_written(
            id in "[0-9a-f-]{36}",
            deliveries in any::<u32>(),
            retries in any::<u32>(),
            requeues in 0..=REQUEUES_MAX,
            opts in proptest::option::of(r#"[ -Z^-z|~]{0,40}"#),
            rest in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let id: &[u8; ID_LEN] = id.as_bytes().try_into().expect("36 characters");
            let opts = opts.map(|inside| format!("{{{}}}", inside.replace(' ', "")));
            let head = Head { id, deliveries, retries, requeues, opts: opts.as_deref().map(str::as_bytes) };
            let mut raw = written(&head);
            let len = raw.len();
            prop_assert_eq!(head.size(), len);
            raw.extend_from_slice(NAME);
            raw.extend_from_slice(&rest);
            prop_assert_eq!(Head::read(&raw), Ok((head, len)));
            prop_assert_eq!(field(&raw), Some(head.field(len)));
            prop_assert!(!is_newer(&raw));
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            begin in proptest::sample::select(vec![&b""[..], VERSION_1, VERSION_2]),
            id in proptest::option::of("[0-9a-f-]{36}\""),
            parts in proptest::collection::vec(proptest::sample::select(vec![
                DELIVERIES, RETRIES, REQUEUES, OPTS, NAME, b"7", b"42", b"0", b"{", b"}", b"{}", b"{\"p\":5}", b"\"", b"\\", b",",
            ]), 0..12),
            rest in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let raw = [begin, id.unwrap_or_default().as_bytes(), &parts.concat(), &rest].concat();
            match Head::read(&raw) {
                Ok((head, len)) => {
                    prop_assert_eq!(&written(&head), &raw[..len]);
                    prop_assert!(raw[len..].starts_with(NAME));
                    prop_assert_eq!(field(&raw), Some(head.field(len)));
                }
                Err(Fault::Counters | Fault::BadOpts) => prop_assert!(field(&raw).is_some()),
                Err(_) => {}
            }
        }
    }
}
