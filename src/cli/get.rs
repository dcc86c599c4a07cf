//! `zotferry get`: a file out of a channel.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use zotferry::durable::folder_of;
use zotferry::local;
use zotferry::local::client::{Client, ClientError, Incoming};

use super::exit::{Exit, Failure};
use super::output;
use super::progress::Progress;

/// Reads a file of a channel.
///
/// The file appears under its name only when it is whole. One that has not arrived on this hub yet
/// says how far it is (exit code 4).
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Get {
    /// Which channel.
    channel: String,
    /// Its path there.
    path: String,
    /// The file or folder to write to, `-` for standard output; by default its own name, here.
    dest: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  zotferry --dir hub get alice /photos/2026/sunset.jpg
  zotferry --dir hub get alice /notes.txt -
  zotferry --dir hub get alice /notes.txt ~/notes-from-alice.txt";

impl Get {
    pub(crate) async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        let client = Client::running_or_resting(dir).await?;
        let done = self.fetch(&client).await;
        client.close().await?;
        done.map(|()| Exit::Done)
    }

    async fn fetch(self, client: &Client) -> Result<(), Failure> {
        let question = local::Get { channel: self.channel, path: self.path };
        let mut file = client.get(&question).await?;
        if self.dest.as_deref() == Some(Path::new("-")) {
            return copy(&mut file, &mut std::io::stdout().lock(), None).await;
        }
        let name = question.path.rsplit('/').next().unwrap_or_default();
        let dest = self.dest.unwrap_or_else(|| PathBuf::from("."));
        let dest = if dest.is_dir() { dest.join(name) } else { dest };
        write(file, &dest).await
    }
}

/// Into a temporary file beside its place, then under its name.
async fn write(mut file: Incoming, dest: &Path) -> Result<(), Failure> {
    let failed = |error: &std::io::Error| Failure::file(dest, error);
    let folder = folder_of(dest);
    let mode = if file.executable { 0o777 } else { 0o666 };
    let mut temporary = tempfile::Builder::new()
        .prefix(".zotferry-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)
        .map_err(|e| failed(&e))?;
    let mut progress = Progress::new("get", file.size, false);
    copy(&mut file, temporary.as_file_mut(), Some(&mut progress)).await?;
    finish(temporary.as_file(), &file).map_err(|e| failed(&e))?;
    temporary.persist(dest).map_err(|e| failed(&e.error))?;
    progress.end();
    output::line(output::path(dest));
    Ok(())
}

fn finish(written: &File, file: &Incoming) -> std::io::Result<()> {
    if let Some(mtime) = file.mtime {
        written.set_modified(UNIX_EPOCH + Duration::from_millis(mtime))?;
    }
    written.sync_all()
}

async fn copy(
    file: &mut Incoming,
    to: &mut dyn Write,
    mut progress: Option<&mut Progress>,
) -> Result<(), Failure> {
    let mut done = 0;
    while let Some(piece) = file.next().await? {
        to.write_all(&piece).map_err(Failure::failed)?;
        done += piece.len() as u64;
        if let Some(progress) = &mut progress {
            progress.at(done, String::new);
        }
    }
    if done != file.size {
        let text = format!("{done} of {} bytes came", file.size);
        return Err(ClientError::Broken(text).into());
    }
    to.flush().map_err(Failure::failed)
}
