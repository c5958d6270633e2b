//! Tests of a conversation over real sockets. The tests play the server at the other ends.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use super::connector::{Connected, Connector};
use super::conversation::Conversation;
use super::event::Event;
use super::identity::Identity;
use super::link::{Link, Pair, Side};
use super::options::Options;
use super::outcome::Outcome;
use super::pace::Pace;
use super::planning::{self, Others};
use super::scripts::Forms;
use super::shared::Shared;
use super::state::Phase;
use super::state_tests::{admit, at, begin, raw, shared};
use super::turn::{Context, Turn};
use crate::config::{Config, Overrides};
use crate::connection::{Connection, Deployment};
use crate::errors::Error;
use crate::keys::Namespace;

const LEASE: Duration = Duration::from_secs(10);
const WHO: &str = r#"{"pid":1}"#;

/// A worker with one queue, and the server's ends of its connections.
pub(super) struct World {
    pub(super) shared: Arc<Shared>,
    context: Context,
    connector: Connector,
    conversation: Conversation,
    server: Option<[UnixStream; 2]>,
    pub(super) now: Duration,
}

impl World {
    pub(super) fn new() -> World {
        let config = Config::new(Some("unix:///does/not/exist"), &Overrides::default()).expect("valid");
        let deployment = Arc::new(Deployment::new(config));
        let shared = Arc::new(shared(&["q"], 2));
        let options = Options::for_tests(LEASE, WHO);
        let now = at(1000);
        World {
            connector: Connector::new(deployment.clone(), shared.clone()),
            context: Context {
                options,
                scripts: Forms::load().expect("compiled in"),
                deployment,
                pace: Pace::new(1, LEASE),
            },
            conversation: Conversation::new(0, Identity::new(&Namespace::default(), "q"), true, now),
            shared,
            server: None,
            now,
        }
    }

    /// A world that is connected. The reply of `open` says that the consumer holds nothing.
    pub(super) fn open() -> World {
        let mut world = World::new();
        world.connect();
        world.plan();
        world.replies(Side::Scripts, ":1\r\n*2\r\n:1\r\n:1700000000000\r\n");
        world.sent(Side::Scripts);
        world
    }

    /// An open world with a BLMOVE under way, because the queue was empty.
    pub(super) fn blocked() -> World {
        let mut world = World::open();
        world.plan();
        world.replies(Side::Scripts, NOTHING_CLAIMED);
        world.plan();
        assert_eq!(world.sent(Side::Scripts), ["EVALSHA"]);
        assert_eq!(world.sent(Side::Blocking), ["BLMOVE"]);
        world
    }

    pub(super) fn turn<R>(&mut self, act: impl FnOnce(&mut Conversation, &mut Turn, &Connector) -> R) -> R {
        let mut state = self.shared.lock();
        let mut turn = Turn { state: &mut state, context: &mut self.context, now: self.now };
        act(&mut self.conversation, &mut turn, &self.connector)
    }

    pub(super) fn plan(&mut self) -> Option<Duration> {
        let plan =
            self.turn(|conversation, turn, connector| planning::plan(conversation, turn, connector, Others::default()));
        self.conversation.link_mut().write_some().expect("written");
        self.shared.lock().turned_at = self.now;
        plan.look_at
    }

    pub(super) fn connect(&mut self) {
        self.plan();
        assert!(matches!(self.conversation.link(), Link::Connecting));
        let pair = || UnixStream::pair().expect("a pair of sockets");
        let ((scripts, a), (blocking, b)) = (pair(), pair());
        let connections = [scripts, blocking].map(|end| {
            let connection = Connection::over(end);
            connection.set_nonblocking(true).expect("set");
            connection
        });
        let [scripts, blocking] = connections;
        self.server = Some([a, b]);
        let connected = Connected { pair: Pair::new(scripts, blocking), not_registered: None };
        self.turn(|conversation, turn, _| conversation.connected(turn, Ok(connected)));
    }

    pub(super) fn end(&mut self, side: Side) -> &mut UnixStream {
        let [scripts, blocking] = self.server.as_mut().expect("connected");
        match side {
            Side::Scripts => scripts,
            Side::Blocking => blocking,
        }
    }

    /// The commands that the server has received since the last call.
    pub(super) fn calls(&mut self, side: Side) -> Vec<Vec<String>> {
        let end = self.end(side);
        end.set_nonblocking(true).expect("set");
        let mut bytes = Vec::new();
        let _ = end.read_to_end(&mut bytes); // until it would block
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut calls: Vec<Vec<String>> = Vec::new();
        let mut rest = text.as_str();
        while let Some((line, after)) = rest.split_once("\r\n") {
            rest = after;
            if line.starts_with('*') {
                calls.push(Vec::new());
            } else {
                let length: usize = line[1..].parse().expect("a length");
                calls.last_mut().expect("in a command").push(rest[..length].to_owned());
                rest = &rest[length + 2..];
            }
        }
        calls
    }

    pub(super) fn sent(&mut self, side: Side) -> Vec<String> {
        self.calls(side).into_iter().map(|call| call[0].clone()).collect()
    }

    /// Lets the server reply. Returns true if the conversation continues.
    pub(super) fn replies(&mut self, side: Side, reply: &str) -> bool {
        self.end(side).write_all(reply.as_bytes()).expect("written");
        let now = self.now;
        assert!(self.conversation.link_mut().read_some(side, || now).expect("read"));
        while let Some(answer) = self.conversation.link_mut().next_answer(side, 1000).expect("a reply") {
            let goes_on = self.turn(|conversation, turn, _| {
                let acted = conversation.act(turn, side, answer);
                if let Err(error) = &acted {
                    conversation.failed(turn, error);
                }
                acted.is_ok()
            });
            if !goes_on {
                return false;
            }
        }
        true
    }

    pub(super) fn is_away(&self) -> bool {
        matches!(self.conversation.link(), Link::Away)
    }
}

/// The reply of an exchange that found an empty queue.
pub(super) const NOTHING_CLAIMED: &str = "*3\r\n:1\r\n:1700000000000\r\n*0\r\n";

#[test]
fn a_conversation_sends_only_open_until_redis_answers_it() {
    let mut world = World::new();
    // An outcome of an earlier conversation waits, and a slot is free (rules 1 and 2).
    admit(&world.shared, 0, &raw("sync"));
    let work = begin(&world.shared).expect("admitted");
    assert!(world.shared.finish(&work, Outcome::Succeeded, at(2)));
    world.connect();
    world.plan();
    world.plan();
    let field = String::from_utf8_lossy(&work.message.field_bytes()).into_owned();
    let calls = world.calls(Side::Scripts);
    assert_eq!(calls.iter().map(|call| call[0].as_str()).collect::<Vec<_>>(), ["SADD", "EVAL"]);
    assert_eq!(calls[1].last(), Some(&field), "open names what the worker holds (rule 3)");
    assert!(world.sent(Side::Blocking).is_empty());
    // Redis still holds the message, so its outcome travels under the new id.
    world.replies(Side::Scripts, &format!(":1\r\n*3\r\n:1\r\n:1700000000000\r\n${}\r\n{field}\r\n", field.len()));
    world.plan();
    let calls = world.calls(Side::Scripts);
    assert_eq!((calls.len(), calls[0][0].as_str()), (1, "EVALSHA"));
    assert!(calls[0].contains(&field));
    assert!(world.sent(Side::Blocking).is_empty(), "an exchange asks first");
}

#[test]
fn a_conversation_blocks_on_an_empty_queue_and_asks_again_after_a_task() {
    let mut world = World::blocked();
    world.plan();
    assert!(world.sent(Side::Scripts).is_empty() && world.sent(Side::Blocking).is_empty());
    let message = String::from_utf8_lossy(&raw("sync")).into_owned();
    assert!(world.replies(Side::Blocking, &format!("${}\r\n{message}\r\n", message.len())));
    world.shared.lock().queues[0].fresh_until = at(1_000_000);
    assert!(begin(&world.shared).is_some());
    world.plan();
    assert_eq!(world.sent(Side::Scripts), ["EVALSHA"]);
}

#[test]
fn a_conversation_rests_only_while_nothing_but_a_reply_can_change_it() {
    fn rests(world: &mut World) -> Option<Duration> {
        world.turn(|conversation, turn, _| planning::rests_until(conversation, turn))
    }
    let mut world = World::open();
    assert_eq!(rests(&mut world), None, "it must ask for tasks");
    let mut world = World::blocked();
    let look_at = world.plan();
    assert!(look_at.is_some() && rests(&mut world) == look_at, "the lease is renewed then");
    admit(&world.shared, 0, &raw("sync"));
    assert_eq!(rests(&mut world), None, "a task waits");
    let work = begin(&world.shared).expect("admitted");
    assert_eq!(rests(&mut world), None, "a task runs");
    assert!(world.shared.finish(&work, Outcome::Succeeded, at(2)));
    assert_eq!(rests(&mut world), None, "an outcome waits");
    let mut world = World::blocked();
    world.shared.lock().phase = Phase::Draining;
    assert_eq!(rests(&mut world), None, "it must end");
    let mut world = World::blocked();
    world.replies(Side::Blocking, "*-1\r\n");
    assert_eq!(rests(&mut world), None, "the BLMOVE has timed out");
}

#[test]
fn the_conversation_after_a_break_has_a_new_id_and_ends_the_old_one() {
    let mut world = World::open();
    world.plan();
    let first = world.calls(Side::Scripts).remove(0);
    world.turn(|conversation, turn, _| conversation.broke(turn, "cut off"));
    assert!(world.is_away());
    assert!(world.shared.lock().disconnected(world.now).next().is_some());
    world.connect();
    world.plan();
    let open = world.calls(Side::Scripts).pop().expect("open was sent");
    let keys: usize = open[2].parse().expect("a number");
    let args = &open[3 + keys..];
    let old = &first[3 + first[2].parse::<usize>().expect("a number")..][0];
    assert_ne!(&args[0], old);
    assert_eq!(&args[2..], [WHO, "1", old], "rule 4: the old id becomes a tombstone");
}

#[test]
fn a_busy_server_gets_the_same_request_after_a_pause() {
    let mut world = World::new();
    world.connect();
    world.plan();
    world.sent(Side::Scripts);
    assert!(world.replies(Side::Scripts, "-LOADING wait\r\n-LOADING wait\r\n"));
    let look_at = world.plan().expect("later");
    assert!(world.sent(Side::Scripts).is_empty());
    world.now = look_at;
    world.plan();
    assert_eq!(world.sent(Side::Scripts), ["SADD", "EVAL"]);
    // The pause applies to an exchange of an open conversation, too.
    let mut world = World::open();
    world.plan();
    world.sent(Side::Scripts);
    assert!(world.replies(Side::Scripts, "-OOM no memory\r\n"));
    world.now = world.plan().expect("later");
    world.plan();
    assert_eq!(world.sent(Side::Scripts), ["EVALSHA"]);
}

#[test]
fn a_server_without_the_script_gets_its_text() {
    let mut world = World::open();
    world.plan();
    assert_eq!(world.sent(Side::Scripts), ["EVALSHA"]);
    assert!(world.replies(Side::Scripts, "-NOSCRIPT No matching script.\r\n"));
    world.plan();
    assert_eq!(world.sent(Side::Scripts), ["EVAL"]);
    assert!(world.replies(Side::Scripts, NOTHING_CLAIMED));
    world.now += LEASE / 3;
    world.plan();
    assert_eq!(world.sent(Side::Scripts), ["EVALSHA"], "the server remembers it");
}

#[test]
fn an_exchange_replaces_a_blmove_that_redis_refuses_for_now() {
    let mut world = World::blocked();
    assert!(world.replies(Side::Blocking, "-OOM no memory\r\n"));
    world.plan();
    assert_eq!(world.sent(Side::Scripts), ["EVALSHA"]);
    world.replies(Side::Scripts, NOTHING_CLAIMED);
    let look_at = world.plan().expect("later");
    assert!(world.sent(Side::Blocking).is_empty());
    world.now = look_at;
    world.plan();
    assert_eq!(world.sent(Side::Blocking), ["BLMOVE"]);
}

#[test]
fn an_error_or_an_unexpected_reply_ends_the_conversation() {
    for (side, reply) in [
        (Side::Scripts, "-ERR no\r\n"),
        (Side::Blocking, "-NOPERM no\r\n"),
        (Side::Scripts, "-READONLY replica\r\n"),
        (Side::Scripts, "*1\r\n:7\r\n"),
    ] {
        let mut world = World::blocked();
        world.now += LEASE / 3;
        world.plan();
        assert!(!world.replies(side, reply), "{reply}");
        assert!(world.is_away(), "{reply}");
    }
    let mut world = World::blocked();
    assert!(!world.replies(Side::Scripts, "+OK\r\n"));
    assert!(world.is_away());
}

#[test]
fn an_overdue_reply_ends_the_conversation() {
    let mut world = World::blocked();
    let due = world.plan().expect("the lease is renewed");
    world.now = due;
    world.plan();
    assert_eq!(world.sent(Side::Scripts), ["EVALSHA"]);
    world.now = world.plan().expect("the reply is due");
    assert_eq!(world.now, due + LEASE * 3 / 10);
    assert_eq!(world.plan(), Some(world.now), "the replies of this moment have not been read");
    world.plan();
    assert!(matches!(world.conversation.link(), Link::Connecting), "the first attempt is made at once");
    let broken = world.shared.lock().events.pop_back().expect("told").1;
    assert_eq!(format!("{broken:?}"), r#"Disconnected { error: "Redis does not answer" }"#);
}

#[test]
fn a_reply_that_came_while_the_process_was_stopped_is_not_late() {
    let mut world = World::blocked();
    world.now = world.plan().expect("the lease is renewed");
    world.plan();
    assert_eq!(world.sent(Side::Scripts), ["EVALSHA"]);
    world.now += LEASE * 3;
    world.plan();
    assert!(world.replies(Side::Scripts, "*1\r\n:0\r\n"));
    world.plan();
    let lost = world.shared.lock().events.pop_back().expect("told").1;
    assert!(matches!(lost, Event::LeaseLost { .. }), "{lost:?}");
}

#[test]
fn the_conversation_after_a_lost_lease_begins_without_a_pause() {
    let mut world = World::open();
    world.plan();
    assert!(world.replies(Side::Scripts, "*1\r\n:0\r\n"));
    assert!(world.is_away());
    world.connect();
    world.plan();
    assert_eq!(world.sent(Side::Scripts), ["SADD", "EVAL"]);
}

#[test]
fn a_drained_conversation_opens_again_closes_its_consumer_and_ends() {
    let mut world = World::open();
    world.shared.lock().phase = Phase::Draining;
    world.connect(); // rule 10: the drain has ended the conversation
    world.plan();
    assert_eq!(world.sent(Side::Scripts), ["SADD", "EVAL"]);
    world.replies(Side::Scripts, ":1\r\n*2\r\n:1\r\n:1700000000000\r\n");
    world.plan();
    let close = world.calls(Side::Scripts).remove(0);
    let keys: usize = close[2].parse().expect("a number");
    assert_eq!((close[0].as_str(), close[3 + keys].as_str()), ("EVAL", ""), "open without a new id");
    world.replies(Side::Scripts, "*1\r\n:1\r\n");
    assert!(matches!(world.conversation.link(), Link::Closed));
    assert_eq!(world.shared.lock().closed, 1);
    assert_eq!(world.plan(), None);
    assert_eq!(world.shared.lock().closed, 1, "once");
}

#[test]
fn a_drained_worker_that_holds_nothing_does_not_wait_for_redis() {
    let mut world = World::new();
    world.shared.lock().phase = Phase::Draining;
    let farewell = world.plan().expect("it gives up");
    assert!(matches!(world.conversation.link(), Link::Connecting));
    world.now = farewell;
    assert_eq!(world.plan(), None);
    assert_eq!(world.shared.lock().closed, 1);
    // The attempt to connect ends later.
    let error = Error::Unavailable("no route".into());
    world.turn(|conversation, turn, _| conversation.connected(turn, Err(error)));
    assert!(matches!(world.conversation.link(), Link::Closed));
}
