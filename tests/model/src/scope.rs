//! The scope of a search.

use crate::faults::Fault;
use crate::list::Msg;
use crate::mutant::Mutant;

/// How a task behaves when it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It succeeds.
    Good,
    /// Its first attempt may fail; the second succeeds or fails for good.
    MayFail,
    /// Its first attempt may fail for good.
    MayDie,
    /// Its first two attempts may put it off; the third succeeds, or puts it off too often.
    Snoozes,
    /// It runs until it is cancelled.
    Endless,
    /// It kills its process.
    Poison,
}

/// The choices of a call whose lock another task has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conflict {
    /// It enqueues nothing.
    Skip,
    /// It replaces a task that is still delayed, and enqueues nothing otherwise.
    Replace,
    /// It replaces a task that is still delayed, and takes the lock over otherwise.
    Debounce,
}

/// The bounds of a search.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// Its name in tables.
    pub name: &'static str,
    /// The two tasks.
    pub tasks: [Kind; 2],
    /// Which of them have a version 2 message: a lock or place in Redis belongs to the
    /// task, and the task's end frees it.
    pub version2: [bool; 2],
    /// Whether both tasks want the same lock, so that one waits for the other before it is
    /// enqueued.
    pub one_lock: bool,
    /// Whether both calls choose the same id. It is a lock until the end of its task.
    pub same_id: bool,
    /// Whether both tasks have one limit: one at once.
    pub limited: bool,
    /// Whether that limit has a rate: one in a tick.
    pub has_rate: bool,
    /// The choice of the second call if the first task has the lock.
    pub conflict: Conflict,
    /// Whether the first task is delayed when the search begins.
    pub starts_delayed: bool,
    /// Whether the first call throttles the second.
    pub throttles: bool,
    /// Whether an operator may delete the tasks, and requeue each of them once.
    pub has_operator: bool,
    /// Whether tasks of version 2 hold their lock only until they are handed out.
    pub until_start: bool,
    /// Their priorities. A task with a priority above 0 has a version 2 message as well.
    pub priorities: [u8; 2],
    /// Which of them may be cancelled, once.
    pub cancels: [bool; 2],
    /// Whether `cancel` may find a list too long to look through.
    pub has_long_lists: bool,
    /// Which of them may expire. Such a task has a version 2 message as well.
    pub expires: [bool; 2],
    /// Whether one worker is of the previous release, which knows only version 1.
    pub older_worker: bool,
    /// The number of workers (one or two), in addition to the process for suspects.
    pub workers: usize,
    /// The number of tasks that a worker runs at once (one or two).
    pub slots: usize,
    /// The number of tasks that it may claim beyond its free slots.
    pub ahead: usize,
    /// The number of schedulers (one or two).
    pub schedulers: usize,
    /// The number of faults. They occur at any moment and in any order.
    pub faults: u8,
    /// The kinds of faults.
    pub kinds: &'static [Fault],
    /// The rule that is broken, if any.
    pub mutant: Option<Mutant>,
}

const GOOD: [Kind; 2] = [Kind::Good, Kind::Good];
const MAY_FAIL: [Kind; 2] = [Kind::Good, Kind::MayFail];
const POISON: [Kind; 2] = [Kind::Good, Kind::Poison];

impl Scope {
    /// Two workers with one slot each, one scheduler, two tasks that succeed, no fault.
    pub const SMALL: Scope = Scope {
        name: "small",
        tasks: GOOD,
        version2: [false; 2],
        one_lock: false,
        same_id: false,
        limited: false,
        has_rate: false,
        conflict: Conflict::Skip,
        starts_delayed: false,
        throttles: false,
        has_operator: false,
        until_start: false,
        priorities: [0; 2],
        cancels: [false; 2],
        has_long_lists: false,
        expires: [false; 2],
        older_worker: false,
        workers: 2,
        slots: 1,
        ahead: 1,
        schedulers: 1,
        faults: 0,
        kinds: &[],
        mutant: None,
    };

    /// The small scope with a poison task.
    pub const POISON: Scope = Scope { name: "poison", tasks: POISON, ..Scope::SMALL };

    /// The small scope with one fault of these kinds.
    pub const fn one(name: &'static str, kinds: &'static [Fault]) -> Scope {
        Scope { name, faults: 1, kinds, ..Scope::SMALL }
    }

    /// Two tasks of different priorities, the first of which may fail once, with one fault of these kinds.
    pub const fn prioritized(name: &'static str, kinds: &'static [Fault]) -> Scope {
        Scope { tasks: [Kind::MayFail, Kind::Good], version2: [true; 2], priorities: [3, 5], ..Scope::one(name, kinds) }
    }

    /// Two tasks with one lock, of which the first may fail once, with faults of these kinds.
    pub const fn locked(name: &'static str, faults: u8, kinds: &'static [Fault]) -> Scope {
        Scope {
            tasks: [Kind::MayFail, Kind::Good],
            version2: [true; 2],
            one_lock: true,
            faults,
            ..Scope::one(name, kinds)
        }
    }

    /// Two tasks with one limit, of which the first may fail once, with one fault of these kinds.
    pub const fn limited(name: &'static str, kinds: &'static [Fault]) -> Scope {
        Scope { tasks: [Kind::MayFail, Kind::Good], version2: [true; 2], limited: true, ..Scope::one(name, kinds) }
    }

    /// The same with a rate.
    pub const fn with_rate(name: &'static str, kinds: &'static [Fault]) -> Scope {
        Scope { has_rate: true, ..Scope::limited(name, kinds) }
    }

    /// The same with one worker, and the first task delayed at the beginning.
    pub const fn delayed(name: &'static str, faults: u8, kinds: &'static [Fault]) -> Scope {
        Scope { starts_delayed: true, workers: 1, ..Scope::locked(name, faults, kinds) }
    }

    /// One worker, two tasks with one lock, and an operator, with faults of these kinds.
    pub const fn operated(name: &'static str, faults: u8, kinds: &'static [Fault]) -> Scope {
        Scope { has_operator: true, workers: 1, ..Scope::locked(name, faults, kinds) }
    }

    /// One worker, a task that runs until it is cancelled and one that may fail, both of which
    /// may be cancelled, with one fault of these kinds.
    pub const fn cancelled(name: &'static str, kinds: &'static [Fault]) -> Scope {
        let tasks = [Kind::Endless, Kind::MayFail];
        Scope { tasks, cancels: [true; 2], workers: 1, ..Scope::one(name, kinds) }
    }

    /// A task that may fail and may expire, with one fault of these kinds.
    pub const fn expiring(name: &'static str, kinds: &'static [Fault]) -> Scope {
        let tasks = [Kind::MayFail, Kind::Good];
        Scope { tasks, version2: [true, false], expires: [true, false], ..Scope::one(name, kinds) }
    }

    /// A task that may put itself off, with one fault of these kinds.
    pub const fn snoozing(name: &'static str, kinds: &'static [Fault]) -> Scope {
        Scope { tasks: [Kind::Good, Kind::Snoozes], ..Scope::one(name, kinds) }
    }

    /// Whether the message is of version 2.
    pub fn is_version2(&self, message: Msg) -> bool {
        self.version2[message.task()] || message.has_options()
    }

    /// Whether this mutant is searched.
    pub fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// The searches that CI runs.
    pub fn bounded() -> Vec<Scope> {
        use Fault::*;
        let one_worker = Scope { workers: 1, ..Scope::SMALL };
        vec![
            Scope { name: "no fault", tasks: MAY_FAIL, schedulers: 2, ahead: 2, ..Scope::SMALL },
            Scope { name: "two slots", slots: 2, ..Scope::one("", &[Break, Kill]) },
            Scope { tasks: MAY_FAIL, schedulers: 2, ..Scope::one("a worker is killed", &[Kill]) },
            Scope { ahead: 2, ..Scope::one("a worker is drained", &[Drain]) },
            Scope { tasks: MAY_FAIL, ..Scope::one("connections break", &[Break]) },
            Scope::one("a worker is stopped", &[Stop]),
            Scope::one("Redis restarts, or its clock jumps", &[Restart, ClockJump, NoScheduler]),
            Scope { name: "a worker is cut off", faults: 1, kinds: &[Cut], ..one_worker },
            Scope { name: "Redis hangs", faults: 1, kinds: &[Hang], ..one_worker },
            Scope { name: "two breaks or kills", faults: 2, kinds: &[Break, Kill], ..one_worker },
            Scope { name: "poison", tasks: POISON, schedulers: 2, ..Scope::SMALL },
            Scope {
                tasks: MAY_FAIL,
                version2: [true; 2],
                ..Scope::one("version 2, and a kill or break", &[Kill, Break])
            },
            Scope { version2: [false, true], ..Scope::one("version 2, and a worker is drained", &[Drain]) },
            Scope { name: "poison of version 2", tasks: POISON, version2: [true; 2], schedulers: 2, ..Scope::SMALL },
            Scope {
                version2: [false, true],
                older_worker: true,
                ..Scope::one("a worker knows version 1 only", &[Kill, Break])
            },
            Scope::prioritized("priorities, and a kill or break", &[Kill, Break]),
            Scope::prioritized("priorities, and a worker is drained", &[Drain]),
            Scope { priorities: [0, 5], faults: 0, ..Scope::prioritized("a plain task and a priority", &[]) },
            Scope { tasks: POISON, schedulers: 2, faults: 0, ..Scope::prioritized("poison with a priority", &[]) },
            Scope::locked("a lock that runs out", 1, &[LockExpires]),
            Scope { until_start: true, ..Scope::locked("a lock until the start, a kill or break", 1, &[Kill, Break]) },
            Scope {
                conflict: Conflict::Replace,
                ..Scope::delayed("a replaced task, a kill or break", 1, &[Kill, Break])
            },
            Scope {
                conflict: Conflict::Debounce,
                ..Scope::delayed("a debounced task, a kill or break", 1, &[Kill, Break])
            },
            Scope { conflict: Conflict::Debounce, ..Scope::delayed("a debounced task, a drain", 1, &[Drain]) },
            Scope {
                conflict: Conflict::Debounce,
                ..Scope::delayed("debounce, a lock that runs out", 1, &[LockExpires])
            },
            Scope { tasks: MAY_FAIL, throttles: true, workers: 1, ..Scope::one("a throttled task", &[Kill, Break]) },
            Scope::operated("an operator, a kill or break", 1, &[Kill, Break]),
            Scope { schedulers: 2, tasks: POISON, ..Scope::operated("an operator and poison", 0, &[]) },
            Scope { workers: 2, faults: 0, has_long_lists: true, ..Scope::cancelled("cancels, two workers", &[]) },
            Scope::cancelled("cancels, and a kill or break", &[Kill, Break]),
            Scope::cancelled("cancels, and a worker is drained", &[Drain]),
            Scope::cancelled("cancels, and Redis restarts", &[Restart]),
            Scope { priorities: [3, 5], version2: [true; 2], ..Scope::cancelled("cancels and priorities", &[Kill]) },
            Scope {
                same_id: true,
                version2: [true; 2],
                ..Scope::cancelled("cancels, both calls have one id", &[Kill, Break])
            },
            Scope {
                tasks: POISON,
                cancels: [false, true],
                faults: 0,
                schedulers: 2,
                ..Scope::cancelled("a cancel of poison", &[])
            },
            Scope {
                tasks: MAY_FAIL,
                cancels: [false, true],
                older_worker: true,
                ..Scope::one("cancels, a worker knows version 1", &[])
            },
            Scope { workers: 1, ..Scope::expiring("an expiry, and a kill or break", &[Kill, Break]) },
            Scope { workers: 1, ..Scope::expiring("an expiry, and a worker is drained", &[Drain]) },
            Scope { workers: 1, ..Scope::snoozing("snoozes, and a kill or break", &[Kill, Break]) },
            Scope { workers: 1, ..Scope::snoozing("snoozes, and a worker is drained", &[Drain]) },
            Scope::limited("a limit, and a kill or break", &[Kill, Break]),
            Scope::limited("a limit, and a worker is drained", &[Drain]),
            Scope { workers: 1, ..Scope::with_rate("a rate, and a kill or break", &[Kill, Break]) },
            Scope { workers: 1, ..Scope::with_rate("a rate, a drain or a restart", &[Drain, Restart]) },
            Scope { tasks: POISON, schedulers: 2, faults: 0, ..Scope::limited("poison with a limit", &[]) },
            Scope {
                tasks: [Kind::Endless, Kind::MayFail],
                cancels: [true; 2],
                workers: 1,
                ..Scope::with_rate("a rate, cancels, a kill or break", &[Kill, Break])
            },
            Scope { expires: [true; 2], workers: 1, ..Scope::limited("a limit, and expiries", &[Kill]) },
            Scope {
                cancels: [true; 2],
                tasks: [Kind::MayFail, Kind::Snoozes],
                faults: 0,
                workers: 1,
                ..Scope::expiring("an expiry, snoozes and cancels", &[])
            },
        ]
    }

    /// Longer searches. Two lasting faults in one run, such as two stops, make more
    /// states than fit in memory.
    pub fn long() -> Vec<Scope> {
        use Fault::*;
        const SHORT: [Fault; 6] = [Kill, Drain, Break, Restart, ClockJump, NoScheduler];
        let one_worker = Scope { workers: 1, ..Scope::SMALL };
        let mut scopes = Scope::bounded();
        scopes.extend([
            Scope { schedulers: 2, ..Scope::one("stopped, two schedulers", &[Stop]) },
            Scope::one("one of two is cut off", &[Cut]),
            Scope::one("Redis hangs, two workers", &[Hang]),
            Scope { name: "two short faults, one worker", faults: 2, kinds: &SHORT, ..one_worker },
            Scope { name: "two of kill, break, drain", faults: 2, kinds: &[Kill, Break, Drain], ..Scope::SMALL },
            Scope {
                name: "Redis restarts, and a kill or break",
                faults: 2,
                kinds: &[Restart, Kill, Break],
                ..Scope::SMALL
            },
            Scope { slots: 2, ..Scope::prioritized("priorities, two slots", &[Kill, Break]) },
            Scope { priorities: [0, 5], ..Scope::prioritized("a plain task, a priority, a fault", &[Kill, Break]) },
            Scope::prioritized("priorities, and a worker is stopped", &[Stop]),
            Scope { workers: 1, ..Scope::locked("a lock that runs out, and a kill", 2, &[LockExpires, Kill]) },
            Scope { workers: 2, ..Scope::cancelled("cancels, and a kill, two workers", &[Kill]) },
            Scope { workers: 2, ..Scope::cancelled("cancels, and a break, two workers", &[Break]) },
            Scope::cancelled("cancels, and a worker is stopped", &[Stop]),
            Scope::expiring("an expiry, a fault, two workers", &[Kill, Break, Drain]),
            Scope::snoozing("snoozes, and a kill, two workers", &[Kill]),
            Scope::snoozing("snoozes, and a break, two workers", &[Break]),
            Scope::snoozing("snoozes, and a drain, two workers", &[Drain]),
            Scope::with_rate("a rate, a fault, two workers", &[Kill, Break, Drain]),
            Scope { slots: 2, ..Scope::limited("a limit, two slots", &[Kill, Break]) },
            Scope { workers: 1, ..Scope::with_rate("a rate, and a worker is stopped", &[Stop]) },
            Scope { name: "poison and a fault", faults: 1, kinds: &[Break, Drain, Restart], ..Scope::POISON },
        ]);
        scopes
    }
}
