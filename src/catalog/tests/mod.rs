//! Tests of what several files of the catalog do together, by theme.

mod apply;
mod bounds;
mod bring;
mod channels;
mod compared;
mod edit;
mod items;
mod locations;
mod open;
mod outbox;
mod overview;
mod plans;
mod put;
mod scrub;
mod sources;
mod speed;
mod trie;
mod wanted;
