//! The scripts that a worker calls.

use crate::errors::Result;
use crate::scripts::Script;

/// Their texts and digests, in the form that the server accepts.
pub struct Scripts {
    /// open.lua
    pub open: Script,
    /// exchange.lua
    pub exchange: Script,
    has_flags: bool,
}

impl Scripts {
    /// The scripts for a server of version 7 or later.
    pub fn load() -> Result<Scripts> {
        Scripts::with_flags(true)
    }

    fn with_flags(flags: bool) -> Result<Scripts> {
        Ok(Scripts { open: Script::load("open", flags)?, exchange: Script::load("exchange", flags)?, has_flags: flags })
    }

    /// Removes the line of flags if this refusal says that the server does not know it. Returns
    /// true if you can send the same call again.
    pub fn adapt_to(&mut self, refusal: &str) -> Result<bool> {
        let is_older = self.has_flags && refusal.contains("ompiling script");
        if is_older {
            *self = Scripts::with_flags(false)?;
        }
        Ok(is_older)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_server_gets_the_scripts_without_flags_and_only_once() {
        let mut scripts = Scripts::load().expect("they are compiled in");
        let digest = scripts.open.digest.clone();
        assert!(!scripts.adapt_to("OOM command not allowed").expect("loaded"));
        assert_eq!(scripts.open.digest, digest);
        let refusal = "ERR Error compiling script (new function): user_script:1: unexpected symbol near '#'";
        assert!(scripts.adapt_to(refusal).expect("loaded"));
        assert_ne!(scripts.open.digest, digest);
        assert!(!scripts.adapt_to(refusal).expect("loaded"), "the flags are not to blame");
    }
}
