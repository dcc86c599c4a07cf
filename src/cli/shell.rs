//! `zotferry completions` and `zotferry man`: made from the commands themselves.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;
use super::exit::{Exit, Failure};

/// Prints a script that completes commands in a shell.
#[derive(Args)]
#[command(after_help = COMPLETIONS)]
pub(crate) struct Completions {
    /// Which shell.
    shell: Shell,
}

const COMPLETIONS: &str = "\
Examples:
  zotferry completions bash > ~/.local/share/bash-completion/completions/zotferry
  zotferry completions fish > ~/.config/fish/completions/zotferry.fish";

/// Prints the manual page, or writes one for every command.
#[derive(Args)]
#[command(after_help = MAN)]
pub(crate) struct Man {
    /// A folder for the pages of all commands.
    folder: Option<PathBuf>,
}

const MAN: &str = "\
Examples:
  zotferry man | man -l -
  zotferry man ~/.local/share/man/man1";

impl Completions {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "zotferry", &mut script);
        print(&script)
    }
}

impl Man {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let Some(folder) = self.folder else {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(Failure::failed)?;
            return print(&page);
        };
        std::fs::create_dir_all(&folder).map_err(|e| Failure::file(&folder, &e))?;
        clap_mangen::generate_to(Cli::command(), &folder)
            .map_err(|e| Failure::file(&folder, &e))?;
        Ok(Exit::Done)
    }
}

fn print(bytes: &[u8]) -> Result<Exit, Failure> {
    use std::io::Write as _;
    match std::io::stdout().lock().write_all(bytes) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::failed(error)),
        _ => Ok(Exit::Done),
    }
}
