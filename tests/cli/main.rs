//! The command line as a person uses it: the real binary, real folders, real signals.

mod adopt;
mod backup;
mod demo;
mod edit;
mod files;
mod harness;
mod help;
mod hostile;
mod hub;
mod identity;
mod items;
mod passwords;
mod watch;
