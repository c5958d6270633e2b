//! The message: one JSON object whose beginning stands at fixed places.
//!
//! ```text
//! {"v":1,"id":"<36 characters>","deliveries":2,"retries":1,"name":"n","args":[],...}
//!              ^13             ^49                         ^ `,"name":`
//! ```
//!
//! `deliveries` and `retries` stand there only where they are not 0; `kwargs`,
//! `max_retries`, `timeout`, `headers` only where they are not the default. The
//! *field* (from the id up to `,"name":`) is one attempt at one task: the Lua
//! scripts cut it out by position, so `field` here and in `lua/prelude.lua` are
//! one rule. Arguments are bytes that orjson wrote and orjson will read; they
//! are never decoded here, and unknown fields stay where they are.

mod envelope;
mod headers;
mod parse;
mod reason;
mod rewrite;

pub use envelope::Envelope;
pub use headers::{Headers, TraceHeaders};
pub use parse::{Message, field, field_of, is_newer};
pub use reason::dead_reason;
pub use rewrite::{with_delivery, with_retry, with_unknown_since};

/// How often a task is retried where its message does not say.
pub const DEFAULT_MAX_RETRIES: u32 = 3;

/// Seconds that one attempt may take at most: a year.
pub const LONGEST_TIMEOUT: f64 = 365.0 * 86_400.0;

/// The bytes before the id.
pub const HEAD: &[u8] = br#"{"v":1,"id":""#;

/// Where the id ends and its closing quote stands.
const ID_END: usize = HEAD.len() + 36;

/// What follows the counters.
const NAME: &[u8] = br#","name":"#;

/// How many headers a message may have, and how many bytes their names and
/// values together. W3C allows 8,192 bytes of baggage and 16 KiB of tracestate.
pub const HEADERS_MAX: usize = 64;
/// See `HEADERS_MAX`.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;

/// How many bytes at most a message has grown by since its client measured it: `,"deliveries":`
/// and `,"retries":` with 10 digits each, `,"unknown_since":` with 20, 82 together. Nothing else
/// is ever added: headers and the like are there when it is sent.
pub const GROWTH_MAX: usize = 24 + 21 + 37;

/// How far from `ID_END + 1` the scripts look for the end of `NAME`.
const COUNTERS_MAX: usize = 70;
