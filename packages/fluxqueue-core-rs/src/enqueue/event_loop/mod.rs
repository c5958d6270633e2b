//! The connection of one event loop. All of it runs in the thread of the loop, except
//! the attempt to connect.
//!
//! ```text
//! connection   the Python class; its methods are the loop's callbacks
//! intake       takes a call, and sends all calls of a turn at its end
//! deadlines    ends the calls whose time is over
//! opening      the steps that follow an attempt to connect
//! traffic      writes calls and reads replies
//! connecting   starts attempts, and gives up a connection
//! alone        whether the caller of a call is alone on its loop
//! turn         the context of a callback: the loop and the state
//! callbacks    the loop: futures, callbacks, and watches on descriptors
//! state        the state of the connection, and its decisions
//! link         the part of the state that is about the link to Redis
//! dial         an attempt to connect, in a thread
//! ```
//!
//! A module uses only modules that follow it in this list. No Python code runs while the
//! state is locked, not even that of a finalizer: it might enqueue and wait for its own
//! lock.

mod alone;
mod callbacks;
mod connecting;
mod connection;
mod deadlines;
mod dial;
mod intake;
mod link;
mod opening;
mod state;
#[cfg(test)]
mod state_tests;
mod traffic;
mod turn;

pub use connection::LoopConnection;
