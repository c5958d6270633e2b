//! The message: one JSON object whose head has one form to the byte (`head`).
//!
//! ```text
//! {"v":1,"id":"<36 characters>","deliveries":2,"retries":1,"name":"n","args":[],...}
//! ```
//!
//! `kwargs`, the terms and `headers` are in a message only if they differ from their
//! defaults. Arguments are bytes that orjson wrote and orjson will
//! read; they are never decoded here. Members that this release does not know stay
//! where they are.

mod callback;
mod envelope;
mod failure_call;
mod head;
mod headers;
mod opts;
mod parse;
mod reason;
mod result;
mod rewrite;
mod terms;

pub use envelope::{Envelope, Tail};
pub use failure_call::{DEFAULT_MOST, Death, FailureCall};
pub use head::{GROWTH_MAX, Head, OPTS_MAX, field, field_of, is_newer};
pub use headers::{Headers, TraceHeaders, fault as headers_fault};
pub use opts::{Condemned, Expiry, Limit, Lock, MOMENT_MAX, Opts, with_option};
pub use parse::Message;
pub use reason::{dead_reason, is_failure};
pub use result::{CancelledResult, Ending, KeptResult, is_report};
pub use rewrite::{
    len_with_checkpoint, with_checkpoint, with_delivery, with_release, with_requeue, with_retry, with_snooze,
    with_unknown_since,
};
pub use terms::{BodyTerms, Terms};
