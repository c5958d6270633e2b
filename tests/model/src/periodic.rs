//! One periodic task: schedulers, callers and workers, and the scripts `tick` and `schedule`. A
//! separate model, with a plain breadth-first search of all its states.
//!
//! A moment is a number. A version of the rules has each moment, or each second one. All missed
//! moments are caught up, so that each of them must come.

use std::collections::{HashSet, VecDeque};

/// The last moment.
pub const LAST: u8 = 3;

/// A rule that is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    /// `tick` does not compare the moment that the scheduler has read.
    MomentNotCompared,
    /// `tick` does not compare the version that the scheduler has read.
    VersionNotCompared,
    /// `tick` does not look whether the moment has come.
    NotWaitedFor,
    /// `tick` executes what was planned for a time that is still to come.
    PlannedAhead,
    /// `tick` does not write the next moment.
    NextNotWritten,
    /// A paused periodic task keeps its moment.
    PauseKeepsMoment,
    /// A change of the message alone plans again.
    MessageReplans,
    /// A run begins although another one has the lock.
    LockIgnored,
    /// A run takes no lock.
    LockNotTaken,
    /// A retry frees the lock.
    RetryFrees,
    /// An end keeps the lock.
    EndKeepsLock,
}

/// A property that does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Violation {
    /// A moment came twice.
    Twice,
    /// A run came before its moment.
    Early,
    /// A run came while the task is paused or removed.
    NotActive,
    /// A run came at a moment that the rules of the time do not have.
    WrongRules,
    /// A run began while another one had not ended.
    Overlap,
    /// The lock belongs to no run that has not ended.
    LeftLock,
    /// A moment never came, or a run never ended.
    Lost,
}

/// The size of a search.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// Calls that change the task.
    pub changes: u8,
    /// Broken connections, killed schedulers, wrong clocks, failed and lost runs.
    pub faults: u8,
    /// Whether runs may not overlap.
    pub skips: bool,
    /// The broken rule.
    pub mutant: Option<Mutant>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Due {
    /// The first moment after this time is next.
    After(u8),
    At(u8),
    Never,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Run {
    Absent,
    Skipped,
    Waiting,
    Running,
    Ended,
}

/// A call of `tick` that is under way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Request {
    version: u8,
    due: Due,
    planned: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
struct Scheduler {
    /// The version and the moment, which it reads one after the other.
    version: Option<u8>,
    due: Option<Due>,
    sent: Option<Request>,
    /// The answer of Redis: whether it has acted.
    reply: Option<bool>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    now: u8,
    /// The version; None: it was removed.
    version: Option<u8>,
    versions: u8,
    paused: bool,
    due: Due,
    lock: Option<u8>,
    runs: [Run; LAST as usize + 1],
    /// The moments that must come.
    owed: u8,
    schedulers: [Scheduler; 2],
    /// A request whose connection is gone.
    late: Option<Request>,
    changes: u8,
    faults: u8,
}

/// A step.
#[derive(Clone, Copy, Debug)]
enum Step {
    Time,
    ReadVersion(usize),
    ReadDue(usize),
    /// A scheduler plans, by a clock that is ahead by this much.
    Send(usize, u8),
    Execute(usize),
    Reply(usize),
    Break(usize),
    ExecuteLate,
    Change,
    ChangeMessage,
    Pause,
    Resume,
    Remove,
    Begin(u8),
    Retry(u8),
    End(u8),
}

/// The first moment of a version after a time.
fn after(version: u8, time: u8) -> u8 {
    let step = 1 + version % 4 / 2;
    (time / step + 1) * step
}

impl State {
    fn new() -> State {
        State {
            now: 0,
            version: Some(0),
            versions: 0,
            paused: false,
            due: Due::After(0),
            lock: None,
            runs: [Run::Absent; LAST as usize + 1],
            owed: 0,
            schedulers: [Scheduler::default(); 2],
            late: None,
            changes: 0,
            faults: 0,
        }
    }

    fn is_open(&self, moment: u8) -> bool {
        matches!(self.runs[moment as usize], Run::Waiting | Run::Running)
    }

    fn steps(&self, scope: &Scope) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.now < LAST {
            steps.push(Step::Time);
        }
        for (at, scheduler) in self.schedulers.iter().enumerate() {
            match (scheduler.sent, scheduler.reply, scheduler.version, scheduler.due) {
                (Some(_), None, ..) => steps.push(Step::Execute(at)),
                (_, Some(_), ..) => steps.push(Step::Reply(at)),
                (_, _, None, _) => steps.push(Step::ReadVersion(at)),
                (_, _, _, None) => steps.push(Step::ReadDue(at)),
                _ => {
                    // It may read again, or have read long ago.
                    steps.extend([Step::Send(at, 0), Step::ReadVersion(at)]);
                    if self.faults < scope.faults {
                        steps.push(Step::Send(at, 1));
                    }
                }
            }
            if self.faults < scope.faults && scheduler.version.is_some() {
                steps.push(Step::Break(at));
            }
        }
        if self.late.is_some() {
            steps.push(Step::ExecuteLate);
        }
        if self.changes < scope.changes {
            steps.extend([Step::Change, Step::ChangeMessage, Step::Pause, Step::Resume, Step::Remove]);
        }
        for moment in 1..=self.now {
            match self.runs[moment as usize] {
                Run::Waiting if scope.skips => steps.push(Step::Begin(moment)),
                Run::Running => {
                    steps.push(Step::End(moment));
                    if self.faults < scope.faults {
                        steps.push(Step::Retry(moment));
                    }
                }
                _ => (),
            }
        }
        steps
    }

    fn apply(&mut self, scope: &Scope, step: Step) -> Result<(), Violation> {
        let is = |mutant| scope.mutant == Some(mutant);
        match step {
            Step::Time => {
                self.now += 1;
                if let Some(version) = self.version
                    && !self.paused
                    && after(version, self.now - 1) == self.now
                {
                    self.owed |= 1 << self.now;
                }
            }
            Step::ReadVersion(at) => self.schedulers[at] = Scheduler { version: self.version, ..Scheduler::default() },
            Step::ReadDue(at) => self.schedulers[at].due = Some(self.due),
            Step::Send(at, ahead) => {
                let Scheduler { version: Some(version), due: Some(due), .. } = self.schedulers[at] else {
                    return Ok(());
                };
                self.faults += ahead;
                if due != Due::Never {
                    self.schedulers[at].sent = Some(Request { version, due, planned: self.now + ahead });
                }
            }
            Step::Execute(at) => {
                if let Some(request) = self.schedulers[at].sent.take() {
                    self.schedulers[at].reply = Some(self.tick(scope, request)?);
                    self.schedulers[at].sent = Some(request);
                }
            }
            Step::Reply(at) => {
                let known = self.schedulers[at];
                self.schedulers[at] = Scheduler::default();
                if let (Some(true), Some(Request { version, due, planned })) = (known.reply, known.sent) {
                    self.schedulers[at].version = Some(version);
                    self.schedulers[at].due = Some(following(version, due, planned));
                }
            }
            Step::Break(at) => {
                self.faults += 1;
                let Scheduler { sent, reply, .. } = std::mem::take(&mut self.schedulers[at]);
                if reply.is_none() && self.late.is_none() {
                    self.late = sent;
                }
            }
            Step::ExecuteLate => {
                if let Some(request) = self.late.take() {
                    self.tick(scope, request)?;
                }
            }
            Step::Change | Step::ChangeMessage => {
                self.changes += 1;
                let times = matches!(step, Step::Change) || self.version.is_none();
                // Two versions in a row have the same times.
                self.versions = if times { self.versions / 2 * 2 + 2 } else { self.versions ^ 1 };
                self.version = Some(self.versions);
                if !self.paused && (times || is(Mutant::MessageReplans)) {
                    self.due = Due::After(self.now);
                }
                if times {
                    self.forgive();
                }
            }
            Step::Pause => {
                self.changes += 1;
                self.paused = self.version.is_some();
                self.forgive();
                if !is(Mutant::PauseKeepsMoment) {
                    self.due = Due::Never;
                }
            }
            Step::Resume => {
                self.changes += 1;
                if self.paused {
                    self.paused = false;
                    self.due = Due::After(self.now);
                }
            }
            Step::Remove => {
                self.changes += 1;
                (self.version, self.paused, self.due) = (None, false, Due::Never);
                self.forgive();
            }
            Step::Begin(moment) => self.runs[moment as usize] = Run::Running,
            Step::Retry(moment) => {
                self.faults += 1;
                self.runs[moment as usize] = Run::Waiting;
                if is(Mutant::RetryFrees) {
                    self.free(moment);
                }
            }
            Step::End(moment) => {
                self.runs[moment as usize] = Run::Ended;
                if !is(Mutant::EndKeepsLock) {
                    self.free(moment);
                }
            }
        }
        match self.lock {
            Some(moment) if !self.is_open(moment) => Err(Violation::LeftLock),
            _ => Ok(()),
        }
    }

    fn free(&mut self, moment: u8) {
        if self.lock == Some(moment) {
            self.lock = None;
        }
    }

    /// A change that plans again leaves out what has not come yet.
    fn forgive(&mut self) {
        for moment in 1..=self.now {
            if self.runs[moment as usize] == Run::Absent {
                self.owed &= !(1 << moment);
            }
        }
    }

    /// The script `tick`. Returns whether it has acted.
    fn tick(&mut self, scope: &Scope, request: Request) -> Result<bool, Violation> {
        let is = |mutant| scope.mutant == Some(mutant);
        let Some(version) = self.version else { return Ok(false) };
        let is_read = request.due == self.due || is(Mutant::MomentNotCompared) && self.due != Due::Never;
        let has_come = match request.due {
            Due::At(moment) => moment <= self.now || is(Mutant::NotWaitedFor),
            _ => true,
        };
        let is_ahead = request.planned > self.now && !is(Mutant::PlannedAhead);
        let is_version = request.version == version || is(Mutant::VersionNotCompared);
        if !is_read || !has_come || is_ahead || !is_version {
            return Ok(false);
        }
        if let Due::At(first) = request.due {
            let mut moment = first;
            while moment <= request.planned.max(first) && moment <= LAST {
                self.come(scope, version, moment)?;
                moment = after(request.version, moment);
            }
        }
        if !is(Mutant::NextNotWritten) || matches!(request.due, Due::After(_)) {
            self.due = following(request.version, request.due, request.planned);
        }
        Ok(true)
    }

    fn come(&mut self, scope: &Scope, version: u8, moment: u8) -> Result<(), Violation> {
        let is = |mutant| scope.mutant == Some(mutant);
        if moment > self.now {
            return Err(Violation::Early);
        }
        if self.paused {
            return Err(Violation::NotActive);
        }
        if after(version, moment - 1) != moment {
            return Err(Violation::WrongRules);
        }
        if self.runs[moment as usize] != Run::Absent {
            return Err(Violation::Twice);
        }
        self.runs[moment as usize] = Run::Waiting;
        if !scope.skips {
            return Ok(());
        }
        if self.lock.is_some() && !is(Mutant::LockIgnored) {
            self.runs[moment as usize] = Run::Skipped;
            return Ok(());
        }
        if (1..=LAST).any(|other| other != moment && self.is_open(other)) {
            return Err(Violation::Overlap);
        }
        if !is(Mutant::LockNotTaken) {
            self.lock = Some(moment);
        }
        Ok(())
    }

    /// Without further faults, one scheduler with a right clock and a worker bring all to its end.
    fn ends(mut self, scope: &Scope) -> Result<(), Violation> {
        self.schedulers = [Scheduler::default(); 2];
        for _ in 0..4 * LAST {
            for step in [Step::ReadVersion(0), Step::ReadDue(0), Step::Send(0, 0), Step::Execute(0), Step::Reply(0)] {
                self.apply(scope, step)?;
            }
            for moment in 1..=self.now {
                while scope.skips && self.is_open(moment) {
                    let is_running = self.runs[moment as usize] == Run::Running;
                    self.apply(scope, if is_running { Step::End(moment) } else { Step::Begin(moment) })?;
                }
            }
        }
        let came = (1..=self.now).filter(|moment| self.runs[*moment as usize] != Run::Absent);
        let came = came.fold(0, |all, moment| all | 1 << moment);
        if self.owed & !came != 0 { Err(Violation::Lost) } else { Ok(()) }
    }
}

/// The moment that follows a call of `tick`.
fn following(version: u8, due: Due, planned: u8) -> Due {
    match due {
        Due::After(time) => Due::At(after(version, time)),
        Due::At(moment) => Due::At(after(version, planned.max(moment))),
        Due::Never => Due::Never,
    }
}

/// Visits all states of a scope. Returns their number, or what must not happen and the steps that
/// lead there.
pub fn search(scope: &Scope) -> Result<usize, (Violation, String)> {
    let first = State::new();
    let mut seen = HashSet::from([first.clone()]);
    let mut queue = VecDeque::from([(first, Vec::new())]);
    while let Some((state, path)) = queue.pop_front() {
        for step in state.steps(scope) {
            let mut next = state.clone();
            let mut way = path.clone();
            way.push(step);
            if let Err(violation) = next.apply(scope, step) {
                return Err((violation, format!("{way:?}")));
            }
            // Which of the two schedulers is which does not matter.
            next.schedulers.sort();
            if !seen.insert(next.clone()) {
                continue;
            }
            if let Err(violation) = next.clone().ends(scope) {
                return Err((violation, format!("{way:?}, and no fault after that")));
            }
            queue.push_back((next, way));
        }
    }
    Ok(seen.len())
}
