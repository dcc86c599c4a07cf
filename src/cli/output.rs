//! What goes to standard output, and how things look there.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use zotferry::text::{bytes, visible};

/// One line. When nobody reads any more (`zotferry ls | head`), there is nothing left to do.
pub(crate) fn line(text: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush());
    if written.is_err() {
        std::process::exit(0);
    }
}

/// One line of JSON.
pub(crate) fn json(value: &impl Serialize) {
    line(serde_json::to_string(value).expect("answers always serialize"));
}

/// A path of this machine.
pub(crate) fn path(path: &Path) -> String {
    visible(&path.display().to_string())
}

/// `1003 files, 256.0 MiB`.
pub(crate) fn amount(files: u64, size: u64) -> String {
    format!("{files} {}, {}", if files == 1 { "file" } else { "files" }, bytes(size))
}

/// A duration for people: its largest two units.
pub(crate) fn duration(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let first = units.iter().position(|(_, length)| seconds >= *length).unwrap_or(3);
    let (name, length) = units[first];
    let rest = units.get(first + 1).map(|(name, part)| (name, seconds % length / part));
    match rest.filter(|(_, n)| *n > 0) {
        Some((small, n)) => format!("{} {name} {n} {small}", seconds / length),
        None => format!("{} {name}", seconds / length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        for (seconds, text) in
            [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7200, "2 h"), (90_061, "1 d 1 h")]
        {
            assert_eq!(duration(seconds), text);
        }
    }
}
