//! The error codes of Redis, and the meaning of each for the sender of the command.
//!
//! This is the only list of error codes. With each of them Redis did not execute the command.

use crate::errors::Error;
use crate::scripts;

/// The meaning of an error reply, by its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The server is starting, is busy, or does not serve its keys yet.
    NotReady,
    /// The server has no memory left for a write.
    NoMemory,
    /// The server takes no writes: it lacks replicas, or it can't save its data.
    NoWrites,
    /// The server is a replica.
    ReadOnly,
    /// Another node of the cluster has the keys.
    Elsewhere,
    /// The server does not have the script.
    NoScript,
    /// A key has a type that the command can't use.
    WrongType,
    /// The connection needs a user and a password.
    NoAuth,
    /// The user or the password is wrong.
    WrongPass,
    /// The user lacks a right.
    NoPermission,
    /// Any other error.
    Other,
}

/// The first word of an error reply.
fn code(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

impl Refusal {
    /// Reads an error reply, which begins with its code.
    pub fn read(text: &str) -> Refusal {
        Refusal::by_code(code(text))
    }

    fn by_code(code: &str) -> Refusal {
        match code {
            "LOADING" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN" | "BUSY" => Refusal::NotReady,
            "OOM" => Refusal::NoMemory,
            "NOREPLICAS" | "MISCONF" => Refusal::NoWrites,
            "READONLY" => Refusal::ReadOnly,
            "MOVED" | "ASK" => Refusal::Elsewhere,
            "NOSCRIPT" => Refusal::NoScript,
            "WRONGTYPE" => Refusal::WrongType,
            "NOAUTH" => Refusal::NoAuth,
            "WRONGPASS" => Refusal::WrongPass,
            "NOPERM" => Refusal::NoPermission,
            _ => Refusal::Other,
        }
    }

    /// Whether this server may execute the same command later.
    pub fn is_temporary(self) -> bool {
        matches!(self, Refusal::NotReady | Refusal::NoMemory | Refusal::NoWrites)
    }
}

/// Whether any word of an error is a code that says that this server can't work now. A replica
/// counts too: the old master returns, or another server becomes the master. The code may be
/// anywhere: Redis 6.2 quotes the code of a command inside the error of its script.
pub fn can_not_work(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.map(Refusal::by_code).any(|refusal| refusal.is_temporary() || refusal == Refusal::ReadOnly)
}

/// Converts an error reply to an error with advice.
pub fn redis_error(text: &str) -> Error {
    if text.contains("max number of clients") {
        return Error::Unavailable(format!("Redis is not ready: {text}"));
    }
    if let Some(remedy) = missing_right(text) {
        return Error::Denied(format!("Redis refused: {text}; {remedy}"));
    }
    let remedy = match Refusal::read(text) {
        Refusal::NotReady => return Error::Unavailable(format!("Redis is not ready: {text}")),
        Refusal::NoMemory => "; raise maxmemory or wait until workers have freed memory",
        Refusal::ReadOnly => "; the URL leads to a replica, use the master's",
        Refusal::Elsewhere => "; this is a node of a cluster, use redis+cluster://host",
        Refusal::Other if code(text) == "ERR" && text.contains("cluster support disabled") => {
            "; this is a single server, use redis://host"
        }
        Refusal::WrongType => "; another program uses a key of this queue",
        _ => "",
    };
    Error::Broker(format!("Redis refused: {text}{remedy}"))
}

/// Returns the advice for an error reply about a right; None for any other error.
pub fn missing_right(text: &str) -> Option<String> {
    match Refusal::read(text) {
        Refusal::NoAuth => Some("put user and password into the URL: redis://user:password@host".into()),
        Refusal::WrongPass => Some("look at user and password in the Redis URL".into()),
        Refusal::NoPermission => Some(right("")),
        // Redis refused a command inside a script. Only Redis 7.2 and later say which one.
        _ if is_in_script(text) => Some(right(&match scripts::named_in(text) {
            Some(script) => format!("the script {script} was not allowed to call one of its commands: "),
            None => String::new(),
        })),
        _ => None,
    }
}

fn right(which: &str) -> String {
    format!("{which}give this right to the user of the Redis URL; docs/security.md has the ACL lines of all roles")
}

fn is_in_script(text: &str) -> bool {
    ["The user executing the script can't", "ACL failure in script"].iter().any(|said| text.contains(said))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripts::Script;

    #[test]
    fn each_code_says_whether_the_same_command_may_succeed_later() {
        for (text, temporary) in [
            ("LOADING Redis is loading the dataset in memory", true),
            ("TRYAGAIN Multiple keys request during rehashing of slot", true),
            ("CLUSTERDOWN The cluster is down", true),
            ("MASTERDOWN Link with MASTER is down", true),
            ("BUSY Redis is busy running a script", true),
            ("OOM command not allowed when used memory > 'maxmemory'.", true),
            ("NOREPLICAS Not enough good replicas to write.", true),
            ("MISCONF Errors writing to the AOF file", true),
            ("READONLY You can't write against a read only replica.", false),
            ("MOVED 3999 127.0.0.1:6381", false),
            ("ASK 3999 127.0.0.1:6381", false),
            ("NOSCRIPT No matching script.", false),
            ("WRONGTYPE Operation against a key", false),
            ("ERR the queue is LOADING", false),
            ("BUSYGROUP Consumer Group name already exists", false),
            ("", false),
        ] {
            assert_eq!(Refusal::read(text).is_temporary(), temporary, "{text}");
        }
    }

    #[test]
    fn a_code_inside_the_error_of_a_script_is_found() {
        let six = "ERR Error running script (call to f_0): @user_script:1: @user_script: 1: -OOM command not allowed";
        assert!(can_not_work(six));
        assert!(can_not_work("READONLY You can't write against a read only replica."));
        assert!(can_not_work("-MISCONF: no disk"));
        for text in ["ERR syntax error", "the server is busy", "MY_BUSY key", "OOMs", "MOVED 1 a:1", ""] {
            assert!(!can_not_work(text), "{text}");
        }
    }

    #[test]
    fn an_error_says_what_to_do() {
        for (text, said) in [
            ("OOM no memory", "raise maxmemory"),
            ("READONLY no", "use the master's"),
            ("MOVED 1 a:1", "use redis+cluster://host"),
            ("ERR This instance has cluster support disabled", "use redis://host"),
            ("WRONGTYPE Operation", "another program uses a key"),
        ] {
            let error = redis_error(text);
            assert!(matches!(&error, Error::Broker(error) if error.contains(said)), "{error:?}");
        }
        assert!(matches!(redis_error("LOADING wait"), Error::Unavailable(_)));
        assert!(matches!(redis_error("ERR max number of clients reached"), Error::Unavailable(_)));
        assert!(matches!(redis_error("NOAUTH Authentication required."), Error::Denied(_)));
        assert!(matches!(redis_error("MISCONF no disk"), Error::Broker(text) if text.ends_with("MISCONF no disk")));
    }

    /// The texts are those of Redis 7.2, 7.0 and 6.2.
    #[test]
    fn the_script_that_was_refused_is_named() {
        for (name, flags) in [("exchange", true), ("exchange", false), ("open", true)] {
            let digest = Script::load(name, flags).expect("known").digest;
            for text in [
                format!(
                    "ERR ACL failure in script: User worker has no permissions to run the 'hmget' command script: \
                     {digest}, on @user_script:7."
                ),
                format!(
                    "ERR The user executing the script can't run this command or subcommand script: {digest}, on \
                     @user_script:7."
                ),
                format!(
                    "ERR Error running script (call to f_{digest}): @user_script:7: @user_script: 7: The user \
                     executing the script can't run this command or subcommand"
                ),
            ] {
                let remedy = missing_right(&text).expect("a right is missing");
                assert!(remedy.starts_with(&format!("the script {name} was not allowed")), "{remedy}");
                assert!(remedy.contains("docs/security.md"), "{remedy}");
            }
        }
    }

    #[test]
    fn other_errors_are_not_about_rights() {
        for text in ["ERR syntax error", "WRONGTYPE Operation against a key", "OOM command not allowed", ""] {
            assert!(missing_right(text).is_none(), "{text}");
        }
        assert!(missing_right("NOPERM this user has no permissions to run the 'lpush' command").is_some());
        let unknown = "ERR The user executing the script can't run this command script: ab, on @user_script:7.";
        assert!(missing_right(unknown).expect("a right is missing").starts_with("give this right"));
    }
}
