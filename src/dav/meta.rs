//! What is said of an entry.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dav_server::fs::{DavMetaData, FsError, FsResult};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::catalog::Attach;

/// What is said of an entry.
#[derive(Debug, Clone)]
pub(super) struct Meta {
    is_dir: bool,
    len: u64,
    modified: Option<SystemTime>,
    created: Option<SystemTime>,
    /// The content's root in base64url: another one is other content. (In hex it is longer than some
    /// programs expect a tag to be.)
    etag: Option<String>,
    executable: bool,
}

impl Meta {
    /// Of the top folder, which is no entry.
    pub(super) fn top() -> Self {
        let (modified, created) = (None, None);
        Self { is_dir: true, len: 0, modified, created, etag: None, executable: false }
    }

    pub(super) fn of(entry: &Attach) -> Self {
        let mtime = entry.mtime.map(|mtime| UNIX_EPOCH + Duration::from_millis(mtime.0));
        Self {
            is_dir: entry.is_dir,
            len: if entry.is_dir { 0 } else { entry.filesize },
            modified: mtime.or_else(|| time(&entry.edited)),
            created: time(&entry.created),
            etag: entry.root.map(|root| URL_SAFE_NO_PAD.encode(root.0)),
            executable: entry.executable == Some(true),
        }
    }

    pub(super) fn is_folder(&self) -> bool {
        self.is_dir
    }

    pub(super) fn size(&self) -> u64 {
        self.len
    }

    pub(super) fn tag(&self) -> Option<&str> {
        self.etag.as_deref()
    }

    pub(super) fn modified_at(&self) -> Option<SystemTime> {
        self.modified
    }

    pub(super) fn created_at(&self) -> Option<SystemTime> {
        self.created
    }

    /// Nothing is said of a folder.
    pub(super) fn is_executable(&self) -> Option<bool> {
        (!self.is_dir).then_some(self.executable)
    }
}

/// `YYYY-MM-DD HH:MM:SS` in UTC.
fn time(text: &str) -> Option<SystemTime> {
    let time = DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
    let seconds = time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
    Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?))
}

impl DavMetaData for Meta {
    fn len(&self) -> u64 {
        self.len
    }

    fn modified(&self) -> FsResult<SystemTime> {
        self.modified.ok_or(FsError::NotImplemented)
    }

    fn created(&self) -> FsResult<SystemTime> {
        self.created.ok_or(FsError::NotImplemented)
    }

    fn is_dir(&self) -> bool {
        self.is_dir
    }

    fn etag(&self) -> Option<String> {
        self.etag.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_in_utc() {
        let expected = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(time("2023-11-14 22:13:20"), Some(expected));
        assert_eq!(time("0000-00-00 00:00:00"), None);
        assert_eq!(time("1969-12-31 23:59:59"), None);
    }
}
