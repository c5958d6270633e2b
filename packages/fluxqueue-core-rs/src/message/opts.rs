//! The options in the head of a message, which scripts read too: a flat JSON object.
//!
//! ```text
//! {"e":2,"p":5,"x":1764430000000,"r":3600000,"u":"<32 hexadecimal digits>:86400000s",
//!  "l":"<32 hexadecimal digits>:3:40000:1","s":12,"b":1}
//! ```
//!
//! An option that has its default is left out. `Opts::write` has one order. A reader takes any
//! order, and keeps options that this release does not know as they are.
//!
//! Why: docs/decisions/0096-options-are-typed.md

use std::fmt;

/// The highest priority. 0, the lowest, is that of a message without the option.
pub const PRIORITY_MAX: u8 = 9;

/// The latest moment that an option can name, in ms since 1970: 13 digits, in the year 2286.
pub const MOMENT_MAX: u64 = 9_999_999_999_999;

/// The hexadecimal digits that name a lock, or the key of a limit.
const DIGEST_LEN: usize = 32;

/// The bytes of `"e":1,`, which a script adds when it condemns a message.
pub const CONDEMNED_LEN: usize = 6;

/// The highest count of snoozes and releases; a count stays there.
pub const COUNT_MAX: u32 = 99_999;

/// The bytes of `"s":99999,` and `"b":99999,`, which a worker adds.
pub const COUNTS_LEN: usize = 20;

/// The end of a message that no worker may begin. A script has found it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condemned {
    /// The message has waited beyond its expiry.
    Expired = 1,
    /// A caller cancelled the task.
    Cancelled = 2,
}

impl Condemned {
    /// How the task ends, as the dead set and the statistics say it.
    pub fn name(self) -> &'static str {
        match self {
            Condemned::Expired => "expired",
            Condemned::Cancelled => "cancelled",
        }
    }
}

/// The lock of a unique task: `<digest>:<ms to live><flags>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock<'a> {
    text: &'a str,
    /// The task holds it only until it is handed out (the flag `s`).
    pub is_until_start: bool,
}

/// The limit of a task: `<digest>:<most at once>:<µs between two>:<burst>`. The first half of the
/// digest names the limit, the whole of it its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit<'a> {
    text: &'a str,
}

impl<'a> Limit<'a> {
    /// The highest number at once, and the highest burst.
    pub const MOST_MAX: u64 = 999_999;
    /// The longest time between two, in µs: a year.
    pub const PERIOD_MAX: u64 = 31_536_000_000_000;

    /// Reads the value of the option. None: it is not one.
    pub fn of(text: &'a str) -> Option<Limit<'a>> {
        let mut parts = text.split(':');
        let digest = parts.next()?;
        let mut next = |most| number(parts.next()?, most);
        next(Self::MOST_MAX)?;
        next(Self::PERIOD_MAX)?;
        let burst = next(Self::MOST_MAX)?;
        (is_digest(digest) && burst > 0 && parts.next().is_none()).then_some(Limit { text })
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == DIGEST_LEN && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

impl<'a> Lock<'a> {
    /// Reads the value of the option. None: it is not one.
    pub fn of(text: &'a str) -> Option<Lock<'a>> {
        let (digest, rest) = text.split_once(':')?;
        let ms = rest.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let flags = &rest[ms.len()..];
        let is_good = is_digest(digest) && number(ms, MOMENT_MAX).is_some() && ["", "s", "i", "si"].contains(&flags);
        is_good.then_some(Lock { text, is_until_start: flags.starts_with('s') })
    }
}

/// When a task expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// This many ms after the call. The script `enqueue` puts the moment in its place.
    In(u64),
    /// At this moment, in ms since 1970, by the clock of Redis.
    At(u64),
}

/// The options of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opts<'a> {
    /// `e`: no worker may begin the message; it ends as this.
    pub condemned: Option<Condemned>,
    /// `p`: 1 to 9; 0 without the option.
    pub priority: u8,
    /// `x`: no worker may begin the message after this.
    pub expires: Option<Expiry>,
    /// `r`: how long the outcome is kept, in ms.
    pub result_ttl: Option<u64>,
    /// `u`: the lock of a unique task.
    pub lock: Option<Lock<'a>>,
    /// `l`: the limit of the task.
    pub limit: Option<Limit<'a>>,
    /// `s`: how many times the task has put itself off.
    pub snoozes: u32,
    /// `b`: how many drains have cut the task off.
    pub releases: u32,
    /// The options that this release does not know, such as `"g":"0f:1"`.
    pub others: Vec<&'a str>,
}

/// An option with a value that this release can't read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadOption {
    name: &'static str,
    value: String,
    range: &'static str,
}

impl fmt::Display for BadOption {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "its option {} is {}, not {}", self.name, self.value, self.range)
    }
}

impl<'a> Opts<'a> {
    /// Reads a flat JSON object with both braces, without spaces and escapes: what `Head::read` has
    /// found, and a JSON reader has accepted.
    pub fn read(json: &'a [u8]) -> Result<Opts<'a>, BadOption> {
        let text = std::str::from_utf8(json).unwrap_or_default();
        let inside = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
        let mut opts = Opts::default();
        let mut seen = 0u8;
        let count = |name, value| number(value, COUNT_MAX.into()).ok_or_else(|| bad(name, value, "0 to 99999"));
        for (whole, name, value) in Members(inside) {
            let bit = match name {
                "e" => {
                    opts.condemned = Some(match value {
                        "1" => Condemned::Expired,
                        "2" => Condemned::Cancelled,
                        _ => return Err(bad("e", value, "1 or 2")),
                    });
                    1
                }
                "p" => {
                    opts.priority = number(value, PRIORITY_MAX.into()).ok_or_else(|| bad("p", value, "0 to 9"))? as u8;
                    2
                }
                "x" => {
                    let at = number(value, MOMENT_MAX).ok_or_else(|| bad("x", value, "a time in ms of 13 digits"))?;
                    opts.expires = Some(Expiry::At(at));
                    4
                }
                "r" => {
                    let ms = number(value, MOMENT_MAX).ok_or_else(|| bad("r", value, "a number of ms"))?;
                    opts.result_ttl = Some(ms);
                    8
                }
                "u" => {
                    let lock = value.strip_prefix('"').and_then(|rest| Lock::of(rest.strip_suffix('"')?));
                    opts.lock = Some(lock.ok_or_else(|| bad("u", value, "a digest with a number of ms"))?);
                    16
                }
                "l" => {
                    let limit = value.strip_prefix('"').and_then(|rest| Limit::of(rest.strip_suffix('"')?));
                    opts.limit = Some(limit.ok_or_else(|| bad("l", value, "a digest with three numbers"))?);
                    128
                }
                "s" => {
                    opts.snoozes = count("s", value)? as u32;
                    32
                }
                "b" => {
                    opts.releases = count("b", value)? as u32;
                    64
                }
                _ => {
                    opts.others.push(whole);
                    0
                }
            };
            if seen & bit != 0 {
                let name = ["e", "p", "x", "r", "u", "s", "b", "l"][bit.ilog2() as usize];
                return Err(bad(name, whole, "in them once"));
            }
            seen |= bit;
        }
        Ok(opts)
    }

    /// Whether all options have their defaults. Such a message is of version 1.
    pub fn is_empty(&self) -> bool {
        *self == Opts::default()
    }

    /// The JSON object.
    pub fn write(&self) -> String {
        let mut members = Vec::new();
        members.extend(self.condemned.map(|why| format!(r#""e":{}"#, why as u8)));
        members.extend((self.priority > 0).then(|| format!(r#""p":{}"#, self.priority)));
        members.extend(self.expires.map(|expiry| match expiry {
            // One byte longer than the moment that replaces it: the message does not grow in Redis.
            Expiry::In(ms) => format!(r#""x":"+{ms:011}""#),
            Expiry::At(ms) => format!(r#""x":{ms}"#),
        }));
        members.extend(self.result_ttl.map(|ms| format!(r#""r":{ms}"#)));
        members.extend(self.lock.map(|lock| format!(r#""u":"{}""#, lock.text)));
        members.extend(self.limit.map(|limit| format!(r#""l":"{}""#, limit.text)));
        members.extend((self.snoozes > 0).then(|| format!(r#""s":{}"#, self.snoozes)));
        members.extend((self.releases > 0).then(|| format!(r#""b":{}"#, self.releases)));
        members.extend(self.others.iter().map(|&other| other.to_owned()));
        format!("{{{}}}", members.join(","))
    }

    /// The moment of a message that was read, in ms since 1970.
    pub fn expires_at(&self) -> Option<u64> {
        match self.expires {
            Some(Expiry::At(ms)) => Some(ms),
            _ => None,
        }
    }
}

fn bad(name: &'static str, value: &str, range: &'static str) -> BadOption {
    BadOption { name, value: value.to_owned(), range }
}

/// A number as `write` writes it: digits without a sign, a fraction or zeros in front.
fn number(text: &str, most: u64) -> Option<u64> {
    let is_canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|number| is_canonical && *number <= most)
}

/// The members of a flat object: each whole, its name, its value as JSON.
struct Members<'a>(&'a str);

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.0;
        let name = rest.strip_prefix('"')?.split('"').next()?;
        // Two quotes and a colon.
        let value = rest.get(name.len() + 3..)?;
        // A string has no escapes, so the next quote ends it.
        let len = match value.strip_prefix('"') {
            Some(text) => text.find('"')? + 2,
            None => value.find(',').unwrap_or(value.len()),
        };
        let (whole, after) = rest.split_at(name.len() + 3 + len);
        self.0 = after.strip_prefix(',').unwrap_or_default();
        Some((whole, name, &value[..len]))
    }
}

/// Returns the options of a message, a JSON object, with one more member.
pub fn with_option(opts: Option<&str>, member: &str) -> String {
    let others = opts.and_then(|opts| opts.strip_suffix('}')).filter(|others| others.len() > 1);
    others.map_or_else(|| format!("{{{member}}}"), |others| format!("{others},{member}}}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Opts<'_>, String> {
        Opts::read(text.as_bytes()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn all_options_have_one_order() {
        let opts = Opts {
            condemned: Some(Condemned::Cancelled),
            priority: 5,
            expires: Some(Expiry::At(1_764_430_000_000)),
            result_ttl: Some(3_600_000),
            snoozes: 12,
            releases: COUNT_MAX,
            lock: Lock::of("0123456789abcdef0123456789abcdef:86400000si"),
            limit: Limit::of("0123456789abcdef0123456789abcdef:3:40000:1"),
            others: vec![r#""g":"a,b:1""#, r#""z":1"#],
        };
        let lock = r#""u":"0123456789abcdef0123456789abcdef:86400000si""#;
        let limit = r#""l":"0123456789abcdef0123456789abcdef:3:40000:1""#;
        let text = &format!(
            r#"{{"e":2,"p":5,"x":1764430000000,"r":3600000,{lock},{limit},"s":12,"b":99999,"g":"a,b:1","z":1}}"#
        );
        assert_eq!(opts.write(), *text);
        assert_eq!(read(text), Ok(opts.clone()));
        let other = format!(
            r#"{{"g":"a,b:1","b":99999,"r":3600000,"z":1,{lock},"s":12,"x":1764430000000,{limit},"p":5,"e":2}}"#
        );
        assert_eq!(read(&other), Ok(opts));
        assert_eq!((read("{}"), Opts::default().write()), (Ok(Opts::default()), "{}".to_owned()));
    }

    /// The script `enqueue` replaces it, so no reader meets it.
    #[test]
    fn an_expiry_from_the_call_on_is_not_readable() {
        let text = Opts { expires: Some(Expiry::In(3_600_000)), ..Opts::default() }.write();
        assert_eq!(text, r#"{"x":"+00003600000"}"#);
        assert_eq!(text.len(), r#"{"x":1764430000000}"#.len() + 1);
        assert_eq!(read(&text), Err(r#"its option x is "+00003600000", not a time in ms of 13 digits"#.to_owned()));
    }

    #[test]
    fn a_value_that_is_out_of_range_is_named() {
        for (text, fault) in [
            (r#"{"p":10}"#, "its option p is 10, not 0 to 9"),
            (r#"{"s":100000}"#, "its option s is 100000, not 0 to 99999"),
            (r#"{"b":-1}"#, "its option b is -1, not 0 to 99999"),
            (r#"{"p":-1}"#, "its option p is -1, not 0 to 9"),
            (r#"{"p":05}"#, "its option p is 05, not 0 to 9"),
            (r#"{"p":"5"}"#, "its option p is \"5\", not 0 to 9"),
            (r#"{"p":null}"#, "its option p is null, not 0 to 9"),
            (r#"{"e":3}"#, "its option e is 3, not 1 or 2"),
            (r#"{"x":1e12}"#, "its option x is 1e12, not a time in ms of 13 digits"),
            (r#"{"x":10000000000000}"#, "its option x is 10000000000000, not a time in ms of 13 digits"),
            (r#"{"r":1.5}"#, "its option r is 1.5, not a number of ms"),
            (r#"{"u":1}"#, "its option u is 1, not a digest with a number of ms"),
            (r#"{"u":"0f:1"}"#, "its option u is \"0f:1\", not a digest with a number of ms"),
            (r#"{"l":1}"#, "its option l is 1, not a digest with three numbers"),
            (r#"{"l":"0f:1:0:1"}"#, "its option l is \"0f:1:0:1\", not a digest with three numbers"),
            (r#"{"p":1,"p":2}"#, "its option p is \"p\":2, not in them once"),
        ] {
            assert_eq!(read(text), Err(fault.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_limit_has_a_digest_and_three_numbers_in_their_ranges() {
        let of = |rest: &str| Limit::of(&format!("0123456789abcdef0123456789abcdef{rest}")).is_some();
        for good in [":0:0:1", ":999999:31536000000000:999999"] {
            assert!(of(good), "{good}");
        }
        for bad in
            ["", ":1:0", ":1:0:0", ":1:0:1:1", ":1000000:0:1", ":1:31536000000001:1", ":01:0:1", ":-1:0:1", "a:1:0:1"]
        {
            assert!(!of(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn options_are_read_as_they_were_written(
            condemned in prop::option::of(prop::sample::select(vec![Condemned::Expired, Condemned::Cancelled])),
            priority in 0..=PRIORITY_MAX,
            expires in prop::option::of((0..=MOMENT_MAX).prop_map(Expiry::At)),
            result_ttl in prop::option::of(0..=MOMENT_MAX),
            lock in prop::option::of("[0-9a-f]{32}:[1-9][0-9]{0,12}s?i?"),
            limit in prop::option::of("[0-9a-f]{32}:[1-9][0-9]{0,5}:[1-9][0-9]{0,12}:[1-9][0-9]{0,5}"),
            (snoozes, releases) in (0..=COUNT_MAX, 0..=COUNT_MAX),
            others in prop::collection::vec(r#""[f-k]{1,3}":("[!-!#-Z:,]{0,20}"|[1-9][0-9]{0,11})"#, 0..4),
        ) {
            let others = others.iter().map(String::as_str).collect();
            let lock = lock.as_deref().and_then(Lock::of);
            let limit = limit.as_deref().and_then(Limit::of);
            let opts = Opts { condemned, priority, expires, result_ttl, lock, limit, snoozes, releases, others };
            let text = opts.write();
            prop_assert_eq!(Opts::read(text.as_bytes()), Ok(opts.clone()));
            prop_assert_eq!(opts.is_empty(), text == "{}");
        }

        #[test]
        fn no_bytes_make_it_panic(text in r#"\{["a-z:,0-9é]{0,30}\}?"#) {
            let _ = Opts::read(text.as_bytes());
        }
    }
}
