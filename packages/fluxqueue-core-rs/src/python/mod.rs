//! What Python sees beside `Producer` and `Consumer`.

pub mod functions;
pub mod settings;
pub mod text;
