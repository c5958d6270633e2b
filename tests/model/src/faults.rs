//! Faults, and the passing of time.

use crate::list::List;
use crate::mutant::Mutant;
use crate::process::*;
use crate::properties::{Violation, check};
use crate::scope::Scope;
use crate::state::*;

/// A kind of fault. Each occurrence uses up one of the scope's faults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A worker gets SIGKILL.
    Kill,
    /// A worker gets SIGSTOP. SIGCONT may follow at any time.
    Stop,
    /// A worker gets SIGTERM. This is not a fault, but it is as rare as one.
    Drain,
    /// A worker's connections break. Replies are lost, and requests are executed late.
    Break,
    /// A worker loses the network for a while.
    Cut,
    /// Redis is killed and restarted with its data.
    Restart,
    /// Redis hangs for a while.
    Hang,
    /// The clock of Redis jumps past the end of every lease.
    ClockJump,
    /// No scheduler sweeps for a while.
    NoScheduler,
    /// The time of a lock runs out before its task has ended.
    LockExpires,
}

/// Every kind of fault.
pub const ALL: [Fault; 10] = [
    Fault::Kill,
    Fault::Stop,
    Fault::Drain,
    Fault::Break,
    Fault::Cut,
    Fault::Restart,
    Fault::Hang,
    Fault::ClockJump,
    Fault::NoScheduler,
    Fault::LockExpires,
];

impl State {
    /// Whether the fault can strike worker `at`. Faults of Redis and schedulers strike worker 0.
    pub fn can_strike(&self, fault: Fault, at: usize) -> bool {
        let worker = &self.workers[at];
        let runs = worker.mode == Mode::Running;
        match fault {
            Fault::Kill => worker.mode != Mode::Absent,
            Fault::Stop => runs && !worker.cut,
            Fault::Drain => runs && !worker.draining,
            Fault::Break => runs && !worker.broken && (worker.ready || worker.scripts.is_some()),
            Fault::Cut => runs && !worker.cut,
            Fault::Restart | Fault::Hang | Fault::ClockJump => at == 0 && self.redis == Redis::Up,
            Fault::NoScheduler => at == 0 && self.sweeping,
            Fault::LockExpires => at == 0 && self.bound != [false; 2],
        }
    }

    /// Applies the fault.
    pub fn strike(&mut self, scope: &Scope, fault: Fault, at: usize) {
        self.faults -= 1;
        match fault {
            Fault::Kill => self.lose_process(at),
            Fault::Stop => self.workers[at].mode = Mode::Stopped,
            Fault::Drain => self.drain(scope, at),
            Fault::Break => self.start_anew(scope, at),
            Fault::Cut => self.workers[at].cut = true,
            Fault::Hang => self.redis = Redis::Hung,
            Fault::Restart => self.restart(),
            Fault::NoScheduler => self.sweeping = false,
            Fault::LockExpires => (0..2).for_each(|task| self.free(task)),
            Fault::ClockJump => {
                self.swept = GAP + 1;
                self.quiet = 0;
                for consumer in &mut self.consumers {
                    if let Score::Alive(left) = &mut consumer.score {
                        *left = 0;
                    }
                }
            }
        }
    }

    /// Pending requests are lost. Replies that were sent can still be read.
    fn restart(&mut self) {
        self.redis = Redis::Down;
        self.late = [None; LATE];
        for worker in self.workers.iter_mut().filter(|w| w.mode != Mode::Absent) {
            worker.broken |= worker.ready || worker.scripts.is_some();
            worker.scripts = worker.scripts.filter(|p| p.reply.is_some());
            if worker.blocking == Blocking::Sent {
                worker.blocking = Blocking::Idle;
            }
        }
    }

    /// Time may pass only if every healthy worker has finished its exchange with
    /// Redis: a worker that renews in each tick is what *healthy* means.
    pub fn may_tick(&self) -> bool {
        (0..self.workers.len()).all(|at| {
            let worker = &self.workers[at];
            if self.healthy(at) {
                return worker.ready && worker.age == 0 && worker.scripts.is_none() && !worker.broken;
            }
            // A worker waits for a reply for less than a tick.
            !(worker.mode == Mode::Running && worker.scripts.is_some_and(|p| p.age >= 1 && p.reply.is_none()))
        })
    }

    /// A third of a lease passes. Then healthy workers renew their leases, and a
    /// scheduler sweeps, unless a fault prevents it.
    pub fn tick(&mut self, scope: &Scope) -> Result<(), Violation> {
        self.renew_rate();
        self.swept = (self.swept + 1).min(GAP + 1);
        self.quiet = self.quiet.saturating_sub(1);
        for consumer in &mut self.consumers {
            if let Score::Alive(left) = &mut consumer.score {
                *left = left.saturating_sub(1);
            }
        }
        if self.sweeping && self.redis == Redis::Up {
            // A scheduler calls `promote` much more often than workers renew.
            if !scope.is(Mutant::PromoteDoesNotGuard) {
                self.guard(scope);
            }
            self.look_again(scope);
            self.excused = false;
            self.forget_cancels(scope);
            check(self, scope)?;
        }
        for at in 0..self.workers.len() {
            self.age(scope, at)?;
        }
        if self.sweeping && self.redis == Redis::Up {
            self.sweep(scope);
        }
        Ok(())
    }

    fn age(&mut self, scope: &Scope, at: usize) -> Result<(), Violation> {
        let healthy = self.healthy(at);
        let worker = &mut self.workers[at];
        if worker.mode == Mode::Absent {
            return Ok(());
        }
        worker.age = (worker.age + 1).min(LEASE);
        if let Some(pending) = &mut worker.scripts {
            pending.age = (pending.age + 1).min(LEASE);
        }
        if healthy && let Some(id) = worker.current {
            let (settled, outcomes) = (List::EMPTY, [None; 4]);
            let older = self.workers[at].older;
            let renewal = Request::Exchange { id, settled, outcomes, claim: 0, suspects: false, older };
            if let Reply::Exchanged(Some(claim)) = self.exchange(scope, renewal)? {
                self.workers[at].age = 0;
                self.workers[at].is_wary = claim.any_cancelled;
                self.hear_of_cancels(at, claim.cancelled);
            }
        } else if worker.mode == Mode::Stopped || worker.cut {
            // If the lease ends before its renewal, this fault is a cause.
            for id in self.workers[at].ids() {
                self.consumers[id].lost = true;
            }
        }
        Ok(())
    }
}
