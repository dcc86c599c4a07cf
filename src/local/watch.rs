//! Mirrors a folder for as long as somebody listens, or listens to a mirror of the settings.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, mpsc};

use super::{AskLines, Failure, Local, lines};
use crate::watch::{Rule, Running, WatchEvent, Watches};

/// Mirrors a folder of this machine into a channel until the asker goes away.
#[derive(Debug, Serialize, Deserialize)]
pub struct Watch {
    /// Which channel.
    pub channel: String,
    /// The folder, as an absolute path.
    pub dir: PathBuf,
    /// The folder of the channel; empty or `/` for the top.
    pub into: String,
    /// Whether what is gone may be removed, although it is so much.
    pub confirm: bool,
    /// Whether it ends once all is mirrored.
    pub once: bool,
}

impl AskLines for Watch {
    const PATH: &'static str = "/watch";
    type Event = WatchEvent;
}

pub(super) async fn watch(
    State(local): State<Arc<Local>>,
    Json(ask): Json<Watch>,
) -> Result<Response, Failure> {
    local.channel(&ask.channel).await?;
    let Some(watches) = local.watches.clone() else {
        return Err(Failure::failed("a folder is mirrored by a hub that runs"));
    };
    let rule = Rule::new(&ask.channel, &ask.dir, &ask.into);
    Ok(lines::answer(async move |events| {
        let Some(running) = watches.begin(&rule) else {
            return follow(&watches, &rule, &ask, &events).await;
        };
        let ending = Ending(Arc::clone(&watches), Arc::clone(&running));
        let told = running.listen();
        if ask.confirm {
            running.look(true);
        }
        tokio::select! {
            ended = watches.mirror(&running) => ended?,
            () = pass_on(told, ask.once, &events) => {}
        }
        drop(ending);
        Ok(())
    }))
}

/// Takes the mirror off the list, also when the asker has gone.
struct Ending(Arc<Watches>, Arc<Running>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end(&self.1);
    }
}

/// Listens to a mirror that runs already.
async fn follow(
    watches: &Watches,
    rule: &Rule,
    ask: &Watch,
    events: &mpsc::Sender<WatchEvent>,
) -> Result<(), Failure> {
    let Some(running) = watches.find(rule) else {
        return Err(Failure::failed("that mirror has just ended; try again"));
    };
    let told = running.listen();
    if ask.confirm || ask.once {
        running.look(ask.confirm);
    }
    // It ends when its mirror does.
    drop(running);
    pass_on(told, ask.once, events).await;
    Ok(())
}

/// Until the mirror ends, or all is mirrored.
async fn pass_on(
    mut told: broadcast::Receiver<WatchEvent>,
    once: bool,
    events: &mpsc::Sender<WatchEvent>,
) {
    loop {
        let event = match told.recv().await {
            Ok(event) => event,
            // What was missed is counted in the tally.
            Err(broadcast::error::RecvError::Lagged(_)) => continue,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let last = once && matches!(event, WatchEvent::Settled(_));
        if events.send(event).await.is_err() || last {
            return;
        }
    }
}
