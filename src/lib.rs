//! Zotferry carries a channel's files between its clones.
//!
//! The rules of the wire are in [`zotferry_protocol`]; this crate is the hub that lives by them.
//! `ARCHITECTURE.md` says which module knows what, and what never happens.

pub mod audit;
pub mod backup;
pub mod catalog;
pub mod channels;
pub mod chunker;
pub mod clone_sync;
pub mod cloud;
pub mod config;
pub mod dav;
pub mod durable;
pub mod files;
#[doc(hidden)]
pub mod fuzz;
pub mod hook;
pub mod hub;
pub mod hubzilla;
pub mod items;
pub mod keys;
pub mod local;
pub mod metrics;
pub mod packets;
pub mod passwords;
pub mod photo;
pub mod photos;
pub mod queue;
pub mod receiver;
pub mod service;
pub mod storage;
pub mod sweep;
pub mod text;
pub mod translate;
pub mod transport;
pub mod watch;
pub mod web;
