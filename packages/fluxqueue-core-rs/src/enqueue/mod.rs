//! Putting tasks into Redis.
//!
//! ```text
//! producer  what Python sees            route     what all calls of a task share
//! encode    arguments to JSON           lpush     the command and its answer
//! detours   where a command goes, and goes next
//! sync      in the calling thread, on the connection of this thread (thread)
//! bulk      many calls, two chunks on their way
//! event_loop   one connection per loop, to a cluster one per slot (loops); outbox: what waits for it,
//!              live_clock: how long
//! ```

mod bulk;
mod calls;
mod detours;
mod encode;
mod event_loop;
mod finite;
mod live_clock;
mod loops;
mod lpush;
mod outbox;
mod producer;
mod resolve;
mod route;
mod stamp;
mod sync;
mod thread;

pub use producer::Producer;
pub use route::Route;
