//! Functions with which the control plane connects as client and worker do: its commands go
//! through another library.

use std::net::IpAddr;
use std::os::fd::IntoRawFd;
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use super::settings::Settings;
use super::signals::interrupt;
use crate::connection;
use crate::errors::{Error, Result};

/// Opens a TCP connection to the first address of a host that answers, within `timeout` seconds
/// with the lookup. Leaves out the addresses in `silent`, which the caller has tried. Returns the
/// descriptor of the socket, which belongs to the caller, and how many other addresses there are.
#[pyfunction]
#[pyo3(signature = (host, port, timeout, silent = Vec::new()))]
pub fn dial(py: Python<'_>, host: &str, port: u16, timeout: f64, silent: Vec<String>) -> Result<(i32, usize)> {
    let timeout = Duration::try_from_secs_f64(timeout)
        .map_err(|e| Error::Configuration(format!("a timeout of {timeout} s is not possible: {e}")))?;
    let silent: Vec<IpAddr> = silent
        .iter()
        .map(|text| text.parse().map_err(|_| Error::Configuration(format!("{text:?} is not an IP address"))))
        .collect::<Result<_>>()?;
    let deadline = Instant::now() + timeout;
    let (socket, others) = py.detach(|| connection::dial_host(host, port, &silent, deadline, &mut interrupt))?;
    Ok((socket.into_raw_fd(), others))
}

/// Reads the certificates of the settings. Raises ConfigurationError if one can't be used.
#[pyfunction]
pub fn check_certificates(settings: &Bound<'_, Settings>) -> Result<()> {
    connection::check_files(&settings.get().config.certificates)
}

/// Raises BrokerUnavailable if client and worker refuse the certificate that a server has shown.
/// The caller has verified its chain.
#[pyfunction]
pub fn check_server_certificate(settings: &Bound<'_, Settings>, host: &str, shown: &[u8]) -> Result<()> {
    connection::check_shown(&settings.get().config.certificates, host, shown)
}

/// Returns what is wrong with the certificate of a server, and the remedy. `fault` is `expired`,
/// `not_yet_valid`, `other_host` or `unknown_authority`; None for any other.
#[pyfunction]
pub fn certificate_fault(fault: &str, host: &str) -> Option<String> {
    connection::CertificateFault::by_name(fault).map(|fault| fault.text(host))
}

/// Returns the remedy for an alert of TLS, by its name in RFC 8446; None for an alert that has
/// none. Other names: `wrong_version_number` is OpenSSL's for an answer that is not TLS, `timeout`
/// is ours for a handshake without an answer.
#[pyfunction]
pub fn alert_remedy(alert: &str, shows_certificate: bool) -> Option<&'static str> {
    match alert {
        "wrong_version_number" => Some(connection::NO_TLS),
        "timeout" => Some(connection::NO_ANSWER),
        alert => connection::alert_remedy(alert, shows_certificate),
    }
}
