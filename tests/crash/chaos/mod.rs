//! Three hubs of one channel, edited all the time, while everything around them goes wrong: processes are killed, disks
//! fill up, clocks jump, connections break and carry wrong bytes, and files on the disk change. Once that ends, the three
//! are to be equal, and nothing that was acknowledged may be missing.
//!
//! `ZOTFERRY_CHAOS` says for how many seconds (20), `ZOTFERRY_SEED` repeats the choices of one run; both are printed.

mod blows;
mod edits;
pub(crate) mod hub;
pub(crate) mod judge;
mod wire;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use zotferry::channels::SealKey;
use zotferry::local::{ExportChannel, ImportChannel, MakeChannel};

use crate::process::Dice;
use hub::ChaosHub;
use judge::Help;

const HUBS: usize = 3;
const NAMES: [&str; HUBS] = ["anna", "berta", "clara"];
/// The one whose disk changes bytes: what is damaged there, another has whole.
const SPOILT: usize = 2;

/// What was acknowledged and is never touched again: name and bytes.
type Kept = BTreeMap<String, Vec<u8>>;

struct World {
    dice: Dice,
    hubs: Vec<ChaosHub>,
    kept: Kept,
    /// Bytes that may still be put: superseded content stays for a day.
    budget: u64,
    files: u32,
    blows: BTreeMap<&'static str, u32>,
    _dir: tempfile::TempDir,
}

fn seconds() -> u64 {
    std::env::var("ZOTFERRY_CHAOS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

impl World {
    async fn begin(seconds: u64) -> Self {
        let dice = Dice::new();
        println!("ZOTFERRY_CHAOS={seconds}");
        let budget = (40 << 20) + seconds * (400 << 10);
        let dir = tempfile::tempdir().unwrap();
        let mut hubs = Vec::new();
        for name in NAMES {
            hubs.push(ChaosHub::create(dir.path(), name, 3 * budget + (64 << 20)).await);
        }
        let kept = Kept::new();
        let mut world =
            Self { dice, hubs, kept, budget, files: 0, blows: BTreeMap::new(), _dir: dir };
        world.share().await;
        world
    }

    /// All three become clones of one channel.
    async fn share(&mut self) {
        let first = self.hubs[0].client().unwrap();
        first.ask(&MakeChannel { nick: "alice".into() }).await.unwrap();
        let key = SealKey::new("correct horse battery staple").unwrap();
        for n in 1..HUBS {
            let export = ExportChannel { nick: "alice".into(), key: key.clone() };
            let file = self.hubs[0].client().unwrap().ask(&export).await.unwrap().file;
            let import = ImportChannel { file, key: Some(key.clone()), nick: None };
            self.hubs[n].client().unwrap().ask(&import).await.unwrap();
            judge::wait_listed(&self.hubs[..=n]).await;
        }
    }

    /// One edit or one blow.
    async fn step(&mut self) {
        match self.dice.below(100) {
            0..60 => edits::edit(self).await,
            _ => blows::strike(self).await,
        }
    }
}

/// SYNC-24, SYNC-25, QUEUE-7, QUEUE-8, AUDIT-9: whatever happens, three hubs that are left alone end with equal catalogs and
/// equal bytes, and with everything that one of them acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn three_hubs_agree_after_chaos() {
    let seconds = seconds();
    let mut world = World::begin(seconds).await;
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        world.step().await;
        let pause = Duration::from_millis(world.dice.below(120));
        tokio::time::sleep(pause).await;
    }
    println!("blows: {:?}, {} files kept", world.blows, world.kept.len());
    assert!(world.blows.len() >= 5, "little went wrong: {:?}", world.blows);
    for hub in &mut world.hubs {
        hub.heal().await;
    }
    let patience = Duration::from_secs(120 + seconds);
    judge::agree(&world.hubs, Help::None, patience).await;
    judge::agree(&world.hubs, Help::ReadFiles, patience).await;
    judge::nothing_is_lost(&world.hubs, &world.kept).await;
    for hub in &mut world.hubs {
        hub.stop_well().await;
        hub.has_not_panicked();
    }
}
