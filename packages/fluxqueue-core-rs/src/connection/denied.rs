//! What Redis does not let us do: which right is missing, and where to get it.

use crate::scripts;

/// What to do about an error reply that says so; None where it says something else.
pub fn remedy(text: &str) -> Option<String> {
    let code = text.split_whitespace().next().unwrap_or_default();
    match code {
        "NOAUTH" => Some("put user and password into the URL: redis://user:password@host".into()),
        "WRONGPASS" => Some("look at user and password in the Redis URL".into()),
        "NOPERM" => Some(right("")),
        // A command inside a script. Redis 7.2 names it; before, only its line is known.
        _ if is_in_script(text) => {
            let refused = scripts::command_at_fault(text);
            Some(right(&refused.map_or(String::new(), |(script, command)| {
                format!("the script {script} was not allowed to call {command} (+{}): ", command.to_lowercase())
            })))
        }
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

    /// As Redis 7.0 and 6.2 say it.
    #[test]
    fn the_missing_right_is_named() {
        for flags in [true, false] {
            let script = Script::load("exchange", flags).expect("known");
            let line = 1 + script.text.lines().position(|l| l.contains("redis.pcall('HMGET'")).expect("it is there");
            let seven = format!(
                "ERR The user executing the script can't run this command or subcommand script: {}, on @user_script:{line}.",
                script.digest
            );
            let six = format!(
                "ERR Error running script (call to f_{}): @user_script:{line}: @user_script: {line}: \
                 The user executing the script can't run this command or subcommand",
                script.digest
            );
            for text in [seven, six] {
                let remedy = remedy(&text).expect("a right is missing");
                assert!(remedy.contains("exchange was not allowed to call HMGET (+hmget)"), "{remedy}");
            }
        }
    }

    #[test]
    fn other_errors_are_not_about_rights() {
        for text in ["ERR syntax error", "WRONGTYPE Operation against a key", "OOM command not allowed", ""] {
            assert!(remedy(text).is_none(), "{text}");
        }
        assert!(remedy("NOPERM this user has no permissions to run the 'lpush' command").is_some());
        let unknown = "ERR The user executing the script can't run this command script: ab, on @user_script:7.";
        assert!(remedy(unknown).expect("a right is missing").starts_with("give this right"));
    }
}
