//! The protocol's rules as properties: they hold for whatever comes.

mod frames;
mod merkle;
mod plan;
mod version;
