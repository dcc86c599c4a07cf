//! A backup that is uploaded over WebDAV to a hub that is killed at random moments.

use std::path::Path;
use std::time::Duration;

use zotferry::local::MakePassword;

use crate::backup::{furnished, listed, run, tree, url_of};
use crate::process::{Dice, new_hub, rounds};

/// Uploads files until all are there or the hub is not; whether all are.
async fn upload(
    client: reqwest::Client,
    url: String,
    word: String,
    files: Vec<(String, Vec<u8>)>,
) -> bool {
    for (name, bytes) in files {
        let request = client.put(format!("{url}/dav/alice/.restore/{name}"));
        let answer = request.basic_auth("alice", Some(&word)).body(bytes).send().await;
        match answer {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => panic!("{name}: {}", answer.status()),
            Err(_) => return false,
        }
    }
    true
}

fn shuffled(dice: &mut Dice, mut files: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    for at in (1..files.len()).rev() {
        files.swap(at, dice.below(at as u64 + 1) as usize);
    }
    files
}

/// BACKUP-32: what was uploaded before the hub was killed, in whatever order, need not come again, and may: in the end every
/// file is there once, and nothing is left over.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_a_backup_survive_the_hub() {
    let (mut dice, dir) = (Dice::new(), tempfile::tempdir().unwrap());
    furnished(dir.path(), &mut dice).await;
    run(dir.path(), &["export", "a", "alice", "backup"]);
    let named = |(name, bytes)| (format!("tree/{name}"), bytes);
    let expected: Vec<_> = tree(&dir.path().join("tree")).into_iter().map(named).collect();
    let of = |part: &str| {
        let files = tree(&dir.path().join("backup").join(part)).into_iter();
        files.map(|(name, bytes)| (format!("{part}/{name}"), bytes)).collect::<Vec<_>>()
    };
    let files = [of("meta"), of("data")].concat();
    let mut killed = 0;
    for round in 0..rounds() {
        let name = format!("hub-{round}");
        let mut hub = new_hub(&dir.path().join(&name)).await;
        run(dir.path(), &["--dir", &name, "channel", "import", "alice.id"]);
        let question = MakePassword { channel: "alice".into(), label: "backup".into() };
        let word = hub.client().ask(&question).await.unwrap().password;
        let (client, url) = (reqwest::Client::new(), url_of(&dir.path().join(&name)));
        for _ in 0..2 {
            let files = shuffled(&mut dice, files.clone());
            let uploading = tokio::spawn(upload(client.clone(), url.clone(), word.clone(), files));
            // Asleep until the moment at which the hub is killed.
            tokio::time::sleep(Duration::from_micros(dice.below(1_500_000))).await;
            hub = hub.kill_and_restart().await;
            killed += u32::from(!uploading.await.unwrap());
        }
        assert!(
            upload(client.clone(), url.clone(), word.clone(), shuffled(&mut dice, files.clone()))
                .await
        );
        let left = left_over(&client, &url, &word).await;
        assert_eq!(left, 0, "round {round}: left over");
        run(dir.path(), &["export", &name, "alice", "again"]);
        let mut found = listed(&dir.path().join("again"));
        found.sort();
        assert!(found == expected, "round {round}: other files");
        hub.stop().await;
        remove(&dir.path().join("again"));
        remove(&dir.path().join(&name));
    }
    assert!(killed > 0, "every upload was faster than its kill");
}

fn remove(folder: &Path) {
    std::fs::remove_dir_all(folder).unwrap();
}

/// Files that wait in the folder.
async fn left_over(client: &reqwest::Client, url: &str, word: &str) -> usize {
    let mut left = 0;
    for folder in ["", "meta/", "data/"] {
        let method = reqwest::Method::from_bytes(b"PROPFIND").unwrap();
        let request = client.request(method, format!("{url}/dav/alice/.restore/{folder}"));
        let answer =
            request.basic_auth("alice", Some(word)).header("depth", "1").send().await.unwrap();
        let text = answer.text().await.unwrap();
        left += text.matches("<D:response>").count().saturating_sub(1);
    }
    left
}
