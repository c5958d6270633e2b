//! The scripts that a worker calls.

use crate::errors::Result;
use crate::scripts::Script;

/// Their texts and digests, in one form.
pub struct Scripts {
    /// open.lua
    pub open: Script,
    /// exchange.lua
    pub exchange: Script,
    /// Whether the server has sharded channels: they came with the line of flags.
    pub knows_shards: bool,
}

/// The form of the scripts that a server accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// With the line of flags, which Redis 7 and later know.
    #[default]
    Flags,
    /// Without it.
    Plain,
}

/// The scripts in both forms.
pub struct Forms {
    flags: Scripts,
    plain: Scripts,
}

impl Forms {
    /// Makes the scripts.
    pub fn load() -> Result<Forms> {
        let load = |flags| -> Result<Scripts> {
            let (open, exchange) = (Script::load("open", flags)?, Script::load("exchange", flags)?);
            Ok(Scripts { open, exchange, knows_shards: flags })
        };
        Ok(Forms { flags: load(true)?, plain: load(false)? })
    }

    /// The scripts in this form.
    pub fn of(&self, form: Form) -> &Scripts {
        match form {
            Form::Flags => &self.flags,
            Form::Plain => &self.plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_differ_in_the_flags() {
        let forms = Forms::load().expect("they are compiled in");
        assert!(forms.of(Form::default()).open.text.starts_with("#!lua"));
        assert!(!forms.of(Form::Plain).open.text.contains("#!lua"));
        assert_ne!(forms.of(Form::Flags).exchange.digest, forms.of(Form::Plain).exchange.digest);
    }
}
