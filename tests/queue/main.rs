//! The queue: one body of rules for both backends, the model, crashes, damage.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod backends;
mod crash;
mod damage;
mod durable;
mod fair;
mod model;
mod rewrite;
mod rules;
