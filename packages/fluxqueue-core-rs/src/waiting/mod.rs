//! Waits for the results of tasks, over one connection for each master.
//!
//! A wait subscribes to the channel of its task first, looks for the result second, and then
//! sleeps. So it polls nothing, and no result is missed. After a broken connection all waits
//! subscribe and look again.
//!
//! Why: docs/decisions/0107-one-connection-for-all-waits.md

mod link;
mod listener;
mod mailbox;
mod python;
mod servers;
mod waits;

pub use python::{Mailbox, ResultListener};
