//! The calls of a bulk: tuples of positional or mappings of keyword arguments, and calls with
//! options.

use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMapping, PySequence, PyTuple};

use super::command;
use super::encode::Arguments;
use super::limit::CallLimit;
use super::lock::CallLock;
use super::per_call::PerCall;
use super::route::{Route, Target};
use super::wants::Wants;

/// How the calls of a bulk are spread over a time: the time in milliseconds, how many calls there are,
/// and the number of the first one here. In Python it is a tuple.
#[derive(Clone, Copy, FromPyObject)]
pub struct Spread(u64, u64, u64);

impl Spread {
    /// The milliseconds from the first call of the bulk to this one.
    fn later(self, index: usize) -> u64 {
        let Spread(over, calls, first) = self;
        let later = u128::from(over).saturating_mul(u128::from(first) + index as u128) / u128::from(calls.max(1));
        u64::try_from(later).unwrap_or(u64::MAX)
    }
}

/// The parts that all calls of a bulk share.
pub struct BulkCalls<'a, 'py> {
    pub target: &'a Arc<Target>,
    /// Raises if a call does not fit the function.
    pub check: &'a Bound<'py, PyAny>,
    /// Takes apart a call that is neither a tuple nor a mapping, into the parts of `Resolved`.
    pub resolve: Option<&'a Bound<'py, PyAny>>,
    /// Returns the headers and the id of a call.
    pub per_call: Option<&'a Bound<'py, PyAny>>,
    /// The headers of calls that have no others.
    pub headers: Option<Bound<'py, PyBytes>>,
    pub spread: Option<Spread>,
    pub max_bytes: usize,
}

/// Calls of one queue, as arguments of one command.
pub struct Body {
    pub bytes: Vec<u8>,
    /// The number of calls.
    pub count: usize,
    /// Its dispatch writes the command.
    pub target: Arc<Target>,
}

/// One call, read.
struct Read<'py> {
    arguments: Arguments<'py>,
    route: Option<Bound<'py, Route>>,
    headers: Option<Bound<'py, PyBytes>>,
    task_id: Option<String>,
    wants: Option<Box<Wants>>,
}

/// The result of `resolve`: route, positional and keyword arguments, headers, id, lock, limit.
type Resolved<'py> = (
    Bound<'py, Route>,
    Bound<'py, PyTuple>,
    Bound<'py, PyDict>,
    Option<Bound<'py, PyBytes>>,
    Option<String>,
    Option<CallLock>,
    Option<CallLimit>,
);

impl Body {
    pub fn new(bytes: Vec<u8>, target: &Arc<Target>) -> Body {
        Body { bytes, count: 0, target: target.clone() }
    }
}

impl<'py> BulkCalls<'_, 'py> {
    /// Appends a call. An error carries the call's `call_index`.
    pub fn append(&self, body: &mut Body, call: &Bound<'py, PyAny>, index: usize) -> PyResult<()> {
        self.try_append(body, call, index).inspect_err(|error| {
            let py = call.py();
            // Some exceptions take no attribute.
            let _ = error.value(py).setattr(intern!(py, "call_index"), index);
        })
    }

    fn try_append(&self, body: &mut Body, call: &Bound<'py, PyAny>, index: usize) -> PyResult<()> {
        let Read { arguments, route, headers, task_id, wants } = self.read(call)?;
        let mut per_call = PerCall::of_bulk(self.per_call, headers, task_id)?.wanting(wants);
        per_call.later = self.spread.map_or(0, |spread| spread.later(index));
        let target = route.as_ref().map_or(self.target, |route| &route.get().target);
        // A push writes only calls that are due at once, and the script with its third key all calls.
        if target.dispatch.group() > body.target.dispatch.group() {
            if !body.target.dispatch.is_script() {
                body.bytes = command::scripted(&body.bytes);
            }
            body.target = target.clone();
        }
        target.append(&mut body.bytes, &body.target.dispatch, &arguments, &per_call, self.max_bytes)?;
        body.count += 1;
        Ok(())
    }

    fn read(&self, call: &Bound<'py, PyAny>) -> PyResult<Read<'py>> {
        let plain =
            |arguments| Read { arguments, route: None, headers: self.headers.clone(), task_id: None, wants: None };
        if let Some(arguments) = encode(call, self.check)? {
            return Ok(plain(arguments));
        }
        let Some(resolve) = self.resolve else {
            return Err(PyTypeError::new_err(format!(
                "a call is a {}; make it a tuple of positional arguments or a mapping of keyword arguments",
                call.get_type().name()?
            )));
        };
        let (route, args, kwargs, headers, task_id, lock, limit): Resolved<'py> = resolve.call1((call,))?.extract()?;
        let wants = Wants::new(lock, limit)?;
        Ok(Read { arguments: Arguments::encode(&args, &kwargs)?, route: Some(route), headers, task_id, wants })
    }
}

/// The arguments of a tuple or a mapping. None: the call is neither.
fn encode<'py>(call: &Bound<'py, PyAny>, check: &Bound<'py, PyAny>) -> PyResult<Option<Arguments<'py>>> {
    let py = call.py();
    if let Ok(args) = call.cast_exact::<PyTuple>() {
        check.call1(args.clone())?;
        return Arguments::from_tuple(args).map(Some);
    }
    if let Ok(kwargs) = call.cast_exact::<PyDict>() {
        check.call((), Some(kwargs))?;
        return Arguments::from_dict(kwargs).map(Some);
    }
    if call.is_instance_of::<PyTuple>() {
        // orjson refuses a namedtuple.
        let args = call.cast::<PySequence>()?.to_tuple()?;
        check.call1(args.clone())?;
        return Arguments::from_tuple(&args).map(Some);
    }
    if let Ok(mapping) = call.cast::<PyMapping>() {
        let kwargs = PyDict::new(py);
        kwargs.update(mapping)?;
        check.call((), Some(&kwargs))?;
        return Arguments::from_dict(&kwargs).map(Some);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_calls_begin_at_once_and_end_before_the_time() {
        let spread = |first| Spread(60_000, 4, first);
        let later: Vec<_> = (0..4).map(|index| spread(0).later(index)).collect();
        assert_eq!(later, [0, 15_000, 30_000, 45_000]);
        assert_eq!(spread(2).later(1), 45_000);
        assert_eq!(Spread(u64::MAX, 0, u64::MAX).later(usize::MAX), u64::MAX);
    }
}
