//! `zotferry mkdir`, `mv`, `cp` and `rm`: entries of a channel made, moved, copied and removed.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;

use clap::Args;
use zotferry::local::client::Client;
use zotferry::local::{Ask, Edited, MakeFolder, MoveEntry, RemoveEntry};
use zotferry::text::visible;

use super::exit::{Exit, Failure};
use super::output;

/// Makes folders in a channel.
#[derive(Args)]
#[command(after_help = "\
Examples:
  zotferry --dir hub mkdir alice /photos
  zotferry --dir hub mkdir -p alice /photos/2026/may")]
pub(crate) struct Mkdir {
    /// Which channel.
    channel: String,
    /// The folders.
    #[arg(required = true)]
    paths: Vec<String>,
    /// Makes the folders above them, too; one that is there is no error.
    #[arg(short = 'p', long)]
    parents: bool,
    /// Prints JSON, one folder a line.
    #[arg(long)]
    json: bool,
}

/// Moves or renames files and folders of a channel. No bytes travel.
#[derive(Args)]
#[command(after_help = "\
Examples:
  zotferry --dir hub mv alice /notes.txt /letters/notes.txt
  zotferry --dir hub mv alice /a.jpg /b.jpg /photos        into a folder that is there")]
pub(crate) struct Mv {
    /// Which channel.
    channel: String,
    /// What to move, and last where to: a new path, or a folder that is there.
    #[arg(required = true, num_args = 2.., value_name = "PATH")]
    paths: Vec<String>,
    /// Replaces a file that is in the way.
    #[arg(short, long)]
    force: bool,
    /// Prints JSON, one entry a line.
    #[arg(long)]
    json: bool,
}

/// Copies files and folders of a channel. No bytes travel: each clone has them already.
#[derive(Args)]
#[command(after_help = "\
Examples:
  zotferry --dir hub cp alice /letter.odt /letter-to-bob.odt
  zotferry --dir hub cp -r alice /photos/2026 /archive")]
pub(crate) struct Cp {
    /// Which channel.
    channel: String,
    /// What to copy, and last where to: a new path, or a folder that is there.
    #[arg(required = true, num_args = 2.., value_name = "PATH")]
    paths: Vec<String>,
    /// Copies folders with all in them.
    #[arg(short, long)]
    recursive: bool,
    /// Replaces a file that is in the way.
    #[arg(short, long)]
    force: bool,
    /// Prints JSON, one entry a line.
    #[arg(long)]
    json: bool,
}

/// Removes files and folders of a channel, on every clone.
///
/// Asks before it removes a folder, if it is run by hand.
#[derive(Args)]
#[command(after_help = "\
Examples:
  zotferry --dir hub rm alice /notes.txt
  zotferry --dir hub rm -r alice /photos/2019
  zotferry --dir hub rm -rf alice /tmp                     does not ask; what is not there is fine")]
pub(crate) struct Rm {
    /// Which channel.
    channel: String,
    /// What to remove.
    #[arg(required = true)]
    paths: Vec<String>,
    /// Removes folders with all in them.
    #[arg(short, long)]
    recursive: bool,
    /// Does not ask, and does not mind what is not there.
    #[arg(short, long)]
    force: bool,
    /// Prints JSON, one path a line.
    #[arg(long)]
    json: bool,
}

impl Mkdir {
    pub(crate) async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        let Self { channel, paths, parents, json } = self;
        let questions =
            paths.into_iter().map(|path| MakeFolder { channel: channel.clone(), path, parents });
        each(dir, questions, |done| show(done, json), |_| false).await
    }
}

impl Mv {
    pub(crate) async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        move_all(
            dir,
            self.channel,
            self.paths,
            Moving { copy: false, recursive: true, replace: self.force, json: self.json },
        )
        .await
    }
}

impl Cp {
    pub(crate) async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        move_all(
            dir,
            self.channel,
            self.paths,
            Moving { copy: true, recursive: self.recursive, replace: self.force, json: self.json },
        )
        .await
    }
}

/// How entries are moved.
struct Moving {
    copy: bool,
    recursive: bool,
    replace: bool,
    json: bool,
}

async fn move_all(
    dir: &Path,
    channel: String,
    mut paths: Vec<String>,
    how: Moving,
) -> Result<Exit, Failure> {
    let Moving { copy, recursive, replace, json } = how;
    let mut to = paths.pop().unwrap_or_default();
    if paths.len() > 1 && !to.ends_with('/') {
        // Several go into a folder, or nowhere.
        to.push('/');
    }
    let questions = paths.into_iter().map(|from| MoveEntry {
        channel: channel.clone(),
        from,
        to: to.clone(),
        copy,
        recursive,
        replace,
    });
    each(dir, questions, |done| show(done, json), |_| false).await
}

impl Rm {
    pub(crate) async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        let Self { channel, paths, recursive, force, json } = self;
        if recursive && !force && std::io::stdin().is_terminal() && !sure(&paths)? {
            return Ok(Exit::Done);
        }
        let questions =
            paths.into_iter().map(|path| RemoveEntry { channel: channel.clone(), path, recursive });
        let fine = |failure: &Failure| force && failure.exit == Exit::NotFound;
        each(dir, questions, |done| show(done, json), fine).await
    }
}

/// Asks a person once.
fn sure(paths: &[String]) -> Result<bool, Failure> {
    let shown: Vec<String> = paths.iter().map(|path| visible(path)).collect();
    let what = shown.join(", ");
    eprint!("remove {what}, with all in it, on every clone? [y/N] ");
    std::io::stderr().flush().map_err(Failure::failed)?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(Failure::failed)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Asks one question after the other, and goes on after one that failed.
async fn each<A: Ask>(
    dir: &Path,
    questions: impl Iterator<Item = A>,
    show: impl Fn(&A::Answer),
    fine: impl Fn(&Failure) -> bool,
) -> Result<Exit, Failure> {
    let client = Client::running_or_resting(dir).await?;
    let (mut done, mut failed) = (0, Vec::new());
    for question in questions {
        match client.ask(&question).await.map_err(Failure::from) {
            Ok(answer) => {
                done += 1;
                show(&answer);
            }
            Err(failure) if fine(&failure) => done += 1,
            Err(failure) => failed.push(failure),
        }
    }
    client.close().await?;
    let Some(last) = failed.pop() else { return Ok(Exit::Done) };
    for failure in failed {
        eprintln!("zotferry: {}", failure.text);
    }
    Err(if done > 0 { Failure::new(Exit::Partly, last.text) } else { last })
}

fn show(edited: &Edited, json: bool) {
    if json {
        return output::json(edited);
    }
    let path = visible(&edited.path);
    output::line(match (&edited.from, edited.removed) {
        (Some(from), _) => format!("{} -> {path}", visible(from)),
        (None, 0 | 1) => path,
        (None, removed) => format!("{path}  {removed} entries"),
    });
}
