//! Each moment of a periodic task comes once, in all states that a scope has, and the search
//! detects each broken rule.

use fluxqueue_model::periodic::{Mutant, Scope, Violation, search};

const CHANGES: Scope = Scope { changes: 2, faults: 0, skips: false, mutant: None };
const CHANGES_AND_FAULTS: Scope = Scope { changes: 1, faults: 1, skips: false, mutant: None };
const FAULTS: Scope = Scope { changes: 0, faults: 2, skips: false, mutant: None };
const SKIPS: Scope = Scope { changes: 1, faults: 1, skips: true, mutant: None };

fn found(scope: Scope, mutant: Mutant) -> Option<Violation> {
    search(&Scope { mutant: Some(mutant), ..scope }).err().map(|(violation, _)| violation)
}

#[test]
fn each_moment_comes_once() {
    for scope in [CHANGES, CHANGES_AND_FAULTS, FAULTS, SKIPS] {
        println!("{scope:?}");
        let states = search(&scope).unwrap_or_else(|(violation, path)| panic!("{violation:?}: {path}"));
        println!("{states} states");
        assert!(states > 1000, "the search has hardly begun");
    }
}

#[test]
fn a_broken_rule_is_found() {
    for (scope, mutant, violation) in [
        (FAULTS, Mutant::MomentNotCompared, Violation::Twice),
        (CHANGES, Mutant::VersionNotCompared, Violation::WrongRules),
        (FAULTS, Mutant::NotWaitedFor, Violation::Early),
        (FAULTS, Mutant::PlannedAhead, Violation::Early),
        (FAULTS, Mutant::NextNotWritten, Violation::Twice),
        (CHANGES, Mutant::PauseKeepsMoment, Violation::NotActive),
        (CHANGES, Mutant::MessageReplans, Violation::Lost),
        (SKIPS, Mutant::LockIgnored, Violation::Overlap),
        (SKIPS, Mutant::LockNotTaken, Violation::Overlap),
        (SKIPS, Mutant::RetryFrees, Violation::Overlap),
        (SKIPS, Mutant::EndKeepsLock, Violation::LeftLock),
    ] {
        assert_eq!(found(scope, mutant), Some(violation), "{mutant:?}");
    }
}
