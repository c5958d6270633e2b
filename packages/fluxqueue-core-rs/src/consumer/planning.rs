//! Decides which requests a queue's conversation sends in a turn of the driver, and when its next
//! turn is due.

use std::time::Duration;

use super::batching::ENOUGH;
use super::claiming::{self, PATIENCE, Room};
use super::connector::Connector;
use super::conversation::{Conversation, SHORTEST_BLOCK};
use super::event::Event;
use super::link::{Link, Open, Opening};
use super::state::Phase;
use super::turn::Turn;
use super::unbegun;

/// The most outcomes that one exchange carries: as many as it claims.
const MOST_SETTLED: usize = claiming::MOST_CLAIMED;
/// Rule 15: an exchange takes no more outcomes after this many bytes. Outcomes of failed tasks
/// carry their messages, and a slow line must transmit them before the reply is late.
const ENOUGH_BYTES: usize = 1 << 20;
/// How often the conversation checks a paused queue.
const WHILE_PAUSED: Duration = Duration::from_millis(500);
/// How often the conversation asks whether running tasks are cancelled.
const WHILE_RUNNING: Duration = Duration::from_millis(500);
/// How long a drained worker that holds nothing tries to reach Redis.
const FAREWELL: Duration = Duration::from_secs(1);

/// The requests of the other conversations.
#[derive(Clone, Copy, Default)]
pub struct Others {
    /// How many tasks their exchanges under way ask for.
    pub asked: usize,
    /// Whether one of them has a BLMOVE under way.
    pub is_blocked: bool,
}

/// The decision for one turn.
#[derive(Default)]
pub struct Plan {
    /// When the next turn is due if no event comes earlier.
    pub look_at: Option<Duration>,
    /// Whether the conversation has asked for tasks.
    pub has_claimed: bool,
}

/// Decides which requests to send, and sends them.
pub fn plan(conversation: &mut Conversation, turn: &mut Turn, connector: &Connector, others: Others) -> Plan {
    if matches!(conversation.link(), Link::Closed) {
        return Plan::default();
    }
    let now = turn.now;
    let mut plan = Plan::default();
    if turn.state.phase == Phase::Draining {
        conversation.drain(turn);
    }
    if has_ended(conversation, turn) {
        conversation.close(turn);
        return plan;
    }
    // A reply may have come while the whole process was stopped: the last turn has read only those
    // that were there when it began.
    if let Some(problem) = conversation.link().overdue(turn.context.options.patience(), turn.state.turned_at) {
        conversation.broke(turn, problem);
    }
    match conversation.link() {
        Link::Connecting | Link::Closed => return with_farewell(plan, conversation, now),
        _ if now < conversation.not_before() => {
            plan.look_at = Some(conversation.not_before());
            return with_farewell(plan, conversation, now);
        }
        Link::Away => {
            plan.look_at = conversation.connect(turn, connector);
            return with_farewell(plan, conversation, now);
        }
        Link::Opening(Opening { sent: None, .. }) => conversation.send_open(turn),
        Link::Open(Open { request: None, .. }) => plan.has_claimed = plan_exchange(conversation, turn, others),
        Link::Opening(_) | Link::Open(_) => {}
    }
    plan_block(conversation, turn, others);
    plan.look_at = next_look(conversation, turn);
    with_farewell(plan, conversation, now)
}

/// Whether a drained worker need not wait for an unreachable Redis: it holds nothing, and the
/// lease of an empty consumer ends by itself.
fn has_ended(conversation: &Conversation, turn: &Turn) -> bool {
    let is_over = conversation.draining.is_some_and(|since| turn.now >= since + FAREWELL);
    is_over && !conversation.has_something_to_say(turn)
}

/// Makes a turn due when `has_ended` can become true, because a connection or a pause after a
/// refusal may take longer.
fn with_farewell(mut plan: Plan, conversation: &Conversation, now: Duration) -> Plan {
    let farewell = conversation.draining.map(|since| since + FAREWELL).filter(|at| now < *at);
    plan.look_at = plan.look_at.into_iter().chain(farewell).min();
    plan
}

/// Sends an exchange if one is needed. Returns whether it asks for tasks.
fn plan_exchange(conversation: &mut Conversation, turn: &mut Turn, others: Others) -> bool {
    let (queue, now) = (conversation.queue, turn.now);
    let released = unbegun::shed(turn.state, queue, now, PATIENCE);
    if released > 0 {
        turn.state.tell(queue, Event::Released { count: released });
    }
    unbegun::put_off(turn.state, queue, now);
    let is_draining = turn.state.phase == Phase::Draining;
    let q = &turn.state.queues[queue];
    if is_draining && !q.holds_something() {
        conversation.send_close(turn);
        return false;
    }
    let Some(open) = conversation.link().open() else { return false };
    let gathered = q.settlements.len();
    let settle = gathered > 0 && (turn.state.is_idle() || gathered >= ENOUGH || is_draining || now >= q.settle_at);
    let renew = now >= renew_at(open, conversation, turn);
    // If the last exchange emptied the queue, a BLMOVE or the next outcome asks again.
    let may_ask = turn.state.phase == Phase::Serving
        && !conversation.is_paused
        && (open.blocked_until.is_none() || open.maybe_more);
    let room = room(conversation, open, turn, others);
    let wanted = if may_ask { room.wanted() } else { 0 };
    let claim = wanted > 0 && open.maybe_more && room.is_low();
    // Rule 16: the exchange puts the next task with a priority where other workers wait for it.
    // Rule 24: it pays for the rate of one with a limit, so that the next one can be admitted.
    let notes = q.notes.due().is_some_and(|due| now >= due);
    let wakes_others = open.took_ranked.is_some();
    let counts = q.measures.due().is_some_and(|due| now >= due);
    if !(settle || renew || notes || counts || q.has_doubles() || claim || wakes_others) {
        return false;
    }
    let mut settlements = turn.state.take_settlements(queue, MOST_SETTLED, ENOUGH_BYTES);
    // Outcomes go first. Otherwise unsettled tasks pile up here and in Redis, and all of them run
    // again if this process is killed.
    let asked = if turn.state.queues[queue].settlements.is_empty() { wanted } else { 0 };
    // A note that came back from a broken exchange is among the settlements, so newer notes follow.
    if notes && turn.state.queues[queue].settlements.is_empty() {
        settlements.extend(turn.state.queues[queue].take_notes(now, ENOUGH_BYTES));
    }
    conversation.send_exchange(turn, settlements, asked);
    asked > 0
}

/// Sends a BLMOVE if the queue was empty and a slot is free.
fn plan_block(conversation: &mut Conversation, turn: &Turn, others: Others) {
    // Rule 1: there is no BLMOVE before `open` has answered.
    let Some(open) = conversation.link().open() else { return };
    let fresh_until = turn.state.queues[conversation.queue].fresh_until;
    let may = turn.state.phase == Phase::Serving
        && !conversation.is_paused
        && !open.maybe_more
        && open.blocked_until.is_none()
        && turn.now >= conversation.block_not_before
        && room(conversation, open, turn, others).may_block()
        && turn.now + SHORTEST_BLOCK < fresh_until;
    if may {
        conversation.send_block(turn, fresh_until);
    }
}

fn room(conversation: &Conversation, open: &Open, turn: &Turn, others: Others) -> Room {
    let state = &turn.state;
    let concurrency = state.slots.concurrency;
    // Rule 12: a suspect runs alone, so the worker claims one at a time.
    let suspects = turn.context.options.suspects;
    Room {
        concurrency,
        vacant: state.slots.vacant(),
        waiting: state.waiting(),
        waiting_bytes: state.waiting_bytes(),
        waiting_of_queue: state.queues[conversation.queue].waiting(),
        asked: others.asked + open.asking(),
        is_blocked: others.is_blocked || open.blocked_until.is_some(),
        is_full: state.caps.is_full(),
        ahead: if suspects { 0 } else { claiming::prefetch(state.rate.per_second(), concurrency) },
    }
}

/// When the next exchange renews the lease.
fn renew_at(open: &Open, conversation: &Conversation, turn: &Turn) -> Duration {
    let mut renewal = turn.context.options.renewal();
    if turn.state.slots.running > 0 && turn.state.queues[conversation.queue].holds_something() {
        renewal = renewal.min(WHILE_RUNNING);
    }
    if conversation.is_paused {
        return open.last_exchange + WHILE_PAUSED.min(renewal);
    }
    turn.context.pace.meet(open.last_exchange + renewal, conversation.queue)
}

/// Until when nothing about the conversation changes without a reply. None: it must take part in
/// each turn.
pub fn rests_until(conversation: &Conversation, turn: &Turn) -> Option<Duration> {
    let open = conversation.link().open()?;
    let waits_in_redis = open.request.is_none() && open.blocked_until.is_some() && !open.maybe_more;
    let q = &turn.state.queues[conversation.queue];
    let rests = waits_in_redis
        && turn.state.phase == Phase::Serving
        && !conversation.link().wants_write()
        && !q.holds_something()
        && q.settlements.is_empty();
    if rests { next_look(conversation, turn) } else { None }
}

fn next_look(conversation: &Conversation, turn: &Turn) -> Option<Duration> {
    let now = turn.now;
    let mut next = conversation.link().due(turn.context.options.patience());
    let mut sooner = |at: Duration| next = Some(next.map_or(at, |n| n.min(at)));
    if now < conversation.block_not_before {
        sooner(conversation.block_not_before);
    }
    if let Some(open) = conversation.link().open().filter(|open| open.request.is_none()) {
        let q = &turn.state.queues[conversation.queue];
        sooner(renew_at(open, conversation, turn));
        if !q.settlements.is_empty() {
            sooner(q.settle_at);
        }
        for due in [q.notes.due(), q.measures.due()].into_iter().flatten() {
            sooner(due);
        }
        if q.waiting() > 0 || turn.state.caps.aside() > 0 {
            sooner(now + PATIENCE);
        }
    }
    next
}
