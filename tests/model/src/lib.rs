//! A model of the protocol between workers, schedulers and Redis, and a
//! breadth-first search of all its states; see README.md.
//!
//! Why: docs/decisions/0025-a-model-of-our-own.md

#![warn(missing_docs)]

pub mod action;
pub mod arrive;
pub mod condemn;
pub mod enabled;
pub mod ends;
pub mod faults;
pub mod limit;
pub mod list;
pub mod lock;
pub mod mutant;
pub mod operator;
pub mod periodic;
pub mod process;
pub mod properties;
pub mod redis;
pub mod scheduler;
pub mod scope;
pub mod search;
pub mod state;
pub mod symmetry;
pub mod tasks;
pub mod worker;
