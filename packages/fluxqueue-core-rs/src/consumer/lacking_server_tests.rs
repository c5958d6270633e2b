//! Tests of a conversation with a server that lacks a command, or does not know the flags of scripts.

use std::time::Duration;

use super::conversation_tests::{NOTHING_CLAIMED, World};
use super::link::Side;

#[test]
fn a_server_without_blmove_is_asked_by_exchanges_and_by_blmove_again_after_a_while() {
    let mut world = World::blocked();
    let (end, mut under_way, mut refused, mut exchanges) = (world.now + Duration::from_secs(60), 1, 0, 0);
    while world.now < end {
        if under_way > 0 {
            refused += 1;
            assert!(world.replies(Side::Blocking, "-ERR unknown command 'BLMOVE'\r\n"));
        }
        world.plan();
        while world.sent(Side::Scripts) == ["EVALSHA"] {
            exchanges += 1;
            world.replies(Side::Scripts, NOTHING_CLAIMED);
            world.plan();
        }
        under_way = world.sent(Side::Blocking).len();
        world.now += Duration::from_millis(400);
    }
    assert!(!world.is_away(), "the conversation goes on");
    assert!((10..=15).contains(&refused), "{refused}");
    assert!((120..=180).contains(&exchanges), "{exchanges}");
    let events: Vec<_> = world.shared.lock().events.drain(..).map(|(_, event)| format!("{event:?}")).collect();
    let told: Vec<_> = events.iter().filter(|event| event.starts_with("NoBlmove")).collect();
    assert_eq!(told.len(), 1, "{events:?}");
    assert!(told[0].contains("Redis refused BLMOVE: ERR unknown command") && told[0].contains("docs/redis.md"));
}

#[test]
fn a_server_that_does_not_know_the_flags_gets_the_plain_scripts_of_this_connection() {
    let mut world = World::new();
    for _ in 0..2 {
        world.connect();
        world.plan();
        assert!(world.calls(Side::Scripts)[1][1].starts_with("#!lua"));
        world.replies(Side::Scripts, ":1\r\n-ERR Error compiling script (new function)\r\n");
        world.plan();
        assert!(!world.calls(Side::Scripts)[1][1].contains("#!lua"));
        // If the server does not accept these either, the flags were not to blame.
        assert!(!world.replies(Side::Scripts, ":1\r\n-ERR no\r\n"));
        assert!(world.is_away());
        world.now += Duration::from_secs(5);
    }
}
