//! The conformance suite of the Zot file protocol: points at any hub, acts as a clone and as an origin, and says
//! which requirements it keeps.
//!
//! Owns: cases, their run and its reports. Not here: a hub; the suite knows `spec/` and the shapes that
//! `zotferry-protocol` gives to it, and nothing of the hub under test but its URL and a test channel's identity.
//! Invariant: a case says before it is run what exactly must come of it, and fails for anything else.

pub mod actor;
mod announced;
pub mod case;
pub mod client;
mod comparison;
pub mod content;
pub mod desk;
pub mod entry;
pub mod http;
pub mod keys;
pub mod known;
mod leaves;
pub mod options;
pub mod report;
pub mod requirements;
pub mod runner;
pub mod server;
mod sweep;
pub mod target;
pub mod watch;
pub mod wire;
pub mod world;
