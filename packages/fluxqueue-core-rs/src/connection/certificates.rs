//! The certificates of TLS: which of a server's are trusted, and which the client shows.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::tls_errors;
use crate::config::Certificates;
use crate::errors::{Error, Result};

fn pem<T: PemObject>(path: &Path, what: &str) -> Result<Vec<T>> {
    let unreadable = |e: String| Error::Configuration(format!("{what} {} can't be read: {e}", path.display()));
    let file = File::open(path).map_err(|e| unreadable(e.to_string()))?;
    let items: std::result::Result<Vec<T>, _> = T::pem_reader_iter(BufReader::new(file)).collect();
    let items = items.map_err(|e| unreadable(e.to_string()))?;
    if items.is_empty() { Err(unreadable("it has no such PEM section".into())) } else { Ok(items) }
}

/// The certificates to trust: as authorities, and as a server's own.
#[derive(Debug)]
struct Trusted {
    roots: Arc<RootCertStore>,
    own: Vec<CertificateDer<'static>>,
}

/// The certificates that the host trusts. The process reads them once: they are hundreds of
/// files, and reading them takes long if the kernel has not cached them.
static OF_HOST: OnceLock<Arc<Trusted>> = OnceLock::new();

fn of_host() -> Result<Arc<Trusted>> {
    if let Some(trusted) = OF_HOST.get() {
        return Ok(trusted.clone());
    }
    // Read outside the lock. Otherwise a child that is forked meanwhile would wait for the
    // lock forever.
    let found = Arc::new(trusted(rustls_native_certs::load_native_certs().certs)?);
    Ok(OF_HOST.get_or_init(|| found).clone())
}

fn trusted(certificates: Vec<CertificateDer<'static>>) -> Result<Trusted> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates.iter().cloned());
    if roots.is_empty() {
        return Err(Error::Configuration(
            "no trusted certificates; name a file with ssl_ca_certs in the Redis URL".into(),
        ));
    }
    Ok(Trusted { roots: Arc::new(roots), own: certificates })
}

/// Accepts what rustls accepts, and a server that shows a certificate that is trusted itself.
///
/// Why: docs/decisions/0069-a-trusted-certificate-may-be-the-servers-own.md
#[derive(Debug)]
struct Verifier {
    by_chain: Arc<WebPkiServerVerifier>,
    trusted: Arc<Trusted>,
}

fn has_no_issuer(error: &rustls::Error) -> bool {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        rustls::Error::InvalidCertificate(error) => tls_errors::is_authority(error),
        _ => false,
    }
}

fn signed_itself(certificate: &CertificateDer<'_>) -> bool {
    webpki::EndEntityCert::try_from(certificate).is_ok_and(|certificate| certificate.issuer() == certificate.subject())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        match self.by_chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // Webpki looks at the dates before it looks for an issuer, so they are good.
            Err(error) if has_no_issuer(&error) && self.trusted.own.contains(end_entity) => {
                rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            // For rustls it only is an authority's; for the reader nothing trusted has signed it.
            Err(error) if has_no_issuer(&error) && signed_itself(end_entity) => {
                Err(CertificateError::UnknownIssuer.into())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.by_chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.by_chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_chain.supported_verify_schemes()
    }
}

fn not_set_up(error: impl std::fmt::Display) -> Error {
    Error::Configuration(format!("TLS can't be set up: {error}"))
}

fn verifier(certificates: &Certificates, provider: &Arc<CryptoProvider>) -> Result<Verifier> {
    let trusted = match &certificates.ca {
        Some(path) => Arc::new(trusted(pem(path, "ssl_ca_certs")?)?),
        None => of_host()?,
    };
    let by_chain = WebPkiServerVerifier::builder_with_provider(trusted.roots.clone(), provider.clone());
    Ok(Verifier { by_chain: by_chain.build().map_err(not_set_up)?, trusted })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The name in the URL, as a certificate has it.
pub fn server_name(host: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(host.to_owned())
        .map_err(|_| Error::Configuration(format!("{host:?} is not a host name that a certificate can be for")))
}

/// Reads the certificates for a connection.
pub fn client_config(certificates: &Certificates) -> Result<ClientConfig> {
    let provider = provider();
    let verifier = Arc::new(verifier(certificates, &provider)?);
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(not_set_up)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let (Some(cert), Some(key)) = (&certificates.cert, &certificates.key) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = pem(cert, "ssl_certfile")?;
    let key = pem::<PrivateKeyDer>(key, "ssl_keyfile")?.swap_remove(0);
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|e| Error::Configuration(format!("ssl_certfile and ssl_keyfile can't be used: {e}")))
}

/// Reads all certificates, as for a connection.
pub fn check_files(certificates: &Certificates) -> Result<()> {
    client_config(certificates).map(drop)
}

/// Checks the certificate of a server whose chain another library has verified: the issuer need
/// not be known. The control plane takes no certificate that client and worker refuse.
pub fn check(certificates: &Certificates, host: &str, shown: &[u8]) -> Result<()> {
    let name = server_name(host)?;
    let shown = CertificateDer::from(shown);
    let verifier = verifier(certificates, &provider())?;
    match verifier.verify_server_cert(&shown, &[], &name, &[], UnixTime::now()) {
        Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            let named = ParsedCertificate::try_from(&shown);
            named.and_then(|shown| rustls::client::verify_server_name(&shown, &name))
        }
        other => other.map(drop),
    }
    .map_err(|error| Error::Unavailable(tls_errors::text(&error, host, certificates.cert.is_some())))
}
