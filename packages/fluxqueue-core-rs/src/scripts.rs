//! The Lua scripts: one file each in `python/fluxqueue_core/lua/`, so that they
//! ship in wheel and sdist, with the shared prelude before each.

use sha1_smol::Sha1;

use crate::errors::{Error, Result};

const PRELUDE: &str = include_str!("../python/fluxqueue_core/lua/prelude.lua");

/// At `maxmemory` even a renewal would fail, though settling frees memory. Redis
/// 7 lets a script say so; older servers do not know the line.
const FLAGS: &str = "#!lua flags=allow-oom\n";

macro_rules! scripts {
    ($($name:literal),* $(,)?) => {
        const SCRIPTS: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../python/fluxqueue_core/lua/", $name, ".lua")))),*
        ];
    };
}

scripts!("open", "exchange", "sweep", "bury", "move", "reclaim", "promote", "trim_dead");

/// The names of all scripts.
pub fn names() -> impl Iterator<Item = &'static str> {
    SCRIPTS.iter().map(|(name, _)| *name)
}

/// The whole text of a script; `flags` is false for a server older than 7.
pub fn text(name: &str, flags: bool) -> Result<String> {
    let body = SCRIPTS.iter().find(|(n, _)| *n == name).map(|(_, body)| *body);
    let body = body.ok_or_else(|| {
        let known: Vec<_> = names().collect();
        Error::Configuration(format!("no script {name:?}; there are {}", known.join(", ")))
    })?;
    let first = if flags { FLAGS } else { "" };
    Ok(format!("{first}{PRELUDE}{body}"))
}

/// The script that an error reply names by its digest, and the command that it
/// calls in the line which the reply names (`@user_script:12`).
pub fn command_at_fault(error: &str) -> Option<(&'static str, String)> {
    let (_, line) = error.split_once("@user_script:")?;
    let digits: String = line.trim_start().chars().take_while(char::is_ascii_digit).collect();
    let line: usize = digits.parse().ok()?;
    for name in names() {
        for flags in [true, false] {
            let script = Script::load(name, flags).ok()?;
            if error.contains(&script.digest) {
                let source = script.text.lines().nth(line.checked_sub(1)?)?;
                let (_, call) = source.split_once("redis.call('").or_else(|| source.split_once("redis.pcall('"))?;
                return Some((name, call.split('\'').next()?.to_owned()));
            }
        }
    }
    None
}

/// A script as a connection calls it: by its digest, with the text at hand for
/// a server that has forgotten it.
#[derive(Clone, Debug)]
pub struct Script {
    /// The whole text.
    pub text: String,
    /// Its SHA-1 in hexadecimal, for EVALSHA.
    pub digest: String,
}

impl Script {
    /// The script of that name.
    pub fn load(name: &str, flags: bool) -> Result<Script> {
        let text = text(name, flags)?;
        let digest = Sha1::from(text.as_bytes()).digest().to_string();
        Ok(Script { text, digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_the_first_line_or_absent() {
        assert!(text("open", true).expect("known").starts_with("#!lua flags=allow-oom\n"));
        assert!(!text("open", false).expect("known").contains("#!lua flags"));
        assert!(text("nonsense", true).is_err());
    }
}
