//! Counts the forks of the process: a child must not share connections and random bytes
//! with its parent.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

static GENERATION: AtomicU32 = AtomicU32::new(0);
static REGISTER: Once = Once::new();

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// Makes the C library count the forks. The module calls it once, when it loads.
pub fn watch() {
    REGISTER.call_once(|| {
        // SAFETY: `in_child` only changes an atomic, which is safe in the child of a process
        // with many threads.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// How many forks lie between this process and the one that loaded the module.
pub fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}
