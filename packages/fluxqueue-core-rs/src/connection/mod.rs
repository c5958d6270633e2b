//! Connections to Redis: sockets, commands, replies, and the search for the server of a
//! queue.
//!
//! Why: docs/decisions/0005-sockets-without-a-runtime.md

mod backoff;
mod certificates;
mod command;
mod connect;
mod dial;
mod eviction;
mod framing;
mod heard;
mod interrupt;
mod link;
mod lookup;
mod refusal;
mod share;
mod spin;
mod stream;
mod tls;
mod tls_errors;
mod topology;

pub use backoff::Backoff;
pub use certificates::{check as check_shown, check_files};
pub use command::{Arg, Args, Call, arg, begin, bulk, command};
pub use dial::dial_host;
pub use eviction::{Eviction, evictions};
pub use framing::{Frame, Reply};
pub use heard::Heard;
pub use interrupt::Interrupt;
pub use link::Connection;
pub use refusal::{Refusal, Sent, can_not_work, only_an_operator, redis_error};
pub use spin::Spin;
pub use tls_errors::{CertificateFault, NO_ANSWER, NO_TLS, remedy as alert_remedy};
pub use topology::{Deployment, Goal, HashSlot, Redirect, hash_slot_of};
