//! Errors about rights: what Redis refused, and where to get the right.

use crate::scripts;

/// The advice for an error reply about a right; None for any other error.
pub fn remedy(text: &str) -> Option<String> {
    let code = text.split_whitespace().next().unwrap_or_default();
    match code {
        "NOAUTH" => Some("put user and password into the URL: redis://user:password@host".into()),
        "WRONGPASS" => Some("look at user and password in the Redis URL".into()),
        "NOPERM" => Some(right("")),
        // A command inside a script. Only Redis 7.2 and later say which.
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

    /// As Redis 7.2, 7.0 and 6.2 say it.
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
                let remedy = remedy(&text).expect("a right is missing");
                assert!(remedy.starts_with(&format!("the script {name} was not allowed")), "{remedy}");
                assert!(remedy.contains("docs/security.md"), "{remedy}");
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
