//! Whether the hubs are equal, and whether anything is missing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use zotferry::local::client::{Client, ClientError};
use zotferry::local::{Audit, AuditEvent, CloneState, Entry, EntryState, Get, List, StatusOf};

use super::Kept;
use super::hub::ChaosHub;

/// Waits until every hub lists all the others.
pub(crate) async fn wait_listed(hubs: &[ChaosHub]) {
    let started = Instant::now();
    loop {
        let mut all = true;
        for hub in hubs {
            let status = hub.client().unwrap().ask(&StatusOf {}).await.unwrap();
            let clones = status.channels.iter().flat_map(|channel| &channel.clones);
            let listed = clones.filter(|clone| clone.state == CloneState::Listed).count();
            all &= listed == hubs.len() - 1;
        }
        if all {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "the hubs do not list each other");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What is done for hubs that are to become equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Help {
    /// Nothing: they hear of everything by themselves.
    None,
    /// All files are read again: what was spoilt on a disk has to be found before it can come back.
    ReadFiles,
}

/// Waits until the hubs are equal.
pub(super) async fn agree(hubs: &[ChaosHub], help: Help, patience: Duration) {
    let started = Instant::now();
    loop {
        let differs = differs(hubs, help).await;
        let Err(differs) = differs else {
            println!("equal after {} s, with {help:?}", started.elapsed().as_secs());
            return;
        };
        if started.elapsed() > patience {
            for hub in hubs {
                let status = hub.client().unwrap().ask(&StatusOf {}).await;
                println!("--- {}: {status:#?}\n{}", hub.name, hub.last_words());
            }
            panic!("not equal after {} s: {differs}", patience.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// `Err` says what is not equal yet.
async fn differs(hubs: &[ChaosHub], help: Help) -> Result<(), String> {
    let mut lists = Vec::new();
    for hub in hubs {
        let client = hub.client().unwrap();
        let told = |e: ClientError| format!("{}: {e}", hub.name);
        audited(client, help).await.map_err(|e| format!("{}: {e}", hub.name))?;
        lists.push((hub.name, list(client).await.map_err(told)?));
    }
    for (name, entries) in &lists {
        if let Some(entry) = entries.values().find(|entry| entry.state != EntryState::Present) {
            return Err(format!("{name}: {} is {:?}, {:?}", entry.path, entry.state, entry.reason));
        }
    }
    let (first, rest) = lists.split_first().unwrap();
    for (name, other) in rest {
        let key = |entry: &Entry| (entry.hash.clone(), entry.size, entry.folder, entry.revision);
        for path in first.1.keys().chain(other.keys()) {
            let (ours, theirs) = (first.1.get(path).map(key), other.get(path).map(key));
            if ours != theirs {
                return Err(format!("{path}: {ours:?} on {}, {theirs:?} on {name}", first.0));
            }
        }
    }
    Ok(())
}

/// Whether a hub's files are whole, and its catalog that of every other.
async fn audited(client: &Client, help: Help) -> Result<(), String> {
    let files = help == Help::ReadFiles;
    let question = Audit { channel: "alice".into(), repair: false, files };
    let mut events = client.lines(&question).await.map_err(|e| e.to_string())?;
    let mut clones = 0;
    while let Some(event) = events.next().await.map_err(|e| e.to_string())? {
        match event {
            AuditEvent::Files(checked) if checked.damaged + checked.missing > 0 => {
                return Err(format!("{checked:?}"));
            }
            AuditEvent::Clone(account) if !account.in_sync => return Err(format!("{account:?}")),
            AuditEvent::Clone(_) => clones += 1,
            AuditEvent::Files(_) | AuditEvent::Reading { .. } => {}
        }
    }
    match clones {
        2 => Ok(()),
        other => Err(format!("{other} clones were compared")),
    }
}

async fn list(client: &Client) -> Result<BTreeMap<String, Entry>, ClientError> {
    let question = List { channel: "alice".into(), path: String::new(), recursive: true };
    let mut lines = client.lines(&question).await?;
    let mut entries = BTreeMap::new();
    while let Some(entry) = lines.next().await? {
        entries.insert(entry.path.clone(), entry);
    }
    Ok(entries)
}

async fn bytes(client: &Client, path: &str) -> Result<Vec<u8>, ClientError> {
    let question = Get { channel: "alice".into(), path: path.to_owned() };
    let mut incoming = client.get(&question).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = incoming.next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Every file has the same bytes everywhere, and those that were put once are there as they were put.
pub(super) async fn nothing_is_lost(hubs: &[ChaosHub], kept: &Kept) {
    let first = list(hubs[0].client().unwrap()).await.unwrap();
    let mut total = 0;
    for entry in first.values().filter(|entry| !entry.folder) {
        let here = bytes(hubs[0].client().unwrap(), &entry.path).await.unwrap();
        for hub in &hubs[1..] {
            let there = bytes(hub.client().unwrap(), &entry.path).await.unwrap();
            assert!(here == there, "{} is another on {}", entry.path, hub.name);
        }
        total += here.len();
    }
    for (name, bytes_put) in kept {
        let found = bytes(hubs[0].client().unwrap(), &format!("/{name}")).await;
        let found = found.unwrap_or_else(|e| panic!("{name} was acknowledged and is lost: {e}"));
        assert!(found == *bytes_put, "{name} was acknowledged and is another");
    }
    println!("{} files of {total} bytes are equal on all hubs", first.len());
}
