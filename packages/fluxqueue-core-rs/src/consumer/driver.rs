//! The thread that talks to Redis. It never takes the GIL, so no task can keep it from renewing
//! leases.
//!
//! In each turn, it decides which requests each queue sends (`planning`), writes them, sleeps
//! until an event, and reads the replies.

use std::sync::Arc;
use std::time::Duration;

use super::clock;
use super::connector::Connector;
use super::conversation::Conversation;
use super::fairness::Fairness;
use super::identity::Identity;
use super::link::Side;
use super::options::Options;
use super::planning::{self, Others};
use super::poll::Poll;
use super::scripts::Scripts;
use super::shared::Shared;
use super::state::{Phase, State};
use super::turn::{Context, Turn};
use crate::connection::Deployment;
use crate::errors::Result;

/// The loop, and the fairness between queues.
pub struct Driver {
    shared: Arc<Shared>,
    context: Context,
    conversations: Vec<Conversation>,
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
        Ok(Driver {
            conversations: names.iter().enumerate().map(conversation).collect(),
            connector: Connector::new(deployment.clone(), shared.clone()),
            context: Context { options, scripts: Scripts::load()?, deployment },
            shared,
            claims: Fairness::default(),
        })
    }

    /// Runs until the phase is `Stopped`.
    pub fn run(mut self) {
        let shared = self.shared.clone();
        let mut poll = Poll::default();
        loop {
            let wait = {
                let mut state = shared.lock();
                if state.phase == Phase::Stopped {
                    return;
                }
                let wait = self.plan(&mut state);
                shared.wake(state);
                wait
            };
            self.write();
            let links = self.conversations.iter().map(|c| (c.queue, c.link()));
            let connections = links.flat_map(|(queue, link)| link.connections().map(move |(side, c)| (queue, side, c)));
            poll.wait(
                shared.driver.fd(),
                connections.map(|(queue, side, c)| (c.fd(), c.wants_write(), (queue, side))),
                wait,
            );
            if poll.woken() {
                shared.driver.clear();
            }
            let connected: Vec<_> = self.connector.finished().collect();
            for (queue, result) in connected {
                self.with(queue, |conversation, turn| conversation.connected(turn, result));
            }
            for (queue, side) in poll.ready() {
                self.read(queue, side);
            }
        }
    }

    /// Plans the requests of each queue. Returns how long to sleep after that.
    fn plan(&mut self, state: &mut State) -> Duration {
        let now = clock::now();
        state.turned_at = now;
        if state.measure(now) {
            self.shared.announce_work(state);
        }
        let mut turn = Turn { state, context: &mut self.context, now };
        for conversation in &mut self.conversations {
            conversation.drop_expired(&mut turn);
        }
        let mut next = turn.state.stall_at();
        for queue in self.claims.order(self.conversations.len()) {
            let others = others(&self.conversations, queue);
            let plan = planning::plan(&mut self.conversations[queue], &mut turn, &self.connector, others);
            if plan.has_claimed {
                self.claims.count();
            }
            next = next.into_iter().chain(plan.look_at).min();
        }
        let gathered = |c: &Conversation| turn.state.queues[c.queue].settlements.len();
        let can_send = self.conversations.iter().filter(|c| c.can_send(now));
        let leaving = can_send.map(gathered).reduce(|sum, more| sum + more);
        turn.state.batching.plan(turn.state.outcomes(), leaving);
        turn.state.rate.awaits = self.conversations.iter().any(|c| c.link().awaits_reply());
        // Even if nothing is due, a regular turn shows that this thread is alive.
        next.map_or(Duration::MAX, |at| at.saturating_sub(now)).min(self.context.options.renewal())
    }

    fn write(&mut self) {
        for queue in 0..self.conversations.len() {
            if let Err(error) = self.conversations[queue].link_mut().write_some() {
                self.with(queue, |conversation, turn| conversation.broke(turn, &error.to_string()));
            }
        }
    }

    /// Reads from the connection and acts on every whole reply.
    fn read(&mut self, queue: usize, side: Side) {
        let most = self.shared.max_message_bytes;
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
                Ok(None) => match link.read_some(side, clock::now) {
                    Ok(true) => continue,
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
        let mut state = self.shared.lock();
        let mut turn = Turn { state: &mut state, context: &mut self.context, now: clock::now() };
        let result = act(&mut self.conversations[queue], &mut turn);
        self.shared.announce_work(&mut state);
        self.shared.wake(state);
        result
    }
}

/// The requests of the other conversations.
fn others(conversations: &[Conversation], queue: usize) -> Others {
    let open = conversations.iter().filter(|c| c.queue != queue).filter_map(|c| c.link().open());
    open.fold(Others::default(), |others, open| Others {
        asked: others.asked + open.asking(),
        is_blocked: others.is_blocked || open.blocked_until.is_some(),
    })
}
