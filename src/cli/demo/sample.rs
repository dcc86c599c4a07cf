//! A tree of files that tries what files can be: large, small, empty, oddly long, oddly named.
//!
//! Invariant: the same tree every time, and nothing in it that could be compressed or left out.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tokio_util::sync::CancellationToken;

const MIB: u64 = 1 << 20;
/// All files together.
const TOTAL: u64 = 256 * MIB;
const SMALL_FILES: u64 = 1000;
/// The largest small file.
const SMALL: u64 = 48 << 10;
/// Sizes at the edges of chunks.
const EDGES: [u64; 6] = [MIB - 1, MIB, MIB + 1, 5 * MIB, 5 * MIB + 1, 2 * MIB - 1];

/// Writes the tree into a new folder, until it is whole or `stop` is cancelled.
pub(super) fn write(root: &Path, stop: &CancellationToken) -> io::Result<()> {
    let mut tree = Tree { written: 0, seed: 1, stop };
    for n in 0..SMALL_FILES {
        let size = n * n * 7919 % SMALL;
        tree.file(&root.join(format!("small/{:02}/{n:04}.bin", n / 50)), size)?;
    }
    for size in EDGES {
        tree.file(&root.join(format!("edges/{size}.bin")), size)?;
    }
    for n in 0..10 {
        tree.file(&root.join(format!("empty/{n}")), 0)?;
    }
    std::fs::create_dir_all(root.join("empty/folder"))?;
    for (n, name) in awkward().iter().enumerate() {
        tree.file(&root.join("awkward").join(name), 100 + n as u64)?;
    }
    let deep = (0..20).fold(root.to_owned(), |path, n| path.join(format!("deep {n}")));
    tree.file(&deep.join("bottom"), 4096)?;
    let rest = TOTAL.saturating_sub(tree.written);
    tree.file(&root.join("large.bin"), rest)
}

/// Names that have broken programs.
fn awkward() -> Vec<String> {
    let mut names: Vec<String> = [
        "two\nlines",
        "right\u{202e}to left",
        "Case",
        "case",
        "-rf",
        ".hidden",
        " spaces ",
        "it's \"quoted\"",
        "back\\slash",
        "100%20",
        "a;b&c|d$e",
        "*?[x]",
        "caf\u{e9}",
        "cafe\u{301}",
        "写真 🦀",
        "~",
    ]
    .map(str::to_owned)
    .into();
    names.push("x".repeat(255));
    names.push("é".repeat(127));
    names
}

struct Tree<'a> {
    written: u64,
    seed: u64,
    stop: &'a CancellationToken,
}

impl Tree<'_> {
    fn file(&mut self, path: &Path, size: u64) -> io::Result<()> {
        if self.stop.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        self.seed += 1;
        self.written += size;
        let mut out = BufWriter::with_capacity(1 << 18, File::create(path)?);
        noise(self.seed, size, &mut out)?;
        out.flush()
    }
}

/// Bytes from a xorshift generator, the same for the same seed.
fn noise(seed: u64, size: u64, out: &mut impl Write) -> io::Result<()> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut left = usize::try_from(size).map_err(io::Error::other)?;
    while left > 0 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let bytes = state.to_le_bytes();
        let take = left.min(bytes.len());
        out.write_all(&bytes[..take])?;
        left -= take;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_the_same_for_the_same_seed() {
        let made = |seed, size| {
            let mut out = Vec::new();
            noise(seed, size, &mut out).expect("written");
            out
        };
        assert_eq!(made(3, 1001), made(3, 1001));
        assert_eq!(made(3, 1001).len(), 1001);
        assert_ne!(made(3, 1001), made(4, 1001));
    }

    #[test]
    fn awkward_names_are_names() {
        let names = awkward();
        assert!(names.iter().all(|name| zotferry_protocol::packets::is_name(name)));
        assert!(names.iter().any(|name| name.len() == 255));
    }
}
