//! Stored content as a header's walk reads it: here a little, there a little.

use std::io::{Error, Read, Result, Seek, SeekFrom};

use crate::storage::Content;

/// Reads content from any place.
pub(super) struct Reader<'c> {
    content: &'c dyn Content,
    at: u64,
}

impl<'c> Reader<'c> {
    pub(super) fn new(content: &'c dyn Content) -> Self {
        Self { content, at: 0 }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let len = self.content.read_at(self.at, buf).map_err(Error::other)?;
        self.at += len as u64;
        Ok(len)
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.content.size().checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| Error::from(std::io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
