//! Looks up the addresses of a host name. The C library sets no limit to the time of a lookup,
//! and no signal ends one, so a thread makes it, and an attempt to connect waits for that thread
//! only as long as it has time.
//!
//! Why: docs/decisions/0068-a-lookup-in-a-thread-that-may-be-left-behind.md

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::interrupt::{Interrupt, SLICE};
use crate::errors::{Error, Result};
use crate::fork::PerProcess;

/// The most lookups that run at once. A further one waits for one of them to end.
const MOST: usize = 32;

/// How long an answer waits for an attempt to connect, if none waits for it. A name server that
/// takes longer than an attempt still serves the next one.
const KEPT: Duration = Duration::from_secs(2);

/// After this time a lookup may never end, so the next attempt starts another one.
const STUCK: Duration = Duration::from_secs(15);

/// The lookups of this process. A child of `fork` has none of its parent's threads.
#[derive(Default)]
struct Lookups {
    names: Mutex<HashMap<String, Lookup>>,
    answered: Condvar,
}

/// The lookup of one name.
#[derive(Default)]
struct Lookup {
    /// How many threads ask for this name.
    running: usize,
    /// When the last of them began.
    begun: Option<Instant>,
    answer: Option<NameAnswer>,
}

type Found = std::result::Result<Vec<SocketAddr>, String>;

struct NameAnswer {
    at: Instant,
    taken: bool,
    found: Found,
}

static LOOKUPS: PerProcess<Lookups> = PerProcess::new();

impl Lookup {
    /// The answer for an attempt that began at `asked`: one that is newer, or one that no attempt
    /// has taken.
    fn take(&mut self, asked: Instant) -> Option<Found> {
        let answer = self.answer.as_mut().filter(|answer| answer.at >= asked || answer.waits())?;
        answer.taken = true;
        Some(answer.found.clone())
    }

    fn may_begin(&self) -> bool {
        self.running == 0 || self.begun.is_none_or(|begun| begun.elapsed() >= STUCK)
    }
}

impl NameAnswer {
    fn waits(&self) -> bool {
        !self.taken && self.at.elapsed() < KEPT
    }
}

impl Lookups {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Lookup>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an answer, for one slice at most. Starts a lookup if none is under way.
    fn look(
        &'static self,
        host: &str,
        asked: Instant,
        slice: Duration,
        ask: fn(&str) -> Found,
    ) -> Result<Option<Found>> {
        let mut names = self.lock();
        if let Some(found) = names.get_mut(host).and_then(|lookup| lookup.take(asked)) {
            return Ok(Some(found));
        }
        let running: usize = names.values().map(|lookup| lookup.running).sum();
        if running < MOST && names.get(host).is_none_or(Lookup::may_begin) {
            names.retain(|_, lookup| lookup.running > 0 || lookup.answer.as_ref().is_some_and(NameAnswer::waits));
            let lookup = names.entry(host.to_owned()).or_default();
            lookup.begun = Some(Instant::now());
            lookup.running += 1;
            let host = host.to_owned();
            let thread = std::thread::Builder::new().name("fluxqueue-lookup".into());
            let name = host.clone();
            if let Err(error) = thread.spawn(move || self.answer(&name, ask(&name))) {
                self.end(&mut names, &host);
                return Err(Error::Unavailable(format!("no thread to look up {host:?} in: {error}")));
            }
        }
        let (mut names, _) = self.answered.wait_timeout(names, slice).unwrap_or_else(PoisonError::into_inner);
        Ok(names.get_mut(host).and_then(|lookup| lookup.take(asked)))
    }

    fn answer(&self, host: &str, found: Found) {
        let mut names = self.lock();
        self.end(&mut names, host);
        if let Some(lookup) = names.get_mut(host) {
            lookup.answer = Some(NameAnswer { at: Instant::now(), taken: false, found });
        }
        drop(names);
        self.answered.notify_all();
    }

    fn end(&self, names: &mut HashMap<String, Lookup>, host: &str) {
        if let Some(lookup) = names.get_mut(host) {
            lookup.running -= 1;
        }
    }
}

fn ask(host: &str) -> Found {
    (host, 0).to_socket_addrs().map(Iterator::collect).map_err(|error| error.to_string())
}

/// Returns the addresses of a host, in the order in which to try them.
pub fn addresses(host: &str, port: u16, deadline: Instant, interrupt: &mut Interrupt) -> Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let mut found = interleaved(wait(host, deadline, interrupt, ask)?);
    if found.is_empty() {
        return Err(Error::Unavailable(format!("{host:?} has no address")));
    }
    found.iter_mut().for_each(|address| address.set_port(port));
    Ok(found)
}

fn wait(host: &str, deadline: Instant, interrupt: &mut Interrupt, ask: fn(&str) -> Found) -> Result<Vec<SocketAddr>> {
    let asked = Instant::now();
    loop {
        let slice = SLICE.min(deadline.saturating_duration_since(Instant::now()));
        if let Some(found) = LOOKUPS.get().look(host, asked, slice, ask)? {
            return found.map_err(Error::Unavailable);
        }
        interrupt()?;
        if Instant::now() >= deadline {
            return Err(Error::Unavailable(format!("the look-up of {host:?} takes too long: no name server answers")));
        }
    }
}

/// Alternates between IPv6 and IPv4, beginning with the family that the system prefers
/// (RFC 8305, section 4).
fn interleaved(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = found.first().map(SocketAddr::is_ipv6) else { return found };
    let (preferred, other): (Vec<_>, Vec<_>) = found.into_iter().partition(|address| address.is_ipv6() == first);
    let mut other = other.into_iter();
    let mut all: Vec<SocketAddr> = Vec::new();
    for address in preferred {
        all.push(address);
        all.extend(other.next());
    }
    all.extend(other);
    let mut seen = Vec::new();
    all.retain(|address| {
        !seen.contains(address) && {
            seen.push(*address);
            true
        }
    });
    all
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn soon(ms: u64) -> Instant {
        Instant::now() + Duration::from_millis(ms)
    }

    #[test]
    fn families_alternate_and_the_first_stays_first() {
        let found = ["[::1]:0", "[::2]:0", "[::3]:0", "[::1]:0", "10.0.0.1:0", "10.0.0.2:0"].map(address);
        let expected = ["[::1]:0", "10.0.0.1:0", "[::2]:0", "10.0.0.2:0", "[::3]:0"].map(address);
        assert_eq!(interleaved(found.to_vec()), expected);
        let found = ["10.0.0.1:0", "10.0.0.2:0", "[::1]:0"].map(address);
        assert_eq!(interleaved(found.to_vec()), ["10.0.0.1:0", "[::1]:0", "10.0.0.2:0"].map(address));
        assert!(interleaved(Vec::new()).is_empty());
    }

    #[test]
    fn an_address_needs_no_lookup() {
        let now = Instant::now();
        for (host, expected) in [("::1", "[::1]:7"), ("127.0.0.1", "127.0.0.1:7")] {
            assert_eq!(addresses(host, 7, now, &mut || Ok(())).expect("an address"), [address(expected)]);
        }
    }

    static ASKED: AtomicUsize = AtomicUsize::new(0);
    static OPEN: Mutex<()> = Mutex::new(());

    /// A name server that answers while `OPEN` is free.
    fn slow(_: &str) -> Found {
        ASKED.fetch_add(1, Ordering::SeqCst);
        let _open = OPEN.lock();
        Ok(vec![address("10.0.0.1:0")])
    }

    #[test]
    fn attempts_share_one_lookup_and_its_answer_serves_the_next_attempt() {
        let shut = OPEN.lock();
        for _ in 0..3 {
            let error = wait("slow.example", soon(20), &mut || Ok(()), slow).expect_err("no answer");
            assert!(error.to_string().contains("\"slow.example\" takes too long"), "{error}");
        }
        assert_eq!(ASKED.load(Ordering::SeqCst), 1);
        drop(shut);
        while LOOKUPS.get().lock()["slow.example"].running > 0 {
            std::thread::yield_now();
        }
        assert_eq!(wait("slow.example", soon(10_000), &mut || Ok(()), slow).expect("kept").len(), 1);
        assert_eq!(ASKED.load(Ordering::SeqCst), 1, "the answer came between two attempts");
        wait("slow.example", soon(10_000), &mut || Ok(()), slow).expect("an answer");
        assert_eq!(ASKED.load(Ordering::SeqCst), 2, "an answer is taken once");
    }

    #[test]
    fn a_signal_ends_the_wait() {
        fn never(_: &str) -> Found {
            std::thread::sleep(Duration::from_secs(60));
            Ok(Vec::new())
        }
        let mut interrupt = || Err(Error::Misuse("a signal"));
        let error = wait("never.example", soon(60_000), &mut interrupt, never).expect_err("a signal");
        assert!(matches!(error, Error::Misuse(_)));
    }

    #[test]
    fn a_name_without_an_address_says_so() {
        let error = addresses("no-such-name.invalid", 1, soon(60_000), &mut || Ok(())).expect_err("no address");
        assert!(matches!(error, Error::Unavailable(_)), "{error}");
    }

    #[test]
    fn a_lookup_that_never_ends_does_not_block_the_name() {
        let mut lookup = Lookup { running: 1, begun: Some(Instant::now()), answer: None };
        assert!(!lookup.may_begin());
        lookup.begun = Instant::now().checked_sub(STUCK);
        assert!(lookup.may_begin());
    }
}
