//! Talks to Redis. The thread that leads (`leading`) has the driver. It never takes the GIL
//! meanwhile, so no task can keep it from renewing leases.
//!
//! In each turn, the driver decides which requests each queue sends (`planning`), writes them, sleeps
//! until an event, and reads the replies.

use std::ops::{Add, Sub};
use std::sync::Arc;
use std::time::Duration;

use super::clock;
use super::connector::{Connected, Connector};
use super::conversation::Conversation;
use super::fairness::Fairness;
use super::identity::Identity;
use super::link::{Open, Side};
use super::options::Options;
use super::pace::Pace;
use super::planning::{self, Others};
use super::poll::Poll;
use super::rest::Rest;
use super::scripts::Forms;
use super::shared::Shared;
use super::state::{Phase, State};
use super::turn::{Context, Turn};
use crate::connection::Deployment;
use crate::errors::{Error, Result};

/// The loop over the queues that are awake, and the fairness between queues.
pub struct Driver {
    shared: Arc<Shared>,
    context: Context,
    conversations: Vec<Conversation>,
    rest: Rest,
    poll: Poll,
    connector: Connector,
    claims: Fairness,
}

impl Driver {
    /// A driver for the queues of the shared state.
    pub fn new(shared: Arc<Shared>, deployment: Arc<Deployment>, options: Options) -> Result<Driver> {
        let registers = !deployment.is_cluster();
        let now = clock::now();
        let names: Vec<String> = shared.lock().queues.iter().map(|queue| queue.name.clone()).collect();
        let namespace = &deployment.config.namespace;
        let conversation =
            |(i, name): (usize, &String)| Conversation::new(i, Identity::new(namespace, name), registers, now);
        let poll =
            Poll::new(shared.driver.fd()).map_err(|e| Error::Configuration(format!("no epoll could be made: {e}")))?;
        Ok(Driver {
            conversations: names.iter().enumerate().map(conversation).collect(),
            rest: Rest::new(names.len()),
            poll,
            connector: Connector::new(deployment.clone(), shared.clone()),
            context: Context {
                pace: Pace::new(names.len(), options.lease),
                options,
                scripts: Forms::load()?,
                deployment,
            },
            shared,
            claims: Fairness::default(),
        })
    }

    /// Begins a turn: decides what to send, and sends it. Returns how long to sleep, or None if the
    /// phase is `Stopped`.
    pub fn begin_turn(&mut self) -> Option<Duration> {
        let shared = self.shared.clone();
        let wait = {
            let mut state = shared.lock();
            if state.phase == Phase::Stopped {
                return None;
            }
            let wait = self.plan(&mut state);
            shared.wake(state);
            wait
        };
        self.write();
        Some(wait)
    }

    /// Ends a turn: sleeps until an event, and reads what has come.
    pub fn end_turn(&mut self, wait: Duration) {
        self.poll.wait(wait);
        if self.poll.woken() {
            self.shared.driver.clear();
        }
        let connected: Vec<_> = self.connector.finished().collect();
        for (queue, result) in connected {
            let result = result.and_then(|connected| self.watched(queue, connected));
            self.with(queue, |conversation, turn| conversation.connected(turn, result));
        }
        for number in self.poll.ready() {
            self.read(number / Side::BOTH.len(), Side::BOTH[number % Side::BOTH.len()]);
        }
    }

    fn watched(&self, queue: usize, mut connected: Connected) -> Result<Connected> {
        let watched = connected.pair.watch(&self.poll, queue * Side::BOTH.len());
        watched.map_err(|e| Error::Unavailable(e.to_string()))?;
        Ok(connected)
    }

    /// Plans the requests of each queue that is awake. Returns how long to sleep after that.
    fn plan(&mut self, state: &mut State) -> Duration {
        let now = clock::now();
        if state.measure(now) {
            self.shared.announce_by_leader(state);
        }
        let mut turn = Turn { state, context: &mut self.context, now };
        self.rest.begin_turn(now, turn.state.phase != Phase::Serving);
        let awake = self.rest.awake();
        for queue in awake {
            self.conversations[*queue].drop_expired(&mut turn);
        }
        let mut next = turn.state.stall_at();
        // A queue that rests has a BLMOVE under way, and nothing else.
        let resting = Requests { asked: 0, blocked: self.rest.resting() };
        let mut requests = awake.iter().fold(resting, |sum, queue| sum + requests(&self.conversations[*queue]));
        for position in self.claims.order(awake.len()) {
            let conversation = &mut self.conversations[awake[position]];
            let others = requests - self::requests(conversation);
            let plan = planning::plan(conversation, &mut turn, &self.connector, others.into());
            requests = others + self::requests(conversation);
            if plan.has_claimed {
                self.claims.count();
            }
            next = next.into_iter().chain(plan.look_at).min();
        }
        let gathered = |c: &Conversation| turn.state.queues[c.queue].settlements.len();
        let can_send = awake.iter().map(|queue| &self.conversations[*queue]).filter(|c| c.can_send(now));
        let idle = (self.rest.resting() > 0).then_some(0);
        let leaving = can_send.map(gathered).chain(idle).reduce(|sum, more| sum + more);
        turn.state.batching.plan(turn.state.outcomes(), leaving);
        turn.state.rate.awaits = awake.iter().any(|queue| self.conversations[*queue].link().awaits_reply());
        self.rest.end_turn(|queue| planning::rests_until(&self.conversations[queue], &turn));
        turn.state.turned_at = now;
        let next = next.into_iter().chain(self.rest.next()).min();
        // Even if nothing is due, a regular turn shows that this thread is alive.
        next.map_or(Duration::MAX, |at| at.saturating_sub(now)).min(self.context.options.renewal())
    }

    fn write(&mut self) {
        for position in 0..self.rest.awake().len() {
            let queue = self.rest.awake()[position];
            if let Err(error) = self.conversations[queue].link_mut().write_some() {
                self.with(queue, |conversation, turn| conversation.broke(turn, &error.to_string()));
            }
        }
    }

    /// Reads from the connection and acts on every whole reply.
    fn read(&mut self, queue: usize, side: Side) {
        let most = self.shared.max_message_bytes;
        self.rest.wake(queue);
        let mut has_read = false;
        loop {
            let link = self.conversations[queue].link_mut();
            let problem = match link.next_answer(side, most) {
                Ok(Some(answer)) => {
                    let goes_on = self.with(queue, |conversation, turn| {
                        let acted = conversation.act(turn, side, answer);
                        if let Err(error) = &acted {
                            conversation.failed(turn, error);
                        }
                        acted.is_ok()
                    });
                    if goes_on {
                        continue;
                    }
                    return;
                }
                // `poll` says when there is more.
                Ok(None) if has_read && link.is_drained(side) => return,
                Ok(None) => match link.read_some(side, clock::now) {
                    Ok(true) => {
                        has_read = true;
                        continue;
                    }
                    Ok(false) => return,
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            self.with(queue, |conversation, turn| conversation.broke(turn, &problem));
            return;
        }
    }

    /// Gives one conversation its turn, with the state locked. Then wakes the threads and the
    /// event loop if they have work.
    fn with<R>(&mut self, queue: usize, act: impl FnOnce(&mut Conversation, &mut Turn) -> R) -> R {
        self.rest.wake(queue);
        let mut state = self.shared.lock();
        let mut turn = Turn { state: &mut state, context: &mut self.context, now: clock::now() };
        let result = act(&mut self.conversations[queue], &mut turn);
        self.shared.announce_by_leader(&mut state);
        self.shared.wake(state);
        result
    }
}

/// The requests of some conversations.
#[derive(Clone, Copy)]
struct Requests {
    /// How many tasks their exchanges under way ask for.
    asked: usize,
    /// How many of them have a BLMOVE under way.
    blocked: usize,
}

fn requests(conversation: &Conversation) -> Requests {
    let open = conversation.link().open();
    Requests {
        asked: open.map_or(0, Open::asking),
        blocked: usize::from(open.is_some_and(|open| open.blocked_until.is_some())),
    }
}

impl Add for Requests {
    type Output = Requests;

    fn add(self, more: Requests) -> Requests {
        Requests { asked: self.asked + more.asked, blocked: self.blocked + more.blocked }
    }
}

impl Sub for Requests {
    type Output = Requests;

    fn sub(self, less: Requests) -> Requests {
        Requests { asked: self.asked - less.asked, blocked: self.blocked - less.blocked }
    }
}

impl From<Requests> for Others {
    fn from(requests: Requests) -> Others {
        Others { asked: requests.asked, is_blocked: requests.blocked > 0 }
    }
}
