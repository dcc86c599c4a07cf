//! Committed content in a file of its own.
//!
//! Owns: reading at an offset. Not here: finding it.

use std::fs::File;
use std::io::IoSliceMut;
use std::os::unix::fs::FileExt;

use rustix::io::{ReadWriteFlags, preadv2};

use super::super::{Content, Result, StorageError};

/// Content in a file of its own.
#[derive(Debug)]
pub(super) struct FileContent {
    file: File,
    size: u64,
}

impl FileContent {
    /// The size is fixed from here on: committed files never change.
    pub(super) fn new(file: File) -> Result<Self> {
        let size = file.metadata().map_err(StorageError::io("opening content"))?.len();
        Ok(Self { file, size })
    }
}

impl Content for FileContent {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        if offset >= self.size {
            return Ok(0);
        }
        self.file.read_at(buf, offset).map_err(StorageError::io("reading content"))
    }

    /// From the page cache alone. A file system that cannot tell is one to wait for.
    fn read_now(&self, offset: u64, buf: &mut [u8]) -> Result<Option<usize>> {
        let mut buffers = [IoSliceMut::new(buf)];
        Ok(preadv2(&self.file, &mut buffers, offset, ReadWriteFlags::NOWAIT).ok())
    }

    fn as_file(&self) -> Option<&File> {
        Some(&self.file)
    }
}
