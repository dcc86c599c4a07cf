//! The `[limits]` of a hub's `config.toml`.
//!
//! Owns: their defaults, and what is too little to work. Not here: what keeps to them.
//! The defaults let two hundred clones fetch at once, and a clone with ten thousand files arrive in one go.

use serde::{Deserialize, Serialize};

/// What this hub gives and keeps at most.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Most content bytes in one response; 0 for no limit.
    pub response_bytes: u64,
    /// Disk space that stays free, in MiB.
    pub min_free_mib: u64,
    /// Quota of a new channel in MiB; 0 for none.
    pub quota_mib: u64,
    /// After so many failed attempts a job rests until `zotferry retry`.
    pub max_attempts: u32,
    /// The first pause after a failed attempt, in ms; doubled with each further one.
    pub backoff_ms: u64,
    /// The longest pause, in ms.
    pub max_backoff_ms: u64,
    /// A clone for which more operations wait is brought up by comparing catalogs instead.
    pub backlog: u32,
    /// Connections open at once; fewer where the system allows fewer open files.
    pub connections: u32,
    /// Of them, those of one address, unless it is one of `network.proxies`.
    pub connections_per_address: u32,
    /// Requests of one address a second, ten times as many at once; 0 for no limit.
    pub requests_per_second: u32,
    /// Packets that speak for one channel a second, ten times as many at once; 0 for no limit.
    pub packets_per_second: u32,
    /// Bytes that pay for a second in which we wait for the other side.
    pub min_bytes_per_second: u32,
    /// Answers with content at once; each holds up to 1 MiB of memory.
    pub answers: u32,
    /// Of them, those to clones of one channel.
    pub answers_per_channel: u32,
    /// Uploads by WebDAV and of backups at once; each holds up to 1 MiB of memory.
    pub uploads: u32,
    /// Of them, those into one channel.
    pub uploads_per_channel: u32,
    /// Entries and items of one channel, removed ones among them.
    pub entries: u64,
    /// Bytes of their texts beyond 1 KiB each, and of WebDAV's dead properties, in MiB.
    pub text_mib: u64,
    /// Packets of one clone whose ids and answers are remembered.
    pub remembered: u32,
    /// Lines of one kind in the log a minute, at first ten times as many; 0 for no limit.
    pub log_lines_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            response_bytes: 0,
            min_free_mib: 256,
            quota_mib: 0,
            max_attempts: 40,
            backoff_ms: 2_000,
            max_backoff_ms: 3_600_000,
            backlog: 50_000,
            connections: 8192,
            connections_per_address: 256,
            requests_per_second: 200,
            packets_per_second: 1000,
            min_bytes_per_second: 512,
            answers: 512,
            answers_per_channel: 384,
            uploads: 64,
            uploads_per_channel: 16,
            entries: 10_000_000,
            text_mib: 1024,
            remembered: 50_000,
            log_lines_per_minute: 60,
        }
    }
}

impl Limits {
    /// Whether a hub can work within them; if not, why.
    pub(super) fn checked(&self) -> Result<(), String> {
        let least = [
            ("max_attempts", u64::from(self.max_attempts), 1),
            ("backoff_ms", self.backoff_ms, 1),
            ("connections", self.connections.into(), 16),
            ("connections_per_address", self.connections_per_address.into(), 1),
            ("min_bytes_per_second", self.min_bytes_per_second.into(), 1),
            ("answers", self.answers.into(), 1),
            ("answers_per_channel", self.answers_per_channel.into(), 1),
            ("uploads", self.uploads.into(), 1),
            ("uploads_per_channel", self.uploads_per_channel.into(), 1),
            ("remembered", self.remembered.into(), 2),
        ];
        match least.into_iter().find(|(_, value, least)| value < least) {
            Some((name, _, least)) => Err(format!("limits.{name}: at least {least}")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hub that could do nothing says so when it starts, and not by refusing everybody.
    #[test]
    fn limits_under_which_nothing_works_stop_the_hub() {
        assert_eq!(Limits::default().checked(), Ok(()));
        let none = Limits { connections: 0, ..Limits::default() };
        assert_eq!(none.checked(), Err("limits.connections: at least 16".into()));
        let none = Limits { remembered: 1, ..Limits::default() };
        assert!(none.checked().is_err());
    }
}
