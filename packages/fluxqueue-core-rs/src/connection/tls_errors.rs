//! The reasons why a TLS connection fails, and the remedies.

use rustls::{AlertDescription, CertificateError};

/// A fault of a server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// It is for other hosts.
    OtherHost,
    /// No trusted authority has signed it.
    UnknownAuthority,
    /// It is one that signs others, and a trusted authority has signed it.
    IsAuthority,
    /// Its format is too old to name hosts.
    OldVersion,
}

impl CertificateFault {
    /// The fault that the control plane calls by this name.
    pub fn by_name(name: &str) -> Option<CertificateFault> {
        Some(match name {
            "expired" => CertificateFault::Expired,
            "not_yet_valid" => CertificateFault::NotYetValid,
            "other_host" => CertificateFault::OtherHost,
            "unknown_authority" => CertificateFault::UnknownAuthority,
            _ => return None,
        })
    }

    /// Names the fault, and the remedy.
    pub fn text(self, host: &str) -> String {
        let kind = if host.parse::<std::net::IpAddr>().is_ok() { "IP" } else { "DNS" };
        let reason = match self {
            CertificateFault::Expired => {
                "expired: give the server a new one, or set the clock of this machine right".to_owned()
            }
            CertificateFault::NotYetValid => {
                "not valid yet: set the clock of this machine right, or of the one that made it".to_owned()
            }
            CertificateFault::OtherHost => format!(
                "not valid for name {host}: write a host into the Redis URL that it is for, or give the server one with \
                 subjectAltName={kind}:{host}"
            ),
            CertificateFault::UnknownAuthority => {
                "UnknownIssuer, no trusted authority has signed it: name the file of the authority, or of the \
                                        certificate if it has signed itself, with ssl_ca_certs in the Redis URL"
                    .to_owned()
            }
            CertificateFault::IsAuthority => {
                "the certificate of an authority (CA:TRUE): give the server one with basicConstraints=CA:FALSE"
                    .to_owned()
            }
            CertificateFault::OldVersion => {
                format!("of X.509 version 1: give the server one with subjectAltName={kind}:{host}")
            }
        };
        format!("invalid peer certificate: {reason}; docs/security.md has the commands")
    }
}

fn of_webpki(error: &CertificateError) -> Option<&webpki::Error> {
    let CertificateError::Other(other) = error else { return None };
    other.0.downcast_ref()
}

/// Whether the certificate is that of an authority, which rustls takes from no server.
pub fn is_authority(error: &CertificateError) -> bool {
    matches!(of_webpki(error), Some(webpki::Error::CaUsedAsEndEntity))
}

fn fault(error: &CertificateError) -> Option<CertificateFault> {
    Some(match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => CertificateFault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => CertificateFault::NotYetValid,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateFault::OtherHost
        }
        CertificateError::UnknownIssuer => CertificateFault::UnknownAuthority,
        error => match of_webpki(error)? {
            webpki::Error::CaUsedAsEndEntity => CertificateFault::IsAuthority,
            webpki::Error::UnsupportedCertVersion => CertificateFault::OldVersion,
            _ => return None,
        },
    })
}

/// The reason of a failure, and the remedy. `shows_certificate`: the URL names a certificate of the
/// client.
pub fn text(error: &rustls::Error, host: &str, shows_certificate: bool) -> String {
    match error {
        rustls::Error::InvalidCertificate(problem) => {
            fault(problem).map_or(error.to_string(), |fault| fault.text(host))
        }
        rustls::Error::AlertReceived(alert) => match refused(*alert, shows_certificate) {
            Some(remedy) => format!("the server refuses the client: {remedy} ({alert:?})"),
            None => error.to_string(),
        },
        rustls::Error::InvalidMessage(_) => NO_TLS.to_owned(),
        error => error.to_string(),
    }
}

/// The text for a server that speaks no TLS.
pub const NO_TLS: &str = "what answers there does not speak TLS; without it the URL begins with redis:// (or \
                          redis+sentinel://, redis+cluster://)";

/// The text if the time of a handshake is over.
pub const NO_ANSWER: &str = "no answer to the TLS handshake in time; if the server speaks no TLS, the URL begins with \
                             redis:// (or redis+sentinel://, redis+cluster://)";

/// The alert that the control plane calls by this name, and its remedy.
pub fn remedy(alert: &str, shows_certificate: bool) -> Option<&'static str> {
    let alert = match alert {
        "certificate_required" => AlertDescription::CertificateRequired,
        "handshake_failure" => AlertDescription::HandshakeFailure,
        "unknown_ca" => AlertDescription::UnknownCA,
        "bad_certificate" => AlertDescription::BadCertificate,
        "decrypt_error" => AlertDescription::DecryptError,
        "certificate_expired" => AlertDescription::CertificateExpired,
        "unsupported_certificate" => AlertDescription::UnsupportedCertificate,
        "protocol_version" => AlertDescription::ProtocolVersion,
        _ => return None,
    };
    refused(alert, shows_certificate)
}

/// The remedy for an alert about the certificate of the client.
fn refused(alert: AlertDescription, shows_certificate: bool) -> Option<&'static str> {
    match alert {
        AlertDescription::CertificateRequired if !shows_certificate => {
            Some("it asks for a certificate, name one with ssl_certfile and ssl_keyfile in the Redis URL")
        }
        // With TLS 1.2 this is all that it says.
        AlertDescription::HandshakeFailure if !shows_certificate => {
            Some("it may ask for a certificate, named by ssl_certfile and ssl_keyfile in the Redis URL")
        }
        AlertDescription::UnknownCA | AlertDescription::BadCertificate | AlertDescription::DecryptError
            if shows_certificate =>
        {
            Some("it does not trust ssl_certfile, whose authority must be in tls-ca-cert-file of the server")
        }
        AlertDescription::CertificateExpired if shows_certificate => Some("ssl_certfile has expired, make a new one"),
        AlertDescription::UnsupportedCertificate if shows_certificate => {
            Some("ssl_certfile is not a certificate for clients")
        }
        AlertDescription::ProtocolVersion => Some("it speaks neither TLS 1.2 nor TLS 1.3"),
        _ => None,
    }
}
