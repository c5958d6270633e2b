//! The hash slot of a key in a Redis Cluster: CRC16 of its hash tag, modulo 16384
//! (Redis Cluster specification, "Key distribution model" and "Hash tags").

/// The number of hash slots in a cluster.
pub const HASH_SLOTS: usize = 16_384;

/// The number of a hash slot, below `HASH_SLOTS`.
pub type HashSlot = u16;

/// CRC-16/XMODEM: polynomial 0x1021, initial value 0, without reflection.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| (crc << 1) ^ (0x1021 * (crc >> 15)))
    })
}

/// The part of a key that decides its hash slot: the text between the first { and the next }. If
/// there is no such text, it is the whole key.
fn tag(key: &[u8]) -> &[u8] {
    let Some(open) = memchr::memchr(b'{', key) else { return key };
    match memchr::memchr(b'}', &key[open + 1..]) {
        None | Some(0) => key,
        Some(len) => &key[open + 1..][..len],
    }
}

/// Returns the hash slot of a key.
pub fn of(key: &str) -> HashSlot {
    crc16(tag(key.as_bytes())) % HASH_SLOTS as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Namespace;

    #[test]
    fn the_checksum_is_that_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(crc16(b""), 0);
    }

    #[test]
    fn hash_slots_are_those_that_cluster_keyslot_gives() {
        for (key, hash_slot) in [
            ("foo", 12182),
            ("bar", 5061),
            ("{user1000}.following", 3443),
            ("{user1000}.followers", 3443),
            ("foo{}{bar}", 8363),
            ("foo{{bar}}zap", 4015),
            ("foo{bar}{zap}", 5061),
            ("fluxqueue:queues", 61),
            ("fluxqueue:{default}:pending", 5718),
        ] {
            assert_eq!(of(key), hash_slot, "{key}");
        }
    }

    #[test]
    fn all_keys_of_a_queue_are_in_one_hash_slot() {
        for queue in ["default", "a.b-c_d", "x"] {
            let hash_slot = of(&Namespace::default().pending(queue));
            for keys in ["", "shop"].map(|name| Namespace::new(name).expect("good")) {
                for key in keys.of_queue(queue).into_iter().chain(keys.of_consumer(queue, "c")) {
                    assert_eq!(of(&key), hash_slot, "{key}");
                }
            }
        }
    }
}
