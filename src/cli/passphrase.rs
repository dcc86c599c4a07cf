//! Where passphrases come from: a file, the environment, a terminal; never the command line, which
//! other users can read.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Args;
use zeroize::Zeroizing;

use super::exit::{Exit, Failure};
use super::output;

/// How a command gets its passphrase.
#[derive(Args)]
pub(super) struct PassphraseArgs {
    /// Reads the passphrase from the first line of a file, instead of asking for it. The variable
    /// ZOTFERRY_PASSPHRASE serves, too.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    /// A new passphrase; a person types it twice.
    pub(super) fn choose(&self) -> Result<Zeroizing<String>, Failure> {
        if let Some(given) = self.given()? {
            return Ok(given);
        }
        let first = prompt("Passphrase for the identity file: ")?;
        let second = prompt("The same again: ")?;
        if first != second {
            return Err(Failure::failed("the two passphrases differ; nothing was written"));
        }
        Ok(first)
    }

    /// A passphrase that exists.
    pub(super) fn recall(&self) -> Result<Zeroizing<String>, Failure> {
        self.given()?.map_or_else(|| prompt("Passphrase of the identity file: "), Ok)
    }

    fn given(&self) -> Result<Option<Zeroizing<String>>, Failure> {
        if let Some(path) = &self.passphrase_file {
            let text = std::fs::read_to_string(path).map_err(|e| Failure::file(path, &e))?;
            let text = Zeroizing::new(text);
            return Ok(Some(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned())));
        }
        Ok(std::env::var("ZOTFERRY_PASSPHRASE").ok().map(Zeroizing::new))
    }
}

fn prompt(question: &str) -> Result<Zeroizing<String>, Failure> {
    let nobody = || {
        let text = "a passphrase is needed and there is no terminal to ask on; \
            use --passphrase-file or ZOTFERRY_PASSPHRASE";
        Failure::new(Exit::Usage, text)
    };
    if !std::io::stdin().is_terminal() {
        return Err(nobody());
    }
    rpassword::prompt_password(question).map(Zeroizing::new).map_err(|_| nobody())
}

/// A file that only its owner may read, never over another.
pub(super) fn write_secret(path: &std::path::Path, bytes: &[u8]) -> Result<(), Failure> {
    zotferry::durable::write_new(path, bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::failed(format!("{} exists already; nothing was written", output::path(path)))
        }
        _ => Failure::file(path, &error),
    })
}
