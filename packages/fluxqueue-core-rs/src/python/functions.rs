//! Functions for the code in Python: worker, scheduler and control plane.

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::config::{Config, Wait};
use crate::connection::{Deployment, Eviction, Sent};
use crate::errors::{Error, Result};
use crate::keys::Namespace;
use crate::message::{self, CancelledResult, Condemned, DEFAULT_MOST, Death, Ending, Message};
use crate::python::settings::Settings;
use crate::python::text::Name;
use crate::{connection, fork, ids, keys, names, scripts};

/// Returns the name of a key, by its kind.
#[pyfunction]
#[pyo3(
    signature = (kind, queue=None, consumer=None, namespace=None),
    text_signature = "(kind, queue='', consumer='', namespace='')"
)]
pub fn key(kind: &str, queue: Option<Name>, consumer: Option<Name>, namespace: Option<Name>) -> Result<String> {
    let namespace = Namespace::new(namespace.as_deref().unwrap_or_default())?;
    namespace.by_kind(kind, queue.as_deref().unwrap_or_default(), consumer.as_deref().unwrap_or_default())
}

/// Returns the KEYS of a script, in the order in which it takes them.
#[pyfunction]
#[pyo3(
    signature = (name, queue, consumer=None, olds=Vec::new(), namespace=None),
    text_signature = "(name, queue, consumer=None, olds=(), namespace='')"
)]
pub fn script_keys(
    name: &str,
    queue: Name,
    consumer: Option<Name>,
    olds: Vec<Name>,
    namespace: Option<Name>,
) -> Result<Vec<String>> {
    let namespace = Namespace::new(namespace.as_deref().unwrap_or_default())?;
    names::check_queue(&queue)?;
    let olds: Vec<&str> = olds.iter().map(|old| &**old).collect();
    scripts::keys(name, &namespace, &queue, consumer.as_deref(), &olds)
}

/// Returns every kind that `key` knows.
#[pyfunction]
pub fn key_kinds() -> Vec<&'static str> {
    keys::kinds().collect()
}

/// Returns the text of a Lua script.
#[pyfunction]
#[pyo3(signature = (name, flags=true))]
pub fn script(name: &str, flags: bool) -> Result<String> {
    scripts::text(name, flags)
}

/// Returns the names of all scripts.
#[pyfunction]
pub fn script_names() -> Vec<&'static str> {
    scripts::names().collect()
}

/// Raises ConfigurationError if the name of a namespace is not valid. The empty name is the
/// default's.
#[pyfunction]
pub fn check_namespace(namespace: Name) -> Result<()> {
    Namespace::new(&namespace).map(drop)
}

/// Raises ConfigurationError if the name of a queue is not valid.
#[pyfunction]
pub fn check_queue_name(queue: Name) -> Result<()> {
    names::check_queue(&queue)
}

/// Returns the parts of a message.
#[pyfunction]
pub fn parse_message<'py>(py: Python<'py>, message: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    let m = Message::parse(Bytes::copy_from_slice(message))?;
    let parts = PyDict::new(py);
    parts.set_item("task_id", m.task_id())?;
    parts.set_item("opts", m.opts_json().map(|opts| PyBytes::new(py, opts)))?;
    let opts = m.opts();
    parts.set_item("condemned", opts.condemned.map(Condemned::name))?;
    parts.set_item("priority", opts.priority)?;
    parts.set_item("expires", opts.expires_at())?;
    parts.set_item("result_ttl", opts.result_ttl)?;
    parts.set_item("snoozes", opts.snoozes)?;
    parts.set_item("releases", opts.releases)?;
    parts.set_item("name", &m.name)?;
    parts.set_item("args", PyBytes::new(py, &m.raw[m.args.clone()]))?;
    parts.set_item("kwargs", m.kwargs.clone().map(|range| PyBytes::new(py, &m.raw[range])))?;
    parts.set_item("retries", m.retries)?;
    parts.set_item("deliveries", m.deliveries)?;
    parts.set_item("requeues", m.requeues)?;
    parts.set_item("max_retries", m.terms.max_retries)?;
    parts.set_item("timeout", m.terms.timeout)?;
    parts.set_item("timeout_wins", m.terms.timeout_wins)?;
    parts.set_item("headers", m.headers().map(|headers| headers.all()))?;
    parts.set_item("on_failure", m.on_failure())?;
    parts.set_item("enqueued_at", m.enqueued_at)?;
    parts.set_item("unknown_since", m.unknown_since)?;
    Ok(parts)
}

/// Returns the field under which a claimed hash holds the message.
#[pyfunction]
pub fn message_field<'py>(py: Python<'py>, message: &[u8]) -> Option<Bound<'py, PyBytes>> {
    message::field(message).map(|range| PyBytes::new(py, &message[range]))
}

/// Counts a lost worker, for the rescue: returns (old field, raised message, whether it is
/// dead now). A message of a later version is returned unchanged, with an empty field: only
/// a scheduler that knows the version can raise its count. So is one that is condemned (rule 18):
/// nothing of it has run, and a worker ends it.
///
/// Why: docs/decisions/0026-messages-of-newer-versions.md
#[pyfunction]
#[pyo3(signature = (message, limit=3))]
pub fn raise_deliveries<'py>(
    py: Python<'py>,
    message: &[u8],
    limit: u32,
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>, bool)> {
    if message::is_newer(message) {
        return Ok((PyBytes::new(py, b""), PyBytes::new(py, message), false));
    }
    let (old, raised, deliveries) = message::with_delivery(Bytes::copy_from_slice(message))?;
    let dead = old.condemned.is_none() && deliveries >= limit;
    Ok((PyBytes::new(py, &old.field_bytes()), PyBytes::new(py, &raised), dead))
}

/// Returns a dead message as it is enqueued again: without its counts but for that of requeues, and
/// without its expiry if `keep_expiry` is false. A message of a later version is returned unchanged:
/// a worker that knows the version may have come.
#[pyfunction]
#[pyo3(signature = (message, keep_expiry=true))]
pub fn requeued_message<'py>(py: Python<'py>, message: &[u8], keep_expiry: bool) -> PyResult<Bound<'py, PyBytes>> {
    if message::is_newer(message) {
        return Ok(PyBytes::new(py, message));
    }
    let parsed = Message::parse(Bytes::copy_from_slice(message))?;
    Ok(PyBytes::new(py, &message::with_requeue(&parsed, keep_expiry)))
}

/// Returns the JSON with the reason of a dead message.
#[pyfunction]
#[pyo3(signature = (reason, error, traceback=None))]
pub fn dead_reason<'py>(py: Python<'py>, reason: &str, error: &str, traceback: Option<&str>) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &message::dead_reason(reason, error, traceback))
}

/// Returns the outcome that is kept of a task that ends as dead, as JSON, and for how many ms. None:
/// nothing of it is kept.
#[pyfunction]
#[pyo3(signature = (message, reason, error, traceback=None, started=None))]
pub fn dead_result<'py>(
    py: Python<'py>,
    message: &[u8],
    reason: &str,
    error: &str,
    traceback: Option<&str>,
    started: Option<u64>,
) -> Option<(Bound<'py, PyBytes>, u64)> {
    let mut ending = Ending::of_bytes(message, ids::unix_ms())?;
    ending.started = started;
    let result = ending.dead(reason, error, traceback);
    Some((PyBytes::new(py, &result.json), result.ttl_ms))
}

/// Returns the outcome that is kept of a task that has returned `value`, as JSON, and for how many
/// ms. None: nothing of it is kept.
#[pyfunction]
pub fn succeeded_result<'py>(
    py: Python<'py>,
    message: &[u8],
    value: &[u8],
    started: u64,
) -> Option<(Bound<'py, PyBytes>, u64)> {
    let mut ending = Ending::of_bytes(message, ids::unix_ms())?;
    ending.started = Some(started);
    let result = ending.succeeded(value);
    Some((PyBytes::new(py, &result.json), result.ttl_ms))
}

/// Returns the message of the next attempt, after a failure.
#[pyfunction]
pub fn retried_message<'py>(py: Python<'py>, message: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    rewritten(py, message, message::with_retry)
}

/// Returns the message of a task that has put itself off.
#[pyfunction]
pub fn snoozed_message<'py>(py: Python<'py>, message: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    rewritten(py, message, message::with_snooze)
}

/// Returns the message of a task that has saved a checkpoint, which is JSON.
#[pyfunction]
pub fn checkpointed_message<'py>(py: Python<'py>, message: &[u8], checkpoint: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    rewritten(py, message, |message| message::with_checkpoint(message, checkpoint))
}

fn rewritten<'py>(
    py: Python<'py>,
    message: &[u8],
    rewrite: impl FnOnce(&Message) -> Bytes,
) -> PyResult<Bound<'py, PyBytes>> {
    let parsed = Message::parse(Bytes::copy_from_slice(message))?;
    Ok(PyBytes::new(py, &rewrite(&parsed)))
}

/// Returns the outcome of a task that is cancelled before it begins, as JSON: what comes before the
/// number of its attempts, and what follows it. The script `cancel` takes both.
#[pyfunction]
pub fn cancel_outcome<'py>(py: Python<'py>, task_id: &str) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let id = task_id.as_bytes().try_into().map_err(|_| Error::Misuse("the id of a task has 36 characters"))?;
    let result = CancelledResult::of(id, ids::unix_ms());
    Ok((PyBytes::new(py, &result.before_attempts), PyBytes::new(py, &result.after_attempts)))
}

/// Returns the call that follows when a task ends as dead: the key of the list that it goes to, and
/// its message. None: the task has no callback.
#[pyfunction]
#[pyo3(
    signature = (message, queue, reason, error, namespace=None, traceback=None, has_begun=false),
    text_signature = "(message, queue, reason, error, namespace='', traceback=None, has_begun=False)"
)]
#[expect(clippy::too_many_arguments, reason = "Python passes them by name")]
pub fn failure_call<'py>(
    py: Python<'py>,
    message: &[u8],
    queue: Name,
    reason: &str,
    error: &str,
    namespace: Option<Name>,
    traceback: Option<&str>,
    has_begun: bool,
) -> Result<Option<(String, Bound<'py, PyBytes>)>> {
    let namespace = Namespace::new(namespace.as_deref().unwrap_or_default())?;
    let death = Death { queue: &queue, reason, error, traceback, has_begun, most: DEFAULT_MOST };
    let call = match Message::parse(Bytes::copy_from_slice(message)) {
        Ok(message) => death.call(&message),
        Err(_) => death.call_of_bytes(message),
    };
    Ok(call.map(|call| (namespace.pending(&call.queue), PyBytes::new(py, &call.message))))
}

/// Returns the remedy for an error of Redis that lasts until an operator acts: a right or a command
/// is missing, the password is wrong. None for other errors. `script` is the name of the script
/// that was refused, `command` of any other command.
#[pyfunction]
#[pyo3(signature = (error, command="", script=None))]
pub fn operators_remedy(error: &str, command: &str, script: Option<&str>) -> Option<String> {
    connection::only_an_operator(error, script.map_or(Sent::Command(command), Sent::Script))
}

/// Returns an error of Redis as people read it: what was refused, and what to do. The arguments are
/// those of `operators_remedy`.
#[pyfunction]
#[pyo3(signature = (error, command="", script=None))]
pub fn refusal_text(error: &str, command: &str, script: Option<&str>) -> String {
    connection::redis_error(error, script.map_or(Sent::Command(command), Sent::Script)).to_string()
}

/// Asks each server that has one of the queues for its eviction: its `host:port` (None if the URL
/// has only one), `maxmemory-policy`, and `maxmemory` in bytes. Leaves out servers that don't answer
/// or don't say it.
#[pyfunction]
pub fn evictions(py: Python<'_>, settings: &Settings, queues: Vec<String>) -> Vec<(Option<String>, String, u64)> {
    let deployment = Deployment::new(Config { wait: Wait::default(), ..Config::clone(&settings.config) });
    let found = py.detach(|| connection::evictions(&deployment, &queues, &mut || Ok(())));
    let plain = |of: Eviction| (of.node.map(|node| node.to_string()), of.policy, of.maxmemory);
    found.into_iter().map(plain).collect()
}

/// Returns whether an error of Redis says that this server can't work at present.
#[pyfunction]
pub fn is_temporary(text: &str) -> bool {
    connection::can_not_work(text)
}

/// Returns a new task id, as text.
#[pyfunction]
pub fn new_task_id() -> String {
    String::from_utf8_lossy(&ids::task_id(ids::unix_ms())).into_owned()
}

/// Returns how many forks lie between this process and the one that loaded the module.
#[pyfunction]
pub fn fork_generation() -> u32 {
    fork::generation()
}

/// Asks the kernel to send a signal to this process when its parent dies.
#[pyfunction]
pub fn set_parent_death_signal(signal: i32) -> PyResult<()> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: prctl with PR_SET_PDEATHSIG reads one integer and touches no memory.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) } != 0 {
            return Err(std::io::Error::last_os_error().into());
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = signal;
    Ok(())
}
