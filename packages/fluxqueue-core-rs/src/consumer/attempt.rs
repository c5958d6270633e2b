//! A claimed task as Python sees it.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::clock;
use super::notes::Note;
use super::outcome::Outcome;
use super::shared::Shared;
use super::work::Work;
use crate::errors::{Error, Result};
use crate::message::{self, Ending, Message, TraceHeaders};

/// The most bytes of a checkpoint.
const CHECKPOINT_MAX: usize = 65_536;

/// A claimed task that a worker will run.
#[pyclass(frozen, module = "fluxqueue_core._core")]
pub struct Attempt {
    pub(super) work: Work,
    shared: Arc<Shared>,
    settled: AtomicBool,
    pub(super) task: Py<PyAny>,
    queue: Py<PyAny>,
    args: Py<PyList>,
    kwargs: Option<Py<PyDict>>,
    /// The value that the task returned, as JSON, if its result is kept.
    value: OnceLock<Vec<u8>>,
    /// The note of the task, if it has noted something.
    note: OnceLock<Arc<Note>>,
}

impl Attempt {
    pub(super) fn new(
        work: Work,
        shared: Arc<Shared>,
        task: Py<PyAny>,
        queue: Py<PyAny>,
        args: Py<PyList>,
        kwargs: Option<Py<PyDict>>,
    ) -> Attempt {
        let (settled, value, note) = (AtomicBool::new(false), OnceLock::new(), OnceLock::new());
        Attempt { work, shared, settled, task, queue, args, kwargs, value, note }
    }

    /// Whether the attempt has an outcome.
    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed)
    }

    /// The value that the task returned, as JSON.
    pub(super) fn value(&self) -> &[u8] {
        self.value.get().map_or(b"null", Vec::as_slice)
    }

    /// The message with the task's last checkpoint.
    pub(super) fn message(&self) -> Cow<'_, Message> {
        let noted = self.note.get().and_then(|note| note.message()).and_then(|raw| Message::parse(raw).ok());
        noted.map_or(Cow::Borrowed(&self.work.message), Cow::Owned)
    }

    fn note(&self) -> &Arc<Note> {
        self.note.get_or_init(|| Arc::new(Note::new(&self.work)))
    }

    fn take_note(&self, is_new: bool) {
        if is_new {
            self.shared.take_note(self.work.queue, self.note().clone());
        }
    }

    /// Marks the attempt as settled. Call this once, when the attempt ends.
    pub(super) fn settle(&self) -> Result<()> {
        match self.settled.swap(true, Ordering::Relaxed) {
            false => Ok(()),
            true => Err(Error::Misuse("the attempt has been settled already")),
        }
    }
}

impl Drop for Attempt {
    /// Releases an attempt that was not settled, because its thread failed outside the task. The
    /// message must not stay claimed for as long as this process lives.
    fn drop(&mut self) {
        if !self.settled.swap(true, Ordering::Relaxed) {
            self.shared.finish(&self.work, Outcome::Release { message: None }, clock::now());
        }
    }
}

#[pymethods]
impl Attempt {
    #[getter]
    fn task(&self, py: Python<'_>) -> Py<PyAny> {
        self.task.clone_ref(py)
    }

    #[getter]
    fn task_id(&self) -> &str {
        self.work.message.task_id()
    }

    #[getter]
    fn name(&self) -> &str {
        &self.work.message.name
    }

    #[getter]
    fn queue(&self, py: Python<'_>) -> Py<PyAny> {
        self.queue.clone_ref(py)
    }

    #[getter]
    fn args(&self, py: Python<'_>) -> Py<PyList> {
        self.args.clone_ref(py)
    }

    #[getter]
    fn kwargs(&self, py: Python<'_>) -> Option<Py<PyDict>> {
        self.kwargs.as_ref().map(|kwargs| kwargs.clone_ref(py))
    }

    #[getter]
    fn retries(&self) -> u32 {
        self.work.message.retries
    }

    #[getter]
    fn deliveries(&self) -> u32 {
        self.work.message.deliveries
    }

    #[getter]
    fn snoozes(&self) -> u32 {
        self.work.message.opts().snoozes
    }

    #[getter]
    fn releases(&self) -> u32 {
        self.work.message.opts().releases
    }

    #[getter]
    fn max_retries(&self) -> u32 {
        self.work.message.terms.max_retries
    }

    #[getter]
    fn settled(&self) -> bool {
        self.is_settled()
    }

    #[getter]
    fn enqueued_at(&self) -> u64 {
        self.work.message.enqueued_at
    }

    #[getter]
    fn headers(&self) -> Option<std::collections::HashMap<String, String>> {
        Some(self.work.message.headers()?.all())
    }

    fn expire(&self) -> bool {
        if self.is_settled() || !self.shared.ends_expired(&self.work, clock::now()) {
            return false;
        }
        self.settled.store(true, Ordering::Relaxed);
        true
    }

    fn keep(&self, value: &[u8]) -> PyResult<()> {
        let most = self.shared.max_message_bytes;
        if value.len() > most {
            return Err(PyValueError::new_err(format!(
                "the task returned a value of {} bytes, more than max_message_bytes of this worker allows ({most}); \
                 store it elsewhere and return a reference to it",
                value.len()
            )));
        }
        self.value.set(value.to_vec()).map_err(|_| Error::Misuse("the attempt has a value already").into())
    }

    fn report(&self, progress: &[u8]) {
        if self.is_settled() {
            return;
        }
        // The time is that of an end, which this is not.
        if let Some(ending) = Ending::of_message(&self.work.message, 0) {
            self.take_note(self.note().report(ending.reported(progress.to_vec())));
        }
    }

    fn save(&self, checkpoint: &[u8]) -> PyResult<()> {
        let size = checkpoint.len();
        if size > CHECKPOINT_MAX {
            return Err(PyValueError::new_err(format!(
                "the checkpoint has {size} bytes as JSON, more than {CHECKPOINT_MAX}; store it elsewhere and save a \
                 reference to it"
            )));
        }
        let (whole, most) = (message::len_with_checkpoint(&self.work.message, size), self.shared.max_message_bytes);
        if whole > most {
            return Err(PyValueError::new_err(format!(
                "with this checkpoint of {size} bytes the task's message has {whole} bytes, more than \
                 max_message_bytes of this worker allows ({most}); save less"
            )));
        }
        if !self.is_settled() {
            self.take_note(self.note().save(Bytes::copy_from_slice(checkpoint)));
        }
        Ok(())
    }

    #[getter]
    fn checkpoint(&self) -> Option<Cow<'_, [u8]>> {
        let message = &self.work.message;
        match self.note.get().and_then(|note| note.checkpoint()) {
            Some(last) => Some(Cow::Owned(last.to_vec())),
            None => Some(Cow::Borrowed(&message.raw[message.checkpoint.clone()?])),
        }
    }

    fn trace_headers(&self) -> Option<TraceHeaders<'_>> {
        Some(self.work.message.headers()?.trace())
    }

    fn __repr__(&self) -> String {
        format!("Attempt({:?}, {:?})", self.work.message.name, self.task_id())
    }
}
