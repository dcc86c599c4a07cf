//! Why a question has no answer, as it travels to the command that asked.
//!
//! Owns: the few kinds that a command tells apart. Not here: exit codes (`cli`).

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use zotferry_backup::BackupError;

use crate::audit::ScrubError;
use crate::backup::SaveError;
use crate::catalog::CatalogError;
use crate::channels::export::ExportError;
use crate::channels::{ChannelError, SealError};
use crate::files::{AddItemsError, PutError};
use crate::hub::{CallError, HubError, StoredError};
use crate::hubzilla::AdoptError;
use crate::items::ItemError;
use crate::passwords::PasswordError;
use crate::queue::QueueError;
use crate::storage::StorageError;
use crate::watch::WatchError;

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// No such channel, file or folder; or a file that has not arrived yet.
    NotFound,
    /// A wrong passphrase, or an identity file that is damaged.
    Sealed,
    /// Anything else.
    Failed,
}

/// A failure: its kind, and a sentence that says what failed and what may be done.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Its kind.
    pub kind: Kind,
    /// The sentence.
    pub message: String,
}

impl Failure {
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self { kind: Kind::NotFound, message: message.into() }
    }

    #[expect(clippy::needless_pass_by_value, reason = "`map_err` passes errors by value")]
    pub(super) fn failed(message: impl ToString) -> Self {
        Self { kind: Kind::Failed, message: message.to_string() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self.kind {
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Sealed => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(self)).into_response()
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        let kind = match &error {
            ExportError::Seal(SealError::Derive(_)) => Kind::Failed,
            ExportError::Seal(_) | ExportError::Content(_) | ExportError::Key(_) => Kind::Sealed,
            _ => Kind::Failed,
        };
        Self { kind, message: error.to_string() }
    }
}

impl From<SaveError> for Failure {
    fn from(error: SaveError) -> Self {
        let kind = match error {
            SaveError::Identity(error) => return error.into(),
            SaveError::NoChannel { .. } | SaveError::Backup(BackupError::None(_)) => Kind::NotFound,
            _ => Kind::Failed,
        };
        Self { kind, message: error.to_string() }
    }
}

impl From<ChannelError> for Failure {
    fn from(error: ChannelError) -> Self {
        match error {
            ChannelError::NoClone(_) => Self::not_found(error.to_string()),
            error => Self::failed(error),
        }
    }
}

macro_rules! failed {
    ($($error:ty),*) => { $(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::failed(error)
            }
        }
    )* };
}

failed!(
    AddItemsError,
    AdoptError,
    ItemError,
    CatalogError,
    PutError,
    HubError,
    StoredError,
    CallError,
    PasswordError,
    QueueError,
    ScrubError,
    StorageError,
    WatchError,
    tokio::task::JoinError
);
