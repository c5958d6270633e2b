//! Task ids, which are UUIDs of version 7 (RFC 9562, section 5.7) and begin with the time
//! in milliseconds; and random consumer ids.
//!
//! Each thread reads random bits from the kernel, one block at a time. A child process
//! drops the block of its parent; otherwise both would make the same ids.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::{Builder, Uuid};

use crate::fork;

const BLOCK: usize = 1024;

struct RandomBlock {
    bytes: [u8; BLOCK],
    used: usize,
    generation: u32,
}

thread_local! {
    static RANDOM: RefCell<RandomBlock> =
        const { RefCell::new(RandomBlock { bytes: [0; BLOCK], used: BLOCK, generation: 0 }) };
}

fn random<const N: usize>() -> [u8; N] {
    RANDOM.with_borrow_mut(|block| {
        if block.used + N > BLOCK || block.generation != fork::generation() {
            // Without random bytes there are no safe ids, and no caller could continue.
            getrandom::fill(&mut block.bytes).expect("the kernel gives random bytes");
            block.used = 0;
            block.generation = fork::generation();
        }
        let mut out = [0; N];
        out.copy_from_slice(&block.bytes[block.used..block.used + N]);
        block.used += N;
        out
    })
}

/// The milliseconds since 1970 by the clock of this host.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| d.as_millis() as u64)
}

/// A new task id, as its 36 characters.
pub fn task_id(now_ms: u64) -> [u8; 36] {
    characters(&Builder::from_unix_timestamp_millis(now_ms, &random::<10>()).into_uuid())
}

/// The characters of a task id: a UUID in lower case, with hyphens. None for any other text.
pub fn read(text: &str) -> Option<[u8; 36]> {
    let canonical = characters(&Uuid::try_parse(text).ok()?);
    (canonical == text.as_bytes()).then_some(canonical)
}

fn characters(id: &Uuid) -> [u8; 36] {
    let mut text = [0; 36];
    id.hyphenated().encode_lower(&mut text);
    text
}

/// The latest time that a task id can have, in milliseconds since 1970: 48 bits.
pub const LATEST_MS: u64 = (1 << 48) - 1;

/// Whether a task id, as its 36 characters, begins with a time: its version is 7.
pub fn has_time(id: &[u8; 36]) -> bool {
    id[14] == b'7'
}

/// The milliseconds since 1970 in a task id; 0 if the id has another version than 7.
pub fn created_ms(id: &Uuid) -> u64 {
    match id.get_version_num() {
        7 => (id.as_u128() >> 80) as u64,
        _ => 0,
    }
}

/// The same, of a task id as its 36 characters.
pub fn time_of(id: &[u8; 36]) -> u64 {
    Uuid::try_parse_ascii(id).map_or(0, |id| created_ms(&id))
}

/// A new consumer id: 32 hexadecimal characters.
pub fn consumer_id() -> String {
    Builder::from_random_bytes(random::<16>()).into_uuid().simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_id_is_a_version_7_uuid_with_the_time() {
        let id = task_id(1_764_000_000_123);
        let text = std::str::from_utf8(&id).expect("ascii");
        let uuid = Uuid::parse_str(text).expect("a uuid");
        assert_eq!(uuid.get_version_num(), 7);
        assert_eq!(created_ms(&uuid), 1_764_000_000_123);
        assert_eq!(time_of(&task_id(1_764_000_000_123)), 1_764_000_000_123);
    }

    #[test]
    fn ids_of_one_millisecond_differ() {
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| task_id(1)).collect();
        assert_eq!(ids.len(), 10_000);
    }
}
