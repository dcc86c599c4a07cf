//! The client that brings a backup to a hub elsewhere.
//!
//! Owns: what is sent, in which order, how often it is tried. Not here: the hub's side (`receive`), the
//! backup (`zotferry_backup`). Nothing here needs a hub on this machine.
//! Invariant: entries go before their bytes, and bytes only of what the hub says it awaits; so it may be
//! broken off anywhere and done again.
//! Spec: BACKUP-22, BACKUP-26, BACKUP-30.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use tokio::sync::mpsc;
use uuid::Uuid;
use zotferry_backup::{Backup, Content, Reading};
use zotferry_protocol::codec;
use zotferry_protocol::envelope::MAX_LIFE;
use zotferry_protocol::identity::{BaseUrl, Signer};
use zotferry_protocol::ids::{Digest, Millis, PacketId, SiteId};
use zotferry_protocol::manifest::INLINE_DIGESTS;
use zotferry_protocol::merkle::{TreeBuilder, page_path};
use zotferry_protocol::packets::{OpStatus, Operation};
use zotferry_protocol::restore::{Restore, SignedRestore, Step};

use super::SaveError;
use super::receive::{Standing, Taken};
use super::restore::{AHEAD, Coming, Group, RestoreEvent, Restored, read_in};
use crate::hub::Clock;
use crate::transport::PACKET_TYPE;

/// Contents that are sent at the same time.
const AT_ONCE: usize = 8;
/// Bytes of a body that are read at once.
const PIECE: usize = 256 << 10;
/// Bytes of entries in one statement.
const ENTRIES: usize = 768 << 10;
/// How often a request is tried.
const TRIES: u32 = 6;
/// A statement is renewed when it has so long to live, in ms.
const RENEWED: u64 = MAX_LIFE / 2;

/// Why a backup could not be brought.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The hub could not be reached, or went away.
    #[error("{url}: {text}")]
    Away {
        /// Which hub.
        url: String,
        /// What went wrong.
        text: String,
    },
    /// The hub said no.
    #[error("{url} refuses: {text}")]
    Refused {
        /// Which hub.
        url: String,
        /// Its sentence.
        text: String,
    },
    /// The backup, or this machine.
    #[error(transparent)]
    Own(#[from] SaveError),
}

/// Brings a backup to the hub at a URL. `told` hears how far it is.
pub async fn send(
    backup: Arc<Backup>,
    url: &BaseUrl,
    key: Arc<dyn Signer>,
    told: mpsc::Sender<RestoreEvent>,
) -> Result<Restored, SendError> {
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    let http = http.build().map_err(|e| SaveError::Row(e.to_string()))?;
    let mut sending = Sending {
        site: SiteId::new("A".repeat(86)).map_err(|e| SaveError::Row(e.to_string()))?,
        http,
        url: url.clone(),
        backup,
        key,
        clock: Clock::from_env(),
        right: tokio::sync::Mutex::default(),
    };
    sending.site = sending.learn_site().await?;
    let header = sending.backup.header();
    let (nick, entries, bytes) = (header.nick.clone(), header.entries, header.bytes);
    told.send(RestoreEvent::Begun { channel: nick, entries, bytes }).await.ok();
    let _: Taken = sending.state(Step::Begin, Vec::new()).await?;
    let (give, mut groups) = mpsc::channel(AHEAD);
    let from = Arc::clone(&sending.backup);
    let reading = tokio::task::spawn_blocking(move || read_in(&from, &give, ENTRIES));
    let mut done = Restored::default();
    while let Some(group) = groups.recv().await {
        if told.is_closed() {
            return Err(SaveError::Stopped.into());
        }
        sending.group(group, &mut done, &told).await?;
    }
    reading.await.map_err(SaveError::from)??;
    let _: Taken = sending.state(Step::End, Vec::new()).await?;
    told.send(RestoreEvent::Done(done)).await.ok();
    Ok(done)
}

struct Sending {
    http: reqwest::Client,
    url: BaseUrl,
    site: SiteId,
    backup: Arc<Backup>,
    key: Arc<dyn Signer>,
    clock: Clock,
    /// The right to bring bytes: until when, and as it is shown.
    right: tokio::sync::Mutex<(Millis, String)>,
}

impl Sending {
    /// PKT-14: whom the statements name.
    async fn learn_site(&self) -> Result<SiteId, SendError> {
        #[derive(Deserialize)]
        struct Known {
            protocol: String,
            site_id: String,
        }
        let request = || self.http.get(self.url.join("/.well-known/zot-file"));
        let known: Known = self.ask(request).await?;
        let site = SiteId::new(known.site_id).ok().filter(|_| known.protocol == "zot-file");
        site.ok_or_else(|| self.away("it is no hub of this protocol"))
    }

    async fn group(
        &self,
        group: Group,
        done: &mut Restored,
        told: &mpsc::Sender<RestoreEvent>,
    ) -> Result<(), SendError> {
        for (path, reason) in group.troubles {
            trouble(done, told, path, reason).await;
        }
        if group.coming.is_empty() {
            return Ok(());
        }
        let operations: Vec<Operation> = group.coming.iter().map(|c| c.operation.clone()).collect();
        let taken: Taken = self.state(Step::Entries, operations).await?;
        for (coming, came) in group.coming.iter().zip(&taken.operations) {
            match came.status {
                OpStatus::Refused => {
                    let reason = came.code.map_or_else(String::new, |code| {
                        zotferry_protocol::refusal::CodeNumber(code).to_string()
                    });
                    trouble(done, told, coming.path.clone(), reason).await;
                }
                OpStatus::Stored if coming.first => done.taken += 1,
                _ => {}
            }
        }
        let firsts = || group.coming.iter().filter(|coming| coming.first);
        done.entries += firsts().count() as u64;
        let contents = || firsts().flat_map(|coming| &coming.contents);
        done.missing += contents().filter(|content| content.missing).count() as u64;
        self.contents(&group.coming, &taken, done, told).await?;
        done.bytes += contents().map(|content| content.size).sum::<u64>();
        told.send(RestoreEvent::Progress(*done)).await.ok();
        Ok(())
    }

    /// What the hub awaits of a group, several at once.
    async fn contents(
        &self,
        coming: &[Coming],
        taken: &Taken,
        done: &mut Restored,
        told: &mpsc::Sender<RestoreEvent>,
    ) -> Result<(), SendError> {
        let mut known: HashMap<Digest, (&Content, &str)> = HashMap::new();
        for coming in coming {
            known.extend(coming.contents.iter().map(|c| (c.root, (c, coming.path.as_str()))));
        }
        let wanted = taken.wanted.iter().filter_map(|awaited| known.get(&awaited.root.0));
        let sending =
            wanted.map(|(content, path)| async move { (self.content(content).await, *path) });
        let mut sent = stream::iter(sending.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
        while let Some((outcome, path)) = sent.next().await {
            match outcome? {
                None => done.files += 1,
                Some(fault) => trouble(done, told, path.to_owned(), fault).await,
            }
        }
        Ok(())
    }

    /// One content; why it did not go, if that is its own affair.
    async fn content(&self, content: &Content) -> Result<Option<String>, SendError> {
        let manifest = content.manifest().map_err(SaveError::Row)?;
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
        Ok(tokio::task::spawn_blocking(looking).await.map_err(SaveError::from)?)
    }

    /// The digests of a content of many chunks, page by page.
    async fn digests(&self, content: &Content) -> Result<Option<String>, SendError> {
        #[derive(Serialize)]
        struct Page {
            digests: ByteBuf,
            path: ByteBuf,
        }
        let reading = Reading::of(&self.backup, content).map_err(SaveError::from)?;
        let Ok(reading) = reading else {
            return Ok(Some("the digests of its chunks are missing or damaged".to_owned()));
        };
        let manifest = reading.manifest;
        let all = |page| reading.digests(manifest.page_chunks(page));
        let unreadable = |error: std::io::Error| SaveError::Row(error.to_string());
        let mut tree = TreeBuilder::new();
        for page in 0..manifest.pages() {
            all(page).map_err(unreadable)?.into_iter().for_each(|digest| tree.push(digest));
        }
        let roots = tree.page_roots();
        for page in 0..manifest.pages() {
            let joined = |digests: Vec<Digest>| {
                ByteBuf::from(digests.iter().flat_map(|digest| digest.0).collect::<Vec<u8>>())
            };
            let digests = joined(all(page).map_err(unreadable)?);
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
        let manifest = content.manifest().map_err(SaveError::Row)?;
        let offset = u64::from(from) * u64::from(manifest.chunk_size());
        let right = self.right().await?;
        let request = || {
            let body = match &content.bytes {
                Some(bytes) => reqwest::Body::from(bytes[offset as usize..].to_vec()),
                None => self.body(&content.root, offset),
            };
            self.http.put(&url).header(AUTHORIZATION, &right).body(body)
        };
        if content.size <= u64::from(zotferry_protocol::manifest::MIN_CHUNK) {
            return self.ask(request).await;
        }
        // Where a large one broke off, the hub is asked first.
        self.once(&request).await
    }

    /// A data file from an offset on, read as it is sent.
    fn body(&self, root: &Digest, offset: u64) -> reqwest::Body {
        let (send, pieces) = mpsc::channel::<std::io::Result<Bytes>>(4);
        let (backup, root) = (Arc::clone(&self.backup), *root);
        tokio::task::spawn_blocking(move || {
            let gone = || std::io::Error::from(std::io::ErrorKind::NotFound);
            let opened = backup.data(&root).map_err(std::io::Error::other);
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

    /// BACKUP-26: a statement.
    async fn signed(
        &self,
        step: Step,
        operations: Vec<Operation>,
    ) -> Result<(Millis, Vec<u8>), SendError> {
        let at = self.clock.now();
        let said = Restore {
            channel: self.backup.header().channel.0.clone(),
            site: self.site.clone(),
            id: PacketId(Uuid::now_v7().into_bytes()),
            at,
            expires: at.plus(MAX_LIFE),
            step,
            operations,
        };
        let (key, until) = (Arc::clone(&self.key), said.expires);
        let signing = move || SignedRestore::sign(&said, &*key);
        let signed = tokio::task::spawn_blocking(signing).await.map_err(SaveError::from)?;
        let signed = signed.map_err(|e| SaveError::Row(e.to_string()))?;
        Ok((until, codec::encode(&signed)))
    }

    async fn state<T: DeserializeOwned>(
        &self,
        step: Step,
        operations: Vec<Operation>,
    ) -> Result<T, SendError> {
        let (_, bytes) = self.signed(step, operations).await?;
        let url = self.url.join("/zot/restore");
        let request = || self.http.post(&url).header(CONTENT_TYPE, PACKET_TYPE).body(bytes.clone());
        self.ask(request).await
    }

    /// The right to bring bytes, as a request shows it.
    async fn right(&self) -> Result<String, SendError> {
        let mut right = self.right.lock().await;
        if right.0 < self.clock.now().plus(RENEWED) {
            let (until, bytes) = self.signed(Step::Bytes, Vec::new()).await?;
            *right = (until, format!("Zot-Restore {}", URL_SAFE_NO_PAD.encode(bytes)));
        }
        Ok(right.1.clone())
    }

    /// Asks until there is an answer that ends it.
    async fn ask<T: DeserializeOwned>(
        &self,
        request: impl Fn() -> reqwest::RequestBuilder,
    ) -> Result<T, SendError> {
        let mut pause = Duration::from_millis(250);
        for _ in 1..TRIES {
            match self.once(&request).await {
                Err(SendError::Away { .. }) => tokio::time::sleep(pause).await,
                other => return other,
            }
            pause *= 2;
        }
        self.once(&request).await
    }

    async fn once<T: DeserializeOwned>(
        &self,
        request: &impl Fn() -> reqwest::RequestBuilder,
    ) -> Result<T, SendError> {
        let sent = request().send().await;
        let response = sent.map_err(|error| self.away(&causes(&error)))?;
        let (status, later) = (response.status(), response.headers().contains_key(RETRY_AFTER));
        let body = response.bytes().await.map_err(|error| self.away(&causes(&error)))?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| self.away(&error.to_string()));
        }
        let text =
            format!("{status} {}", String::from_utf8_lossy(&body[..body.len().min(500)]).trim());
        if later || status.is_server_error() {
            return Err(self.away(&text));
        }
        Err(SendError::Refused { url: self.url.to_string(), text })
    }

    fn away(&self, text: &str) -> SendError {
        SendError::Away { url: self.url.to_string(), text: text.to_owned() }
    }
}

async fn trouble(
    done: &mut Restored,
    told: &mpsc::Sender<RestoreEvent>,
    path: String,
    reason: String,
) {
    done.troubles += 1;
    told.send(RestoreEvent::Trouble { path, reason }).await.ok();
}

/// An error with what is behind it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut behind = error.source();
    while let Some(cause) = behind {
        text = format!("{text}: {cause}");
        behind = cause.source();
    }
    text
}
