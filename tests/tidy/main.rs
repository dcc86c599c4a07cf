//! What the compiler does not hold us to: layers, sizes, habits, and that specification, code and
//! tests name the same requirements.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod failures;
mod habits;
mod layers;
mod requirements;
mod source;
