//! What the demonstration found, as a table and as JSON.

use serde::Serialize;
use zotferry::local::Status;
use zotferry::metrics::Counts;
use zotferry::text::bytes;

/// What was carried, and whether it arrived.
pub(super) struct Shape {
    pub(super) streams: bool,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) differences: Vec<String>,
}

/// The findings. Requests and signatures are those of both hubs; bytes and chunks the clone's.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    mode: &'static str,
    pub(super) identical: bool,
    files: u64,
    bytes: u64,
    skipped: u64,
    /// From the first announcement to the last commit, by the clone's clock.
    transfer_s: f64,
    /// Millions of bytes a second.
    mb_per_s: f64,
    chunks: u64,
    requests: u64,
    signatures: u64,
    bytes_fetched: u64,
    bytes_fetched_twice: u64,
    origin_peak_rss: u64,
    clone_peak_rss: u64,
    pub(super) differences: Vec<String>,
}

impl Report {
    pub(super) fn new(shape: Shape, skipped: u64, origin: &Status, clone: &Status) -> Self {
        let (there, here) = (counts(origin), counts(clone));
        let ms = here.last_commit_ms.saturating_sub(here.first_wanted_ms).max(1);
        let transfer_s = ms as f64 / 1000.0;
        let peak = |s: &Status| s.running.as_ref().and_then(|r| r.peak_rss).unwrap_or(0);
        Self {
            mode: if shape.streams { "stream" } else { "chunks" },
            identical: shape.differences.is_empty(),
            files: shape.files,
            bytes: shape.bytes,
            skipped,
            transfer_s,
            mb_per_s: (shape.bytes as f64 / 1e4 / transfer_s).round() / 100.0,
            chunks: here.chunks,
            requests: there.requests + here.requests,
            signatures: there.signatures + here.signatures,
            bytes_fetched: here.bytes_fetched,
            bytes_fetched_twice: here.bytes_fetched_twice,
            origin_peak_rss: peak(origin),
            clone_peak_rss: peak(clone),
            differences: shape.differences,
        }
    }

    pub(super) fn table(&self) -> String {
        let how = match self.mode {
            "stream" => "streams",
            _ => "signed requests for numbered chunks",
        };
        let verdict = if self.identical { "byte for byte" } else { "NO" };
        let skipped = match self.skipped {
            0 => String::new(),
            n => format!(" ({n} skipped)"),
        };
        let rows = [
            ("identical", verdict.to_owned()),
            ("mode", how.to_owned()),
            ("files", format!("{}{skipped}", self.files)),
            ("bytes", format!("{} ({})", self.bytes, bytes(self.bytes))),
            ("time", format!("{:.2} s", self.transfer_s)),
            ("MB/s", format!("{:.1}", self.mb_per_s)),
            ("chunks", self.chunks.to_string()),
            ("requests", self.requests.to_string()),
            ("signatures", self.signatures.to_string()),
            ("bytes fetched twice", self.bytes_fetched_twice.to_string()),
            (
                "peak memory",
                format!(
                    "{} on the first hub, {} on the second",
                    bytes(self.origin_peak_rss),
                    bytes(self.clone_peak_rss)
                ),
            ),
        ];
        let lines = rows.iter().map(|(name, value)| format!("{name:<20} {value}"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn counts(status: &Status) -> Counts {
    status.running.as_ref().map(|running| running.counts.clone()).unwrap_or_default()
}
