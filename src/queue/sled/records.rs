//! How jobs and bitmaps lie in sled: keys, values, what marks the whole.
//!
//! Owns: the bytes. Not here: when they are written.
//! Invariant: everything lies in one tree, so that one batch is one atomic change; a value is
//! smaller than 32 KiB, because sled keeps large ones in files of their own and forgets those.
//! Another layout gets another [`FORMAT`]; a queue of a format that is not ours is made again.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use zotferry_protocol::ids::Millis;

use super::table::{Row, State};
use crate::queue::{Job, Lane, Task};

/// Says which layout this is, and whose queue: [`FORMAT`], then the catalog's instance id.
pub(super) const OWNER: &[u8] = b"owner";
/// The stamp of the last stop, 8 bytes in big-endian order.
pub(super) const STAMP: &[u8] = b"stamp";
/// This layout.
pub(super) const FORMAT: u8 = 1;

const JOB: u8 = b'j';
const HELD: u8 = b'h';

/// One change of the tree.
#[derive(Debug)]
pub(super) enum Change {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    /// Every key that begins so.
    DeleteAll(Vec<u8>),
}

/// A job as it lies on disk. Whether it is leased is known to the process only.
#[derive(Serialize, Deserialize)]
struct Record {
    lane: Lane,
    task: Task,
    priority: u8,
    not_before: Millis,
    attempts: u32,
    last_error: Option<String>,
    key: Option<ByteBuf>,
    dead: bool,
}

/// The value of [`OWNER`].
pub(super) fn owner(instance: &uuid::Uuid) -> Vec<u8> {
    [&[FORMAT], instance.as_bytes().as_slice()].concat()
}

pub(super) fn job_key(id: u64) -> Vec<u8> {
    [&[JOB], id.to_be_bytes().as_slice()].concat()
}

pub(super) fn held_key(wanted: i64, page: u32) -> Vec<u8> {
    [held_prefix(wanted).as_slice(), &page.to_be_bytes()].concat()
}

/// What the keys of all bitmaps of a file begin with.
pub(super) fn held_prefix(wanted: i64) -> Vec<u8> {
    [&[HELD], wanted.to_be_bytes().as_slice()].concat()
}

/// The change that stores a row.
pub(super) fn put(row: &Row) -> Change {
    let Job { id, lane, task, priority, not_before, attempts, last_error } = row.job.clone();
    let key = row.key.clone().map(ByteBuf::from);
    let dead = row.state == State::Dead;
    let record = Record { lane, task, priority, not_before, attempts, last_error, key, dead };
    let value = rmp_serde::to_vec(&record).expect("plain data always encodes");
    Change::Put(job_key(id), value)
}

/// The row of a key and value, `None` when it is no job; an error when it cannot be read.
pub(super) fn row(key: &[u8], value: &[u8]) -> Result<Option<Row>, String> {
    let Some((&JOB, id)) = key.split_first() else {
        return Ok(None);
    };
    let id = id.try_into().map(u64::from_be_bytes).map_err(|_| "a job has a malformed key")?;
    let record: Record = rmp_serde::from_slice(value)
        .map_err(|error| format!("job {id} cannot be read: {error}"))?;
    let Record { lane, task, priority, not_before, attempts, last_error, key, dead } = record;
    let job = Job { id, lane, task, priority, not_before, attempts, last_error };
    let state = if dead { State::Dead } else { State::Waiting };
    Ok(Some(Row { job, key: key.map(ByteBuf::into_vec), state }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::job::kept_reason;
    use crate::queue::{MAX_BUNDLE, MAX_KEY};

    /// The largest job that passes the limits stays far below the size at which sled makes files.
    #[test]
    fn largest_job_is_a_small_value() {
        let task = Task::Bundle { wanted: vec![i64::MIN; MAX_BUNDLE] };
        let job = Job {
            id: u64::MAX,
            lane: Lane { channel: i64::MIN, site: i64::MIN },
            task,
            priority: u8::MAX,
            not_before: Millis(u64::MAX),
            attempts: u32::MAX,
            last_error: Some(kept_reason(&"é".repeat(10_000))),
        };
        let big = Row { job, key: Some(vec![0xff; MAX_KEY]), state: State::Dead };
        let Change::Put(key, value) = put(&big) else { panic!("a put") };
        assert!(value.len() < 4096, "{} bytes", value.len());
        let back = row(&key, &value).expect("readable").expect("a job");
        assert_eq!((back.job, back.key, back.state), (big.job, big.key, big.state));
    }
}
