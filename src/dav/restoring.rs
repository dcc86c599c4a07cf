//! `/dav/<channel>/.restore/`: a backup that any program uploads, file by file.
//!
//! Owns: the methods, names, what is said of files that wait. Not here: files that come (`arrival`), what becomes of
//! them (`backup`).
//! Invariant: an upload is looked at only when it is whole; of one channel one at a time. What waits is never more
//! than the channel's quota leaves.
//! Spec: BACKUP-32 to BACKUP-34.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::response::IntoResponse;
use futures_util::stream;

use super::multistatus::{self, Said};
use super::question::{Name, Question};
use super::visit::Visit;
use super::{Dav, MAX_QUESTION, arrival};
use crate::backup::{Held, PER_FILE, Spool, Waiting};
use crate::hub::Alone;

/// The folder's name.
pub(super) const FOLDER: &str = ".restore";
/// What may be done here.
const METHODS: &str = "OPTIONS, PROPFIND, MKCOL, PUT, GET, HEAD, DELETE";
const DAV: &str = "DAV:";
/// The namespace of `reason`.
const OURS: &str = "urn:zotferry:restore";
/// How long a file that went at once is still known: programs look at what they have uploaded.
const REMEMBERED: Duration = Duration::from_secs(120);
/// And how many of a channel.
const RECENT: usize = 4096;
/// Bytes of a name.
const MAX_NAME: usize = 1024;

/// What the requests share.
#[derive(Default)]
pub(super) struct Restoring {
    /// One file of a channel is taken at a time.
    pub(super) taking: Alone,
    recent: Mutex<VecDeque<Recent>>,
    pub(super) waiting: Waiting,
}

struct Recent {
    channel: i64,
    name: String,
    size: u64,
    at: Instant,
}

/// A file or folder, as it is said.
struct Subject {
    name: String,
    /// None of a folder.
    held: Option<Held>,
}

/// The names below the folder, if the request is about it.
pub(super) fn below(visit: &Visit) -> Option<String> {
    let (first, rest) = visit.source.split_first()?;
    (first == FOLDER).then(|| rest.join("/"))
}

pub(super) async fn answer(
    dav: &Arc<Dav>,
    visit: &Arc<Visit>,
    name: String,
    parts: Parts,
    body: Body,
) -> Response<Body> {
    if name.split('/').any(|part| part == "." || part == "..") {
        return StatusCode::BAD_REQUEST.into_response();
    }
    if name.len() > MAX_NAME {
        return StatusCode::URI_TOO_LONG.into_response();
    }
    let spool = Spool::of(visit.hub(), &visit.channel);
    let done = match parts.method.as_str() {
        "OPTIONS" => Ok(([("dav", "1"), ("allow", METHODS)], ()).into_response()),
        "PROPFIND" => propfind(dav, visit, spool, name, &parts.headers, body).await,
        "MKCOL" if name.is_empty() => Ok(StatusCode::METHOD_NOT_ALLOWED.into_response()),
        "MKCOL" => made(dav, visit, spool, name).await,
        "PUT" if name.is_empty() => Ok(StatusCode::METHOD_NOT_ALLOWED.into_response()),
        "PUT" => arrival::put(dav, visit, spool, name, &parts.headers, body).await,
        "GET" | "HEAD" => get(spool, name).await,
        "DELETE" => removed(dav, visit, spool, name).await,
        _ => Ok((StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, METHODS)]).into_response()),
    };
    done.unwrap_or_else(|error| {
        let (channel, method) = (&visit.channel.nick, &parts.method);
        tracing::error!(%error, %channel, %method, "a file of a backup could not be taken");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    })
}

pub(super) type Failed = Box<dyn std::error::Error + Send + Sync>;

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Failed> {
    Ok(tokio::task::spawn_blocking(work).await??)
}

async fn made(
    dav: &Dav,
    visit: &Visit,
    spool: Spool,
    name: String,
) -> Result<Response<Body>, Failed> {
    let looking = spool.clone();
    let full = blocking(move || looking.is_full_of_folders()).await?;
    if full || !arrival::Room::of(dav, visit, &spool).await?.take(PER_FILE).await? {
        return Ok(StatusCode::INSUFFICIENT_STORAGE.into_response());
    }
    let new = blocking(move || spool.make_folder(&name)).await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::METHOD_NOT_ALLOWED };
    Ok(status.into_response())
}

async fn removed(
    dav: &Dav,
    visit: &Visit,
    spool: Spool,
    name: String,
) -> Result<Response<Body>, Failed> {
    let _one = dav.restoring.taking.in_channel(visit.channel.id).await;
    let there = blocking(move || spool.remove(&name)).await?;
    let status = if there { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND };
    Ok(status.into_response())
}

async fn get(spool: Spool, name: String) -> Result<Response<Body>, Failed> {
    let opened = blocking(move || match spool.find(&name)? {
        Some(held) => Ok(Some((held.size, spool.open(&name)?))),
        None => Ok(None),
    });
    let Some((size, file)) = opened.await? else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    let pieces = stream::unfold(tokio::fs::File::from_std(file), async |mut file| {
        use tokio::io::AsyncReadExt as _;
        let mut piece = vec![0; super::READ];
        match file.read(&mut piece).await {
            Ok(0) => None,
            Ok(read) => {
                piece.truncate(read);
                Some((Ok(piece), file))
            }
            Err(error) => Some((Err(error), file)),
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
    ];
    Ok((headers, Body::from_stream(Box::pin(pieces))).into_response())
}

impl Restoring {
    pub(super) fn remember(&self, channel: i64, name: String, size: u64) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |known: &Recent| known.channel == channel && known.name == name;
        recent.retain(|known| known.at.elapsed() < REMEMBERED && !same(known));
        if recent.iter().filter(|known| known.channel == channel).count() >= RECENT
            && let Some(oldest) = recent.iter().position(|known| known.channel == channel)
        {
            recent.remove(oldest);
        }
        recent.push_back(Recent { channel, name, size, at: Instant::now() });
    }

    fn recalled(&self, channel: i64, name: &str) -> Option<u64> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = |known: &&Recent| known.channel == channel && known.name == name;
        recent.iter().filter(|known| known.at.elapsed() < REMEMBERED).find(mine).map(|k| k.size)
    }
}

/// What waits in a folder, or of one file; of a file that went a moment ago that it is there, to whoever asks
/// for it by its name.
async fn propfind(
    dav: &Dav,
    visit: &Visit,
    spool: Spool,
    name: String,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failed> {
    let Ok(body) = axum::body::to_bytes(body, MAX_QUESTION).await else {
        return Ok(StatusCode::PAYLOAD_TOO_LARGE.into_response());
    };
    let Some(question) = Question::read(&body) else {
        return Ok(StatusCode::BAD_REQUEST.into_response());
    };
    let deep = match headers.get("depth").map(|depth| depth.as_bytes()) {
        Some(b"0") => false,
        None | Some(b"1") => true,
        _ => return Ok(multistatus::finite_depth()),
    };
    let looked = name.clone();
    let mut found = blocking(move || subjects(&spool, &looked, deep)).await?;
    if found.is_empty()
        && let Some(size) = dav.restoring.recalled(visit.channel.id, &name)
    {
        let reason = "it was brought back".to_owned();
        found.push(Subject { held: Some(Held::gone(&name, size, reason)), name });
    }
    if found.is_empty() {
        return Ok(StatusCode::NOT_FOUND.into_response());
    }
    let mut xml = String::from(multistatus::BEGIN);
    for subject in &found {
        say(&mut xml, &visit.channel.nick, subject, &question);
    }
    xml.push_str(multistatus::END);
    let headers = [(header::CONTENT_TYPE, multistatus::XML), (header::CACHE_CONTROL, "no-cache")];
    Ok((StatusCode::MULTI_STATUS, headers, xml).into_response())
}

/// The folder and what is directly in it, or the file; nothing if there is neither.
fn subjects(spool: &Spool, name: &str, deep: bool) -> std::io::Result<Vec<Subject>> {
    if let Some(held) = spool.find(name)? {
        return Ok(vec![Subject { name: name.to_owned(), held: Some(held) }]);
    }
    let prefix = if name.is_empty() { String::new() } else { format!("{name}/") };
    let mut there = name.is_empty() || spool.has_folder(name);
    let (mut files, mut folders) = (Vec::new(), std::collections::BTreeSet::new());
    spool.each(&mut |held| {
        let Some(rest) = held.name.strip_prefix(&prefix) else { return };
        there = true;
        match rest.split_once('/') {
            Some((folder, _)) => drop(folders.insert(format!("{prefix}{folder}"))),
            None => files.push(Subject { name: held.name.clone(), held: Some(held) }),
        }
    })?;
    for folder in spool.folders()? {
        if folder.strip_prefix(&prefix).is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
        {
            folders.insert(folder);
        }
    }
    if !there {
        return Ok(Vec::new());
    }
    let mut found = vec![Subject { name: name.to_owned(), held: None }];
    if deep {
        found.extend(folders.into_iter().map(|name| Subject { name, held: None }));
        found.extend(files);
    }
    Ok(found)
}

fn say(xml: &mut String, nick: &str, subject: &Subject, question: &Question) {
    let names = subject.name.split('/').filter(|name| !name.is_empty()).map(multistatus::encode);
    let path: Vec<String> = names.collect();
    let mut href = format!("/dav/{nick}/{FOLDER}/{}", path.join("/"));
    if subject.held.is_none() && !href.ends_with('/') {
        href.push('/');
    }
    let mut said = Said::of(&href);
    const ALL: [&str; 4] = ["displayname", "getcontentlength", "getlastmodified", "resourcetype"];
    let all = || {
        let live = ALL.iter().map(|name| (DAV.to_owned(), (*name).to_owned()));
        live.chain([(OURS.to_owned(), "reason".to_owned())])
    };
    let (asked, names_alone): (Vec<Name>, bool) = match question {
        Question::Some(names) => (names.clone(), false),
        Question::All(more) => (all().chain(more.iter().cloned()).collect(), false),
        Question::Names => (all().collect(), true),
    };
    let by_name = matches!(question, Question::Some(_));
    for (namespace, name) in &asked {
        match value(subject, namespace, name) {
            Some(_) if names_alone => said.name(namespace, name),
            Some(value) => said.value(namespace, name, &value),
            None if by_name => said.missing(namespace, name),
            None => {}
        }
    }
    said.end(xml);
}

fn value(subject: &Subject, namespace: &str, name: &str) -> Option<String> {
    let held = subject.held.as_ref();
    match (namespace, name) {
        (DAV, "displayname") => {
            let last = subject.name.rsplit('/').next().filter(|name| !name.is_empty());
            Some(multistatus::escape(last.unwrap_or(FOLDER)))
        }
        (DAV, "getcontentlength") => held.map(|held| held.size.to_string()),
        (DAV, "getlastmodified") => {
            Some(multistatus::http_date(held.map_or_else(SystemTime::now, |held| held.came)))
        }
        (DAV, "resourcetype") if held.is_none() => Some("<D:collection/>".to_owned()),
        (DAV, "resourcetype") => Some(String::new()),
        (OURS, "reason") => held.map(|held| multistatus::escape(&held.reason)),
        _ => None,
    }
}
