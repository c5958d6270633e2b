//! States that differ only in names count as one state. Consumer ids are random, and
//! workers, schedulers and late requests have no order.

use crate::list::Msg;
use crate::process::*;
use crate::scope::Scope;
use crate::state::*;

const NONE: u8 = u8::MAX;

impl State {
    /// The same state with its names in canonical order.
    pub fn canonical(mut self, scope: &Scope) -> State {
        let plain = |w: &Worker| Worker { current: None, olds: 0, scripts: w.scripts.map(Pending::plain), ..*w };
        if plain(&self.workers[1]) < plain(&self.workers[0]) {
            self.workers.swap(0, 1);
        }
        // Tasks with priorities have an order: that of the times in their ids.
        let alike = scope.tasks[0] == scope.tasks[1]
            && scope.version2[0] == scope.version2[1]
            && scope.cancels[0] == scope.cancels[1]
            && scope.expires[0] == scope.expires[1];
        if alike && scope.priorities == [0; 2] && self.second_task_comes_first() {
            self.swap_tasks();
        }
        self.delayed.sort();
        for set in [&mut self.limit.places, &mut self.limit.unpaid, &mut self.limit.handed] {
            set.sort();
        }
        for consumer in &mut self.consumers {
            consumer.claimed.sort();
        }
        self.forget();
        self.renumber();
        self.schedulers.sort();
        self.late.sort_by_key(|request| (request.is_none(), *request));
        self
    }

    /// Compares the tasks by their state, then by the first place that mentions one.
    fn second_task_comes_first(&self) -> bool {
        let key = |t: usize| {
            let asked = (self.cancelled.has(t), self.was_cancelled.has(t), self.overlooked.has(t), self.expired.has(t));
            let found = self.found.is_some_and(|m| m.task() == t);
            (
                self.fates[t],
                self.bound[t],
                self.freed[t],
                self.begun[t],
                self.uncounted[t],
                (asked, self.dropped.has(t), self.requeued.has(t), found),
                self.told[t],
                self.counts[t],
            )
        };
        let mentioned = || {
            let held = self.workers.iter().flat_map(|w| w.holds().map(|(m, _)| m));
            let claimed = self.consumers.iter().flat_map(|c| c.claimed.iter().chain(c.inbox.iter()));
            self.pending.iter().chain(self.suspects.iter()).chain(held).chain(claimed).next()
        };
        key(1) < key(0) || key(1) == key(0) && mentioned().is_some_and(|m| m.task() == 1)
    }

    fn swap_tasks(&mut self) {
        let swap = Msg::of_the_other;
        let request = |request: &mut Request| match request {
            Request::Open { keep: list, .. } | Request::Exchange { settled: list, .. } => list.map(swap),
            Request::Block { .. } => (),
        };
        self.fates.swap(0, 1);
        self.bound.swap(0, 1);
        self.freed.swap(0, 1);
        self.begun.swap(0, 1);
        self.uncounted.swap(0, 1);
        self.told.swap(0, 1);
        self.counts.swap(0, 1);
        let asked = [&mut self.cancelled, &mut self.was_cancelled, &mut self.overlooked, &mut self.expired];
        for tasks in asked.into_iter().chain([&mut self.dropped, &mut self.requeued]) {
            *tasks = tasks.swapped();
        }
        self.found = self.found.map(swap);
        self.pending.map(swap);
        self.suspects.map(swap);
        self.delayed.map(swap);
        for list in [&mut self.limit.line, &mut self.limit.places, &mut self.limit.unpaid, &mut self.limit.handed] {
            list.map(swap);
        }
        for consumer in &mut self.consumers {
            consumer.claimed.map(swap);
            consumer.inbox.map(swap);
        }
        for worker in &mut self.workers {
            worker.held.iter_mut().flatten().for_each(|(m, _)| *m = swap(*m));
            worker.doubles.map(swap);
            if let Blocking::Replied(m) = &mut worker.blocking {
                *m = swap(*m);
            }
            if let Some(pending) = &mut worker.scripts {
                request(&mut pending.request);
                match &mut pending.reply {
                    Some(Reply::Opened(Some(list))) => list.map(swap),
                    Some(Reply::Exchanged(Some(claim))) => {
                        claim.claimed.map(swap);
                        claim.cancelled = claim.cancelled.swapped();
                    }
                    _ => (),
                }
            }
        }
        for rescue in &mut self.schedulers {
            if let Rescue::Move(_, list) = rescue {
                list.map(swap);
            }
        }
        self.late.iter_mut().flatten().for_each(request);
    }

    /// Forgets the ids that are no longer mentioned.
    fn forget(&mut self) {
        let used = self.ids_in_use();
        for id in (0..IDS).filter(|id| used >> id & 1 == 0) {
            self.consumers[id] = Consumer::NEW;
        }
        // The past of an empty tombstone does not matter.
        for consumer in self.consumers.iter_mut().filter(|c| c.score == Score::Tombstone) {
            consumer.lost = false;
            consumer.held_several &= !consumer.claimed.is_empty();
        }
    }

    /// Numbers the ids in the order of their mention in the state.
    fn renumber(&mut self) {
        let mut order: Vec<usize> = Vec::with_capacity(IDS);
        let mut mention = |bits: u16, consumers: &[Consumer; IDS]| {
            let mut ids: Vec<_> = (0..IDS).filter(|id| bits >> id & 1 == 1 && !order.contains(id)).collect();
            ids.sort_by_key(|id| consumers[*id]);
            order.extend(ids);
        };
        for worker in &self.workers {
            mention(worker.current.map_or(0, |id| 1 << id), &self.consumers);
            mention(u16::from(worker.olds), &self.consumers);
        }
        for rescue in &self.schedulers {
            if let Rescue::Bury(id) | Rescue::Move(id, _) | Rescue::Reclaim(id) = rescue {
                mention(1 << id, &self.consumers);
            }
        }
        for request in self.late.iter().flatten() {
            mention(request.ids(), &self.consumers);
        }
        mention((1 << IDS) - 1, &self.consumers);
        let mut names = [NONE; IDS];
        order.iter().enumerate().for_each(|(new, old)| names[*old] = new as u8);
        if order.iter().enumerate().all(|(new, old)| new == *old) {
            return;
        }
        let one = |id: u8| names[id as usize];
        let many = |bits: u8| (0..IDS).filter(|id| bits >> id & 1 == 1).fold(0, |all, id| all | 1 << names[id]);
        let request = |request: &mut Request| match request {
            Request::Open { new, olds, .. } => (*new, *olds) = (new.map(one), many(*olds)),
            Request::Exchange { id, .. } | Request::Block { id, .. } => *id = one(*id),
        };
        for worker in &mut self.workers {
            (worker.current, worker.olds) = (worker.current.map(one), many(worker.olds));
            if let Some(pending) = &mut worker.scripts {
                request(&mut pending.request);
            }
        }
        for rescue in &mut self.schedulers {
            if let Rescue::Bury(id) | Rescue::Move(id, _) | Rescue::Reclaim(id) = rescue {
                *id = one(*id);
            }
        }
        self.late.iter_mut().flatten().for_each(request);
        let old = self.consumers;
        order.iter().enumerate().for_each(|(new, id)| self.consumers[new] = old[*id]);
    }
}

impl Pending {
    /// The request without its ids.
    fn plain(self) -> Pending {
        let request = match self.request {
            Request::Open { new, keep, .. } => Request::Open { new: new.map(|_| 0), olds: 0, keep },
            Request::Exchange { settled, outcomes, claim, suspects, older, .. } => {
                Request::Exchange { id: 0, settled, outcomes, claim, suspects, older }
            }
            Request::Block { suspects, .. } => Request::Block { id: 0, suspects },
        };
        Pending { request, ..self }
    }
}
