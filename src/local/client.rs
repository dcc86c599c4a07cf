//! Asks a hub: the one that runs, or one that is opened for this question alone.
//!
//! Owns: finding the hub, reading its answers. Not here: the questions.
//! Invariant: a folder is opened only under its lock, and left as unclean as it was found.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, BodyDataStream, to_bytes};
use axum::http::{HeaderMap, Request, Response, header};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::ServiceExt as _;

use super::get::{EXECUTABLE, MTIME};
use super::socket::Address;
use super::{Ask, AskLines, Failure, Get, Kind, Line, Local, Piece, router};
use crate::hub::{Folder, FolderError, Hub, HubError};

/// Bytes of an answer that is read as a whole.
const MAX_ANSWER: usize = 64 << 20;
/// Bytes of one line.
const MAX_LINE: usize = 1 << 20;

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no hub runs on {dir}; `zotferry hub {dir}` starts it", dir = .0.display())]
    NoHub(PathBuf),
    /// Somebody listens, but not to this user.
    #[error("the hub on {dir} cannot be reached: {1}", dir = .0.display())]
    Unreachable(PathBuf, std::io::Error),
    /// The folder could not be opened.
    #[error(transparent)]
    Open(#[from] HubError),
    /// The hub said no.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The hub went away in the middle, or something else answered.
    #[error("the hub's answer was cut off or makes no sense: {0}")]
    Broken(String),
}

impl From<FolderError> for ClientError {
    fn from(error: FolderError) -> Self {
        Self::Open(error.into())
    }
}

/// A way to a hub.
pub struct Client(Way);

enum Way {
    Running { http: reqwest::Client, _address: Address },
    Resting { hub: Arc<Hub>, router: Router },
}

impl Client {
    /// To the hub that runs on a folder.
    pub async fn running(dir: &Path) -> Result<Self, ClientError> {
        let folder = Folder::at(dir)?;
        folder.check()?;
        let address = match Address::listening(&folder).await {
            Ok(address) => address,
            Err(error) => {
                use std::io::ErrorKind::{ConnectionRefused, NotFound};
                let path = folder.path().to_owned();
                return Err(match error.kind() {
                    NotFound | ConnectionRefused => ClientError::NoHub(path),
                    _ => ClientError::Unreachable(path, error),
                });
            }
        };
        let http = reqwest::Client::builder().no_proxy().unix_socket(address.path.as_path());
        let http = http.build().map_err(|e| ClientError::Broken(e.to_string()))?;
        Ok(Self(Way::Running { http, _address: address }))
    }

    /// To the hub that runs on a folder, or to the folder itself.
    pub async fn running_or_resting(dir: &Path) -> Result<Self, ClientError> {
        match Self::running(dir).await {
            Err(ClientError::NoHub(_)) => {}
            other => return other,
        }
        let hub = Arc::new(Hub::open(dir).await?);
        let router = router(Local::resting(Arc::clone(&hub)));
        Ok(Self(Way::Resting { hub, router }))
    }

    /// Asks for one answer.
    pub async fn ask<A: Ask>(&self, question: &A) -> Result<A::Answer, ClientError> {
        let response = self.post(A::PATH, question).await?;
        let body = to_bytes(response.into_body(), MAX_ANSWER).await.map_err(broken)?;
        serde_json::from_slice(&body).map_err(broken)
    }

    /// Asks for an answer in lines.
    pub async fn lines<A: AskLines>(&self, question: &A) -> Result<Lines<A::Event>, ClientError> {
        let response = self.post(A::PATH, question).await?;
        Ok(Lines {
            body: response.into_body().into_data_stream(),
            buffer: Vec::new(),
            read: 0,
            event: std::marker::PhantomData,
        })
    }

    /// Asks for a file.
    pub async fn get(&self, question: &Get) -> Result<Incoming, ClientError> {
        let response = self.post(Get::PATH, question).await?;
        let number = |name: &str| number(response.headers(), name);
        Ok(Incoming {
            size: number(header::CONTENT_LENGTH.as_str()).unwrap_or(0),
            mtime: number(MTIME),
            executable: response.headers().contains_key(EXECUTABLE),
            body: response.into_body().into_data_stream(),
        })
    }

    /// Asks for bytes of a content; `None` when the hub does not have them.
    pub async fn piece(&self, question: &Piece) -> Result<Option<Bytes>, ClientError> {
        let most = usize::try_from(question.len).unwrap_or(usize::MAX);
        match self.post(Piece::PATH, question).await {
            Ok(response) => to_bytes(response.into_body(), most).await.map(Some).map_err(broken),
            Err(ClientError::Failed(failure)) if failure.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Leaves a folder that was opened for this question as it was found; a hub that runs is told
    /// nothing.
    pub async fn close(self) -> Result<(), ClientError> {
        if let Way::Resting { hub, router } = self.0 {
            drop(router);
            if hub.recheck {
                // What this process found out about an unclean stop, the next hub has to know.
                hub.catalog.mark_running().await.map_err(HubError::from)?;
            }
            hub.catalog.close().await;
        }
        Ok(())
    }

    async fn post(
        &self,
        path: &str,
        question: &impl Serialize,
    ) -> Result<Response<Body>, ClientError> {
        let json = serde_json::to_vec(question).map_err(broken)?;
        let response = match &self.0 {
            Way::Running { http, .. } => {
                let post = http.post(format!("http://hub{path}"));
                let post = post.header(header::CONTENT_TYPE, "application/json").body(json);
                let response = post.send().await.map_err(broken)?;
                Response::<reqwest::Body>::from(response).map(Body::new)
            }
            Way::Resting { router, .. } => {
                let post = Request::post(path).header(header::CONTENT_TYPE, "application/json");
                let post = post.body(Body::from(json)).map_err(broken)?;
                router.clone().oneshot(post).await.map_err(broken)?
            }
        };
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = to_bytes(response.into_body(), MAX_LINE).await.map_err(broken)?;
        match serde_json::from_slice::<Failure>(&body) {
            Ok(failure) => Err(failure.into()),
            Err(_) => Err(broken(format!("{status} {}", String::from_utf8_lossy(&body)))),
        }
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` passes errors by value")]
fn broken(error: impl ToString) -> ClientError {
    ClientError::Broken(error.to_string())
}

/// An answer in lines.
pub struct Lines<T> {
    body: BodyDataStream,
    buffer: Vec<u8>,
    /// Bytes at the start of the buffer that were taken.
    read: usize,
    event: std::marker::PhantomData<T>,
}

impl<T: DeserializeOwned> Lines<T> {
    /// The next event; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        let line = loop {
            let rest = &self.buffer[self.read..];
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = serde_json::from_slice(&rest[..end]).map_err(broken)?;
                self.read += end + 1;
                break line;
            }
            self.more().await?;
        };
        match line {
            Line::Event(event) => Ok(Some(event)),
            Line::End => Ok(None),
            Line::Failed(failure) => Err(failure.into()),
        }
    }

    async fn more(&mut self) -> Result<(), ClientError> {
        self.buffer.drain(..self.read);
        self.read = 0;
        if self.buffer.len() > MAX_LINE {
            return Err(broken("a line of more than 1 MiB"));
        }
        let piece = self.body.next().await.ok_or_else(|| broken("the hub went away"))?;
        self.buffer.extend_from_slice(&piece.map_err(broken)?);
        Ok(())
    }
}

/// A file that is being read.
pub struct Incoming {
    /// Its bytes.
    pub size: u64,
    /// Modification time of the file that it was made from, in Unix ms.
    pub mtime: Option<u64>,
    /// Whether that file was executable.
    pub executable: bool,
    body: BodyDataStream,
}

impl Incoming {
    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        self.body.next().await.transpose().map_err(broken)
    }
}
