//! How a command ends.

use std::path::Path;
use std::process::ExitCode;

use zotferry::hub::HubError;
use zotferry::local::Kind;
use zotferry::local::client::ClientError;

/// An exit code. Documented in `--help` and the README.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    NoHub = 3,
    NotFound = 4,
    Sealed = 5,
    Partly = 6,
    Disk = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do its work: what failed, on which file or hub, and what to do next.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) text: String,
}

impl Failure {
    #[expect(clippy::needless_pass_by_value, reason = "`map_err` passes errors by value")]
    pub(crate) fn new(exit: Exit, text: impl ToString) -> Self {
        Self { exit, text: text.to_string() }
    }

    pub(crate) fn failed(text: impl ToString) -> Self {
        Self::new(Exit::Failed, text)
    }

    /// Something about a file of this machine.
    pub(crate) fn file(path: &Path, error: &std::io::Error) -> Self {
        let exit = match error.kind() {
            std::io::ErrorKind::NotFound => Exit::NotFound,
            _ => Exit::Failed,
        };
        Self::new(exit, format!("{}: {error}", super::output::path(path)))
    }
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        Self::failed(error)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::NoHub(_) | ClientError::Unreachable(..) | ClientError::Broken(_) => {
                Exit::NoHub
            }
            // Not a hub's folder, or one that is taken and does not answer.
            ClientError::Open(HubError::Folder(_)) => Exit::NoHub,
            ClientError::Open(_) => Exit::Failed,
            ClientError::Failed(failure) => match failure.kind {
                Kind::NotFound => Exit::NotFound,
                Kind::Sealed => Exit::Sealed,
                Kind::Failed => Exit::Failed,
            },
        };
        Self::new(exit, error)
    }
}
