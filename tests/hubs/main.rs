//! Whole hubs in one process, talking over loopback.
#![allow(missing_docs, reason = "a test binary")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod adopt;
mod audit;
mod backup;
mod backup_send;
mod clones;
mod cloud;
mod craft;
mod dav;
mod dav_client;
mod dav_files;
mod dav_restore;
mod faults_away;
mod faults_bytes;
mod faults_change;
mod faults_clocks;
mod faults_cuts;
mod faults_names;
mod faults_path;
mod faults_power;
mod faults_rebuild;
mod faults_rights;
mod faults_room;
mod faults_stop;
mod harness;
mod items;
mod limits;
mod operations;
mod path;
mod photos;
mod places;
mod proxy;
mod reading;
mod rotation;
mod scrub;
mod sources;
mod sweep;
mod tenants;
mod watch;
mod wire;
