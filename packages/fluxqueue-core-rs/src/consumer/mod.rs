//! Claiming and settling for a worker process.
//!
//! One thread at a time (`leading`) talks to Redis (`driver`), without the GIL. It shares one `State`, behind
//! a mutex, with the threads that run tasks. docs/protocol.md has the rules; comments name the
//! rule that the code below them keeps.

mod attempt;
mod batching;
mod caps;
#[cfg(test)]
mod caps_tests;
mod claimed;
mod claiming;
mod clock;
mod connector;
mod conversation;
#[cfg(test)]
mod conversation_tests;
mod crew;
mod driver;
mod event;
mod fairness;
mod identity;
#[cfg(test)]
mod lacking_server_tests;
mod leading;
#[cfg(test)]
mod leading_tests;
mod link;
mod measures;
mod meter;
mod notes;
#[cfg(test)]
mod notes_tests;
mod options;
mod outcome;
mod pace;
mod planning;
#[cfg(target_os = "linux")]
mod poll;
#[cfg(not(target_os = "linux"))]
mod poll {
    pub use super::portable_poll::{PortablePoll as Poll, PortableSocket as WatchedSocket};
}
#[cfg(not(target_os = "linux"))]
mod portable_poll;
mod python;
mod python_values;
mod queue_state;
#[cfg(test)]
mod ranked_tests;
mod rate;
mod ready;
mod registry;
mod release;
mod replies;
mod report;
mod reports;
mod requests;
mod rest;
mod retry;
mod scripts;
mod shared;
mod slots;
#[cfg(test)]
mod slots_tests;
mod state;
#[cfg(test)]
mod state_tests;
mod strike;
mod turn;
mod unbegun;
#[cfg(test)]
mod unbegun_tests;
mod wake;
mod work;

pub use attempt::Attempt;
pub use event::Event;
pub use python::Consumer;
pub use wake::Wake;
