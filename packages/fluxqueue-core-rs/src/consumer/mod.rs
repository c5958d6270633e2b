//! Claiming and settling for a worker process.
//!
//! One thread (`driver`) talks to Redis and never takes the GIL. What it shares
//! with the threads that run tasks is one `State` behind a mutex. docs/protocol.md
//! has the rules; the comments here say where one is kept.

mod admission;
mod answers;
mod clock;
mod connector;
mod conversation;
mod crew;
mod driver;
mod event;
mod gathering;
mod giving_back;
mod job;
mod meter;
mod outcome;
mod pace;
mod poll;
mod priority;
mod registry;
mod replies;
mod requests;
mod shared;
mod slots;
#[cfg(test)]
mod slots_tests;
mod state;
#[cfg(test)]
mod state_tests;
mod wake;

mod python;
mod ready;

pub use job::Job;
pub use python::Consumer;
