//! `zotferry hub`: runs a hub until it is told to stop.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use tokio::net::TcpListener;
use zotferry::local::{self, Local, Socket};
use zotferry::service::Service;

use super::exit::{Exit, Failure};
use super::signals::Signals;
use super::{log, output};

/// Runs a hub.
///
/// It stops on SIGTERM or Ctrl-C and puts back what it has in hand; a second signal stops it at
/// once. Either way nothing that is on disk is fetched again. Other commands talk to it over the
/// socket hub.sock in its folder.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Hub {
    /// Its folder; by default that of --dir.
    dir: Option<PathBuf>,
    /// Stops when standard input ends, so that the hub does not outlive whoever started it.
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
}

const EXAMPLES: &str = "\
Examples:
  zotferry hub hub
  ZOTFERRY_LOG=debug zotferry hub hub 2>hub.log";

impl Hub {
    pub(crate) async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        let signals = Signals::catch()?;
        let hub = Arc::new(zotferry::hub::Hub::open(self.dir.as_deref().unwrap_or(dir)).await?);
        log::set_pace(hub.config.limits.log_lines_per_minute);
        let listen = hub.config.listen;
        let listener = TcpListener::bind(listen).await.map_err(|e| {
            Failure::failed(format!(
                "cannot listen on {listen}: {e}; `listen` in {} says where",
                output::path(&hub.folder.config())
            ))
        })?;
        let listen = listener.local_addr().unwrap_or(listen);
        let socket = Socket::bind(&hub).map_err(|e| Failure::file(&hub.folder.socket(), &e))?;
        let service = Service::start(Arc::clone(&hub), listener).await?;
        let (receiver, watches) = (Arc::clone(&service.receiver), Arc::clone(&service.watches));
        let local = Local::running(Arc::clone(&hub), receiver, watches);
        let answering = tokio::spawn(local::serve(socket, local));
        output::line(format!("listening on {listen}, serving {}", hub.config.url));
        tokio::select! {
            () = signals.first() => {}
            () = stdin_ends(), if self.until_stdin_ends => {}
            () = hub.stop.cancelled() => {}
        }
        tracing::info!("stopping; what is in hand is put back");
        hub.stop.cancel();
        // Questions are answered from the catalog, so they end before it is closed.
        if let Err(error) = answering.await {
            tracing::error!(%error, "the local socket ended badly");
        }
        service.stop().await?;
        match hub.fault() {
            None => Ok(Exit::Done),
            Some(fault) => Err(Failure::new(
                Exit::Disk,
                format!(
                    "stopped, because a write failed: {fault}. Look after the disk under {}, then start \
                     the hub again: what was acknowledged is kept, and is looked at again",
                    output::path(hub.folder.path())
                ),
            )),
        }
    }
}

/// Reads on a thread of its own, which nothing waits for.
async fn stdin_ends() {
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()).ok();
        drop(ended);
    });
    end.await.ok();
}
