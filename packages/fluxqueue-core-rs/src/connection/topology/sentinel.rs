//! Asks the Sentinels for the master of their service (Redis' "Sentinel client spec"): one
//! after another, first the one that answered last.
//!
//! Why: docs/decisions/0027-the-master-is-asked-for-at-each-dial.md

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::config::{Config, Node, Sentinels};
use crate::connection::dial;
use crate::connection::framing::Reply;
use crate::connection::interrupt::Interrupt;
use crate::connection::share::share;
use crate::errors::{Error, Result};

/// A service, and the Sentinels that watch it.
pub struct Watched {
    sentinels: Sentinels,
    /// The index of the Sentinel to ask first, modulo their number: the one that answered last.
    first: AtomicUsize,
}

impl Watched {
    pub fn new(sentinels: Sentinels) -> Watched {
        Watched { sentinels, first: AtomicUsize::new(0) }
    }

    /// Notes that the server that the Sentinel named is not the master. The next search begins
    /// with another Sentinel, since this one may be cut off from the others.
    pub fn doubt(&self) {
        self.first.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the address of the master from the first Sentinel that knows it.
    pub fn master(&self, config: &Config, deadline: Instant, interrupt: &mut Interrupt) -> Result<Arc<Node>> {
        let nodes = &self.sentinels.nodes;
        let first = self.first.load(Ordering::Relaxed);
        let mut said = Vec::new();
        let mut refused = true;
        for turn in 0..nodes.len() {
            let at = first.wrapping_add(turn) % nodes.len();
            let by = share(deadline, nodes.len() - turn);
            let error = match self.ask(&nodes[at], config, by, interrupt) {
                Ok(Some(master)) => {
                    self.first.store(at, Ordering::Relaxed);
                    return Ok(Arc::new(master));
                }
                Ok(None) => Error::Unavailable(format!("it watches no {:?}", self.sentinels.service)),
                Err(error @ (Error::Unavailable(_) | Error::Uncertain(_) | Error::Broker(_) | Error::Denied(_))) => {
                    error
                }
                // A signal, or a fault in the certificates: the other Sentinels can't help.
                Err(error) => return Err(error),
            };
            refused &= matches!(error, Error::Broker(_) | Error::Denied(_));
            said.push(format!("{}: {error}", nodes[at]));
        }
        let text = format!("no Sentinel names a master for {:?} ({})", self.sentinels.service, said.join("; "));
        // Another attempt with the same password or rights would fail too.
        Err(if refused { Error::Denied(text) } else { Error::Unavailable(text) })
    }

    /// Asks one Sentinel. None: it does not know the service.
    fn ask(&self, sentinel: &Node, config: &Config, by: Instant, interrupt: &mut Interrupt) -> Result<Option<Node>> {
        let Sentinels { service, username, password, .. } = &self.sentinels;
        let credentials = (username.as_deref(), password.as_deref());
        let words: [&[u8]; 3] = [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service.as_bytes()];
        match dial::question(config, sentinel, credentials, &words, by, interrupt)? {
            Reply::Null => Ok(None),
            reply => match address(&reply) {
                Some(master) => Ok(Some(master)),
                None => Err(Error::Unavailable("what answers there is not a Sentinel".into())),
            },
        }
    }
}

/// Reads the reply to GET-MASTER-ADDR-BY-NAME: host and port, as strings.
fn address(reply: &Reply) -> Option<Node> {
    let Reply::Array(parts) = reply else { return None };
    let [Reply::BulkString(host), Reply::BulkString(port)] = &parts[..] else { return None };
    let host = std::str::from_utf8(host).ok()?.trim_matches(['[', ']']);
    let port = std::str::from_utf8(port).ok()?.parse().ok().filter(|port| *port > 0)?;
    (!host.is_empty()).then(|| Node { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_nonsense_is_not() {
        let reply =
            |parts: &[&str]| Reply::Array(parts.iter().map(|p| Reply::BulkString(p.to_string().into())).collect());
        assert_eq!(address(&reply(&["10.0.0.1", "6380"])), Some(Node { host: "10.0.0.1".into(), port: 6380 }));
        assert_eq!(address(&reply(&["::1", "6380"])), Some(Node { host: "::1".into(), port: 6380 }));
        for parts in [&["10.0.0.1"][..], &["", "6380"], &["h", "x"], &["h", "0"], &["h", "70000"], &["h", "1", "2"]] {
            assert_eq!(address(&reply(parts)), None, "{parts:?}");
        }
        assert_eq!(address(&Reply::Integer(1)), None);
    }
}
