//! The error codes of Redis and what each means for the sender of the command.
//!
//! This is the only list of them. In every case the command was not executed.

use super::denied;
use crate::errors::Error;

/// What an error reply says, by its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The server starts, is busy, or does not serve its keys yet.
    NotReady,
    /// The server has no memory left for a write.
    NoMemory,
    /// The server takes no writes: it lacks replicas, or it can't save its data.
    NoWrites,
    /// The server is a replica.
    ReadOnly,
    /// Another node of the cluster is the one to ask.
    Elsewhere,
    /// The server does not have the script.
    NoScript,
    /// A key has another type than the command needs.
    WrongType,
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
            _ => Refusal::Other,
        }
    }

    /// Whether this server may execute the same command later.
    pub fn is_temporary(self) -> bool {
        matches!(self, Refusal::NotReady | Refusal::NoMemory | Refusal::NoWrites)
    }
}

/// Whether any word of an error is a code that says: this server can't work now. A
/// replica counts too, since the master it replaces comes back or gets a successor.
/// Redis 6.2 quotes the code of a command inside the error of its script.
pub fn can_not_work(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.map(Refusal::by_code).any(|refusal| refusal.is_temporary() || refusal == Refusal::ReadOnly)
}

/// The error that an error reply becomes.
pub fn redis_error(text: &str) -> Error {
    if text.contains("max number of clients") {
        return Error::Unavailable(format!("Redis is not ready: {text}"));
    }
    if let Some(remedy) = denied::remedy(text) {
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
        Refusal::NoWrites | Refusal::NoScript | Refusal::Other => "",
    };
    Error::Broker(format!("Redis refused: {text}{remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
