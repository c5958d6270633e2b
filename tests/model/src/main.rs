//! Searches the model; see README.md.

use std::process::ExitCode;

use fluxqueue_model::scope::Scope;
use fluxqueue_model::search::search;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let scopes = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Scope::bounded(),
        ["--long"] => Scope::long(),
        ["--scope", name] => Scope::long().into_iter().filter(|s| s.name == name).collect(),
        _ => Vec::new(),
    };
    if scopes.is_empty() {
        eprintln!("usage: fluxqueue-model [--long | --scope NAME]; the names:");
        Scope::long().iter().for_each(|scope| eprintln!("  {}", scope.name));
        return ExitCode::from(2);
    }
    println!("{:<38}{:>12}{:>8}{:>10}", "scope", "states", "depth", "seconds");
    for scope in scopes {
        let report = search(&scope);
        let seconds = report.time.as_secs_f64();
        println!("{:<38}{:>12}{:>8}{:>10.1}", scope.name, report.states, report.depth, seconds);
        if let Some(failure) = report.failure {
            println!("{:?}, by these steps:", failure.violation);
            failure.trace.iter().for_each(|action| println!("  {action:?}"));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
