//! Everything that is said at the most talkative level, of a run in which every secret is used: none is in it.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use zotferry::channels::SealKey;
use zotferry::local::{
    ExportChannel, ImportChannel, MakeChannel, MakePassword, Put, RotateKey, StatusOf,
};

use crate::chaos::hub::ChaosHub;
use crate::chaos::judge::wait_listed;

const PASSPHRASE: &str = "correct horse battery staple";

/// The private keys of a hub, as their PEM's longest lines, in base64 and as hex.
fn private_keys(hub: &ChaosHub, secrets: &mut Vec<(String, String)>) {
    let mut waiting = vec![hub.folder().to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let Some(body) = text.strip_prefix("-----BEGIN PRIVATE KEY-----") else { continue };
            // The first lines are the same in every key, and the modulus is public: what is at the end is not.
            let lines: Vec<&str> = body.lines().filter(|line| line.len() == 64).collect();
            for line in &lines[lines.len() / 2..] {
                secrets.push((format!("a line of {}", path.display()), (*line).to_owned()));
                let bytes = STANDARD.decode(line).unwrap();
                secrets.push((format!("hex of {}", path.display()), hex::encode(&bytes[..24])));
            }
        }
    }
}

async fn everything_is_there(hub: &ChaosHub, files: u64) {
    let started = Instant::now();
    loop {
        let status = hub.client().unwrap().ask(&StatusOf {}).await.unwrap();
        if status.channels[0].present.files == files && status.channels[0].wanted.files == 0 {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{status:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// No key, passphrase, app password or signed request is in the logs of two hubs that used them all.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_ever_logged() {
    let dir = tempfile::tempdir().unwrap();
    let mut hubs = Vec::new();
    for name in ["one", "two"] {
        hubs.push(ChaosHub::create_logging(dir.path(), name, 256 << 20, "trace").await);
    }
    let (one, two) = (hubs[0].client().unwrap(), hubs[1].client().unwrap());
    one.ask(&MakeChannel { nick: "alice".into() }).await.unwrap();
    let key = SealKey::new(PASSPHRASE).unwrap();
    let export = ExportChannel { nick: "alice".into(), key: key.clone() };
    let file = one.ask(&export).await.unwrap().file;
    let import = ImportChannel { file, key: Some(key.clone()), nick: None };
    two.ask(&import).await.unwrap();
    wait_listed(&hubs).await;
    let question = MakePassword { channel: "alice".into(), label: "phone".into() };
    let password = one.ask(&question).await.unwrap().password;
    let url = format!("http://{}/dav/alice/", hubs[0].wire.address);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for (name, right) in [("letter", true), ("wrong", false)] {
        let word = if right { password.clone() } else { format!("{password}x") };
        let request = http.put(format!("{url}{name}")).basic_auth("alice", Some(&word));
        let answer = request.body(vec![7; 100_000]).send().await.unwrap();
        assert_eq!(answer.status().is_success(), right);
    }
    let film = dir.path().join("film");
    std::fs::write(&film, vec![9; 9 << 20]).unwrap();
    let question = Put { channel: "alice".into(), paths: vec![film], to: String::new() };
    let mut lines = one.lines(&question).await.unwrap();
    while lines.next().await.unwrap().is_some() {}
    everything_is_there(&hubs[1], 2).await;

    let mut secrets = vec![
        ("the passphrase".to_owned(), PASSPHRASE.to_owned()),
        ("the app password".to_owned(), password.clone()),
        ("its secret part".to_owned(), password.split_once('-').unwrap().1.to_owned()),
        ("its header".to_owned(), STANDARD.encode(format!("alice:{password}"))),
    ];
    // The old key is destroyed some time after there is a new one.
    hubs.iter().for_each(|hub| private_keys(hub, &mut secrets));
    let rotate = RotateKey { channel: "alice".into(), without: Vec::new(), key };
    one.ask(&rotate).await.unwrap();
    hubs.iter().for_each(|hub| private_keys(hub, &mut secrets));
    let shown: Vec<Vec<u8>> = hubs.iter().flat_map(|hub| hub.wire.authorizations()).collect();
    assert!(shown.iter().any(|value| value.starts_with(b"Zot ")), "no stream was asked for");
    for value in shown {
        let text = String::from_utf8(value).unwrap();
        let token = text.split(' ').next_back().unwrap().to_owned();
        if let Ok(packet) = URL_SAFE_NO_PAD.decode(&token) {
            let end = &packet[packet.len() - 24..];
            secrets.push(("the signature of a request".to_owned(), hex::encode(end)));
        }
        secrets.push(("a header of a request".to_owned(), token));
    }
    for hub in &mut hubs {
        hub.stop_well().await;
        let log = hub.log();
        assert!(log.contains("TRACE") && log.len() > 100_000, "{} bytes of log", log.len());
        let log = log.to_lowercase();
        for (what, secret) in &secrets {
            assert!(!log.contains(&secret.to_lowercase()), "{what} is in the log of {}", hub.name);
        }
    }
}
