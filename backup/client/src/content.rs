//! The bytes of one content, from the chunk on at which the hub stands.
//!
//! Owns: whether a content is worth sending, its digests, its bytes. Not here: which contents, requests.
//! Invariant: of a file no more is in memory than a few pieces.
//! Spec: BACKUP-29, BACKUP-30.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use reqwest::header::AUTHORIZATION;
use serde::Serialize;
use serde_bytes::ByteBuf;
use tokio::sync::mpsc;
use zotferry_backup::{Content, Reading, Standing};
use zotferry_protocol::codec;
use zotferry_protocol::ids::Digest;
use zotferry_protocol::manifest::{INLINE_DIGESTS, MIN_CHUNK};
use zotferry_protocol::merkle::{TreeBuilder, page_path};

use super::asking::TRIES;
use super::{SendError, Sending, own};

/// Bytes of a body that are read at once.
const PIECE: usize = 256 << 10;

impl Sending {
    /// One content; why it did not go, if that is its own affair.
    pub(super) async fn content(&self, content: &Content) -> Result<Option<String>, SendError> {
        let manifest = content.manifest().map_err(own)?;
        let missing = || Some("its data file is missing or damaged".to_owned());
        if content.bytes.is_none() && !self.is_whole(content).await? {
            return Ok(missing());
        }
        if manifest.chunks() > INLINE_DIGESTS
            && let Some(fault) = self.digests(content).await?
        {
            return Ok(Some(fault));
        }
        let mut from = 0;
        for _ in 0..TRIES {
            if manifest.chunks() > 1 {
                let standing = self.standing(content).await?;
                if standing.present {
                    return Ok(None);
                }
                from = standing.held;
            }
            match self.bytes(content, from).await {
                Ok(standing) if standing.present => return Ok(None),
                Ok(_) | Err(SendError::Away { .. }) => {}
                Err(SendError::Refused { text, .. }) if text.contains("bad-content") => {
                    return Ok(missing());
                }
                Err(error) => return Err(error),
            }
        }
        Err(self.away("the bytes of a file break off again and again"))
    }

    /// Whether the data file of a content is what it should be: what is damaged is not worth the way.
    async fn is_whole(&self, content: &Content) -> Result<bool, SendError> {
        let (backup, content) = (Arc::clone(&self.backup), content.clone());
        let looking = move || {
            let Ok(Some(file)) = backup.data(&content.root) else { return false };
            file.metadata().is_ok_and(|about| about.len() == content.size)
                && Reading::hashed(&file, &content).is_ok_and(|found| found.is_some())
        };
        tokio::task::spawn_blocking(looking).await.map_err(own)
    }

    /// The digests of a content of many chunks, page by page.
    async fn digests(&self, content: &Content) -> Result<Option<String>, SendError> {
        #[derive(Serialize)]
        struct Page {
            digests: ByteBuf,
            path: ByteBuf,
        }
        let reading = Reading::of(&self.backup, content)?;
        let Ok(reading) = reading else {
            return Ok(Some("the digests of its chunks are missing or damaged".to_owned()));
        };
        let manifest = reading.manifest;
        let all = |page| reading.digests(manifest.page_chunks(page));
        let mut tree = TreeBuilder::new();
        for page in 0..manifest.pages() {
            all(page).map_err(own)?.into_iter().for_each(|digest| tree.push(digest));
        }
        let roots = tree.page_roots();
        for page in 0..manifest.pages() {
            let joined = |digests: Vec<Digest>| {
                ByteBuf::from(digests.iter().flat_map(|digest| digest.0).collect::<Vec<u8>>())
            };
            let digests = joined(all(page).map_err(own)?);
            let body = codec::encode(&Page { digests, path: joined(page_path(&roots, page)) });
            let url = self.url.join(&format!("/zot/restore/{}/digests/{page}", content.root));
            let right = self.right().await?;
            let request = || self.http.put(&url).header(AUTHORIZATION, &right).body(body.clone());
            match self.ask::<serde_json::Value>(request).await {
                // It has come meanwhile, as another entry's.
                Err(SendError::Refused { text, .. }) if text.contains("unknown-resource") => {
                    return Ok(None);
                }
                other => drop(other?),
            }
        }
        Ok(None)
    }

    async fn standing(&self, content: &Content) -> Result<Standing, SendError> {
        let url = self.url.join(&format!("/zot/restore/{}", content.root));
        let right = self.right().await?;
        self.ask(|| self.http.get(&url).header(AUTHORIZATION, &right)).await
    }

    /// Bytes from a chunk on, in one request.
    async fn bytes(&self, content: &Content, from: u32) -> Result<Standing, SendError> {
        let url = self.url.join(&format!("/zot/restore/{}/{from}", content.root));
        let manifest = content.manifest().map_err(own)?;
        let offset = u64::from(from) * u64::from(manifest.chunk_size());
        let right = self.right().await?;
        let request = || {
            let body = match &content.bytes {
                Some(bytes) => reqwest::Body::from(bytes[offset as usize..].to_vec()),
                None => self.body(&content.root, offset),
            };
            self.http.put(&url).header(AUTHORIZATION, &right).body(body)
        };
        if content.size <= u64::from(MIN_CHUNK) {
            return self.ask(request).await;
        }
        // Where a large one broke off, the hub is asked first.
        self.once(&request).await
    }

    /// A data file from an offset on, read as it is sent.
    fn body(&self, root: &Digest, offset: u64) -> reqwest::Body {
        let (send, pieces) = mpsc::channel::<io::Result<Bytes>>(4);
        let (backup, root) = (Arc::clone(&self.backup), *root);
        tokio::task::spawn_blocking(move || {
            let gone = || io::Error::from(io::ErrorKind::NotFound);
            let opened = backup.data(&root).map_err(io::Error::other);
            let opened = opened
                .and_then(|file| file.ok_or_else(gone))
                .and_then(|mut file| file.seek(SeekFrom::Start(offset)).map(|_| file));
            let mut file = match opened {
                Ok(file) => file,
                Err(error) => return drop(send.blocking_send(Err(error))),
            };
            loop {
                let mut piece = vec![0; PIECE];
                let read = match file.read(&mut piece) {
                    Ok(0) => return,
                    Ok(read) => read,
                    Err(error) => return drop(send.blocking_send(Err(error))),
                };
                piece.truncate(read);
                if send.blocking_send(Ok(piece.into())).is_err() {
                    return;
                }
            }
        });
        let stream = stream::unfold(pieces, async |mut pieces| {
            pieces.recv().await.map(|piece| (piece, pieces))
        });
        reqwest::Body::wrap_stream(stream)
    }
}
