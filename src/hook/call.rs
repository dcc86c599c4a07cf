//! Calling the owner's command or URL.
//!
//! Not the transport that reaches other hubs: whom the hook's URL names is the owner's own choice, made
//! in the settings, so loopback and plain HTTP need no permission. Redirects are not followed.
//! Invariant: a call ends within its time; what a command writes is not kept.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::catalog::CatalogError;
use crate::config::OnChange;
use crate::items::ItemError;

/// Why the hook was not told.
#[derive(Debug, thiserror::Error)]
pub(super) enum HookError {
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Item(#[from] ItemError),
    #[error("what arrived cannot be written as JSON: {0}")]
    Json(serde_json::Error),
    #[error("{0}: {1}")]
    Command(String, std::io::Error),
    #[error("{0} ended with {1}")]
    Status(String, std::process::ExitStatus),
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("{0} answered {1}")]
    Answer(String, reqwest::StatusCode),
    #[error("{0} took longer than on_change.timeout_seconds")]
    Slow(String),
}

impl HookError {
    pub(super) fn json(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

/// Whom to call, and how long to wait.
pub(super) struct Caller {
    command: Vec<String>,
    url: Option<(reqwest::Client, String)>,
    timeout: Duration,
}

impl Caller {
    pub(super) fn new(settings: &OnChange) -> Result<Self, HookError> {
        let client = || {
            let builder =
                reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
            builder.build()
        };
        let url = match &settings.url {
            Some(url) => Some((client()?, url.clone())),
            None => None,
        };
        let timeout = Duration::from_secs(settings.timeout_seconds);
        Ok(Self { command: settings.command.clone(), url, timeout })
    }

    /// Tells all that are set; any that fails makes the call fail, and all are told again.
    pub(super) async fn call(&self, body: &str) -> Result<(), HookError> {
        if let Some((program, arguments)) = self.command.split_first() {
            let running = run(program, arguments, body);
            let ended = tokio::time::timeout(self.timeout, running).await;
            ended.map_err(|_| HookError::Slow(program.clone()))??;
        }
        if let Some((client, url)) = &self.url {
            let posting = post(client, url, body);
            let answered = tokio::time::timeout(self.timeout, posting).await;
            answered.map_err(|_| HookError::Slow(url.clone()))??;
        }
        Ok(())
    }
}

async fn run(program: &str, arguments: &[String], body: &str) -> Result<(), HookError> {
    let failed = |error| HookError::Command(program.to_owned(), error);
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // One that is too slow is ended.
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read to the end may still have done its work.
        let written = stdin.write_all(body.as_bytes()).await;
        if let Err(error) = written.and(stdin.shutdown().await) {
            tracing::debug!(%error, "the hook did not read all");
        }
    }
    let status = child.wait().await.map_err(failed)?;
    if status.success() { Ok(()) } else { Err(HookError::Status(program.to_owned(), status)) }
}

async fn post(client: &reqwest::Client, url: &str, body: &str) -> Result<(), HookError> {
    let request = client.post(url).header("content-type", "application/json");
    let answer = request.body(body.to_owned()).send().await?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(HookError::Answer(url.to_owned(), status)),
    }
}
