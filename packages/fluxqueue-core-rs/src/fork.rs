//! Counts the forks of the process: a child must not share connections and random bytes
//! with its parent.

use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

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

/// A value that a child of `fork` makes again. The copy that it inherits is of no use if it has a
/// lock: another thread of the parent may have held it during the fork.
pub struct PerProcess<T>(AtomicPtr<(u32, T)>);

impl<T: Default + Sync + 'static> PerProcess<T> {
    /// Not made yet.
    pub const fn new() -> PerProcess<T> {
        PerProcess(AtomicPtr::new(ptr::null_mut()))
    }

    /// The value of this process.
    pub fn get(&self) -> &'static T {
        let known = self.0.load(Ordering::Acquire);
        // SAFETY: the pointer is null, or that of a box from below, which is never freed.
        if let Some((made_in, value)) = unsafe { known.as_ref() }
            && *made_in == generation()
        {
            return value;
        }
        let new = Box::into_raw(Box::new((generation(), T::default())));
        match self.0.compare_exchange(known, new, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: it is a box, and from now on it is never freed.
            Ok(_) => &unsafe { &*new }.1,
            Err(theirs) => {
                // SAFETY: no other thread has seen this box.
                drop(unsafe { Box::from_raw(new) });
                // SAFETY: another thread has made this box, and it is never freed.
                &unsafe { &*theirs }.1
            }
        }
    }
}

impl<T: Default + Sync + 'static> Default for PerProcess<T> {
    fn default() -> PerProcess<T> {
        PerProcess::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_made_once_in_a_process() {
        static MADE: PerProcess<AtomicU32> = PerProcess::new();
        let threads: Vec<_> =
            (0..8).map(|_| std::thread::spawn(|| MADE.get().fetch_add(1, Ordering::Relaxed))).collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
        assert_eq!(MADE.get().load(Ordering::Relaxed), 8);
    }
}
