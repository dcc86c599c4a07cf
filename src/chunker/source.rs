//! Where bytes to be stored come from.
//!
//! Owns: reading files with their holes, and anything that is `Read`. Not here: hashing, writing.
//! Invariant: every byte is taken from the source once, so that what is hashed is what is stored.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, MetadataExt};

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// What a source gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Got {
    /// So many bytes, at the start of the buffer.
    Data(usize),
    /// So many zeros, not in the buffer.
    Hole(u64),
    /// Nothing more will come.
    End,
}

/// A sequence of bytes that is read once.
pub(super) trait Source {
    /// Reads the next bytes, holes as zeros; 0 at the end. `buf` is not empty.
    fn bytes(&mut self, buf: &mut [u8]) -> io::Result<usize>;

    /// Reads the next bytes or skips a hole.
    fn next(&mut self, buf: &mut [u8]) -> io::Result<Got> {
        Ok(match self.bytes(buf)? {
            0 => Got::End,
            len => Got::Data(len),
        })
    }
}

/// A file, read from its start whatever its position is.
pub(super) struct FileSource<'f> {
    file: &'f File,
    at: u64,
    /// Where the data that `at` lies in is known to end; unlimited for files without holes.
    data_end: u64,
    /// The size it had at first, in bytes.
    pub(super) size: u64,
    /// It takes less room than its size.
    pub(super) sparse: bool,
}

impl<'f> FileSource<'f> {
    pub(super) fn new(file: &'f File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let size = metadata.len();
        let sparse = metadata.blocks().saturating_mul(512) < size;
        let data_end = if sparse { 0 } else { u64::MAX };
        Ok(Self { file, at: 0, data_end, size, sparse })
    }

    /// Finds out how far the next data or hole reaches; the length of the hole, 0 for data.
    fn look(&mut self) -> io::Result<u64> {
        let start = match seek(self.file, SeekFrom::Data(self.at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => self.file.metadata()?.len().max(self.at),
            // The file system knows no holes.
            Err(_) => {
                self.data_end = u64::MAX;
                return Ok(0);
            }
        };
        let hole = start.saturating_sub(self.at);
        self.at = start;
        // No data any more: what is left is for a plain read to find, mostly nothing.
        self.data_end = seek(self.file, SeekFrom::Hole(start)).unwrap_or(u64::MAX);
        Ok(hole)
    }
}

impl Source for FileSource<'_> {
    fn bytes(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read_at(buf, self.at)?;
        self.at += len as u64;
        Ok(len)
    }

    fn next(&mut self, buf: &mut [u8]) -> io::Result<Got> {
        if self.at >= self.data_end {
            let hole = self.look()?;
            if hole > 0 {
                return Ok(Got::Hole(hole));
            }
        }
        let data = usize::try_from(self.data_end - self.at).unwrap_or(usize::MAX);
        let most = data.clamp(1, buf.len());
        Ok(match self.bytes(&mut buf[..most])? {
            0 => Got::End,
            len => Got::Data(len),
        })
    }
}

/// Anything that can be read.
pub(super) struct ReadSource<R>(pub(super) R);

impl<R: Read> Source for ReadSource<R> {
    /// Fills the buffer as far as it goes, so that a source of many little reads makes no little writes.
    fn bytes(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.0.read(&mut buf[filled..]) {
                Ok(0) => break,
                Ok(len) => filled += len,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}
