//! The error codes of Redis, and the meaning of each for the sender of the command.
//!
//! This is the only list of error codes. With each of them Redis did not execute the command.
//! The text behind a code differs between servers and versions, so no decision depends on it.
//!
//! Why: docs/decisions/0071-codes-and-not-texts-of-errors.md

use std::fmt::{Display, Formatter};

use crate::errors::Error;

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
    /// The server is in protected mode: it has no password, and this is another host.
    Protected,
    /// An error with a code that says nothing more, such as `ERR`: the server lacks the command, or a
    /// script was refused one of its commands.
    Other,
}

/// A command or a script that was refused. Errors name it, because the text of the server often does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent<'a> {
    /// A command.
    Command(&'a str),
    /// A script, by its name.
    Script(&'a str),
}

impl Display for Sent<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Sent::Command(name) => f.write_str(name),
            Sent::Script(name) => write!(f, "the script {name}"),
        }
    }
}

/// The first word of an error reply.
fn code(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

/// The meanings of all words of an error reply that can be codes.
fn meanings(text: &str) -> impl Iterator<Item = Refusal> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(Refusal::by_code)
}

impl Refusal {
    /// Reads an error reply, which begins with its code.
    pub fn read(text: &str) -> Refusal {
        Refusal::by_code(code(text))
    }

    /// Reads the error reply to `sent`. Redis 6.2 quotes the code of a command inside the error of
    /// its script, so the code may be any word of that.
    pub fn of(text: &str, sent: Sent) -> Refusal {
        match (Refusal::read(text), sent) {
            (Refusal::Other, Sent::Script(_)) => {
                meanings(text).find(|refusal| *refusal != Refusal::Other).unwrap_or(Refusal::Other)
            }
            (refusal, _) => refusal,
        }
    }

    fn by_code(code: &str) -> Refusal {
        match code {
            // A failover ends a BLMOVE with UNBLOCKED; the server closes the connection then.
            "LOADING" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN" | "BUSY" | "UNBLOCKED" => Refusal::NotReady,
            "OOM" => Refusal::NoMemory,
            "NOREPLICAS" | "MISCONF" => Refusal::NoWrites,
            "READONLY" => Refusal::ReadOnly,
            "MOVED" | "ASK" => Refusal::Elsewhere,
            "NOSCRIPT" => Refusal::NoScript,
            "WRONGTYPE" => Refusal::WrongType,
            "NOAUTH" => Refusal::NoAuth,
            "WRONGPASS" => Refusal::WrongPass,
            "NOPERM" => Refusal::NoPermission,
            "DENIED" => Refusal::Protected,
            _ => Refusal::Other,
        }
    }

    /// Whether this server may execute the same command later.
    pub fn is_temporary(self) -> bool {
        matches!(self, Refusal::NotReady | Refusal::NoMemory | Refusal::NoWrites)
    }
}

/// Whether any word of an error is a code that says that this server can't work now. A replica
/// counts too: the old master returns, or another server becomes the master.
pub fn can_not_work(text: &str) -> bool {
    meanings(text).any(|refusal| refusal.is_temporary() || refusal == Refusal::ReadOnly)
}

/// The part of the error reply to `sent` that may be shown. A server that lacks a command quotes
/// its arguments, which are a password or those of a task. All words of the reply to `AUTH` can be
/// of that kind, but for the code.
fn without_arguments<'a>(text: &'a str, sent: Sent) -> &'a str {
    match sent {
        Sent::Command("AUTH") => code(text),
        _ => text.split(", with args beginning with").next().unwrap_or_default(),
    }
}

/// Whether the reply to `AUTH` is that of a server which asks for no password. It has no code, so only
/// its text says so; an advice depends on it, and nothing else.
fn has_no_password(text: &str) -> bool {
    let text = text.split(", with args beginning with").next().unwrap_or_default();
    text.contains("without any password configured") || text.contains("no password is set")
}

/// The error of a script without its digest and the line at which it stopped, which say nothing to a
/// caller. Servers before Redis 7 write them in front.
fn without_line(text: &str) -> String {
    const LINE: &str = "@user_script:";
    let Some((before, after)) = text.rsplit_once(LINE) else { return text.to_owned() };
    if let Some((error, _)) = before.rsplit_once(" script: ") {
        return error.to_owned();
    }
    if !before.contains(" (call to f_") {
        return text.to_owned();
    }
    let error = after.trim_start_matches(|c: char| c.is_ascii_digit() || ": -".contains(c));
    let has_code = Refusal::read(error) != Refusal::Other;
    if has_code { error.to_owned() } else { format!("ERR {error}") }
}

/// The part of the error reply to `sent` that a caller can use.
fn shown(text: &str, sent: Sent) -> String {
    let shown = without_arguments(text, sent);
    if matches!(sent, Sent::Script(_)) { without_line(shown) } else { shown.to_owned() }
}

/// Converts the error reply to `sent` to an error with advice.
pub fn redis_error(text: &str, sent: Sent) -> Error {
    let shown = shown(text, sent);
    if let Some(remedy) = only_an_operator(text, sent) {
        return Error::Denied(format!("Redis refused {sent}: {shown}; {remedy}"));
    }
    let remedy = match Refusal::of(text, sent) {
        Refusal::NotReady => return Error::Unavailable(format!("Redis is not ready: {shown}")),
        Refusal::NoMemory => "; raise maxmemory or wait until workers have freed memory",
        Refusal::ReadOnly => "; the URL leads to a replica, use the master's",
        Refusal::Elsewhere => "; this is a node of a cluster, use redis+cluster://host",
        Refusal::WrongType => "; another program uses a key of this queue",
        _ => "",
    };
    Error::Broker(format!("Redis refused {sent}: {shown}{remedy}"))
}

/// Returns the advice for an error that lasts until an operator gives a right, corrects the
/// password or exchanges the server. None for any other error.
pub fn only_an_operator(text: &str, sent: Sent) -> Option<String> {
    let advice = match (Refusal::of(text, sent), sent) {
        (_, Sent::Command("AUTH")) if has_no_password(text) => {
            "this Redis has no password: remove the one in the Redis URL, or give the server that one (requirepass)"
        }
        (Refusal::NoAuth, _) => "put user and password into the URL: redis://user:password@host",
        (Refusal::WrongPass, _) => "look at user and password in the Redis URL",
        (Refusal::Protected, _) => "give the server a password, and put it into the URL: redis://:password@host",
        (Refusal::NoPermission, _) => {
            "give this right to the user of the Redis URL; docs/security.md has the ACL lines of all roles"
        }
        (Refusal::Other, Sent::Script(_)) => {
            "the user of the Redis URL needs the right to each of its commands (docs/security.md has the ACL lines of \
             all roles), and the server must have them (docs/redis.md)"
        }
        (Refusal::Other, Sent::Command("SELECT")) => {
            "use a database that the server has; a cluster has only 0, unless it is one of Valkey 9 with \
             cluster-databases, and some proxies have none (docs/redis.md)"
        }
        (Refusal::Other, Sent::Command("CLUSTER SLOTS")) => "if this is a single server, use redis://host",
        (Refusal::Other, Sent::Command("SENTINEL GET-MASTER-ADDR-BY-NAME")) => {
            "if this is not a Sentinel, use redis://host"
        }
        (Refusal::Other, Sent::Command(_)) => {
            "docs/redis.md lists the commands that a server, or a proxy before it, must have"
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUSH: Sent = Sent::Command("LPUSH");
    const EXCHANGE: Sent = Sent::Script("exchange");

    #[test]
    fn each_code_says_whether_the_same_command_may_succeed_later() {
        for (text, temporary) in [
            ("LOADING Redis is loading the dataset in memory", true),
            ("TRYAGAIN Multiple keys request during rehashing of slot", true),
            ("CLUSTERDOWN The cluster is down", true),
            ("MASTERDOWN Link with MASTER is down", true),
            ("BUSY Redis is busy running a script", true),
            ("UNBLOCKED force unblock from blocking operation", true),
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

    /// Redis 6.2 writes this form.
    #[test]
    fn a_code_inside_the_error_of_a_script_is_found() {
        let inside = |what| format!("ERR Error running script (call to f_0): @user_script:1: @user_script: 1: {what}");
        let six = inside("-OOM command not allowed");
        assert_eq!(Refusal::of(&six, EXCHANGE), Refusal::NoMemory);
        assert_eq!(Refusal::of(&six, PUSH), Refusal::Other, "a command has its code in front");
        assert_eq!(Refusal::of(&inside("WRONGTYPE Operation against"), EXCHANGE), Refusal::WrongType);
        assert_eq!(Refusal::of(&inside("Unknown Redis command"), EXCHANGE), Refusal::Other);
        assert_eq!(Refusal::of("NOSCRIPT the OOM script", EXCHANGE), Refusal::NoScript, "the first word counts");
        assert!(can_not_work(&six));
        assert!(can_not_work("READONLY You can't write against a read only replica."));
        assert!(can_not_work("-MISCONF: no disk"));
        for text in ["ERR syntax error", "the server is busy", "MY_BUSY key", "OOMs", "MOVED 1 a:1", ""] {
            assert!(!can_not_work(text), "{text}");
        }
    }

    #[test]
    fn an_error_names_what_was_refused_and_says_what_to_do() {
        for (text, said) in [
            ("OOM no memory", "raise maxmemory"),
            ("READONLY no", "use the master's"),
            ("MOVED 1 a:1", "use redis+cluster://host"),
            ("WRONGTYPE Operation", "another program uses a key"),
            ("MISCONF no disk", "MISCONF no disk"),
        ] {
            let error = redis_error(text, PUSH);
            assert!(matches!(&error, Error::Broker(error) if error.contains(said)), "{error:?}");
        }
        assert!(matches!(redis_error("LOADING wait", PUSH), Error::Unavailable(_)));
        for (text, sent, said) in [
            ("NOAUTH Authentication required.", PUSH, "put user and password into the URL"),
            ("DENIED it is in protected mode", Sent::Command("SELECT"), "give the server a password"),
            ("NOPERM no permissions to run the 'lpush' command", PUSH, "docs/security.md"),
            ("ERR unknown command 'LPUSH'", PUSH, "docs/redis.md lists the commands"),
            ("ERR DB index is out of range", Sent::Command("SELECT"), "use a database that the server has"),
            ("ERR no", Sent::Command("CLUSTER SLOTS"), "use redis://host"),
            ("ERR no", Sent::Command("SENTINEL GET-MASTER-ADDR-BY-NAME"), "if this is not a Sentinel"),
        ] {
            match redis_error(text, sent) {
                Error::Denied(error) => {
                    assert!(error.starts_with(&format!("Redis refused {sent}: {text}; ")), "{error}");
                    assert!(error.contains(said), "{error}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// The texts are those of Redis 6 and later, and of older ones.
    #[test]
    fn a_password_for_a_server_without_one_is_named_as_the_fault() {
        for text in [
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
            "ERR Client sent AUTH, but no password is set",
            // As redis-py gives it to the control plane.
            "WRONGPASS Client sent AUTH, but no password is set",
        ] {
            let Error::Denied(shown) = redis_error(text, Sent::Command("AUTH")) else { panic!("{text}") };
            assert!(shown.contains("; this Redis has no password: remove the one in the Redis URL"), "{shown}");
        }
        let quoted = "ERR unknown command 'AUTH', with args beginning with: 'no password is set' ";
        let Error::Denied(shown) = redis_error(quoted, Sent::Command("AUTH")) else { panic!() };
        assert!(shown.contains("docs/redis.md"), "{shown}");
    }

    #[test]
    fn the_arguments_that_a_server_quotes_are_not_shown() {
        for (text, sent) in [
            ("ERR unknown command 'AUTH', with args beginning with: 'user' 'hidden' ", Sent::Command("AUTH")),
            ("ERR unknown command `AUTH`, in other words: hidden", Sent::Command("AUTH")),
            ("ERR unknown command 'LPUSH', with args beginning with: 'key' 'hidden' ", PUSH),
            ("ERR unknown command 'EVALSHA', with args beginning with: '0b16' 'hidden' ", EXCHANGE),
        ] {
            let error = redis_error(text, sent);
            let Error::Denied(shown) = &error else { panic!("{error:?}") };
            assert!(shown.contains("ERR") && !shown.contains("hidden"), "{shown}");
        }
    }

    /// The texts are those of Redis 7.2 and later, of 7.0, of 6.2, and of Valkey 9.1, which does
    /// not have the digest of the script.
    #[test]
    fn a_script_that_was_refused_a_command_is_named_however_the_server_says_it() {
        for text in [
            "ERR ACL failure in script: User worker has no permissions to run the 'hmget' command script: 0b16, on \
             @user_script:7.",
            "ERR The user executing the script can't run this command or subcommand script: 0b16, on @user_script:7.",
            "ERR Error running script (call to f_0b16): @user_script:7: @user_script: 7: The user executing the script \
             can't run this command or subcommand",
            "ERR ACL failure in script: User worker has no permissions to run the 'hmget' command script: on \
             @user_script:7.",
            "ERR Unknown Redis command called from script script: 0b16, on @user_script:7.",
            "ERR in the words of a server of tomorrow",
        ] {
            match redis_error(text, EXCHANGE) {
                Error::Denied(error) => {
                    assert!(error.starts_with("Redis refused the script exchange: ERR"), "{error}");
                    assert!(!error.contains("0b16") && !error.contains("user_script"), "{error}");
                    assert!(error.contains("docs/security.md") && error.contains("docs/redis.md"), "{error}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn the_line_at_which_a_script_stopped_is_not_shown() {
        let wrong_type = "WRONGTYPE Operation against a key";
        for text in [
            format!("{wrong_type} script: 0b16, on @user_script:7."),
            format!("{wrong_type} script: on @user_script:7."),
            format!("ERR Error running script (call to f_0b16): @user_script:7: @user_script: 7: {wrong_type}"),
            format!("ERR Error running script (call to f_0b16): @user_script:7: {wrong_type}"),
            wrong_type.to_owned(),
        ] {
            let error = redis_error(&text, EXCHANGE).to_string();
            let start = format!("Redis refused the script exchange: {wrong_type}; another program");
            assert!(error.starts_with(&start), "{error}");
        }
    }

    #[test]
    fn other_errors_do_not_need_an_operator() {
        for text in ["WRONGTYPE Operation against a key", "OOM command not allowed", "MOVED 1 a:1", "LOADING wait"] {
            assert!(only_an_operator(text, PUSH).is_none(), "{text}");
            assert!(only_an_operator(text, EXCHANGE).is_none(), "{text}");
        }
    }
}
