//! The hook: a command or URL of the owner's that is told what arrived from other clones.
//!
//! Owns: when it is called, and calling again what failed. Not here: what arrived (the catalog's news),
//! how it is told (`told`) and to whom (`call`).
//! Invariant: synchronising never waits for it; news are forgotten only after a call that succeeded, so
//! that a restart loses none. What is told may be told twice.

mod call;
mod told;

use std::sync::Arc;
use std::time::Duration;

use call::{Caller, HookError};

use crate::hub::Hub;

/// Most news in one call.
const MOST: u32 = 256;
/// How long to rest when nothing rings: arrivals that no bell announced wait no longer.
const LONGEST_REST: Duration = Duration::from_secs(5);
/// The longest pause between calls that fail.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Calls the hook until the hub stops. Without a hook, nothing is kept for one.
pub async fn run(hub: Arc<Hub>) {
    let settings = &hub.config.on_change;
    if let Err(error) = hub.catalog.set_hook(settings.is_set()).await {
        tracing::error!(%error, "the hook cannot be told anything");
        return;
    }
    if !settings.is_set() {
        return;
    }
    let caller = match Caller::new(settings) {
        Ok(caller) => caller,
        Err(error) => return tracing::error!(%error, "the hook cannot be called"),
    };
    let debounce = Duration::from_millis(settings.debounce_ms);
    let mut pause = Duration::ZERO;
    while !hub.stop.is_cancelled() {
        let rest = match tell(&hub, &caller).await {
            Ok(Told::Nothing) => {
                pause = Duration::ZERO;
                tokio::select! {
                    () = hub.changes.notified() => {}
                    () = tokio::time::sleep(LONGEST_REST) => {}
                    () = hub.stop.cancelled() => {}
                }
                // What comes together is told together.
                debounce
            }
            Ok(Told::Some) => {
                pause = Duration::ZERO;
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "the hook was not told what arrived; it will be");
                pause = (pause * 2).clamp(Duration::from_secs(1), LONGEST_PAUSE);
                pause
            }
        };
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = hub.stop.cancelled() => {}
        }
    }
}

enum Told {
    Nothing,
    Some,
}

async fn tell(hub: &Arc<Hub>, caller: &Caller) -> Result<Told, HookError> {
    let news = hub.catalog.news(MOST).await?;
    if news.is_empty() {
        return Ok(Told::Nothing);
    }
    let (body, count) = told::body(hub, &news).await?;
    tokio::select! {
        called = caller.call(&body) => called?,
        () = hub.stop.cancelled() => return Ok(Told::Nothing),
    }
    hub.catalog.told(&news[..count]).await?;
    tracing::debug!(count, "the hook was told");
    Ok(Told::Some)
}
