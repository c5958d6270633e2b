//! The waits of a process, by the channel of their task.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::mailbox::{Arrivals, Told, WaitFault};
use crate::connection::HashSlot;
use crate::message::is_report;

/// The event that ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The outcome.
    Outcome,
    /// The first look, whatever it finds.
    Look,
    /// The outcome; until then each report of progress arrives too.
    Reported,
}

/// A task that is waited for.
#[derive(Clone)]
pub struct AwaitedTask {
    /// The shard key of its queue.
    pub shard_key: HashSlot,
    /// Its channel.
    pub channel: Bytes,
    /// The key of its result.
    pub key: Bytes,
}

/// A waiter: where its result arrives, its token, and what it waits for.
pub type Waiter = (Arc<Arrivals>, u64, Until);

/// The waits for one task.
#[derive(Default)]
struct TaskWait {
    key: Bytes,
    waiters: Vec<Waiter>,
    /// It must subscribe.
    wants_join: bool,
    /// It must look for the result.
    wants_look: bool,
    /// It has subscribed.
    joined: bool,
    /// How many looks are under way.
    looks: u32,
    /// Which of the shard key's answers was its last one. 0: it has none.
    answered: u64,
}

impl TaskWait {
    fn add(&mut self, waiter: Waiter) {
        let (_, _, until) = waiter;
        self.waiters.push(waiter);
        if until == Until::Look {
            self.wants_look = true;
        } else if self.joined && until == Until::Reported {
            // The last report was told before.
            self.wants_look = true;
        } else if !self.joined && !self.wants_join {
            // Joins first and looks second, so that nothing falls between the two.
            (self.wants_join, self.wants_look) = (true, true);
        }
    }
}

/// The waits for tasks of one shard key: in a cluster one hash slot, otherwise all.
#[derive(Default)]
pub struct ShardWaits {
    waits: HashMap<Bytes, TaskWait>,
    /// The channels with something to ask.
    to_ask: Vec<Bytes>,
    /// The channels that Redis need no longer tell.
    leaving: HashSet<Bytes>,
    /// How many looks have found nothing.
    answers: u64,
}

/// The next questions for one shard key.
pub struct Questions {
    /// The channels to subscribe to.
    pub subscribe: Vec<Bytes>,
    /// The channels whose results to look for, and the keys of these.
    pub look: Vec<(Bytes, Bytes)>,
}

impl ShardWaits {
    /// Whether nothing is waited for, and nothing is left to say.
    pub fn is_idle(&self) -> bool {
        self.waits.is_empty() && self.leaving.is_empty()
    }

    /// The key of any wait.
    pub fn any_key(&self) -> Option<Bytes> {
        self.waits.values().next().map(|wait| wait.key.clone())
    }

    /// Adds a waiter.
    fn add(&mut self, channel: Bytes, key: Bytes, waiter: Waiter) {
        let wait = self.waits.entry(channel.clone()).or_default();
        wait.key = key;
        wait.add(waiter);
        if wait.wants_look {
            self.to_ask.push(channel);
        }
    }

    /// Removes a waiter that no longer waits.
    fn forget(&mut self, channel: &Bytes, arrivals: &Arc<Arrivals>, token: u64) {
        let Some(wait) = self.waits.get_mut(channel) else { return };
        wait.waiters.retain(|(theirs, t, _)| !(Arc::ptr_eq(theirs, arrivals) && *t == token));
        if wait.waiters.is_empty() {
            self.end(channel);
        }
    }

    fn end(&mut self, channel: &Bytes) -> Option<TaskWait> {
        let wait = self.waits.remove(channel)?;
        if wait.joined {
            self.leaving.insert(channel.clone());
        }
        Some(wait)
    }

    /// Ends the wait for a channel.
    pub fn tell(&mut self, channel: &Bytes, told: &Told) {
        for (arrivals, token, _) in self.end(channel).map(|wait| wait.waiters).unwrap_or_default() {
            arrivals.push(token, told.clone());
        }
    }

    /// Redis has told what is kept of a task. A report of progress ends no wait for its outcome.
    pub fn told(&mut self, channel: &Bytes, kept: Bytes) {
        if !is_report(&kept) {
            return self.tell(channel, &Ok(kept));
        }
        let Some(wait) = self.waits.get(channel) else { return };
        for (arrivals, token, _) in wait.waiters.iter().filter(|waiter| waiter.2 == Until::Reported) {
            arrivals.push(*token, Ok(kept.clone()));
        }
    }

    /// A look has found what is kept of a task; empty for nothing.
    pub fn found(&mut self, channel: &Bytes, kept: Bytes) {
        if !kept.is_empty() {
            self.told(channel, kept.clone());
        }
        let Some(wait) = self.waits.get_mut(channel) else { return };
        wait.looks = wait.looks.saturating_sub(1);
        self.answers += 1;
        wait.answered = self.answers;
        if wait.looks > 0 || wait.wants_look {
            return; // A later look is for them.
        }
        let (once, others) = std::mem::take(&mut wait.waiters).into_iter().partition(|waiter| waiter.2 == Until::Look);
        wait.waiters = others;
        let once: Vec<Waiter> = once;
        once.iter().for_each(|(arrivals, token, _)| arrivals.push(*token, Ok(kept.clone())));
        if wait.waiters.is_empty() {
            self.end(channel);
        }
    }

    /// Redis has told a channel without the result: look for it.
    pub fn must_look(&mut self, channel: &Bytes) {
        if let Some(wait) = self.waits.get_mut(channel).filter(|wait| !wait.wants_look) {
            wait.wants_look = true;
            self.to_ask.push(channel.clone());
        }
    }

    /// Begins again on another connection: subscribes to all channels, and looks.
    pub fn begin_again(&mut self) {
        self.leaving.clear();
        // `take_questions` begins at the end, with those that were answered least recently. So each
        // gets its turn, even if connections break all the time.
        let mut channels: Vec<(u64, Bytes)> =
            self.waits.iter().map(|(channel, wait)| (wait.answered, channel.clone())).collect();
        channels.sort_unstable_by_key(|(answered, _)| std::cmp::Reverse(*answered));
        self.to_ask = channels.into_iter().map(|(_, channel)| channel).collect();
        for wait in self.waits.values_mut() {
            wait.wants_join = wait.waiters.iter().any(|waiter| waiter.2 != Until::Look);
            (wait.wants_look, wait.joined, wait.looks) = (true, false, 0);
        }
    }

    /// Ends all waits with a fault. Redis may have accepted some of the subscriptions, and has to
    /// forget them.
    pub fn fail(&mut self, fault: &WaitFault) {
        let channels: Vec<Bytes> = self.waits.keys().cloned().collect();
        channels.iter().for_each(|channel| self.tell(channel, &Err(fault.clone())));
        self.to_ask.clear();
    }

    /// Takes the channels to unsubscribe from.
    pub fn take_leaving(&mut self) -> Vec<Bytes> {
        self.leaving.drain().collect()
    }

    /// Whether it has something to ask.
    pub fn wants_to_ask(&self) -> bool {
        !self.to_ask.is_empty() || !self.leaving.is_empty()
    }

    /// Takes up to `most` channels with something to ask.
    pub fn take_questions(&mut self, most: usize) -> Questions {
        let mut questions = Questions { subscribe: Vec::new(), look: Vec::new() };
        let from = self.to_ask.len().saturating_sub(most);
        for channel in self.to_ask.drain(from..) {
            let Some(wait) = self.waits.get_mut(&channel) else { continue };
            if std::mem::take(&mut wait.wants_join) {
                wait.joined = true;
                questions.subscribe.push(channel.clone());
            }
            if std::mem::take(&mut wait.wants_look) {
                wait.looks += 1;
                questions.look.push((channel, wait.key.clone()));
            }
        }
        questions
    }
}

/// All waits of a listener.
#[derive(Default)]
pub struct Waits {
    by_shard_key: HashMap<HashSlot, ShardWaits>,
}

impl Waits {
    /// Whether nothing is waited for, and nothing is left to say.
    pub fn is_idle(&self) -> bool {
        self.by_shard_key.values().all(ShardWaits::is_idle)
    }

    /// How many channels are waited for.
    pub fn count(&self) -> usize {
        self.by_shard_key.values().map(|shard| shard.waits.len()).sum()
    }

    /// The waits of a shard key.
    pub fn of(&mut self, shard_key: HashSlot) -> Option<&mut ShardWaits> {
        self.by_shard_key.get_mut(&shard_key)
    }

    /// The shard keys that have waits.
    pub fn shard_keys(&self) -> Vec<HashSlot> {
        self.by_shard_key.keys().copied().collect()
    }

    /// Adds a waiter.
    pub fn add(&mut self, task: AwaitedTask, waiter: Waiter) {
        let AwaitedTask { shard_key, channel, key } = task;
        self.by_shard_key.entry(shard_key).or_default().add(channel, key, waiter);
    }

    /// Removes a waiter that no longer waits.
    pub fn forget(&mut self, task: &AwaitedTask, arrivals: &Arc<Arrivals>, token: u64) {
        if let Some(shard) = self.by_shard_key.get_mut(&task.shard_key) {
            shard.forget(&task.channel, arrivals, token);
        }
    }

    /// Drops shard keys whose waits are idle.
    pub fn drop_idle(&mut self) {
        self.by_shard_key.retain(|_, shard| !shard.is_idle());
    }

    /// Ends all waits with a fault.
    pub fn fail_all(&mut self, fault: &WaitFault) {
        self.by_shard_key.values_mut().for_each(|shard| shard.fail(fault));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn task(name: &'static str) -> AwaitedTask {
        AwaitedTask { shard_key: 0, channel: bytes(name), key: bytes("k") }
    }

    #[test]
    fn a_wait_is_asked_once_and_leaves_nothing() {
        let (mut waits, arrivals) = (Waits::default(), Arc::new(Arrivals::new(false).expect("made")));
        for token in 0..2 {
            waits.add(task("c"), (arrivals.clone(), token, Until::Outcome));
        }
        let shard = waits.of(0).expect("there");
        let asked = shard.take_questions(10);
        assert_eq!((asked.subscribe.len(), asked.look.len()), (1, 1));
        assert!(shard.take_questions(10).look.is_empty());
        shard.must_look(&bytes("c"));
        let asked = shard.take_questions(10);
        assert_eq!((asked.subscribe.len(), asked.look.len()), (0, 1));
        shard.begin_again();
        assert_eq!(shard.take_questions(10).subscribe.len(), 1);
        shard.tell(&bytes("c"), &Ok(bytes("{}")));
        shard.tell(&bytes("c"), &Ok(bytes("{}")));
        assert_eq!(arrivals.take(), [(0, Ok(bytes("{}"))), (1, Ok(bytes("{}")))]);
        assert_eq!(shard.take_leaving(), ["c"]);
        assert!(waits.is_idle());
    }

    #[test]
    fn a_wait_that_is_given_up_before_it_was_asked_says_nothing() {
        let (mut waits, arrivals) = (Waits::default(), Arc::new(Arrivals::new(false).expect("made")));
        waits.add(task("c"), (arrivals.clone(), 1, Until::Outcome));
        waits.forget(&task("c"), &arrivals, 2);
        assert_eq!(waits.count(), 1);
        waits.forget(&task("c"), &arrivals, 1);
        assert!(waits.is_idle());
        assert!(waits.of(0).expect("there").take_questions(10).look.is_empty());
    }

    #[test]
    fn a_look_that_was_not_answered_comes_first_on_the_next_connection() {
        let (mut waits, arrivals) = (Waits::default(), Arc::new(Arrivals::new(false).expect("made")));
        let names: Vec<Bytes> = (0..100).map(|n| Bytes::from(format!("c{n}"))).collect();
        for (token, name) in (0..).zip(&names) {
            waits.add(
                AwaitedTask { shard_key: 0, channel: name.clone(), key: name.clone() },
                (arrivals.clone(), token, Until::Outcome),
            );
        }
        let shard = waits.of(0).expect("there");
        let mut seen = HashSet::new();
        for _ in 0..4 {
            shard.begin_again();
            for (channel, _) in shard.take_questions(25).look {
                shard.found(&channel, Bytes::new());
                seen.insert(channel);
            }
        }
        assert_eq!(seen.len(), 100);
    }

    #[test]
    fn one_look_is_enough_for_some_and_subscribes_to_nothing() {
        let (mut waits, arrivals) = (Waits::default(), Arc::new(Arrivals::new(false).expect("made")));
        waits.add(task("c"), (arrivals.clone(), 1, Until::Look));
        let shard = waits.of(0).expect("there");
        let asked = shard.take_questions(10);
        assert_eq!((asked.subscribe.len(), asked.look.len()), (0, 1));
        // Both come after the look was sent, and need another one.
        waits.add(task("c"), (arrivals.clone(), 2, Until::Look));
        waits.add(task("c"), (arrivals.clone(), 3, Until::Outcome));
        let shard = waits.of(0).expect("there");
        shard.found(&bytes("c"), Bytes::new());
        assert!(arrivals.take().is_empty());
        let asked = shard.take_questions(10);
        assert_eq!((asked.subscribe.len(), asked.look.len()), (1, 1));
        shard.found(&bytes("c"), Bytes::new());
        assert_eq!(arrivals.take(), [(1, Ok(Bytes::new())), (2, Ok(Bytes::new()))]);
        shard.tell(&bytes("c"), &Ok(bytes("{}")));
        assert_eq!(arrivals.take(), [(3, Ok(bytes("{}")))]);
    }

    #[test]
    fn a_fault_ends_every_wait() {
        let (mut waits, arrivals) = (Waits::default(), Arc::new(Arrivals::new(false).expect("made")));
        waits.add(task("c"), (arrivals.clone(), 1, Until::Outcome));
        waits.fail_all(&WaitFault("no".into()));
        assert_eq!(arrivals.take(), [(1, Err(WaitFault("no".into())))]);
        assert!(waits.is_idle());
    }

    #[test]
    fn a_fault_leaves_no_subscription() {
        let (mut waits, arrivals) = (Waits::default(), Arc::new(Arrivals::new(false).expect("made")));
        for (token, channel) in (0..).zip(["left", "joined", "new"]) {
            waits.add(task(channel), (arrivals.clone(), token, Until::Outcome));
            if channel != "new" {
                waits.of(0).expect("there").take_questions(10);
            }
        }
        waits.forget(&task("left"), &arrivals, 0);
        waits.fail_all(&WaitFault("no".into()));
        let shard = waits.of(0).expect("it has something to say");
        let mut leaving = shard.take_leaving();
        leaving.sort();
        assert_eq!(leaving, ["joined", "left"]);
        assert!(shard.take_questions(10).subscribe.is_empty() && waits.is_idle());
    }
}
