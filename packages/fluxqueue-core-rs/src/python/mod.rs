//! Python's view of the core besides `Producer` and `Consumer`.

pub mod functions;
pub mod settings;
pub mod text;
