//! The command line: one file per command.
//!
//! Owns: words, files and terminals: what a person types and reads. Not here: what is done (the
//! library); commands reach a hub through `zotferry::local` only.
//! Invariant: names that came from other hubs are escaped before a terminal sees them.

mod adopt;
mod audit;
mod bring;
mod channel;
mod clone;
mod conform;
mod demo;
mod edit;
mod exit;
mod export;
mod get;
mod hub;
mod hubzilla;
mod init;
mod item;
mod log;
mod ls;
mod meta;
mod output;
mod passphrase;
mod password;
mod pause;
mod photo;
mod progress;
mod put;
mod restore;
mod retry;
mod shell;
mod signals;
mod status;
mod transfers;
mod verify;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rustix::fs::Mode;

use exit::{Exit, Failure};

/// Carries a channel's files between its clones.
#[derive(Parser)]
#[command(version, propagate_version = true, after_help = HELP, max_term_width = 100)]
struct Cli {
    /// The hub's folder, for every command that talks to a hub.
    #[arg(long, global = true, env = "ZOTFERRY_DIR", default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(init::Init),
    Hub(hub::Hub),
    #[command(subcommand)]
    Channel(channel::Channel),
    #[command(subcommand)]
    Clone(clone::Clone),
    #[command(subcommand)]
    Password(password::Password),
    Put(put::Put),
    Adopt(adopt::Adopt),
    Get(get::Get),
    Ls(ls::Ls),
    #[command(subcommand)]
    Item(item::Item),
    #[command(subcommand)]
    Photo(photo::Photo),
    Status(status::Status),
    Transfers(transfers::Transfers),
    Mkdir(edit::Mkdir),
    Mv(edit::Mv),
    Cp(edit::Cp),
    Rm(edit::Rm),
    Meta(meta::Meta),
    Watch(watch::Watch),
    Audit(audit::Audit),
    Export(export::Export),
    Verify(verify::Verify),
    Restore(restore::Restore),
    Retry(retry::Retry),
    Pause(pause::Pause),
    Resume(pause::Resume),
    Demo(demo::Demo),
    Conform(conform::Conform),
    Completions(shell::Completions),
    Man(shell::Man),
}

const HELP: &str = "\
Examples:
  zotferry demo                                    see it work: two hubs on this machine
  zotferry init hub --url https://hub.example      make a hub in the folder `hub`
  zotferry hub hub                                 run it
  zotferry --dir hub channel new alice             a channel that lives there
  zotferry --dir hub put alice ~/photos            put a folder into it
  zotferry --dir hub channel export alice alice.id carry it to another hub: there
  zotferry --dir there channel import alice.id     make that one its clone
  zotferry --dir there status --watch              and see the files come
  zotferry export hub alice /mnt/disk/alice        all files into a plain folder, and back:
  zotferry restore /mnt/disk/alice --to there

Exit codes:
  0  done
  1  failed
  2  the command line is wrong
  3  no hub runs on the folder, or it cannot be reached
  4  no such channel, clone, file or folder, or a file that has not arrived yet
  5  wrong passphrase, or a damaged identity file
  6  partly done: some files were skipped
  7  a hub stopped because a write to its disk failed

Environment:
  ZOTFERRY_DIR         the hub's folder, as --dir
  ZOTFERRY_PASSPHRASE  the passphrase of an identity file
  ZOTFERRY_DB_PASSWORD the password of a database that files are adopted from
  ZOTFERRY_LOG         what is logged to stderr: info, debug, zotferry::receiver=trace, ...";

/// Does what the command line says.
pub(crate) async fn run() -> ExitCode {
    let cli = Cli::parse();
    if !matches!(cli.command, Command::Get(_) | Command::Man(_)) {
        // Whatever is made from here on is its owner's alone.
        rustix::process::umask(Mode::RWXG | Mode::RWXO);
    }
    log::begin(matches!(cli.command, Command::Hub(_)));
    match cli.command.run(&cli.dir).await {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("zotferry: {}", failure.text);
            failure.exit.into()
        }
    }
}

impl Command {
    async fn run(self, dir: &std::path::Path) -> Result<Exit, Failure> {
        match self {
            Self::Init(init) => init.run().await,
            Self::Hub(hub) => hub.run(dir).await,
            Self::Channel(channel) => channel.run(dir).await,
            Self::Password(password) => password.run(dir).await,
            Self::Clone(clone) => clone.run(dir).await,
            Self::Put(put) => put.run(dir).await,
            Self::Adopt(adopt) => adopt.run(dir).await,
            Self::Get(get) => get.run(dir).await,
            Self::Ls(ls) => ls.run(dir).await,
            Self::Item(item) => item.run(dir).await,
            Self::Photo(photo) => photo.run(dir).await,
            Self::Status(status) => status.run(dir).await,
            Self::Transfers(transfers) => transfers.run(dir).await,
            Self::Mkdir(mkdir) => mkdir.run(dir).await,
            Self::Mv(mv) => mv.run(dir).await,
            Self::Cp(cp) => cp.run(dir).await,
            Self::Rm(rm) => rm.run(dir).await,
            Self::Meta(meta) => meta.run(dir).await,
            Self::Watch(watch) => watch.run(dir).await,
            Self::Audit(audit) => audit.run(dir).await,
            Self::Export(export) => export.run().await,
            Self::Verify(verify) => verify.run().await,
            Self::Restore(restore) => restore.run().await,
            Self::Retry(retry) => retry.run(dir).await,
            Self::Pause(pause) => pause.run(dir).await,
            Self::Resume(resume) => resume.run(dir).await,
            Self::Demo(demo) => demo.run().await,
            Self::Conform(conform) => conform.run().await,
            Self::Completions(completions) => completions.run(),
            Self::Man(man) => man.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    /// Every command and argument is well formed.
    #[test]
    fn the_command_line_holds_together() {
        super::Cli::command().debug_assert();
    }
}
