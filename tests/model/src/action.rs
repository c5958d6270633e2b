//! The model's steps, and the effect of each.

use crate::faults::Fault;
use crate::list::Msg;
use crate::process::*;
use crate::properties::{Violation, check};
use crate::scope::Scope;
use crate::state::*;
use crate::worker::slots;

/// One step. `at` is the index of a worker or a scheduler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Action {
    /// A fault occurs.
    Strike {
        fault: Fault,
        at: usize,
    },
    /// Redis is up again.
    RedisReturns,
    /// A stopped process gets SIGCONT.
    Continue {
        at: usize,
    },
    /// The network is back.
    Heal {
        at: usize,
    },
    /// Redis executes a request of a closed connection.
    ExecuteLate {
        index: usize,
    },
    /// A request of a closed connection is lost.
    DropLate {
        index: usize,
    },
    /// The worker notices that its connections are broken.
    NoticeBreak {
        at: usize,
    },
    /// The worker gives up waiting for a reply.
    LosePatience {
        at: usize,
    },
    ReadScripts {
        at: usize,
    },
    ReadBlocking {
        at: usize,
    },
    /// Redis executes the script.
    Execute {
        at: usize,
    },
    /// BLMOVE takes a message.
    Serve {
        at: usize,
    },
    /// BLMOVE times out.
    TimeOut {
        at: usize,
    },
    Begin {
        at: usize,
    },
    End {
        at: usize,
        outcome: Outcome,
    },
    /// The task kills its process.
    Poison {
        at: usize,
    },
    EndOrphan {
        at: usize,
    },
    SendOpen {
        at: usize,
    },
    SendExchange {
        at: usize,
        ahead: usize,
    },
    SendClose {
        at: usize,
    },
    Shed {
        at: usize,
    },
    /// The drain reaches its deadline.
    ReleaseRunning {
        at: usize,
    },
    /// A drained worker holds nothing, can't reach Redis, and ends.
    LeaveWithoutGoodbye {
        at: usize,
    },
    Start {
        at: usize,
    },
    /// A sweep, followed by the rescue of one consumer that it found.
    Sweep {
        at: usize,
        consumer: Option<u8>,
    },
    StepRescue {
        at: usize,
    },
    /// A scheduler is killed during a rescue.
    CrashScheduler {
        at: usize,
    },
    /// Only the blocking connection breaks. One mutant needs it.
    BreakBlocking {
        at: usize,
    },
    Promote {
        message: Msg,
    },
    Enqueue {
        task: usize,
    },
    /// A caller cancels the task. `looks`: the lists are short enough to look through.
    Cancel {
        task: usize,
        looks: bool,
    },
    /// The operator looks where a task is, to delete it.
    Find {
        message: Msg,
    },
    /// The operator deletes the task that was found.
    Delete,
    /// The operator requeues a dead task.
    Requeue {
        task: usize,
    },
    /// The time of a throttled call is over.
    ThrottleEnds,
    /// The moment of the task's expiry passes.
    Expire {
        task: usize,
    },
    Tick,
}

use Action::*;

impl Action {
    /// The step's rank in a run without further faults. None for a step that such a
    /// run does not need: a fault, or the consequence of one.
    pub fn calm(&self) -> Option<u8> {
        Some(match self {
            RedisReturns | Continue { .. } | Heal { .. } => 0,
            DropLate { .. } => 1,
            NoticeBreak { .. } => 2,
            ReadScripts { .. } | ReadBlocking { .. } => 3,
            Execute { .. } => 4,
            Serve { .. } => 5,
            Begin { .. } => 6,
            End { outcome: Outcome::Succeeded | Outcome::Cancelled, .. } | Poison { .. } | EndOrphan { .. } => 7,
            SendOpen { .. } => 8,
            SendExchange { .. } | SendClose { .. } => 9,
            Start { .. } => 11,
            StepRescue { .. } | Promote { .. } | Enqueue { .. } | Cancel { .. } | ThrottleEnds => 12,
            Sweep { consumer: Some(_), .. } => 13,
            Sweep { consumer: None, .. } => 14,
            Tick => 15,
            _ => return None,
        })
    }
}

impl State {
    /// Takes a step and checks the properties.
    ///
    /// # Errors
    /// The property that the step violates.
    pub fn apply(&mut self, scope: &Scope, action: Action) -> Result<(), Violation> {
        match action {
            Strike { fault, at } => self.strike(scope, fault, at),
            RedisReturns => self.redis = Redis::Up,
            Continue { at } => self.workers[at].mode = Mode::Running,
            Heal { at } => self.workers[at].cut = false,
            DropLate { index } => self.late[index] = None,
            ExecuteLate { index } => {
                if let Some(request) = self.late[index].take() {
                    self.execute(scope, request)?;
                }
            }
            NoticeBreak { at } | LosePatience { at } => self.start_anew(scope, at),
            ReadScripts { at } => self.read_scripts(scope, at)?,
            ReadBlocking { at } => {
                if let Blocking::Replied(message) = self.workers[at].blocking {
                    self.read_blocking(scope, at, message);
                }
            }
            Execute { at } => {
                if let Some(pending) = self.workers[at].scripts {
                    let reply = self.execute(scope, pending.request)?;
                    if let Some(pending) = &mut self.workers[at].scripts {
                        pending.reply = reply;
                    }
                }
            }
            Serve { at } => {
                if let Some(id) = self.workers[at].current {
                    let taken = self.block(id, at == LANE);
                    if let Some(message) = taken {
                        self.count_hand_out(scope, message)?;
                    }
                    self.workers[at].blocking = taken.map_or(Blocking::Idle, Blocking::Replied);
                }
            }
            TimeOut { at } => self.workers[at].blocking = Blocking::Idle,
            Begin { at } => self.begin(scope, at)?,
            End { at, outcome } => self.end(scope, at, outcome),
            Poison { at } => self.lose_process(at),
            EndOrphan { at } => self.workers[at].orphans -= 1,
            SendOpen { at } => {
                if !self.send_open(scope, at) {
                    return Err(Violation::Model);
                }
            }
            SendExchange { at, ahead } => self.send_exchange(scope, at, ahead),
            SendClose { at } => self.send_close(at),
            BreakBlocking { at } => {
                self.faults -= 1;
                let worker = &mut self.workers[at];
                let was = std::mem::replace(&mut worker.blocking, Blocking::Idle);
                if let (Blocking::Sent, Some(id)) = (was, worker.current) {
                    self.leave_behind(Request::Block { id, suspects: at == LANE });
                }
            }
            Shed { at } => self.shed(at),
            ReleaseRunning { at } => self.release_running(at),
            LeaveWithoutGoodbye { at } => self.lose_process(at),
            Start { at } => self.workers[at].mode = Mode::Running,
            Sweep { at, consumer } => {
                self.sweeping = true;
                self.sweep(scope);
                self.look_again(scope);
                self.schedulers[at] = consumer.map_or(Rescue::Idle, Rescue::Bury);
            }
            StepRescue { at } => self.step_rescue(scope, at)?,
            CrashScheduler { at } => self.schedulers[at] = Rescue::Idle,
            Promote { message } => self.promote(scope, message),
            Enqueue { task } => self.enqueue(scope, task)?,
            Find { message } => self.found = Some(message),
            Delete => self.delete(scope)?,
            Requeue { task } => self.requeue(scope, task),
            ThrottleEnds => (self.throttled, self.throttling) = (false, false),
            Cancel { task, looks } => self.cancel(scope, task, looks)?,
            Expire { task } => self.expired.add(task),
            Tick => self.tick(scope)?,
        }
        self.block_where_free(scope);
        check(self, scope)
    }

    /// A worker with a free slot blocks. The driver sends the BLMOVE in the turn in
    /// which it sees the free slot, so this is not a separate step.
    fn block_where_free(&mut self, scope: &Scope) {
        for at in 0..self.workers.len() {
            let worker = &mut self.workers[at];
            let can = worker.mode == Mode::Running && !worker.broken && self.redis != Redis::Down;
            if can && worker.may_block(scope, slots(scope, at)) {
                worker.blocking = Blocking::Sent;
            }
        }
    }

    fn execute(&mut self, scope: &Scope, request: Request) -> Result<Option<Reply>, Violation> {
        match request {
            Request::Open { new, olds, keep } => self.open(scope, new, olds, keep).map(Some),
            Request::Exchange { .. } => self.exchange(scope, request).map(Some),
            Request::Block { id, suspects } => {
                // A late one: no worker waits for its reply.
                self.block(id, suspects);
                self.excused |= !self.prioritized.is_empty();
                Ok(None)
            }
        }
    }
}
