//! Exports and restores that are killed at random moments: the next run completes them.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use zotferry::hub::Hub;
use zotferry::local::MakeChannel;
use zotferry_protocol::identity::BaseUrl;

use crate::process::{Dice, new_hub, rounds};
use crate::put;

/// Files of all kinds of sizes: rows, files of one chunk, of several.
const SIZES: [usize; 6] = [0, 700, 60_000, 90_000, 1 << 20, (3 << 20) + 1];
const FILES: usize = 90;

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zotferry"));
    command.current_dir(dir).args(args).env("ZOTFERRY_PASSPHRASE", "correct horse");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

pub(crate) fn run(dir: &Path, args: &[&str]) {
    assert!(command(dir, args).status().unwrap().success(), "{args:?}");
}

/// Kills a command at a moment between its start and when it would be done. Whether it was in time.
fn kill_within(dice: &mut Dice, took: Duration, mut child: Child) -> bool {
    let at = Duration::from_micros(dice.below(took.as_micros() as u64 + 1));
    // Asleep until the moment of the kill, whatever happens at it.
    std::thread::sleep(at);
    let in_time = child.try_wait().unwrap().is_none();
    child.kill().ok();
    child.wait().unwrap();
    in_time
}

async fn hub(dir: &Path, name: &str) {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    let url = BaseUrl::parse(&format!("http://{address}")).unwrap();
    Hub::init(&dir.join(name), url, address).await.unwrap();
}

/// A resting hub with a channel of some files, and the channel's identity in a file.
pub(crate) async fn furnished(dir: &Path, dice: &mut Dice) {
    for n in 0..FILES {
        let path = dir.join(format!("tree/{}", n % 7));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join(format!("file {n}")), dice.noise(SIZES[n % SIZES.len()])).unwrap();
    }
    let hub = new_hub(&dir.join("a")).await;
    hub.client().ask(&MakeChannel { nick: "alice".into() }).await.unwrap();
    put(&hub, &dir.join("tree")).await;
    hub.stop().await;
    run(dir, &["--dir", "a", "channel", "export", "alice", "alice.id"]);
}

/// Every file below a folder, with its bytes.
pub(crate) fn tree(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let (mut found, mut waiting) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().display().to_string();
                found.push((name, std::fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// BACKUP-17: an export that is killed leaves no half file and no head that names what is not there; the next one
/// completes it, to the same folder as one that was never killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_export_goes_on() {
    let (mut dice, dir) = (Dice::new(), tempfile::tempdir().unwrap());
    furnished(dir.path(), &mut dice).await;
    let begun = Instant::now();
    run(dir.path(), &["export", "a", "alice", "never-killed", "--copy"]);
    let took = begun.elapsed();
    let mut expected = tree(&dir.path().join("never-killed"));
    expected.retain(|(name, _)| name != "backup.jsonl");
    let mut killed = 0;
    for round in 0..rounds() {
        let target = format!("backup-{round}");
        let args = ["export", "a", "alice", &target, "--copy"];
        for _ in 0..3 {
            let child = command(dir.path(), &args).spawn().unwrap();
            killed += u32::from(kill_within(&mut dice, took, child));
            // Whatever has its name is whole: a head that is there speaks of files that are all there.
            if dir.path().join(&target).join("backup.jsonl").exists() {
                run(dir.path(), &["verify", &target]);
            }
        }
        run(dir.path(), &args);
        run(dir.path(), &["verify", &target]);
        let mut found = tree(&dir.path().join(&target));
        found.retain(|(name, _)| name != "backup.jsonl");
        assert!(found == expected, "round {round}: another folder");
        std::fs::remove_dir_all(dir.path().join(&target)).unwrap();
    }
    assert!(killed > 0, "every export was faster than its kill");
}

/// BACKUP-22, BACKUP-23: a restore that is killed shows no half file; the next one completes it, and nothing is doubled.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_restore_goes_on() {
    let (mut dice, dir) = (Dice::new(), tempfile::tempdir().unwrap());
    furnished(dir.path(), &mut dice).await;
    run(dir.path(), &["export", "a", "alice", "backup"]);
    let named = |(name, bytes)| (format!("tree/{name}"), bytes);
    let expected: Vec<_> = tree(&dir.path().join("tree")).into_iter().map(named).collect();
    hub(dir.path(), "measured").await;
    run(dir.path(), &["--dir", "measured", "channel", "import", "alice.id"]);
    let begun = Instant::now();
    run(dir.path(), &["restore", "backup", "--to", "measured"]);
    let took = begun.elapsed();
    let mut killed = 0;
    for round in 0..rounds() {
        let name = format!("hub-{round}");
        hub(dir.path(), &name).await;
        run(dir.path(), &["--dir", &name, "channel", "import", "alice.id"]);
        let way = if round % 2 == 0 { "--copy" } else { "--json" };
        let args = ["restore", "backup", "--to", &name, way];
        for _ in 0..3 {
            let child = command(dir.path(), &args).spawn().unwrap();
            killed += u32::from(kill_within(&mut dice, took, child));
        }
        run(dir.path(), &args);
        run(dir.path(), &["export", &name, "alice", "again"]);
        let mut found = listed(&dir.path().join("again"));
        found.sort();
        assert!(found == expected, "round {round}: other files");
        run(dir.path(), &["verify", "backup"]);
        std::fs::remove_dir_all(dir.path().join("again")).unwrap();
        std::fs::remove_dir_all(dir.path().join(&name)).unwrap();
    }
    assert!(killed > 0, "every restore was faster than its kill");
}

/// BACKUP-29, BACKUP-30: a client that is killed while it brings a backup to a running hub, and that hub being killed, cost
/// nothing but the way: the next run completes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_brought_survives_both_sides() {
    let (mut dice, dir) = (Dice::new(), tempfile::tempdir().unwrap());
    furnished(dir.path(), &mut dice).await;
    run(dir.path(), &["export", "a", "alice", "backup"]);
    let named = |(name, bytes)| (format!("tree/{name}"), bytes);
    let expected: Vec<_> = tree(&dir.path().join("tree")).into_iter().map(named).collect();
    let mut took = Duration::from_secs(2);
    let mut killed = 0;
    for round in 0..rounds() {
        let name = format!("hub-{round}");
        let mut hub = new_hub(&dir.path().join(&name)).await;
        run(dir.path(), &["--dir", &name, "channel", "import", "alice.id"]);
        let url = url_of(&dir.path().join(&name));
        let args = ["restore", "backup", "--to", &url, "--identity", "alice.id"];
        for _ in 0..2 {
            let child = command(dir.path(), &args).spawn().unwrap();
            killed += u32::from(kill_within(&mut dice, took, child));
        }
        let begun = Instant::now();
        let mut child = command(dir.path(), &args).spawn().unwrap();
        let at = Duration::from_micros(dice.below(took.as_micros() as u64 / 2 + 1));
        // Asleep until the moment at which the hub is killed.
        std::thread::sleep(at);
        hub = hub.kill_and_restart().await;
        let in_one_go = child.wait().unwrap().success();
        if !in_one_go {
            run(dir.path(), &args);
        }
        took = begun.elapsed();
        run(dir.path(), &["export", &name, "alice", "again"]);
        let mut found = listed(&dir.path().join("again"));
        found.sort();
        assert!(found == expected, "round {round}: other files");
        hub.stop().await;
        std::fs::remove_dir_all(dir.path().join("again")).unwrap();
        std::fs::remove_dir_all(dir.path().join(&name)).unwrap();
    }
    assert!(killed > 0, "every restore was faster than its kill");
}

pub(crate) fn url_of(hub: &Path) -> String {
    let config = std::fs::read_to_string(hub.join("config.toml")).unwrap();
    let url = config.lines().find_map(|line| line.strip_prefix("url = ")).unwrap();
    url.trim_matches('"').to_owned()
}

/// The files of a backup, by the paths that its list gives them.
pub(crate) fn listed(backup: &Path) -> Vec<(String, Vec<u8>)> {
    let list = std::fs::read_to_string(backup.join("files.tsv")).unwrap();
    let files = list.lines().filter_map(|line| line.split_once('\t'));
    let files = files.filter(|(data, _)| *data != "folder");
    files.map(|(data, path)| (path.to_owned(), std::fs::read(backup.join(data)).unwrap())).collect()
}
