//! Refuses a second interpreter in one process.

use std::sync::OnceLock;

use pyo3::exceptions::PyImportError;
use pyo3::{PyResult, Python, ffi};

/// The interpreter that has imported the core.
static FIRST: OnceLock<i64> = OnceLock::new();

/// Returns an error in an interpreter other than the first one that asked.
///
/// The core keeps Python objects for the life of the process, such as the classes of its
/// exceptions. In another interpreter an `except` clause would not match them.
pub fn refuse_another(_py: Python<'_>) -> PyResult<()> {
    // SAFETY: the token shows that this thread is attached to an interpreter.
    let id = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    if *FIRST.get_or_init(|| id) == id {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "another interpreter of this process has imported fluxqueue, and the core works in one only; give each \
         application a process (mod_wsgi: WSGIApplicationGroup %{GLOBAL}; uWSGI: single-interpreter = true)",
    ))
}
