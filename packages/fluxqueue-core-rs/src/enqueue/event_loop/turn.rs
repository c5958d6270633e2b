//! The context of a callback: the loop, and the state of the connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

use super::callbacks::EventLoop;
use super::state::LoopState;
use crate::connection::Deployment;

/// One turn of the loop for one connection.
pub struct LoopTurn<'a, 'py> {
    /// The object whose methods are the callbacks.
    pub owner: &'a Bound<'py, PyAny>,
    pub event_loop: &'a EventLoop,
    pub deployment: &'a Arc<Deployment>,
    pub state: &'a Mutex<LoopState<Py<PyAny>>>,
}

impl<'a, 'py> LoopTurn<'a, 'py> {
    pub fn py(&self) -> Python<'py> {
        self.owner.py()
    }

    /// Locks the state. The caller runs no Python code and drops no call before it unlocks
    /// the state.
    pub fn state(&self) -> MutexGuard<'a, LoopState<Py<PyAny>>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
