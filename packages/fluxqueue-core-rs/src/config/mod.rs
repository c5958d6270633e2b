//! The settings: the address of Redis, and how long to wait for it. A value in code wins
//! over the query of the URL, the query over the environment, the environment over the
//! default.

use std::env::VarError;
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

mod address;
mod url;

pub use address::{Address, Node, Sentinels};

use crate::errors::{Error, Result};
use crate::keys::Namespace;

/// The URL if you give no other.
pub const DEFAULT_REDIS_URL: &str = "redis://127.0.0.1:6379";

const CONNECT_TIMEOUT: f64 = 2.0;
const TIMEOUT: f64 = 5.0;
const MAX_MESSAGE_BYTES: usize = 8 << 20;
const WAIT_TIMEOUT: Duration = Duration::from_secs(1);
const MOST_REPLICAS: u32 = 1_000;

/// The parameters of a URL that only FluxQueue knows.
const OUR_PARAMETERS: [&str; 6] =
    ["connect_timeout", "timeout", "max_message_bytes", "wait_replicas", "wait_aof", "wait_timeout"];

/// The paths of the certificates. The parameters have the names that redis-py uses in a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificates {
    /// `ssl_ca_certs`: a PEM file with the certificates to trust, instead of the system's.
    pub ca: Option<PathBuf>,
    /// `ssl_certfile`: a PEM file with the client's certificate.
    pub cert: Option<PathBuf>,
    /// `ssl_keyfile`: a PEM file with the key of `cert`.
    pub key: Option<PathBuf>,
}

/// The settings of a connection.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address of Redis.
    pub address: Address,
    /// Whether connections use TLS, including those to Sentinels.
    pub encrypted: bool,
    /// The ACL user.
    pub username: Option<String>,
    /// The password of the user.
    pub password: Option<String>,
    /// The number of the database.
    pub database: u32,
    /// The certificates for TLS.
    pub certificates: Certificates,
    /// The longest time for one attempt to connect.
    pub connect_timeout: Duration,
    /// The longest time for one call, including all attempts to connect.
    pub timeout: Duration,
    /// The most bytes of one message.
    pub max_message_bytes: usize,
    /// The replicas and disks that must have an enqueued task before the call returns.
    pub wait: Wait,
    /// The keys of the application.
    pub namespace: Namespace,
    /// The URL without FluxQueue's own parameters, for redis-py.
    pub url: String,
    /// The URL without user, password and parameters, for people.
    pub display_url: String,
}

/// The replicas and disks that a call waits for, in addition to the reply of the master.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wait {
    /// How many replicas must have the task.
    pub replicas: u32,
    /// Whether the task must be in the append-only file, on the disks of the master and of
    /// these replicas.
    pub aof: bool,
    /// The longest wait. It is shorter than the timeout of the call.
    pub timeout: Duration,
}

impl Wait {
    /// Whether a call waits for a replica or a disk.
    pub fn is_on(&self) -> bool {
        self.aof || self.replicas > 0
    }
}

/// The settings that the caller gives in code. None: not given.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `Config::connect_timeout` in seconds.
    pub connect_timeout: Option<f64>,
    /// `Config::timeout` in seconds.
    pub timeout: Option<f64>,
    /// `Config::max_message_bytes`.
    pub max_message_bytes: Option<usize>,
    /// `Wait::replicas`.
    pub wait_replicas: Option<u32>,
    /// `Wait::aof`.
    pub wait_aof: Option<bool>,
    /// `Wait::timeout` in seconds.
    pub wait_timeout: Option<f64>,
    /// The name of `Config::namespace`. Empty: the default, whatever the environment says.
    pub namespace: Option<String>,
}

fn bad(text: impl Into<String>) -> Error {
    Error::Configuration(text.into())
}

fn seconds(value: f64, name: &str) -> Result<Duration> {
    if value > 0.0 && value <= 86_400.0 {
        return Ok(Duration::from_secs_f64(value));
    }
    Err(bad(format!("{name} is {value}; give seconds above 0, up to 86400")))
}

fn bytes(value: usize, name: &str) -> Result<usize> {
    match value {
        256..=536_870_912 => Ok(value),
        _ => Err(bad(format!("{name} is {value}; give 256 to 536870912 bytes"))),
    }
}

/// Reads an environment variable. None: it is not set, or blank. The error does not repeat
/// its value.
fn from_environment(name: &str) -> Result<Option<String>> {
    match std::env::var(name) {
        Ok(text) if !text.trim().is_empty() => Ok(Some(text)),
        Ok(_) | Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(bad(format!("the variable {name} has bytes that are no UTF-8"))),
    }
}

/// Reads a setting from code, else from the query, else from the environment. Returns it
/// with the name of its source, for errors.
fn setting<T: std::str::FromStr>(
    given: Option<T>,
    name: &str,
    query: &[(String, String)],
) -> Result<Option<(T, String)>> {
    if let Some(value) = given {
        return Ok(Some((value, name.to_owned())));
    }
    let parse = |text: &str, source: String| match text.trim().parse() {
        Ok(value) => Ok(Some((value, source))),
        Err(_) => Err(bad(format!("{source} is {text:?}, which is not a number"))),
    };
    if let Some((_, text)) = query.iter().find(|(key, _)| key == name) {
        return parse(text, format!("{name} in the Redis URL"));
    }
    let variable = format!("FLUXQUEUE_{}", name.to_uppercase());
    match from_environment(&variable)? {
        Some(text) => parse(&text, variable),
        None => Ok(None),
    }
}

impl Config {
    /// Reads a URL. None means the variable `FLUXQUEUE_REDIS_URL`, or else the default.
    pub fn new(url: Option<&str>, overrides: &Overrides) -> Result<Config> {
        let text = match url {
            Some(url) => url.to_owned(),
            None => from_environment("FLUXQUEUE_REDIS_URL")?.unwrap_or_else(|| DEFAULT_REDIS_URL.to_owned()),
        };
        let mut location = url::read(text.trim())?;
        let query = std::mem::take(&mut location.query);
        let timeout = |given, name, default| {
            let (value, source) = setting(given, name, &query)?.unwrap_or((default, name.to_owned()));
            seconds(value, &source)
        };
        let connect_timeout = timeout(overrides.connect_timeout, "connect_timeout", CONNECT_TIMEOUT)?;
        let call_timeout = timeout(overrides.timeout, "timeout", TIMEOUT)?;
        let (size, source) = setting(overrides.max_message_bytes, "max_message_bytes", &query)?
            .unwrap_or((MAX_MESSAGE_BYTES, String::new()));
        let max_message_bytes = bytes(size, &source)?;
        let wait = wait(overrides, &query, call_timeout)?;
        let (certificates, parameters) = certificates(query, location.encrypted)?;
        Ok(Config {
            display_url: location.for_people(),
            url: location.for_clients(&parameters),
            address: location.address,
            encrypted: location.encrypted,
            username: location.username,
            password: location.password,
            database: location.database,
            certificates,
            connect_timeout,
            timeout: call_timeout,
            max_message_bytes,
            wait,
            namespace: namespace(overrides)?,
        })
    }
}

/// Reads the namespace. It is not in the URL, which names a Redis for all its applications.
fn namespace(overrides: &Overrides) -> Result<Namespace> {
    if let Some(name) = &overrides.namespace {
        return Namespace::new(name);
    }
    let variable = "FLUXQUEUE_NAMESPACE";
    let name = from_environment(variable)?.unwrap_or_default();
    Namespace::new(name.trim()).map_err(|error| bad(format!("variable {variable}: {error}")))
}

fn wait(overrides: &Overrides, query: &[(String, String)], call: Duration) -> Result<Wait> {
    let (replicas, source) = setting(overrides.wait_replicas, "wait_replicas", query)?.unwrap_or_default();
    if replicas > MOST_REPLICAS {
        return Err(bad(format!("{source} is {replicas}; give 0 to {MOST_REPLICAS}")));
    }
    let given = overrides.wait_aof.map(|on| u8::from(on).to_string());
    let aof = match setting(given, "wait_aof", query)?.as_ref().map(|(text, source)| (text.trim(), source)) {
        None | Some(("0", _)) => false,
        Some(("1", _)) => true,
        Some((other, source)) => return Err(bad(format!("{source} is {other:?}; give 0 or 1"))),
    };
    let timeout = match setting(overrides.wait_timeout, "wait_timeout", query)? {
        None => WAIT_TIMEOUT.min(call / 2),
        Some((value, source)) => match seconds(value, &source)? {
            timeout if timeout < call => timeout,
            _ => {
                let call = call.as_secs_f64();
                return Err(bad(format!("{source} is {value}; it must be less than timeout, which is {call}")));
            }
        },
    };
    Ok(Wait { replicas, aof, timeout })
}

/// Reads the certificates. Also returns the parameters that other clients know.
fn certificates(query: Vec<(String, String)>, encrypted: bool) -> Result<(Certificates, Vec<(String, String)>)> {
    let mut certificates = Certificates::default();
    let mut parameters = Vec::new();
    for (key, value) in query {
        match key.as_str() {
            key if OUR_PARAMETERS.contains(&key) => continue,
            "ssl_ca_certs" => certificates.ca = Some(value.clone().into()),
            "ssl_certfile" => certificates.cert = Some(value.clone().into()),
            "ssl_keyfile" => certificates.key = Some(value.clone().into()),
            _ => {
                return Err(bad(format!(
                    "the Redis URL has the unknown parameter {key:?}; known are {}, db, ssl_ca_certs, ssl_certfile, \
                     ssl_keyfile, and with Sentinels sentinel_username, sentinel_password",
                    OUR_PARAMETERS.join(", ")
                )));
            }
        }
        parameters.push((key, value));
    }
    if certificates != Certificates::default() && !encrypted {
        return Err(bad(
            "the Redis URL names certificates but is not encrypted; use rediss://, rediss+sentinel:// or rediss+cluster://",
        ));
    }
    for path in [&certificates.ca, &certificates.cert, &certificates.key].into_iter().flatten() {
        // An error is better here than at the first connection.
        File::open(path).map_err(|e| bad(format!("{} can't be read: {e}", path.display())))?;
    }
    if certificates.cert.is_some() != certificates.key.is_some() {
        return Err(bad("ssl_certfile and ssl_keyfile in the Redis URL go together"));
    }
    Ok((certificates, parameters))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Result<Config> {
        Config::new(Some(url), &Overrides::default())
    }

    fn single(host: &str, port: u16) -> Address {
        Address::Single(Node { host: host.into(), port })
    }

    #[test]
    fn a_wait_is_shorter_than_the_timeout() {
        let wait = |url: &str| config(url).map(|config| config.wait);
        assert!(!wait("redis://h").expect("valid").is_on());
        let found = wait("redis://h?wait_replicas=2&wait_aof=1&wait_timeout=0.5").expect("valid");
        assert_eq!(found, Wait { replicas: 2, aof: true, timeout: Duration::from_millis(500) });
        assert_eq!(wait("redis://h?timeout=0.5").expect("valid").timeout, Duration::from_millis(250));
        for (url, part) in [
            ("redis://h?wait_timeout=5", "less than timeout, which is 5"),
            ("redis://h?wait_aof=2", "give 0 or 1"),
            ("redis://h?wait_aof=true", "give 0 or 1"),
            ("redis://h?wait_replicas=-1", "not a number"),
            ("redis://h?wait_replicas=1001", "0 to 1000"),
        ] {
            let text = wait(url).expect_err(url).to_string();
            assert!(text.contains(part), "{url}: {text}");
        }
    }

    #[test]
    fn urls_are_read() {
        let c = config("redis://us%40er:p%2Fw%3A@host:7000/3?timeout=1.5").expect("valid");
        assert_eq!(c.address, single("host", 7000));
        assert_eq!((c.username.as_deref(), c.password.as_deref()), (Some("us@er"), Some("p/w:")));
        assert_eq!((c.database, c.timeout), (3, Duration::from_millis(1500)));
        assert_eq!(c.display_url, "redis://host:7000/3");
        assert_eq!(c.url, "redis://us%40er:p%2Fw%3A@host:7000/3");
        assert_eq!(config("redis://:pw@h").expect("valid").password.as_deref(), Some("pw"));
        let c = config("rediss://[::1]").expect("valid");
        assert_eq!((c.address, c.encrypted), (single("::1", 6379), true));
        let c = config("unix:///run/re%20dis.sock?db=2").expect("valid");
        assert_eq!(config("redis://user@h").expect("valid").username.as_deref(), Some("user"));
        assert_eq!((c.address, c.database), (Address::Unix("/run/re dis.sock".into()), 2));
    }

    #[test]
    fn errors_name_the_fault_and_never_the_password() {
        for (url, part) in [
            ("http://:secret@h", "http://"),
            ("redis://:secret@", "host"),
            ("redis://:secret@h/x", "\"x\""),
            ("redis://:secret@h/99999999999", "from 0 to"),
            ("rediss://:secret@h?ssl_ca_certs=/nowhere/ca.pem", "/nowhere/ca.pem can't be read"),
            ("redis://:secret@h?timeout=0", "timeout in the Redis URL is 0"),
            ("redis://:secret@h?timeout=soon", "not a number"),
            ("redis://:secret@h?tiemout=1", "tiemout"),
            ("redis://:secret@h:99999", "can't be read"),
            ("secret@h", "can't be read"),
            ("unix://", "path"),
            ("redis://h?max_message_bytes=1", "256"),
            ("redis://h?ssl_ca_certs=/x", "rediss://"),
        ] {
            let text = config(url).expect_err(url).to_string();
            assert!(text.contains(part) && !text.contains("secret"), "{url}: {text}");
        }
    }
}
