use super::*;
use crate::manifest::{MAX_FILE, PAGE};

const CHUNK: u32 = 10;
const GROUP: GroupCommit = GroupCommit { bytes: 200, ms: 500 };
const CONFIG: TransferConfig = TransferConfig { range: 4, window: 8, pages: 2, group: GROUP };

fn digest(chunk: u32) -> Digest {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&chunk.to_le_bytes());
    Digest(bytes)
}

fn range(first: u32, count: u32) -> ChunkRange {
    ChunkRange { first, count }
}

/// A file of so many chunks of 10 bytes, the last a little shorter, and its digests not here.
fn bare(chunks: u32) -> Transfer {
    let size = u64::from(chunks) * u64::from(CHUNK) - 3;
    Transfer::with_manifest(Digest([1; 32]), Manifest::with_chunk_size(size, CHUNK), CONFIG)
}

/// The same with the digests of its first page.
fn file(chunks: u32) -> Transfer {
    let mut transfer = bare(chunks);
    give_page(&mut transfer, 0);
    transfer
}

fn give_page(transfer: &mut Transfer, page: u32) {
    let digests = transfer.manifest().page_chunks(page).iter().map(|c| digest(c.0)).collect();
    transfer.handle(Millis(0), Input::Digests { page, digests });
}

fn outputs(transfer: &mut Transfer, now: u64) -> Vec<Output> {
    std::iter::from_fn(|| transfer.poll(Millis(now))).collect()
}

fn lease(transfer: &mut Transfer, first: u32, count: u32) {
    assert_eq!(transfer.wanted(range(first, count)), [range(first, count)]);
    transfer.handle(Millis(0), Input::Leased(range(first, count)));
}

fn end(transfer: &mut Transfer, first: u32, count: u32, queued: bool) {
    transfer.handle(Millis(0), Input::Ended { range: range(first, count), queued });
}

/// A chunk comes and is written at `now`.
fn arrive(transfer: &mut Transfer, now: u64, chunk: u32) {
    let verdict = transfer.receive(ChunkNo(chunk), &digest(chunk), 0);
    let Verdict::Write { file } = verdict else { panic!("chunk {chunk}: {verdict:?}") };
    transfer.handle(Millis(now), Input::Wrote { chunk: ChunkNo(chunk), file });
}

/// A range is asked for, comes, and is written at `now`.
fn fetch(transfer: &mut Transfer, now: u64, first: u32, count: u32) {
    lease(transfer, first, count);
    range(first, count).iter().for_each(|chunk| arrive(transfer, now, chunk.0));
    end(transfer, first, count, false);
}

fn synced(transfer: &mut Transfer, ticket: u64) {
    transfer.handle(Millis(0), Input::Synced(Ticket(ticket)));
}

fn recorded(page: u32, bits: &[u8]) -> Output {
    Output::Record(vec![HeldBits { page, bits: bits.to_vec() }])
}

/// FILE-2, FETCH-37: an empty file has no chunks, so it is whole at once.
#[test]
fn an_empty_file_commits_at_once() {
    let mut transfer = Transfer::new(Digest([0; 32]), 0, CONFIG).expect("small");
    assert_eq!(outputs(&mut transfer, 0), [Output::Commit]);
}

/// FILE-10: the root of a file of one chunk is its digest, so no page is asked for.
#[test]
fn one_chunk_is_verified_by_the_root() {
    let mut transfer = Transfer::new(digest(0), 1, CONFIG).expect("small");
    assert_eq!(outputs(&mut transfer, 0), [Output::Enqueue(vec![range(0, 1)])]);
    fetch(&mut transfer, 0, 0, 1);
    assert_eq!(outputs(&mut transfer, 0), [Output::Sync(Ticket(0))]);
    synced(&mut transfer, 0);
    assert_eq!(outputs(&mut transfer, 0), [recorded(0, &[1]), Output::Commit]);
}

/// FETCH-1: a bounded window of jobs stands in the queue, and is filled up when half of it is gone.
#[test]
fn the_window_is_refilled_when_it_is_half_empty() {
    let mut transfer = file(20);
    assert_eq!(outputs(&mut transfer, 0), [Output::Enqueue(vec![range(0, 4), range(4, 4)])]);
    lease(&mut transfer, 4, 4);
    fetch(&mut transfer, 0, 0, 3);
    assert_eq!(outputs(&mut transfer, 0), []);
    fetch(&mut transfer, 0, 3, 1);
    assert_eq!(outputs(&mut transfer, 0), [Output::Enqueue(vec![range(8, 4)])]);
}

/// FETCH-1: the chunks of a job stand on one page, so that one page proves all of them.
#[test]
fn jobs_end_at_page_boundaries() {
    let mut transfer = bare(PAGE + 2);
    let all_but_two: Vec<u8> = (0..PAGE / 8).map(|b| if b == 511 { 0x3f } else { 0xff }).collect();
    transfer.handle(Millis(0), Input::Held { page: 0, bits: &all_but_two });
    assert_eq!(outputs(&mut transfer, 0), [Output::NeedDigests(0)]);
    give_page(&mut transfer, 0);
    let jobs = Output::Enqueue(vec![range(PAGE - 2, 2)]);
    assert_eq!(outputs(&mut transfer, 0), [jobs, Output::NeedDigests(1)]);
    give_page(&mut transfer, 1);
    assert_eq!(outputs(&mut transfer, 0), [Output::Enqueue(vec![range(PAGE, 2)])]);
}

/// FETCH-2: only what is neither here nor in another request is asked for.
#[test]
fn wanted_leaves_out_what_is_asked_for_or_here() {
    let mut transfer = file(10);
    transfer.handle(Millis(0), Input::Held { page: 0, bits: &[0b10, 0] });
    transfer.handle(Millis(0), Input::Queued(range(0, 4)));
    lease(&mut transfer, 4, 2);
    assert_eq!(transfer.wanted(range(0, 8)), [range(0, 1), range(2, 2), range(6, 2)]);
    assert_eq!(transfer.wanted(range(8, u32::MAX)), [range(8, 2)]);
    assert_eq!(transfer.wanted(range(10, 1)), []);
    assert!(transfer.holds(range(1, 1)) && !transfer.holds(range(0, 2)));
}

/// FETCH-2: a job that stood in the queue has its digests asked for although nobody leases it yet.
#[test]
fn queued_chunks_need_their_digests() {
    let mut transfer = bare(PAGE + 2);
    transfer.handle(Millis(0), Input::Queued(range(PAGE, 2)));
    assert!(outputs(&mut transfer, 0).contains(&Output::NeedDigests(1)));
    assert!(!transfer.is_proven());
    give_page(&mut transfer, 1);
    assert!(transfer.is_proven());
}

/// FETCH-2: nothing is asked for before its digests are here; their page is asked for once.
#[test]
fn nothing_is_wanted_without_digests() {
    let mut transfer = bare(10);
    transfer.handle(Millis(0), Input::Queued(range(0, 10)));
    assert_eq!(transfer.wanted(range(0, 4)), []);
    assert_eq!(transfer.wanted(range(4, 4)), []);
    assert_eq!(outputs(&mut transfer, 0), [Output::NeedDigests(0)]);
    assert_eq!(transfer.wanted(range(0, 4)), []);
    assert_eq!(outputs(&mut transfer, 0), []);
    give_page(&mut transfer, 0);
    assert_eq!(transfer.wanted(range(0, 4)), [range(0, 4)]);
}

/// FILE-9: digests that could not be had are asked for again when they are needed.
#[test]
fn missed_digests_are_asked_for_again() {
    let mut transfer = bare(4);
    assert_eq!(outputs(&mut transfer, 0), [Output::NeedDigests(0)]);
    assert_eq!(outputs(&mut transfer, 0), []);
    transfer.handle(Millis(0), Input::NoDigests { page: 0 });
    assert_eq!(transfer.wanted(range(0, 4)), []);
    assert_eq!(outputs(&mut transfer, 0), [Output::NeedDigests(0)]);
}

/// FETCH-3, FETCH-31, FETCH-37: verified, written, synced, recorded, committed, in this order.
#[test]
fn a_chunk_is_held_only_after_write_and_sync() {
    let mut transfer = file(2);
    outputs(&mut transfer, 0);
    lease(&mut transfer, 0, 2);
    let verdict = transfer.receive(ChunkNo(0), &digest(0), 0);
    assert_eq!(verdict, Verdict::Write { file: 0 });
    assert_eq!(outputs(&mut transfer, 1000), []);
    transfer.handle(Millis(1000), Input::Wrote { chunk: ChunkNo(0), file: 0 });
    assert_eq!(transfer.wake_at(), Some(Millis(1500)));
    assert_eq!(outputs(&mut transfer, 1500), [Output::Sync(Ticket(0))]);
    assert_eq!(transfer.progress().held, 0);
    synced(&mut transfer, 0);
    assert_eq!(outputs(&mut transfer, 1500), [recorded(0, &[0b01])]);
    arrive(&mut transfer, 1600, 1);
    assert_eq!(outputs(&mut transfer, 1600), [Output::Sync(Ticket(1))]);
    synced(&mut transfer, 1);
    assert_eq!(outputs(&mut transfer, 1600), [recorded(0, &[0b11]), Output::Commit]);
    let done = Progress { held: 2, total: 2, bytes_held: 17, bytes_fetched: 17, bytes_twice: 0 };
    assert_eq!(transfer.progress(), done);
}

/// FETCH-4, FETCH-5: a corrupt chunk is discarded, counted against its sender, and asked for again
/// when the request is over.
#[test]
fn a_corrupt_chunk_is_asked_for_again() {
    let mut transfer = file(4);
    outputs(&mut transfer, 0);
    lease(&mut transfer, 0, 4);
    let verdict = transfer.receive(ChunkNo(2), &digest(9), 5);
    assert_eq!(verdict, Verdict::Discard(Reason::BadDigest));
    assert_eq!((transfer.bad_from(5), transfer.bad_from(6)), (1, 0));
    assert_eq!(transfer.progress().bytes_twice, 10);
    [0, 1, 3].into_iter().for_each(|chunk| arrive(&mut transfer, 0, chunk));
    assert_eq!(transfer.wanted(range(0, 4)), []);
    end(&mut transfer, 0, 4, false);
    assert_eq!(outputs(&mut transfer, 0), [Output::Enqueue(vec![range(2, 1)])]);
    assert_eq!(transfer.wanted(range(0, 4)), [range(2, 1)]);
}

/// FETCH-3: what comes twice, or was never asked for, is not written.
#[test]
fn duplicates_and_strangers_are_discarded() {
    let mut transfer = file(4);
    lease(&mut transfer, 0, 2);
    arrive(&mut transfer, 0, 0);
    let duplicate = transfer.receive(ChunkNo(0), &digest(0), 0);
    assert_eq!(duplicate, Verdict::Discard(Reason::Duplicate));
    for stranger in [2, 4, u32::MAX] {
        let verdict = transfer.receive(ChunkNo(stranger), &digest(stranger), 0);
        assert_eq!(verdict, Verdict::Discard(Reason::NotAsked));
    }
    let progress = transfer.progress();
    assert_eq!((progress.bytes_fetched, progress.bytes_twice), (30, 20));
    assert_eq!(transfer.bad_from(0), 0);
}

/// FETCH-6: what a request did not bring goes back to its job, or is queued again.
#[test]
fn an_ended_request_gives_back_what_did_not_come() {
    for (queued, expected) in [(true, vec![]), (false, vec![Output::Enqueue(vec![range(1, 3)])])] {
        let mut transfer = file(4);
        outputs(&mut transfer, 0);
        lease(&mut transfer, 0, 4);
        arrive(&mut transfer, 0, 0);
        end(&mut transfer, 0, 4, queued);
        assert_eq!(outputs(&mut transfer, 0), expected);
        assert_eq!(transfer.wanted(range(0, 4)), [range(1, 3)]);
    }
}

/// FETCH-2: a chunk that was lost while its request goes on stays with that request, so that no
/// other origin is asked for it and the end of the one does not free it for both.
#[test]
fn a_failed_write_is_asked_for_again_after_its_request() {
    let mut transfer = file(4);
    outputs(&mut transfer, 0);
    lease(&mut transfer, 0, 4);
    assert_eq!(transfer.receive(ChunkNo(1), &digest(1), 0), Verdict::Write { file: 0 });
    transfer.handle(Millis(0), Input::WriteFailed { chunk: ChunkNo(1), file: 0 });
    assert_eq!(transfer.wanted(range(0, 4)), []);
    end(&mut transfer, 0, 4, false);
    assert_eq!(transfer.wanted(range(0, 4)), [range(0, 4)]);
    lease(&mut transfer, 0, 1);
    assert_eq!(transfer.receive(ChunkNo(0), &digest(0), 0), Verdict::Write { file: 0 });
    end(&mut transfer, 0, 1, true);
    transfer.handle(Millis(0), Input::WriteFailed { chunk: ChunkNo(0), file: 0 });
    assert_eq!(transfer.wanted(range(0, 1)), [range(0, 1)]);
    assert_eq!(transfer.progress().bytes_twice, 20);
}

/// FETCH-32: a sync begins after so many bytes, or so many ms after the first of them.
#[test]
fn syncs_follow_bytes_and_time() {
    let mut transfer = bare(100);
    give_page(&mut transfer, 0);
    fetch(&mut transfer, 1000, 0, 19);
    transfer.handle(Millis(0), Input::Queued(range(19, 81)));
    assert_eq!(outputs(&mut transfer, 1499), []);
    fetch(&mut transfer, 1499, 19, 1);
    assert_eq!(outputs(&mut transfer, 1499), [Output::Sync(Ticket(0))]);
    synced(&mut transfer, 0);
    outputs(&mut transfer, 1499);
    fetch(&mut transfer, 2000, 20, 1);
    assert_eq!(outputs(&mut transfer, 2499), []);
    assert_eq!(transfer.wake_at(), Some(Millis(2500)));
    assert_eq!(outputs(&mut transfer, 2500), [Output::Sync(Ticket(1))]);
}

/// FETCH-31: a sync proves nothing about writes that ended after it began.
#[test]
fn what_is_written_during_a_sync_waits_for_the_next() {
    let mut transfer = file(3);
    outputs(&mut transfer, 0);
    lease(&mut transfer, 0, 3);
    arrive(&mut transfer, 0, 0);
    assert_eq!(outputs(&mut transfer, 500), [Output::Sync(Ticket(0))]);
    arrive(&mut transfer, 600, 1);
    arrive(&mut transfer, 600, 2);
    assert_eq!(outputs(&mut transfer, 5000), []);
    assert_eq!(transfer.wake_at(), None);
    synced(&mut transfer, 0);
    assert_eq!(outputs(&mut transfer, 5000), [recorded(0, &[0b001]), Output::Sync(Ticket(1))]);
    synced(&mut transfer, 0);
    assert_eq!(outputs(&mut transfer, 5000), []);
    synced(&mut transfer, 1);
    assert_eq!(outputs(&mut transfer, 5000), [recorded(0, &[0b111]), Output::Commit]);
}

/// FETCH-33: after a failed sync nothing in the file counts, and what is still under way to it
/// does not count in the next one.
#[test]
fn a_failed_sync_starts_a_new_file() {
    let mut transfer = file(4);
    outputs(&mut transfer, 0);
    fetch(&mut transfer, 0, 0, 1);
    outputs(&mut transfer, 500);
    synced(&mut transfer, 0);
    assert_eq!(outputs(&mut transfer, 500), [recorded(0, &[0b1])]);
    fetch(&mut transfer, 500, 1, 1);
    assert_eq!(outputs(&mut transfer, 1000), [Output::Sync(Ticket(1))]);
    lease(&mut transfer, 2, 2);
    assert_eq!(transfer.receive(ChunkNo(2), &digest(2), 0), Verdict::Write { file: 0 });
    transfer.handle(Millis(1000), Input::SyncFailed);
    let jobs = Output::Enqueue(vec![range(0, 2)]);
    assert_eq!(outputs(&mut transfer, 1000), [recorded(0, &[0]), Output::Abandon, jobs]);
    assert_eq!(transfer.receive(ChunkNo(2), &digest(2), 0), Verdict::Write { file: 1 });
    transfer.handle(Millis(1000), Input::Wrote { chunk: ChunkNo(2), file: 0 });
    transfer.handle(Millis(1000), Input::WriteFailed { chunk: ChunkNo(2), file: 0 });
    synced(&mut transfer, 1);
    assert_eq!(outputs(&mut transfer, 9000), []);
    transfer.handle(Millis(9000), Input::Wrote { chunk: ChunkNo(2), file: 1 });
    arrive(&mut transfer, 9000, 3);
    end(&mut transfer, 2, 2, false);
    fetch(&mut transfer, 9000, 0, 2);
    assert_eq!(outputs(&mut transfer, 9000), [Output::Sync(Ticket(2))]);
    synced(&mut transfer, 2);
    assert_eq!(outputs(&mut transfer, 9000), [recorded(0, &[0xf]), Output::Commit]);
    assert_eq!((transfer.file(), transfer.progress().bytes_twice), (1, 30));
}

/// FETCH-33: a commit that fails is a failed sync; the file is fetched and committed again.
#[test]
fn a_failed_commit_starts_over() {
    let mut transfer = Transfer::new(digest(0), 1, CONFIG).expect("small");
    for ticket in 0..2 {
        outputs(&mut transfer, 0);
        fetch(&mut transfer, 0, 0, 1);
        outputs(&mut transfer, 0);
        synced(&mut transfer, ticket);
        assert_eq!(outputs(&mut transfer, 0), [recorded(0, &[1]), Output::Commit]);
        transfer.handle(Millis(0), Input::SyncFailed);
    }
}

/// FETCH-34: after a clean stop what is held and what is queued is neither asked for nor queued again.
#[test]
fn a_clean_restart_goes_on_where_it_was() {
    let mut transfer = file(16);
    transfer.handle(Millis(0), Input::Held { page: 0, bits: &[0xff, 0b1] });
    transfer.handle(Millis(0), Input::Held { page: 1, bits: &[0xff] });
    transfer.handle(Millis(0), Input::Queued(range(9, 4)));
    assert_eq!(outputs(&mut transfer, 0), [Output::Enqueue(vec![range(13, 3)])]);
    let progress = transfer.progress();
    assert_eq!((progress.held, progress.bytes_held), (9, 90));
    fetch(&mut transfer, 0, 9, 7);
    assert_eq!(outputs(&mut transfer, 0), [Output::Sync(Ticket(0))]);
}

/// FETCH-35: after an unclean stop chunks on disk are read back; they count if they are right, and
/// are fetched if not. Meanwhile they are not asked for.
#[test]
fn suspect_chunks_are_read_back_first() {
    let mut transfer = bare(6);
    transfer.handle(Millis(0), Input::Suspect { page: 0, bits: &[0b11_1110] });
    let first = [recorded(0, &[0b11_1110]), Output::NeedDigests(0)];
    assert_eq!(outputs(&mut transfer, 0), first);
    give_page(&mut transfer, 0);
    let jobs = Output::Enqueue(vec![range(0, 1)]);
    let checks = [Output::Recheck(range(1, 4)), Output::Recheck(range(5, 1)), jobs];
    assert_eq!(outputs(&mut transfer, 0), checks);
    assert_eq!(transfer.wanted(range(0, 6)), [range(0, 1)]);
    for chunk in 1..6 {
        let read = [None, Some(digest(9)), Some(digest(chunk))][chunk.min(3) as usize - 1];
        transfer.handle(Millis(0), Input::Checked { chunk: ChunkNo(chunk), digest: read });
    }
    let jobs = Output::Enqueue(vec![range(1, 2)]);
    assert_eq!(outputs(&mut transfer, 0), [recorded(0, &[0b11_1000]), jobs]);
    fetch(&mut transfer, 0, 0, 3);
    assert_eq!(outputs(&mut transfer, 0), [Output::Sync(Ticket(0))]);
    synced(&mut transfer, 0);
    assert_eq!(outputs(&mut transfer, 0), [recorded(0, &[0b11_1111]), Output::Commit]);
    assert_eq!(transfer.progress().bytes_fetched, 30);
}

/// FETCH-35: a second unclean stop, before all was read back, forgets nothing of the first; a
/// stop then is not a clean one.
#[test]
fn bits_of_unchecked_chunks_stay() {
    let mut transfer = file(8);
    transfer.handle(Millis(0), Input::Suspect { page: 0, bits: &[0b1111_0000] });
    outputs(&mut transfer, 0);
    assert_eq!(transfer.unchecked(), 4);
    transfer.handle(Millis(0), Input::Checked { chunk: ChunkNo(4), digest: Some(digest(4)) });
    transfer.handle(Millis(0), Input::Checked { chunk: ChunkNo(5), digest: None });
    assert_eq!(outputs(&mut transfer, 500)[0], Output::Sync(Ticket(0)));
    transfer.handle(Millis(0), Input::Checked { chunk: ChunkNo(6), digest: Some(digest(6)) });
    synced(&mut transfer, 0);
    let sync = Output::Sync(Ticket(1));
    assert_eq!(outputs(&mut transfer, 600), [recorded(0, &[0b1101_0000]), sync]);
    assert_eq!(transfer.unchecked(), 1);
    transfer.handle(Millis(0), Input::SyncFailed);
    assert_eq!(outputs(&mut transfer, 600)[..2], [recorded(0, &[0]), Output::Abandon]);
    assert_eq!(transfer.unchecked(), 0);
}

/// FETCH-33: bits that a failed sync takes back were perhaps stored long before: chunks that were
/// read back and not yet synced again must not stand in the queue as held.
#[test]
fn a_failed_sync_takes_back_the_bits_of_chunks_read_back() {
    let mut transfer = file(2);
    transfer.handle(Millis(0), Input::Suspect { page: 0, bits: &[0b11] });
    outputs(&mut transfer, 0);
    for chunk in 0..2 {
        let digest = Some(digest(chunk));
        transfer.handle(Millis(0), Input::Checked { chunk: ChunkNo(chunk), digest });
    }
    assert_eq!(outputs(&mut transfer, 0), [Output::Sync(Ticket(0))]);
    transfer.handle(Millis(0), Input::SyncFailed);
    assert_eq!(outputs(&mut transfer, 0)[..2], [recorded(0, &[0]), Output::Abandon]);
}

/// FETCH-35: reading back is bounded by the window, like fetching.
#[test]
fn reading_back_is_bounded() {
    let mut transfer = file(20);
    transfer.handle(Millis(0), Input::Suspect { page: 0, bits: &[0xff; 3] });
    let checks = [Output::Recheck(range(0, 4)), Output::Recheck(range(4, 4))];
    assert_eq!(outputs(&mut transfer, 0)[1..], checks);
    transfer.handle(Millis(0), Input::Checked { chunk: ChunkNo(0), digest: Some(digest(0)) });
    assert_eq!(outputs(&mut transfer, 0), [Output::Recheck(range(8, 1))]);
}

/// FETCH-36: a chunk copied from other content counts once it is verified and durable.
#[test]
fn copied_chunks_are_not_fetched() {
    let mut transfer = file(4);
    let copied =
        |chunk, right| Input::Copied { chunk: ChunkNo(chunk), digest: digest(right), file: 0 };
    transfer.handle(Millis(0), copied(0, 0));
    transfer.handle(Millis(0), copied(1, 9));
    lease(&mut transfer, 3, 1);
    transfer.handle(Millis(0), copied(3, 3));
    transfer.handle(Millis(0), Input::Copied { chunk: ChunkNo(2), digest: digest(2), file: 1 });
    assert_eq!(transfer.wanted(range(0, 4)), [range(1, 2)]);
    arrive(&mut transfer, 0, 3);
    outputs(&mut transfer, 500);
    synced(&mut transfer, 0);
    assert!(transfer.holds(range(0, 1)));
}

/// FILE-9: few pages are kept, but never fewer than chunks wait for.
#[test]
fn pages_are_dropped_unless_chunks_wait_for_them() {
    let mut transfer = bare(4 * PAGE);
    (0..2).for_each(|page| give_page(&mut transfer, page));
    lease(&mut transfer, 0, 1);
    give_page(&mut transfer, 2);
    assert_eq!(transfer.pages.kept(), 2);
    assert_eq!(transfer.wanted(range(PAGE, 1)), []);
    lease(&mut transfer, 2 * PAGE, 1);
    give_page(&mut transfer, 3);
    assert_eq!(transfer.pages.kept(), 3);
    [0, 2 * PAGE].into_iter().for_each(|chunk| arrive(&mut transfer, 0, chunk));
    give_page(&mut transfer, 1);
    assert_eq!(transfer.pages.kept(), 2);
    give_page(&mut transfer, 0);
    assert_eq!(transfer.wanted(range(0, 4)), [range(1, 3)]);
}

/// FILE-9: a page all of whose chunks are held is not kept.
#[test]
fn a_page_is_dropped_when_its_chunks_are_held() {
    let mut transfer = bare(PAGE + 2);
    (0..2).for_each(|page| give_page(&mut transfer, page));
    fetch(&mut transfer, 0, PAGE, 2);
    assert!(outputs(&mut transfer, 500).contains(&Output::Sync(Ticket(0))));
    assert_eq!(transfer.pages.kept(), 2);
    synced(&mut transfer, 0);
    assert_eq!(transfer.pages.kept(), 1);
}

/// FILE-1: the largest file is one byte of state a chunk, and as bounded in what it says.
#[test]
fn the_largest_file_is_bounded() {
    let mut transfer =
        Transfer::new(Digest([1; 32]), MAX_FILE, TransferConfig::default()).expect("fits");
    assert_eq!(outputs(&mut transfer, 0), [Output::NeedDigests(0)]);
    give_page(&mut transfer, 0);
    let said = outputs(&mut transfer, 0);
    let Output::Enqueue(jobs) = &said[0] else { panic!("{said:?}") };
    assert_eq!((jobs.len(), said.len()), (64, 1));
    assert!(Transfer::new(Digest([1; 32]), MAX_FILE + 1, TransferConfig::default()).is_err());
}
