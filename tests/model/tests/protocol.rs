//! The protocol violates no property.

use std::sync::Mutex;
use std::thread;

use fluxqueue_model::scope::Scope;
use fluxqueue_model::search::search;

#[test]
fn nothing_that_must_not_be_can_be() {
    let left = Mutex::new(Scope::bounded().into_iter());
    let search_the_rest = || {
        loop {
            let next = left.lock().expect("no search fails while it has the lock").next();
            let Some(scope) = next else { return };
            let report = search(&scope);
            println!("{}: {} states, depth {}, {:?}", scope.name, report.states, report.depth, report.time);
            assert!(report.failure.is_none(), "{}: {:#?}", scope.name, report.failure);
            assert!(report.states > 1000, "{}: the search has hardly begun", scope.name);
        }
    };
    thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(search_the_rest);
        }
    });
}
