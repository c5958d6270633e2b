//! Reads and writes URLs. The `url` crate does not support a list of hosts, so this code
//! splits the list and gives each host to the crate.
//!
//! A URL may contain passwords, even in the wrong part. No error repeats text that could be
//! a password.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::{Url, form_urlencoded};

use super::address::{Address, Node, Sentinels};
use crate::errors::{Error, Result};

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// The characters to escape: all but the unreserved ones of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The parts of a URL. `query` contains the parameters that this file does not use.
pub struct Location {
    pub address: Address,
    pub encrypted: bool,
    pub username: Option<String>,
    pub password: Option<String>,
    pub database: u32,
    pub query: Vec<(String, String)>,
}

fn bad(text: impl Into<String>) -> Error {
    Error::Configuration(text.into())
}

fn decode(part: &str, what: &str) -> Result<String> {
    let text = percent_decode_str(part).decode_utf8();
    text.map(|t| t.into_owned())
        .map_err(|_| bad(format!("the {what} in the Redis URL is not UTF-8 once percent-decoded")))
}

fn encode(part: &str) -> String {
    utf8_percent_encode(part, RESERVED).to_string()
}

/// Takes a parameter out of the query.
fn take(query: &mut Vec<(String, String)>, name: &str) -> Option<String> {
    query.iter().position(|(key, _)| key == name).map(|at| query.remove(at).1)
}

/// Reads a URL.
pub fn read(text: &str) -> Result<Location> {
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let scheme = scheme.to_ascii_lowercase();
    // The caller meant the # as part of a path or a password; a parser would take it for the
    // start of a fragment.
    if text.contains('#') {
        return Err(bad("the Redis URL has a #; write it as %23"));
    }
    match scheme.as_str() {
        "redis+sentinel" | "rediss+sentinel" => sentinel(UrlParts::cut(rest)?, scheme.starts_with("rediss")),
        "redis+cluster" | "rediss+cluster" => cluster(UrlParts::cut(rest)?, scheme.starts_with("rediss")),
        "redis" | "rediss" => {
            check_at_sign(rest)?;
            let hosts = rest.split(['/', '?']).next().and_then(|authority| authority.rsplit('@').next());
            if hosts.is_some_and(|hosts| hosts.contains(',')) {
                return Err(bad("the Redis URL has several hosts; write redis+cluster://host1,host2 for a cluster, \
                     redis+sentinel://host1,host2/service for Sentinels"));
            }
            single(text)
        }
        _ => single(text),
    }
}

fn single(text: &str) -> Result<Location> {
    let url = Url::parse(text).map_err(|e| {
        bad(format!("the Redis URL can't be read ({e}); it looks like redis://user:password@host:6379/0"))
    })?;
    let mut query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let (address, path) = match url.scheme() {
        "redis" | "rediss" => (Address::Single(node(&url, PORT)?), url.path().trim_matches('/')),
        "unix" => match decode(url.path(), "path")? {
            path if path.len() > 1 => (Address::Unix(path.into()), ""),
            _ => return Err(bad("the Redis URL has no path; it looks like unix:///run/redis.sock?db=0")),
        },
        // Without a scheme, the parser takes the text before the first colon for one. It could
        // be the user, so the error does not repeat it.
        _ if !text.contains("://") => {
            return Err(bad("the Redis URL does not begin with a scheme; it looks like redis://host:6379/0"));
        }
        other => {
            return Err(bad(format!(
                "the Redis URL begins with {other}://; use redis://, redis+sentinel://, redis+cluster:// (with TLS \
                 rediss:// and so on) or unix://"
            )));
        }
    };
    Ok(Location {
        address,
        encrypted: url.scheme() == "rediss",
        username: user(url.username())?,
        password: password(url.password())?,
        database: database(take(&mut query, "db").as_deref().unwrap_or(path))?,
        query,
    })
}

fn node(url: &Url, default_port: u16) -> Result<Node> {
    match url.host_str() {
        Some(host) if !host.is_empty() => {
            Ok(Node { host: decode(host.trim_matches(['[', ']']), "host")?, port: url.port().unwrap_or(default_port) })
        }
        _ => Err(bad("the Redis URL has no host; it looks like redis://host:6379/0")),
    }
}

fn user(text: &str) -> Result<Option<String>> {
    Ok(Some(decode(text, "user")?).filter(|user| !user.is_empty()))
}

fn password(text: Option<&str>) -> Result<Option<String>> {
    Ok(text.map(|text| decode(text, "password")).transpose()?.filter(|password| !password.is_empty()))
}

fn database(text: &str) -> Result<u32> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse()
        .map_err(|_| bad(format!("the database in the Redis URL is {text:?}; give a number from 0 to {}", u32::MAX)))
}

/// Refuses an @ after the hosts. There, the password contains a character that ends the list
/// of hosts, and no error may repeat the rest as a database or a parameter.
fn check_at_sign(rest: &str) -> Result<()> {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (hosts, tail) = rest.split_at(end);
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    let is_name = |pair: &str| pair.split('=').next().is_some_and(|name| name.contains('@'));
    let is_cut = path.contains('@') || query.split('&').any(is_name);
    if is_cut || (!hosts.contains('@') && tail.contains('@')) {
        return Err(bad(
            "the Redis URL has an @ behind the first / or ?; write these as %2F %3F in user and password, and as \
             %40 an @ that stands elsewhere",
        ));
    }
    Ok(())
}

/// The parts of a URL that may have several hosts.
struct UrlParts<'a> {
    username: Option<String>,
    password: Option<String>,
    hosts: &'a str,
    path: Vec<&'a str>,
    query: Vec<(String, String)>,
}

impl<'a> UrlParts<'a> {
    fn cut(rest: &'a str) -> Result<UrlParts<'a>> {
        check_at_sign(rest)?;
        let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = before.split_once('/').unwrap_or((before, ""));
        let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (username, secret) = match credentials.split_once(':') {
            Some((username, secret)) => (username, Some(secret)),
            None => (credentials, None),
        };
        Ok(UrlParts {
            username: user(username)?,
            password: password(secret)?,
            hosts,
            path: path.split('/').filter(|segment| !segment.is_empty()).collect(),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        })
    }

    fn nodes(&self, default_port: u16) -> Result<Vec<Node>> {
        let read = |(at, host): (usize, &str)| {
            Url::parse(&format!("redis://{}", host.trim())).map_err(|e| e.to_string()).and_then(|url| {
                node(&url, default_port).map_err(|_| "it is empty".to_owned())
            }).map_err(|e| {
                bad(format!(
                    "host {} in the Redis URL can't be read ({e}); hosts look like host1:{default_port},[::1]:{default_port}",
                    at + 1
                ))
            })
        };
        self.hosts.split(',').enumerate().map(read).collect()
    }
}

fn sentinel(mut parts: UrlParts, encrypted: bool) -> Result<Location> {
    let shape = "it looks like redis+sentinel://host1:26379,host2:26379/service/0";
    let nodes = parts.nodes(SENTINEL_PORT)?;
    let (service, path) = match parts.path[..] {
        [] => {
            let text = "the Redis URL does not name the service that the Sentinels watch";
            return Err(bad(format!("{text} (often mymaster); {shape}")));
        }
        [service] => (service, ""),
        [service, path] => (service, path),
        _ => return Err(bad(format!("the Redis URL has too many parts behind its hosts; {shape}"))),
    };
    let sentinels = Sentinels {
        nodes,
        service: decode(service, "service")?,
        username: take(&mut parts.query, "sentinel_username").filter(|user| !user.is_empty()),
        password: take(&mut parts.query, "sentinel_password").filter(|password| !password.is_empty()),
    };
    Ok(Location {
        address: Address::Sentinel(sentinels),
        encrypted,
        username: parts.username,
        password: parts.password,
        database: database(take(&mut parts.query, "db").as_deref().unwrap_or(path))?,
        query: parts.query,
    })
}

fn cluster(mut parts: UrlParts, encrypted: bool) -> Result<Location> {
    let nodes = parts.nodes(PORT)?;
    let asked = take(&mut parts.query, "db");
    let path = match parts.path[..] {
        [] => "",
        [path] => path,
        _ => {
            let shape = "it looks like redis+cluster://host1:6379,host2:6379/0";
            return Err(bad(format!("the Redis URL has too many parts behind its hosts; {shape}")));
        }
    };
    Ok(Location {
        address: Address::Cluster(nodes),
        encrypted,
        username: parts.username,
        password: parts.password,
        database: database(asked.as_deref().unwrap_or(path))?,
        query: parts.query,
    })
}

impl Location {
    fn scheme(&self) -> &'static str {
        match (&self.address, self.encrypted) {
            (Address::Unix(_), _) => "unix",
            (Address::Single(_), false) => "redis",
            (Address::Single(_), true) => "rediss",
            (Address::Sentinel(_), false) => "redis+sentinel",
            (Address::Sentinel(_), true) => "rediss+sentinel",
            (Address::Cluster(_), false) => "redis+cluster",
            (Address::Cluster(_), true) => "rediss+cluster",
        }
    }

    fn hosts(&self) -> String {
        self.address.nodes().iter().map(Node::to_string).collect::<Vec<_>>().join(",")
    }

    /// The URL without user, password and parameters, for people.
    pub fn for_people(&self) -> String {
        let (scheme, hosts, database) = (self.scheme(), self.hosts(), self.database);
        match &self.address {
            Address::Unix(path) => format!("{scheme}://{}?db={database}", path.display()),
            Address::Single(_) => format!("{scheme}://{hosts}/{database}"),
            Address::Sentinel(sentinels) => format!("{scheme}://{hosts}/{}/{database}", sentinels.service),
            Address::Cluster(_) if database == 0 => format!("{scheme}://{hosts}"),
            Address::Cluster(_) => format!("{scheme}://{hosts}/{database}"),
        }
    }

    /// The URL without FluxQueue's own parameters, for a client library. It has `parameters`
    /// in addition to those that this file uses.
    pub fn for_clients(&self, parameters: &[(String, String)]) -> String {
        let credentials = match (&self.username, &self.password) {
            (None, None) => String::new(),
            (user, None) => format!("{}@", encode(user.as_deref().unwrap_or_default())),
            (user, Some(password)) => format!("{}:{}@", encode(user.as_deref().unwrap_or_default()), encode(password)),
        };
        let mut pairs = parameters.to_vec();
        let path = match &self.address {
            Address::Unix(path) => {
                pairs.push(("db".into(), self.database.to_string()));
                path.to_string_lossy().split('/').map(encode).collect::<Vec<_>>().join("/")
            }
            Address::Single(_) => format!("/{}", self.database),
            Address::Sentinel(sentinels) => {
                let secrets = [("sentinel_username", &sentinels.username), ("sentinel_password", &sentinels.password)];
                pairs.extend(secrets.into_iter().filter_map(|(name, value)| Some((name.into(), value.clone()?))));
                format!("/{}/{}", encode(&sentinels.service), self.database)
            }
            Address::Cluster(_) if self.database == 0 => String::new(),
            Address::Cluster(_) => format!("/{}", self.database),
        };
        let mut url = format!("{}://{credentials}{}{path}", self.scheme(), self.hosts());
        if !pairs.is_empty() {
            url.push('?');
            url.push_str(&form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish());
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(location: &Location) -> Vec<(&str, u16)> {
        location.address.nodes().iter().map(|node| (node.host.as_str(), node.port)).collect()
    }

    #[test]
    fn sentinels_are_read() {
        let url = "redis+sentinel://us%40er:p%2Fw%3A@one,two:7000,[::1]:7001/my%20master/3?sentinel_password=s%26t";
        let location = read(url).expect("valid");
        assert_eq!(hosts(&location), [("one", 26379), ("two", 7000), ("::1", 7001)]);
        assert_eq!((location.username.as_deref(), location.password.as_deref()), (Some("us@er"), Some("p/w:")));
        let Address::Sentinel(sentinels) = &location.address else { panic!("a sentinel") };
        assert_eq!(sentinels.service, "my master");
        assert_eq!((sentinels.username.as_deref(), sentinels.password.as_deref()), (None, Some("s&t")));
        assert_eq!((location.database, location.encrypted), (3, false));
        assert_eq!(location.for_people(), "redis+sentinel://one:26379,two:7000,[::1]:7001/my master/3");
        let again = read(&location.for_clients(&[])).expect("valid");
        assert_eq!(
            (again.address, again.username, again.password),
            (location.address, location.username, location.password)
        );
        assert!(read("REDISS+SENTINEL://h/m").expect("valid").encrypted);
    }

    #[test]
    fn clusters_are_read() {
        let location = read("rediss+cluster://:pw@a:7000, b/0?timeout=2").expect("valid");
        assert_eq!(hosts(&location), [("a", 7000), ("b", 6379)]);
        assert_eq!((location.username.as_deref(), location.password.as_deref()), (None, Some("pw")));
        assert!(location.encrypted);
        assert_eq!(location.query, [("timeout".to_owned(), "2".to_owned())]);
        assert_eq!(location.for_people(), "rediss+cluster://a:7000,b:6379");
        assert_eq!(location.for_clients(&[]), "rediss+cluster://:pw@a:7000,b:6379");
        for url in ["redis+cluster://a/3", "redis+cluster://a?db=3"] {
            let location = read(url).expect("valid");
            assert_eq!((location.database, location.for_people().as_str()), (3, "redis+cluster://a:6379/3"));
            assert_eq!(location.for_clients(&[]), "redis+cluster://a:6379/3");
        }
    }

    #[test]
    fn errors_say_what_to_do_and_never_the_password() {
        for (url, part) in [
            ("redis+sentinel://:secret@h", "does not name the service"),
            ("redis+sentinel://:secret@h/a/b/c", "too many parts"),
            ("redis+sentinel://:secret@h/m/x", "\"x\""),
            ("redis+sentinel://:secret@/m", "host 1"),
            ("redis+sentinel://:secret@h,,i/m", "host 2"),
            ("redis+sentinel://:secret@h,i:99999/m", "host 2"),
            ("redis+sentinel://:secret@[::1/m", "host 1"),
            ("redis+cluster://:secret@h/x", "\"x\""),
            ("redis+cluster://:secret@h?db=-2", "\"-2\""),
            ("redis+cluster://:secret@h/1/2", "too many parts"),
            ("redis+cluster://user:1/secret@h", "%2F"),
            ("redis+cluster://user:1?secret@h", "%3F"),
            ("redis+cluster://user:1#secret@h", "%23"),
            ("redis://user:1/secret@h", "%2F"),
            ("rediss://:secret@h:1,i:2/0", "several hosts"),
            ("redis://user:p@s/secret@h", "%2F"),
            ("redis://user:p@s?secret@h", "%3F"),
            ("redis://user:p@secret#s@h", "%23"),
            ("redis+cluster://user:secret/h", "host 1"),
            ("unix:///tmp/secret#b.sock", "%23"),
            ("redis://:secret@h/1#2", "%23"),
            ("redis+cluster://%FF:secret@h", "user"),
            ("redis+cluster://:%FFsecret@h", "password"),
            ("redis+else://:secret@h", "redis+cluster://"),
        ] {
            let Err(error) = read(url).map(|_| ()) else { panic!("{url} was read") };
            let text = error.to_string();
            assert!(text.contains(part) && !text.contains("secret"), "{url}: {text}");
        }
    }
}
