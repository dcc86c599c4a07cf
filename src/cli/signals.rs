//! SIGTERM and SIGINT.

use tokio::signal::unix::{SignalKind, signal};

use super::exit::Failure;

/// Comes back with the first signal; the second one ends the process at once.
pub(crate) struct Signals {
    first: tokio::sync::oneshot::Receiver<()>,
}

impl Signals {
    /// From now on signals are caught.
    pub(crate) fn catch() -> Result<Self, Failure> {
        let mut term = signal(SignalKind::terminate()).map_err(Failure::failed)?;
        let mut int = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
        let (tell, first) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let mut next = async || {
                tokio::select! {
                    _ = term.recv() => {}
                    _ = int.recv() => {}
                }
            };
            next().await;
            tell.send(()).ok();
            next().await;
            eprintln!("zotferry: stopped at once, as asked a second time");
            std::process::exit(1);
        });
        Ok(Self { first })
    }

    /// The first signal.
    pub(crate) async fn first(self) {
        if self.first.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
