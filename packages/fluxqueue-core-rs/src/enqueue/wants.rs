//! The wishes of a call besides its message: a lock, and a place in its limit.

use pyo3::prelude::*;

use super::limit::{CallLimit, LimitTerms};
use super::lock::{CallLock, LockTerms};
use crate::errors::{Error, Result};

/// The parts that all calls of a route share.
pub struct WantedTerms {
    lock: Option<LockTerms>,
    limit: Option<LimitTerms>,
}

/// The wishes of one call.
pub struct Wants {
    lock: Option<CallLock>,
    limit: Option<CallLimit>,
}

impl WantedTerms {
    /// None: neither a lock nor a limit.
    pub fn new(lock: Option<LockTerms>, limit: Option<LimitTerms>) -> Option<Box<WantedTerms>> {
        (lock.is_some() || limit.is_some()).then(|| Box::new(WantedTerms { lock, limit }))
    }

    /// The lock, as a route takes it. None: its calls want none.
    pub fn lock(&self) -> Option<(&str, u64, bool, u64)> {
        self.lock.as_ref().map(LockTerms::parts)
    }

    /// The options of a call's message, and the text for the script.
    pub fn of_call(&self, opts: Option<&str>, wants: &Wants) -> Result<(Option<String>, String)> {
        let (opts, wish) = match (&self.lock, &wants.lock) {
            (None, None) => (opts.map(str::to_owned), String::new()),
            (Some(terms), Some(lock)) => (terms.opts(opts, lock), terms.wish(lock)),
            _ => return Err(Error::Misuse("a route and its calls want locks, or neither")),
        };
        match (&self.limit, &wants.limit) {
            (None, None) => Ok((opts, wish)),
            (Some(terms), Some(limit)) => Ok((Some(terms.opts(opts.as_deref(), limit)), limit.before(&wish))),
            _ => Err(Error::Misuse("a route and its calls have limits, or neither")),
        }
    }
}

impl Wants {
    /// None: the call wants nothing, as most do. So it is in a box, which costs them nothing.
    pub fn new(lock: Option<CallLock>, limit: Option<CallLimit>) -> PyResult<Option<Box<Wants>>> {
        if lock.is_none() && limit.is_none() {
            return Ok(None);
        }
        lock.as_ref().map(CallLock::check).transpose()?;
        limit.as_ref().map(CallLimit::check).transpose()?;
        Ok(Some(Box::new(Wants { lock, limit })))
    }
}
