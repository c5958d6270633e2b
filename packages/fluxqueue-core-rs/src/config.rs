//! Where Redis is, and how long to wait for it: a value given in code wins over
//! the URL's query, that over the environment, that over the default.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::errors::{Error, Result};

/// Where Redis is looked for when nothing else is said.
pub const DEFAULT_REDIS_URL: &str = "redis://127.0.0.1:6379";

const CONNECT_TIMEOUT: f64 = 2.0;
const TIMEOUT: f64 = 5.0;
const MAX_MESSAGE_BYTES: usize = 8 << 20;

/// What kind of socket leads to Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Host and port.
    Tcp(String, u16),
    /// The same, encrypted.
    Tls(String, u16),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// Certificates, by the names that redis-py gives them in a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificates {
    /// `ssl_ca_certs`: a PEM file to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// `ssl_certfile`: our own certificate, PEM.
    pub cert: Option<PathBuf>,
    /// `ssl_keyfile`: its key, PEM.
    pub key: Option<PathBuf>,
}

/// All that a connection needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to connect to.
    pub address: Address,
    /// The ACL user.
    pub username: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The number of the database.
    pub database: u32,
    /// For `rediss://`.
    pub certificates: Certificates,
    /// For one attempt to connect.
    pub connect_timeout: Duration,
    /// For one call, with every attempt to connect.
    pub timeout: Duration,
    /// How large one message may be.
    pub max_message_bytes: usize,
    /// The URL without our own parameters: for redis-py.
    pub url: String,
    /// The URL without user, password and parameters: for people.
    pub display_url: String,
}

/// What the caller has set in code.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Seconds.
    pub connect_timeout: Option<f64>,
    /// Seconds.
    pub timeout: Option<f64>,
    /// Bytes.
    pub max_message_bytes: Option<usize>,
}

fn bad(text: impl Into<String>) -> Error {
    Error::Configuration(text.into())
}

fn decode(part: &str, what: &str) -> Result<String> {
    let text = percent_decode_str(part).decode_utf8();
    text.map(|t| t.into_owned())
        .map_err(|_| bad(format!("the {what} in the Redis URL is not UTF-8 once percent-decoded")))
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

/// A setting: from code, else from the query, else from the environment.
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
    match std::env::var(&variable) {
        Ok(text) if !text.trim().is_empty() => parse(&text, variable),
        _ => Ok(None),
    }
}

impl Config {
    /// Reads a URL; None means `FLUXQUEUE_REDIS_URL`, or the default.
    pub fn new(url: Option<&str>, overrides: &Overrides) -> Result<Config> {
        let from_environment = std::env::var("FLUXQUEUE_REDIS_URL").ok().filter(|v| !v.trim().is_empty());
        let text = url.map(str::to_owned).or(from_environment).unwrap_or_else(|| DEFAULT_REDIS_URL.to_owned());
        // The text may hold a password, so no error repeats it.
        let url = Url::parse(text.trim()).map_err(|e| {
            bad(format!("the Redis URL can't be read ({e}); it looks like redis://user:password@host:6379/0"))
        })?;
        let mut query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let address = address(&url)?;
        let database = database(&url, &address, &mut query)?;
        let username = Some(decode(url.username(), "user")?).filter(|u| !u.is_empty());
        let password = url.password().map(|p| decode(p, "password")).transpose()?.filter(|p| !p.is_empty());
        let timeout = |given, name, default| {
            let (value, source) = setting(given, name, &query)?.unwrap_or((default, name.to_owned()));
            seconds(value, &source)
        };
        let connect_timeout = timeout(overrides.connect_timeout, "connect_timeout", CONNECT_TIMEOUT)?;
        let call_timeout = timeout(overrides.timeout, "timeout", TIMEOUT)?;
        let (size, source) = setting(overrides.max_message_bytes, "max_message_bytes", &query)?
            .unwrap_or((MAX_MESSAGE_BYTES, String::new()));
        let max_message_bytes = bytes(size, &source)?;
        let mut certificates = Certificates::default();
        let mut foreign = Vec::new();
        for (key, value) in query {
            match key.as_str() {
                "connect_timeout" | "timeout" | "max_message_bytes" => continue,
                "ssl_ca_certs" => certificates.ca = Some(value.clone().into()),
                "ssl_certfile" => certificates.cert = Some(value.clone().into()),
                "ssl_keyfile" => certificates.key = Some(value.clone().into()),
                _ => {
                    return Err(bad(format!(
                        "the Redis URL has the unknown parameter {key:?}; known are connect_timeout, timeout, \
                     max_message_bytes, db, ssl_ca_certs, ssl_certfile, ssl_keyfile"
                    )));
                }
            }
            foreign.push((key, value));
        }
        if certificates != Certificates::default() && !matches!(address, Address::Tls(..)) {
            return Err(bad("the Redis URL names certificates but is not encrypted; use rediss://"));
        }
        for path in [&certificates.ca, &certificates.cert, &certificates.key].into_iter().flatten() {
            // Now, and not when a server is reached some day.
            File::open(path).map_err(|e| bad(format!("{} can't be read: {e}", path.display())))?;
        }
        if certificates.cert.is_some() != certificates.key.is_some() {
            return Err(bad("ssl_certfile and ssl_keyfile in the Redis URL go together"));
        }
        Ok(Config {
            display_url: display(&address, database),
            url: plain(&url, &address, database, &foreign),
            address,
            username,
            password,
            database,
            certificates,
            connect_timeout,
            timeout: call_timeout,
            max_message_bytes,
        })
    }
}

fn address(url: &Url) -> Result<Address> {
    let port = url.port().unwrap_or(6379);
    let host = || match url.host_str() {
        Some(host) if !host.is_empty() => decode(host.trim_matches(['[', ']']), "host"),
        _ => Err(bad("the Redis URL has no host; it looks like redis://host:6379/0")),
    };
    match url.scheme() {
        "redis" => Ok(Address::Tcp(host()?, port)),
        "rediss" => Ok(Address::Tls(host()?, port)),
        "unix" => match decode(url.path(), "path")? {
            path if path.len() > 1 => Ok(Address::Unix(path.into())),
            _ => Err(bad("the Redis URL has no path; it looks like unix:///run/redis.sock?db=0")),
        },
        other => Err(bad(format!("the Redis URL begins with {other}://; use redis://, rediss:// or unix://"))),
    }
}

fn database(url: &Url, address: &Address, query: &mut Vec<(String, String)>) -> Result<u32> {
    let asked = query.iter().position(|(key, _)| key == "db").map(|at| query.remove(at).1);
    let path = match address {
        Address::Unix(_) => "",
        _ => url.path().trim_matches('/'),
    };
    let text = asked.as_deref().unwrap_or(path);
    if text.is_empty() {
        return Ok(0);
    }
    text.parse()
        .map_err(|_| bad(format!("the database in the Redis URL is {text:?}; give a number from 0 to {}", u32::MAX)))
}

fn display(address: &Address, database: u32) -> String {
    let bracketed = |host: &str| if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    match address {
        Address::Tcp(host, port) => format!("redis://{}:{port}/{database}", bracketed(host)),
        Address::Tls(host, port) => format!("rediss://{}:{port}/{database}", bracketed(host)),
        Address::Unix(path) => format!("unix://{}?db={database}", path.display()),
    }
}

fn plain(url: &Url, address: &Address, database: u32, parameters: &[(String, String)]) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let mut pairs = parameters.to_vec();
    if matches!(address, Address::Unix(_)) {
        pairs.push(("db".into(), database.to_string()));
    } else {
        url.set_path(&format!("/{database}"));
    }
    if !pairs.is_empty() {
        url.query_pairs_mut().extend_pairs(pairs);
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Result<Config> {
        Config::new(Some(url), &Overrides::default())
    }

    #[test]
    fn urls_are_read() {
        let c = config("redis://us%40er:p%2Fw%3A@host:7000/3?timeout=1.5").expect("valid");
        assert_eq!(c.address, Address::Tcp("host".into(), 7000));
        assert_eq!((c.username.as_deref(), c.password.as_deref()), (Some("us@er"), Some("p/w:")));
        assert_eq!((c.database, c.timeout), (3, Duration::from_millis(1500)));
        assert_eq!(c.display_url, "redis://host:7000/3");
        assert_eq!(c.url, "redis://us%40er:p%2Fw%3A@host:7000/3");
        assert_eq!(config("redis://:pw@h").expect("valid").password.as_deref(), Some("pw"));
        assert_eq!(config("rediss://[::1]").expect("valid").address, Address::Tls("::1".into(), 6379));
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
