//! The Python API of the core: settings and functions. `Producer`, `Consumer` and
//! `Deadlines` are in the folders of their code.

pub mod dialing;
pub mod functions;
pub mod generators;
pub mod interpreter;
pub mod settings;
pub mod signals;
pub mod text;
