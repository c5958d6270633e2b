//! The protocol violates no property.

use fluxqueue_model::scope::Scope;
use fluxqueue_model::search::search;

#[test]
fn nothing_that_must_not_be_can_be() {
    for scope in Scope::bounded() {
        let report = search(&scope);
        println!("{}: {} states, depth {}, {:?}", scope.name, report.states, report.depth, report.time);
        assert!(report.failure.is_none(), "{}: {:#?}", scope.name, report.failure);
        assert!(report.states > 1000, "{}: the search has hardly begun", scope.name);
    }
}
