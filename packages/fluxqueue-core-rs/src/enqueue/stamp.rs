//! What a caller with telemetry adds to a message.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::message::HEADER_BYTES_MAX;

/// Headers and id of one message; both are usually left out.
#[derive(Default)]
pub struct Stamp<'py> {
    headers: Option<Bound<'py, PyBytes>>,
    /// None: a new one.
    pub task_id: Option<[u8; 36]>,
}

impl<'py> Stamp<'py> {
    /// `headers` is a JSON object.
    pub fn new(headers: Option<Bound<'py, PyBytes>>, task_id: Option<&str>) -> PyResult<Stamp<'py>> {
        if let Some(json) = &headers
            && !(json.as_bytes().starts_with(b"{") && json.as_bytes().ends_with(b"}"))
        {
            return Err(PyValueError::new_err("the headers are no JSON object; pass one as bytes, or None"));
        }
        if let Some(json) = &headers
            && json.as_bytes().len() > HEADER_BYTES_MAX
        {
            let bytes = json.as_bytes().len();
            return Err(PyValueError::new_err(format!(
                "the headers have {bytes} bytes, more than {HEADER_BYTES_MAX}; leave some out"
            )));
        }
        let task_id = match task_id {
            None => None,
            Some(id) => Some(id.as_bytes().try_into().map_err(|_| {
                PyValueError::new_err(format!("the task id {id:?} is no UUID as text; take one of new_task_id()"))
            })?),
        };
        Ok(Stamp { headers, task_id })
    }

    /// That of one call of a bulk: `stamp` returns (headers, task id).
    pub fn of_call(stamp: Option<&Bound<'py, PyAny>>) -> PyResult<Stamp<'py>> {
        let Some(stamp) = stamp else { return Ok(Stamp::default()) };
        let (headers, task_id): (Option<Bound<'py, PyBytes>>, Option<String>) = stamp.call0()?.extract()?;
        Stamp::new(headers, task_id.as_deref())
    }

    /// A JSON object.
    pub fn headers(&self) -> Option<&[u8]> {
        self.headers.as_ref().map(|json| json.as_bytes())
    }
}
