//! `zotferry audit`: whether a channel is the same on all its hubs, and its files what they were.

use std::fmt::Write as _;
use std::path::Path;

use clap::Args;
use zotferry::audit::{Account, Checked};
use zotferry::local::client::Client;
use zotferry::local::{self, AuditEvent};
use zotferry::text::{bytes, visible};

use super::exit::{Exit, Failure};
use super::output;
use super::progress::Progress;

/// Compares a channel with each of its other clones.
///
/// A line for each clone says whether it is in sync, or what differs. Ends with 6 when something
/// differs still, is damaged, or could not be compared.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Audit {
    /// Which channel.
    channel: String,
    /// Gets what is missing here, and gives what is missing there.
    #[arg(long)]
    repair: bool,
    /// Reads the files of this hub again, of all channels; what is damaged is fetched from another clone.
    #[arg(long)]
    files: bool,
    /// Prints JSON, one line for each clone.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  zotferry --dir hub audit alice
  zotferry --dir hub audit alice --repair
  zotferry --dir hub audit alice --files";

impl Audit {
    pub(crate) async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        let client = Client::running(dir).await?;
        let (channel, repair, files) = (self.channel.clone(), self.repair, self.files);
        let mut events = client.lines(&local::Audit { channel, repair, files }).await?;
        let mut progress = None;
        let (mut good, mut clones) = (true, 0);
        while let Some(event) = events.next().await? {
            if self.json && !matches!(event, AuditEvent::Reading { .. }) {
                output::json(&event);
            }
            match event {
                AuditEvent::Reading { checked, of } => {
                    let bar = progress.get_or_insert_with(|| Progress::new("read", of, self.json));
                    bar.at(checked.bytes, || format!("{} files", checked.contents));
                }
                AuditEvent::Files(checked) => {
                    progress = None;
                    good &= checked.damaged + checked.missing == 0;
                    self.say(|| read(&checked));
                }
                AuditEvent::Clone(account) => {
                    clones += 1;
                    good &= account.in_sync;
                    self.say(|| compared(&account));
                }
            }
        }
        if clones == 0 {
            self.say(|| "there is no other clone to compare with".to_owned());
        }
        Ok(if good { Exit::Done } else { Exit::Partly })
    }

    fn say(&self, text: impl FnOnce() -> String) {
        if !self.json {
            output::line(text());
        }
    }
}

fn read(checked: &Checked) -> String {
    let amount = output::amount(checked.contents, checked.bytes);
    match checked.damaged + checked.missing {
        0 => format!("read {amount}: all as they were"),
        _ => format!(
            "read {amount}: {} damaged, {} missing; {} entries are fetched again, for {} there is no other clone",
            checked.damaged, checked.missing, checked.wanted, checked.lost
        ),
    }
}

fn compared(account: &Account) -> String {
    let url = visible(&account.url);
    if let Some(error) = &account.error {
        return format!("{url} could not be compared: {}", visible(error));
    }
    let (entries, exchanges) = (grouped(account.entries), account.exchanges);
    let exchanges =
        if exchanges == 1 { "1 exchange".into() } else { format!("{exchanges} exchanges") };
    let cost = format!("({entries} entries, {exchanges}, {})", bytes(account.bytes));
    if account.in_sync && account.differences() == 0 {
        return format!("in sync with {url} {cost}");
    }
    let mut text = if account.in_sync {
        format!("in sync with {url} now:")
    } else {
        format!("not in sync with {url}:")
    };
    let parts = [
        (account.missing_here, "missing here"),
        (account.missing_there, "missing there"),
        (account.differing, "differing"),
        (account.fetched, "fetched"),
        (account.sent, "sent"),
        (account.refused, "refused"),
    ];
    let said: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", grouped(*count)))
        .collect();
    _ = write!(text, " {} {cost}", said.join(", "));
    if !account.first.is_empty() {
        let names: Vec<String> = account.first.iter().map(|name| visible(name)).collect();
        let more = if account.differences() > names.len() as u64 { ", ..." } else { "" };
        _ = write!(text, "\n  {}{more}", names.join(", "));
    }
    text
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_how_a_clone_is() {
        let url = "https://b.example".to_owned();
        let equal = Account {
            url,
            in_sync: true,
            entries: 123_456,
            exchanges: 1,
            bytes: 1331,
            ..Account::default()
        };
        assert_eq!(
            compared(&equal),
            "in sync with https://b.example (123,456 entries, 1 exchange, 1.30 KiB)"
        );
        let first = vec!["a/b".to_owned(), "c\u{1b}".to_owned()];
        let lacking =
            Account { in_sync: false, missing_here: 2, differing: 1000, first, ..equal.clone() };
        let text = compared(&lacking);
        assert!(
            text.starts_with(
                "not in sync with https://b.example: 2 missing here, 1,000 differing ("
            )
        );
        assert!(text.ends_with(", ...") && !text.contains('\u{1b}'), "{text}");
        let away = Account { error: Some("no way".to_owned()), ..equal };
        assert_eq!(compared(&away), "https://b.example could not be compared: no way");
    }
}
