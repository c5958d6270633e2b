//! The report of a worker about its process while a reader watches: its memory, and the tasks that
//! run.

use std::time::Duration;

use serde::Serialize;

use super::queue_state::QueueState;
use super::requests::ReaderQuestion;

/// The length of a slot of time, s.
const SLOT: u64 = 10;

/// The most running tasks that a report names, the oldest ones.
const MOST_RUNNING: usize = 20;

#[derive(Serialize)]
struct Report<'a> {
    /// Resident bytes of the process. Absent if the system does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<u64>,
    /// How many tasks of the queue run.
    running: usize,
    /// Some of them: id, name, and when it began (ms since 1970, by the clock of Redis).
    tasks: Vec<(&'a str, &'a str, u64)>,
}

/// The questions of an exchange.
pub struct Asked {
    /// How many tasks.
    pub tasks: usize,
    /// Whether a reader watches the queue.
    pub watch: Option<ReaderQuestion>,
}

impl Asked {
    /// The questions of an exchange that is sent now. `pause`: how often it asks for a reader while
    /// there is none.
    pub fn of(queue: &mut QueueState, now: Duration, pause: Duration, tasks: usize) -> Asked {
        let watch = queue.measures.ask(now, pause).map(|counts| {
            let report = if queue.measures.is_watched() { write(queue) } else { String::new() };
            ReaderQuestion { start: queue.redis_clock.ms(now) / 1000 / SLOT * SLOT, counts, report }
        });
        Asked { tasks, watch }
    }
}

/// The report of one queue, as JSON.
fn write(of: &QueueState) -> String {
    let mut running: Vec<(&[u8], usize, Duration)> = of.running_tasks().collect();
    let count = running.len();
    running.sort_by_key(|(_, _, begun_at)| *begun_at);
    running.truncate(MOST_RUNNING);
    let named = running.into_iter().filter_map(|(id, task, begun_at)| {
        Some((std::str::from_utf8(id).ok()?, of.tasks.name(task)?, of.redis_clock.ms(begun_at)))
    });
    let report = Report { memory: memory(), running: count, tasks: named.collect() };
    serde_json::to_string(&report).expect("a report can be written into memory")
}

/// The resident memory of this process, bytes.
#[cfg(target_os = "linux")]
fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
    Some(kib.parse::<u64>().ok()? * 1024)
}

/// Other systems say it in other ways.
#[cfg(not(target_os = "linux"))]
fn memory() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::claimed::Claimed;
    use crate::consumer::state::State;
    use crate::consumer::work::Tasks;

    #[test]
    fn a_report_names_the_oldest_running_tasks() {
        let own = [("n".to_owned(), (3, true))].into_iter().collect();
        let tasks = Tasks { own, most: 1000, ..Tasks::default() };
        let mut state = State::new(vec![("q".to_owned(), tasks)], 30, 1000);
        state.queues[0].fresh_until = Duration::from_secs(1000);
        state.queues[0].redis_clock.set(1_764_430_000_000, Duration::ZERO);
        let id = |n: u64| format!("019aa0c2-7b1f-7c3e-8d2a-0123456789{n:02}");
        for n in 0..25 {
            let raw = format!(r#"{{"v":1,"id":"{}","name":"n","args":[]}}"#, id(n));
            state.admit(0, Claimed::read(raw.into(), 1000), Duration::ZERO, 0);
            if n < 24 {
                state.begin_async(Duration::from_secs(n)).expect("it can begin");
            }
        }
        let report: serde_json::Value = serde_json::from_str(&write(&state.queues[0])).expect("JSON");
        assert_eq!(report["running"], 24);
        let named = report["tasks"].as_array().expect("a list");
        assert_eq!(named.len(), MOST_RUNNING);
        assert_eq!(named[2], serde_json::json!([id(2), "n", 1_764_430_002_001_u64]));
        assert_eq!(cfg!(target_os = "linux"), report["memory"].as_u64().is_some_and(|bytes| bytes > 100_000));
    }
}
