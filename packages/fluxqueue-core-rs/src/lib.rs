//! The Rust core of FluxQueue. This file only registers the classes and functions of the
//! Python module.

#[cfg(target_os = "linux")]
pub mod alarm;
#[cfg(not(target_os = "linux"))]
pub mod alarm {
    //! An alarm of this system.
    pub use super::portable_alarm::PortableAlarm as Alarm;
}
pub mod config;
pub mod connection;
pub mod consumer;
pub mod enqueue;
pub mod errors;
pub mod fork;
pub mod ids;
pub mod keys;
pub mod message;
pub mod names;
pub mod odds;
#[cfg(not(target_os = "linux"))]
pub mod portable_alarm;
pub mod scripts;
pub mod timeouts;
pub mod waiting;

mod python;

use pyo3::prelude::*;

#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::consumer::{Attempt, Consumer, Event};
    #[pymodule_export]
    use crate::enqueue::{Producer, Route};
    #[pymodule_export]
    use crate::python::dialing::{alert_remedy, certificate_fault, check_certificates, check_server_certificate, dial};
    #[pymodule_export]
    use crate::python::functions::{
        cancel_outcome, check_namespace, check_queue_name, checkpointed_message, dead_reason, dead_result, evictions,
        failure_call, fork_generation, is_temporary, key, key_kinds, message_field, new_task_id, operators_remedy,
        parse_message, raise_deliveries, refusal_text, requeued_message, retried_message, script, script_keys,
        script_names, set_parent_death_signal, snoozed_message, succeeded_result,
    };
    #[pymodule_export]
    use crate::python::generators::{begin_generators, end_generators};
    #[pymodule_export]
    use crate::python::settings::Settings;
    #[pymodule_export]
    use crate::timeouts::{CancellableCall, Deadlines, TimedCall, cancel_call, raise_in_task};
    #[pymodule_export]
    use crate::waiting::{Mailbox, ResultListener};

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::python::interpreter::refuse_another(module.py())?;
        crate::fork::watch();
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("DEFAULT_REDIS_URL", crate::config::DEFAULT_REDIS_URL)
    }
}
