//! A plain breadth-first search. It remembers 64 bits of each state's hash.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::time::{Duration, Instant};

use crate::action::Action;
use crate::properties::Violation;
use crate::scope::Scope;
use crate::state::State;

/// The result of a search.
#[derive(Debug)]
pub struct Report {
    /// The number of distinct states.
    pub states: usize,
    /// The number of steps from the first state to the last one found.
    pub depth: usize,
    /// How long it took.
    pub time: Duration,
    /// The shortest path to a violation, if there is one.
    pub failure: Option<Failure>,
}

/// A path to a violation.
#[derive(Debug)]
pub struct Failure {
    /// The violated property.
    pub violation: Violation,
    /// The steps from the first state.
    pub trace: Vec<Action>,
}

/// Passes a key through that is already a hash.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("only for u64")
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

/// A hash whose steps are bijective and whose last bits depend on all input.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        let h = (self.0 ^ self.0 >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        h ^ h >> 32
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.write_u64(u64::from(*b)));
    }
    fn write_u64(&mut self, n: u64) {
        let h = (self.0 ^ n.wrapping_add(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        self.0 = h ^ h >> 32;
    }
    fn write_u8(&mut self, n: u8) {
        self.write_u64(u64::from(n));
    }
    fn write_isize(&mut self, n: isize) {
        self.write_u64(n as u64);
    }
    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
}

fn fingerprint(state: &State) -> u64 {
    let mut hasher = Mix::default();
    state.hash(&mut hasher);
    hasher.finish()
}

const NOBODY: u32 = u32::MAX;

/// The record of a state: how the search reached it, and its successor in the run
/// without further faults.
struct Seen {
    hash: u64,
    parent: u32,
    calm: u64,
    finished: bool,
}

struct Search<'a> {
    scope: &'a Scope,
    index: HashMap<u64, u32, BuildHasherDefault<Identity>>,
    seen: Vec<Seen>,
    queue: VecDeque<(State, u32)>,
}

/// Visits every state of the scope and stops at the first violation. Then follows
/// the run without further faults from each state.
pub fn search(scope: &Scope) -> Report {
    let start = Instant::now();
    let mut search = Search { scope, index: HashMap::default(), seen: Vec::new(), queue: VecDeque::new() };
    let (depth, failure) = search.run();
    Report { states: search.seen.len(), depth, time: start.elapsed(), failure }
}

impl Search<'_> {
    fn add(&mut self, state: State, parent: u32) -> u64 {
        let hash = fingerprint(&state);
        if let Entry::Vacant(entry) = self.index.entry(hash) {
            let at = self.seen.len() as u32;
            entry.insert(at);
            self.seen.push(Seen { hash, parent, calm: hash, finished: state.is_finished() });
            self.queue.push_back((state, at));
        }
        hash
    }

    fn run(&mut self) -> (usize, Option<Failure>) {
        self.add(State::new(self.scope).canonical(self.scope), NOBODY);
        let (mut depth, mut last_of_level) = (0, 0);
        while let Some((state, at)) = self.queue.pop_front() {
            if at > last_of_level {
                depth += 1;
                last_of_level = self.seen.len() as u32 - 1;
            }
            let own = self.seen[at as usize].hash;
            let mut calmest = u8::MAX;
            for action in state.actions(self.scope) {
                let mut next = state.clone();
                if let Err(violation) = next.apply(self.scope, action) {
                    let trace = self.trace(at, Some(action));
                    return (depth, Some(Failure { violation, trace }));
                }
                let hash = self.add(next.canonical(self.scope), at);
                let rank = action.calm().unwrap_or(u8::MAX);
                if rank < calmest && hash != own {
                    calmest = rank;
                    self.seen[at as usize].calm = hash;
                }
            }
        }
        let stuck = self.never_ends();
        (depth, stuck.map(|at| Failure { violation: Violation::NeverEnds, trace: self.trace(at, None) }))
    }

    /// The first state whose run without further faults enters a cycle before every
    /// task has ended.
    fn never_ends(&self) -> Option<u32> {
        let mut ends = vec![false; self.seen.len()];
        for start in 0..self.seen.len() {
            let mut path = Vec::new();
            let mut at = start;
            while !ends[at] && !self.seen[at].finished {
                path.push(at);
                at = self.index[&self.seen[at].calm] as usize;
                // A run that does not end is a cycle. A look at the whole path in each
                // step would take too long, so a long path counts as one.
                if path.len() > 10_000 {
                    return Some(start as u32);
                }
            }
            path.into_iter().for_each(|state| ends[state] = true);
        }
        None
    }

    fn trace(&self, at: u32, last: Option<Action>) -> Vec<Action> {
        let mut path = Vec::new();
        let mut next = at;
        while next != NOBODY {
            path.push(self.seen[next as usize].hash);
            next = self.seen[next as usize].parent;
        }
        path.reverse();
        let mut state = State::new(self.scope).canonical(self.scope);
        let mut trace = Vec::new();
        for hash in path.into_iter().skip(1) {
            for action in state.actions(self.scope) {
                let mut next = state.clone();
                if next.apply(self.scope, action).is_ok() {
                    let next = next.canonical(self.scope);
                    if fingerprint(&next) == hash {
                        trace.push(action);
                        state = next;
                        break;
                    }
                }
            }
        }
        trace.extend(last);
        trace
    }
}
