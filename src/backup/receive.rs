//! A backup that is brought over the network: statements of the channel's owner, and bytes.
//!
//! Owns: who may bring, which bytes are taken. Not here: HTTP (`web`), merging (`packets`).
//! Invariant: bytes are taken only of what the catalog lacks and awaits from a backup, for which quota and
//! disk were reserved; content becomes visible only when each of its chunks was compared in its place.
//! Spec: BACKUP-22, BACKUP-23, BACKUP-25, BACKUP-27 to BACKUP-29, BACKUP-31, ID-20.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};
use zotferry_backup::{Awaited, Came, Standing, Taken, Text};
use zotferry_protocol::codec;
use zotferry_protocol::ids::{ChunkNo, Digest, Millis, ResourceId};
use zotferry_protocol::manifest::{INLINE_DIGESTS, Manifest, page_of};
use zotferry_protocol::merkle::{self, verify_page};
use zotferry_protocol::packets::{OpReport, Operation};
use zotferry_protocol::refusal::{Code, Refusal};
use zotferry_protocol::restore::{Restore, SignedRestore, Step};

use super::restore::renew;
use crate::catalog::{Channel, ChannelNo, Data, Source};
use crate::chunker::{Assembly, ChunkSink};
use crate::hub::{Hub, Turn};
use crate::packets::{merge_answer, unavailable};
use crate::storage::{SMALL, Storage};

/// Statements that are remembered as verified.
const REMEMBERED: usize = 1024;
/// Seconds after which one that was refused for want of a place may come back.
const LATER: u32 = 2;

/// What the requests share.
pub struct Bringers {
    hub: Arc<Hub>,
    /// Statements that were verified.
    known: Mutex<HashMap<[u8; 32], Known>>,
}

/// A statement that was verified.
#[derive(Clone)]
struct Known {
    until: Millis,
    channel: ChannelNo,
    /// The key that signed it.
    key: String,
}

/// Where a body goes.
enum Into {
    /// It is small: into memory, and then into a row.
    Memory(BytesMut),
    Partial(Arc<Assembly>),
}

/// A body that may be taken.
pub struct Body {
    bringers: Arc<Bringers>,
    channel: Channel,
    rows: Vec<Data>,
    manifest: Manifest,
    into: Into,
    first: u32,
    next: u32,
    sink: Option<ChunkSink>,
    _place: Turn,
}

impl Bringers {
    /// For one hub.
    pub fn new(hub: Arc<Hub>) -> Arc<Self> {
        Arc::new(Self { hub, known: Mutex::default() })
    }

    /// BACKUP-27: the channel of a statement that counts, and what it says.
    async fn admit(&self, bytes: &[u8]) -> Result<(Channel, Restore), Refusal> {
        let signed: SignedRestore = codec::decode_map(bytes)?;
        let id = signed.claimed_channel()?;
        let channel = self.hub.catalog.channel_by_id(&id).await.map_err(|e| unavailable(&e))?;
        let channel = channel.ok_or(Code::UnknownChannel)?;
        if !self.hub.lives_here(channel.id).await.map_err(|e| unavailable(&e))? {
            return Err(Code::UnknownChannel.into());
        }
        let chain = self.hub.chain(&channel).await.map_err(|e| unavailable(&e))?;
        let (site, now) = (self.hub.site_id.clone(), self.hub.clock.now());
        let verifying = move || signed.verify(chain.newest(), &site, now);
        let verified = tokio::task::spawn_blocking(verifying).await.map_err(|e| unavailable(&e))?;
        Ok((channel, verified?.into_said()))
    }

    /// The right to bring bytes, which is verified once and shown often: until it expires, the channel has
    /// another key, or it has left.
    async fn may_bring(&self, statement: &[u8]) -> Result<Channel, Refusal> {
        let name: [u8; 32] = Sha256::digest(statement).into();
        let now = self.hub.clock.now();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        if let Some(known) = known.filter(|known| now <= known.until) {
            let channel = self.hub.catalog.channel(known.channel).await;
            let channel = channel.map_err(|_| Refusal::new(Code::UnknownChannel))?;
            let here = self.hub.lives_here(channel.id).await.map_err(|e| unavailable(&e))?;
            if here && channel.public_pem == known.key {
                return Ok(channel);
            }
        }
        let (channel, said) = self.admit(statement).await?;
        if said.step != Step::Bytes {
            return Err(Refusal::with(Code::BadField, "not a statement about bytes"));
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, known| now <= known.until);
        if known.len() < REMEMBERED {
            let key = channel.public_pem.clone();
            known.insert(name, Known { until: said.expires, channel: channel.id, key });
        }
        Ok(channel)
    }

    /// A statement, and what follows from it.
    pub async fn take(&self, bytes: &[u8]) -> Result<Taken, Refusal> {
        let (channel, said) = self.admit(bytes).await?;
        match said.step {
            Step::Begin => {
                renew(&self.hub, &channel).await.map_err(|e| unavailable(&e))?;
                Ok(Taken::default())
            }
            Step::Entries => self.entries(&channel, &said.operations).await,
            Step::Bytes => Ok(Taken::default()),
            Step::End => {
                let changed = self.hub.catalog.fetch_instead(channel.id).await;
                changed.map_err(|e| unavailable(&e))?;
                self.hub.tell_receiver();
                Ok(Taken::default())
            }
        }
    }

    /// BACKUP-22: merged like those of a clone.
    async fn entries(&self, channel: &Channel, operations: &[Operation]) -> Result<Taken, Refusal> {
        let reports = merge_answer(&self.hub, channel, self.hub.site, operations).await?;
        let came =
            |report: OpReport| Came { status: report.status, code: report.code.map(|c| c.0) };
        let entries: Vec<ResourceId> = operations
            .iter()
            .filter_map(|operation| Some(operation.entry()?.row.hash.clone()))
            .collect();
        let lacking = self.hub.catalog.lacking(channel.id, &entries).await;
        let lacking = lacking.map_err(|e| unavailable(&e))?.into_iter();
        let awaited = lacking.filter(|data| data.source == Source::Backup);
        let mut wanted: Vec<Awaited> =
            awaited.map(|d| Awaited { root: Text(d.root), size: d.size }).collect();
        wanted.sort_unstable_by_key(|awaited| awaited.root);
        wanted.dedup_by_key(|awaited| awaited.root);
        Ok(Taken { operations: reports.into_iter().map(came).collect(), wanted })
    }

    /// How far a content is. What of it was left by a request that broke off is read again.
    pub async fn standing(&self, statement: &[u8], root: Digest) -> Result<Standing, Refusal> {
        let channel = self.may_bring(statement).await?;
        let rows = self.rows(&channel, &root).await?;
        let size = rows[0].size;
        if rows.iter().any(|row| row.held && row.size == size) {
            return Ok(Standing { size, present: true, held: chunks(size)? });
        }
        let manifest = manifest(size)?;
        if size <= SMALL as u64 {
            return Ok(Standing { size, present: false, held: 0 });
        }
        let (storage, row, channel) = (Arc::clone(&self.hub.storage), rows[0].clone(), channel.id);
        let looking = move || -> Result<u32, Refusal> {
            let assembly = open(&*storage, channel, root, manifest)?;
            let mut held = 0;
            while assembly.resumed() && held < manifest.chunks() {
                let Some(digest) = digest(&*storage, &row, held)? else { break };
                let found = assembly.leaf(ChunkNo(held)).map_err(|e| unavailable(&e))?;
                if found != Some(digest) {
                    break;
                }
                held += 1;
            }
            Ok(held)
        };
        let held = tokio::task::spawn_blocking(looking).await.map_err(|e| unavailable(&e))??;
        Ok(Standing { size, present: false, held })
    }

    /// Digests of a content of more chunks than travel with its announcement; they prove themselves.
    pub async fn digests(
        &self,
        statement: &[u8],
        root: Digest,
        page: u32,
        digests: Vec<Digest>,
        path: Vec<Digest>,
    ) -> Result<(), Refusal> {
        let channel = self.may_bring(statement).await?;
        let rows = self.awaited(&channel, &root).await?;
        let manifest = manifest(rows[0].size)?;
        verify_page(&root, &manifest, page, &digests, &path)
            .map_err(|error| Refusal::with(Code::BadContent, error))?;
        let storage = Arc::clone(&self.hub.storage);
        let keeping = move || storage.put_digests(&root, manifest.chunks(), page, &digests);
        let kept = tokio::task::spawn_blocking(keeping).await.map_err(|e| unavailable(&e))?;
        kept.map_err(|e| unavailable(&e))
    }

    /// Begins to take a body, from a chunk on.
    pub async fn body(
        self: &Arc<Self>,
        statement: &[u8],
        root: Digest,
        first: u32,
    ) -> Result<Body, Refusal> {
        let channel = self.may_bring(statement).await?;
        // BACKUP-31.
        let place = self.hub.uploads.try_take(channel.id);
        let place = place.ok_or_else(|| Refusal::new(Code::TooMany).after(LATER))?;
        let rows = self.awaited(&channel, &root).await?;
        let manifest = manifest(rows[0].size)?;
        if first > manifest.chunks() {
            return Err(Code::BadRange.into());
        }
        let into = if manifest.size() <= SMALL as u64 {
            Into::Memory(BytesMut::new())
        } else {
            let (storage, channel) = (Arc::clone(&self.hub.storage), channel.id);
            let opening = move || open(&*storage, channel, root, manifest);
            let opened = tokio::task::spawn_blocking(opening).await.map_err(|e| unavailable(&e))?;
            Into::Partial(opened?)
        };
        let bringers = Arc::clone(self);
        let (next, sink) = (first, None);
        Ok(Body { bringers, channel, rows, manifest, into, first, next, sink, _place: place })
    }

    /// The rows of a content of a channel that are here, or awaited.
    async fn rows(&self, channel: &Channel, root: &Digest) -> Result<Vec<Data>, Refusal> {
        let rows = self.hub.catalog.rows_of(channel.id, root).await.map_err(|e| unavailable(&e))?;
        if rows.is_empty() { Err(Code::UnknownResource.into()) } else { Ok(rows) }
    }

    /// BACKUP-28: those that a backup is to bring.
    async fn awaited(&self, channel: &Channel, root: &Digest) -> Result<Vec<Data>, Refusal> {
        let mut rows = self.rows(channel, root).await?;
        rows.retain(|row| !row.held && row.source == Source::Backup);
        let size = rows.first().map(|row| row.size);
        rows.retain(|row| Some(row.size) == size);
        if rows.is_empty() { Err(Code::UnknownResource.into()) } else { Ok(rows) }
    }
}

impl Body {
    /// The next bytes.
    pub async fn push(&mut self, mut bytes: Bytes) -> Result<(), Refusal> {
        let too_many = || Refusal::with(Code::BadRange, "more bytes than the content has");
        let assembly = match &mut self.into {
            Into::Partial(assembly) => Arc::clone(assembly),
            Into::Memory(memory) => {
                memory.extend_from_slice(&bytes);
                let fits = memory.len() as u64 <= self.manifest.size();
                return if fits { Ok(()) } else { Err(too_many()) };
            }
        };
        while !bytes.is_empty() {
            let mut sink = match self.sink.take() {
                Some(sink) => sink,
                None if self.next < self.manifest.chunks() => {
                    assembly.sink(ChunkNo(self.next)).map_err(|e| unavailable(&e))?
                }
                None => return Err(too_many()),
            };
            let piece = bytes.split_to(bytes.len().min(sink.missing() as usize));
            sink.push(piece).map_err(|e| unavailable(&e))?;
            if sink.missing() > 0 {
                self.sink = Some(sink);
            } else {
                self.chunk(sink).await?;
            }
        }
        Ok(())
    }

    /// BACKUP-29: a whole chunk, in its place if it is the right one.
    async fn chunk(&mut self, sink: ChunkSink) -> Result<(), Refusal> {
        let (storage, row) = (Arc::clone(&self.bringers.hub.storage), self.rows[0].clone());
        let chunk = self.next;
        let writing = move || -> Result<(), Refusal> {
            let Some(expected) = digest(&*storage, &row, chunk)? else {
                return Err(Refusal::with(
                    Code::BadContent,
                    "the digests of its chunks are not here",
                ));
            };
            let filled = sink.finish().map_err(|e| unavailable(&e))?;
            if *filled.digest() != expected {
                return Err(Refusal::with(Code::BadContent, format_args!("chunk {chunk}")));
            }
            filled.write().map_err(|e| unavailable(&e))
        };
        tokio::task::spawn_blocking(writing).await.map_err(|e| unavailable(&e))??;
        self.next += 1;
        Ok(())
    }

    /// The body has ended. When it was the content's end as well, the content is here.
    pub async fn end(mut self) -> Result<Standing, Refusal> {
        self.sink = None;
        let (size, chunks) = (self.manifest.size(), self.manifest.chunks());
        let got = match &self.into {
            Into::Memory(memory) => memory.len() as u64 == size,
            Into::Partial(_) => self.next == chunks,
        };
        if !got {
            return Ok(Standing { size, present: false, held: self.next });
        }
        let hub = Arc::clone(&self.bringers.hub);
        let _until_named = hub.storing.read().await;
        let (storage, row) = (Arc::clone(&hub.storage), self.rows[0].clone());
        let into = std::mem::replace(&mut self.into, Into::Memory(BytesMut::new()));
        let first = self.first;
        let committing = move || match into {
            Into::Memory(memory) => keep_small(&*storage, &row, memory.freeze()),
            Into::Partial(assembly) => commit(&*storage, &row, &assembly, first),
        };
        let held = tokio::task::spawn_blocking(committing).await.map_err(|e| unavailable(&e))??;
        if let Some(held) = held {
            return Ok(Standing { size, present: false, held });
        }
        let ids: Vec<i64> = self.rows.iter().map(|row| row.id).collect();
        hub.catalog.mark_present(&ids).await.map_err(|e| unavailable(&e))?;
        hub.report_soon(self.channel.id);
        Ok(Standing { size, present: true, held: chunks })
    }
}

/// Stores bytes of at most one chunk, if they are the right ones.
fn keep_small(storage: &dyn Storage, row: &Data, bytes: Bytes) -> Result<Option<u32>, Refusal> {
    let root = if bytes.is_empty() { merkle::root(&[]) } else { merkle::leaf(&bytes) };
    if root != row.root {
        return Err(Refusal::with(Code::BadContent, "chunk 0"));
    }
    storage.put_many(&[(root, bytes)]).map(|()| None).map_err(|e| unavailable(&e))
}

/// Makes a content of a partial file in which all chunks from `first` on were compared; the first chunk
/// before that one that is not what it should be.
fn commit(
    storage: &dyn Storage,
    row: &Data,
    assembly: &Assembly,
    first: u32,
) -> Result<Option<u32>, Refusal> {
    // What an earlier request has brought is read again: nobody has recorded it.
    for chunk in 0..first {
        let found = assembly.leaf(ChunkNo(chunk)).map_err(|e| unavailable(&e))?;
        if found.is_none() || found != digest(storage, row, chunk)? {
            return Ok(Some(chunk));
        }
    }
    keep_digests(storage, row)?;
    assembly.commit().map(|()| None).map_err(|e| unavailable(&e))
}

fn manifest(size: u64) -> Result<Manifest, Refusal> {
    Manifest::of(size).map_err(|error| Refusal::with(Code::BadField, error))
}

fn chunks(size: u64) -> Result<u32, Refusal> {
    manifest(size).map(|manifest| manifest.chunks())
}

/// The partial file of a content; one that another request fills is asked for later.
fn open(
    storage: &dyn Storage,
    channel: ChannelNo,
    root: Digest,
    manifest: Manifest,
) -> Result<Arc<Assembly>, Refusal> {
    Assembly::open(storage, channel, root, manifest).map_err(|error| {
        tracing::debug!(%error, "a content that is being brought already");
        Refusal::new(Code::TooMany).after(LATER)
    })
}

/// The digest of a chunk, if it is known.
fn digest(storage: &dyn Storage, row: &Data, chunk: u32) -> Result<Option<Digest>, Refusal> {
    let all = chunks(row.size)?;
    if all == 1 {
        return Ok(Some(row.root));
    }
    if all <= INLINE_DIGESTS
        && let Some(digests) = &row.digests
    {
        return Ok(digests.get(chunk as usize).copied());
    }
    let page = page_of(ChunkNo(chunk));
    let digests = storage.digests(&row.root, all, page).map_err(|e| unavailable(&e))?;
    let first = page * zotferry_protocol::manifest::PAGE;
    Ok(digests.and_then(|digests| digests.get((chunk - first) as usize).copied()))
}

/// Digests that came with the announcement are kept with the content, as those of any other.
fn keep_digests(storage: &dyn Storage, row: &Data) -> Result<(), Refusal> {
    match &row.digests {
        Some(digests) if digests.len() > 1 => {
            let kept = storage.put_digests(&row.root, chunks(row.size)?, 0, digests);
            kept.map_err(|e| unavailable(&e))
        }
        _ => Ok(()),
    }
}
