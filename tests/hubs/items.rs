//! Posts and comments on files, from hub to hub: translated, signed again, told to the hook.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use zotferry::audit;
use zotferry::catalog::Item;
use zotferry::channels::{self, Identity};
use zotferry::files;
use zotferry::items::{self, Captured, Described};
use zotferry::keys::PrivateKey;
use zotferry_protocol::codec;
use zotferry_protocol::identity::{PublicKey, SignedLocation};

use crate::harness::{Setup, TestHub, set, until};

const PACKET: &str = include_str!("../fixtures/hubzilla-sync-0029.json");
const IDENTITY: &str = include_str!("../fixtures/hubzilla-identity.json");

/// The channel of the captured packets: `alice` on the origin, `al` on the clone.
async fn captured_pair(dir: &std::path::Path, clone: Setup) -> (TestHub, TestHub) {
    let origin = TestHub::build(dir, "origin", Setup::default()).await;
    let clone = TestHub::build(dir, "clone", clone).await;
    let export: Value = serde_json::from_str(IDENTITY).unwrap();
    let text = |name: &str| export["channel"][name].as_str().unwrap();
    let identity = |nick: &str, locations| Identity {
        guid: text("channel_guid").to_owned(),
        nick: nick.to_owned(),
        key: PrivateKey::from_pem(text("channel_prvkey")).unwrap(),
        rotations: Vec::new(),
        locations,
    };
    channels::adopt(origin.hub(), identity("alice", Vec::new()), "alice").await.unwrap();
    let rows = origin.hub().catalog.locations(origin.channel("alice").await.id).await.unwrap();
    let records = rows.iter().map(|row| codec::decode_owned::<SignedLocation>(&row.record));
    let records = records.map(Result::unwrap).collect();
    channels::adopt(clone.hub(), identity("al", records), "al").await.unwrap();
    clone.lists("al", 2).await;
    origin.lists("alice", 2).await;
    (origin, clone)
}

/// A photo on the origin, and the captured packet as if that were its photo.
async fn photo(origin: &TestHub) -> (String, String) {
    origin.put_bytes("alice", "avatar.jpg", b"no picture, but a file").await;
    let channel = origin.channel("alice").await;
    let entry = origin.hub().catalog.by_path(channel.id, &["avatar.jpg"]).await.unwrap().unwrap();
    let hash = entry.hash.to_string();
    (PACKET.replace("333dc10b-96a8-4df1-81ae-d02ad0305e83", &hash), hash)
}

async fn add(hub: &TestHub, nick: &str, text: &str) -> files::ItemsAdded {
    let channel = hub.channel(nick).await;
    let captured = Captured::read(text).unwrap();
    files::add_items(hub.hub(), &channel, captured).await.unwrap()
}

async fn stored(hub: &TestHub, nick: &str, mid: &str) -> Option<Item> {
    let channel = hub.channel(nick).await;
    hub.hub().catalog.items(channel.id, &[mid]).await.unwrap().remove(mid)
}

async fn shown(hub: &TestHub, nick: &str, mid: &str) -> Described {
    let channel = hub.channel(nick).await;
    let item = stored(hub, nick, mid).await.unwrap();
    items::described(hub.hub(), &channel, &item, None).await.unwrap()
}

async fn has_item(hub: &TestHub, nick: &str, mid: &str) {
    until("the item is here", async || stored(hub, nick, mid).await.is_some()).await;
}

fn signature_holds(item: &Described) -> bool {
    let export: Value = serde_json::from_str(IDENTITY).unwrap();
    let key = PublicKey::from_pem(export["channel"]["channel_pubkey"].as_str().unwrap()).unwrap();
    let signature = item.text("signature").strip_prefix("sha256.").unwrap();
    key.verifies(item.text("body").as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
}

const MID: &str = "https://hub-a.test/item/23bb79f4-bf69-40f0-bee4-38f220c14b01";

/// A comment of somebody else's on the captured post, on the origin.
fn comment(origin: &str, hash: &str) -> Value {
    json!({
        "uuid": "c0ffee00-0000-4000-8000-000000000001",
        "message_id": "https://bob.example/item/c0ffee00-0000-4000-8000-000000000001",
        "message_top": MID,
        "message_parent": MID,
        "body": format!("Nice: [img]{origin}/photo/{hash}-2[/img] by [url={origin}/channel/alice]you[/url]"),
        "signature": "sha256.not-ours-to-make",
        "author_xchan": "B".repeat(86),
        "verb": "http://activitystrea.ms/schema/1.0/post",
        "later": {"kept": [1, null, 2.5]},
    })
}

/// ITEM-6, ITEM-9, ITEM-10, ITEM-11, TRANS-2: a captured post goes to a clone with another nick: its URLs are
/// the clone's, it is signed again, its names stay; and when the clone edits it, it comes back as
/// the origin would have written it.
#[tokio::test(flavor = "multi_thread")]
async fn an_own_post_is_translated_and_signed_again_on_every_hub() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = captured_pair(dir.path(), Setup::default()).await;
    let (packet, hash) = photo(&origin).await;
    assert_eq!(add(&origin, "alice", &packet).await.filed.added, 1);
    has_item(&clone, "al", MID).await;

    let (a, b) = (shown(&origin, "alice", MID).await, shown(&clone, "al", MID).await);
    let (at_a, at_b) = (origin.hub().config.url.to_string(), clone.hub().config.url.to_string());
    for (item, url, nick) in [(&a, &at_a, "alice"), (&b, &at_b, "al")] {
        assert!(item.own && signature_holds(item), "{item:?}");
        assert_eq!(item.text("message_id"), MID);
        assert_eq!(item.text("uuid"), "23bb79f4-bf69-40f0-bee4-38f220c14b01");
        let photo = format!("{url}/photos/{nick}/image/{hash}");
        assert!(item.text("body").contains(&photo), "{}", item.text("body"));
        assert_eq!(item.text("permalink"), format!("{url}/item/{}", item.uuid));
        let object = &item.item.as_ref().unwrap()["object"];
        assert_eq!(object["url"][1]["href"], format!("{url}/photo/{hash}-1.jpg"));
        assert_eq!(object["attributedTo"], format!("{url}/channel/{nick}"));
        assert_eq!(object["id"], MID, "TRANS-7");
    }
    let (row_a, row_b) =
        (stored(&origin, "alice", MID).await.unwrap(), stored(&clone, "al", MID).await.unwrap());
    assert_eq!(row_a.version, row_b.version, "ITEM-11");
    assert_ne!(row_a.row, row_b.row);

    // The clone's own software changes the title; all else comes back byte by byte.
    let mut edited = b.item.unwrap();
    edited["title"] = json!("seen from the clone");
    add(&clone, "al", &edited.to_string()).await;
    until("the edit is on the origin", async || {
        shown(&origin, "alice", MID).await.text("title") == "seen from the clone"
    })
    .await;
    let mut back = shown(&origin, "alice", MID).await.item.unwrap();
    back["title"] = a.item.as_ref().unwrap()["title"].clone();
    assert_eq!(Some(back), a.item, "TRANS-5");
    assert_eq!(stored(&origin, "alice", MID).await.unwrap().url, at_a);
}

/// ITEM-5, ITEM-13: somebody else's comment keeps its content and signature, and is translated where it is shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_comment_of_another_author_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = captured_pair(dir.path(), Setup::default()).await;
    let (packet, hash) = photo(&origin).await;
    add(&origin, "alice", &packet).await;
    let url = origin.hub().config.url.to_string();
    let comment = comment(&url, &hash);
    let mid = comment["message_id"].as_str().unwrap();
    assert_eq!(add(&origin, "alice", &comment.to_string()).await.filed.added, 1);
    has_item(&clone, "al", mid).await;

    let (there, here) = (stored(&origin, "alice", mid).await, stored(&clone, "al", mid).await);
    let (there, here) = (there.unwrap(), here.unwrap());
    assert_eq!(there.row, here.row);
    assert_eq!((&here.url, here.nick.as_str()), (&url, "alice"));
    let shown = shown(&clone, "al", mid).await;
    let at = clone.hub().config.url.to_string();
    let expected =
        format!("Nice: [img]{at}/photo/{hash}-2[/img] by [url={at}/channel/al]you[/url]");
    assert!(!shown.own);
    assert_eq!(shown.text("body"), expected);
    assert_eq!(shown.text("signature"), "sha256.not-ours-to-make");
    let told = shown.item.unwrap();
    assert_eq!(told["later"], comment["later"], "ITEM-7");
    // Software that hands back what it was told changes nothing.
    assert_eq!(add(&clone, "al", &told.to_string()).await.filed.unchanged, 1);
    assert_eq!(stored(&clone, "al", mid).await, Some(here));
}

/// ITEM-12: a post that names a photo which nobody knows yet is kept as it came, and shown translated.
#[tokio::test(flavor = "multi_thread")]
async fn a_post_that_names_what_is_not_known_yet_is_kept_as_it_came() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = captured_pair(dir.path(), Setup::default()).await;
    let (packet, _) = photo(&origin).await;
    let here = origin.hub().config.url.to_string();
    let more = format!("[footer][zmg]{here}/photo/later-to-come-1[/zmg]");
    add(&origin, "alice", &packet.replace("[footer]", &more)).await;
    has_item(&clone, "al", MID).await;

    let kept = stored(&clone, "al", MID).await.unwrap();
    assert_eq!(kept.row, stored(&origin, "alice", MID).await.unwrap().row);
    assert_eq!((&kept.url, kept.nick.as_str()), (&here, "alice"));
    let shown = shown(&clone, "al", MID).await;
    assert!(shown.text("body").contains(&format!("{}/channel/al]", clone.hub().config.url)));
    assert!(shown.text("body").contains(&format!("{here}/photo/later-to-come-1")));
    assert!(signature_holds(&shown));
}

/// ITEM-4: a removed item is gone on every clone; the same again, and an item that refers to no file,
/// change nothing.
#[tokio::test(flavor = "multi_thread")]
async fn items_are_removed_everywhere_and_strays_are_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = captured_pair(dir.path(), Setup::default()).await;
    let (packet, _) = photo(&origin).await;
    add(&origin, "alice", &packet).await;
    has_item(&clone, "al", MID).await;
    let again = add(&origin, "alice", &packet).await;
    assert_eq!((again.filed.unchanged, again.filed.changed), (1, 0));
    let stray = add(&origin, "alice", PACKET).await;
    assert_eq!(stray.skipped.len(), 1, "its photo is none of this channel's");
    assert_eq!(stray.filed.added, 0);

    let channel = origin.channel("alice").await;
    files::remove_item(origin.hub(), &channel, MID).await.unwrap();
    until("the item is gone", async || stored(&clone, "al", MID).await.unwrap().row.is_none())
        .await;
    assert!(files::remove_item(origin.hub(), &channel, MID).await.is_err());
}

/// ITEM-8: more items than fit one packet all arrive, each once.
#[tokio::test(flavor = "multi_thread")]
async fn many_items_go_in_several_operations() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = captured_pair(dir.path(), Setup::default()).await;
    let (_, hash) = photo(&origin).await;
    let items: Vec<Value> = (0..40)
        .map(|n| {
            let uuid = format!("00000000-0000-4000-8000-{n:012}");
            let mid = format!("https://bob.example/item/{uuid}");
            json!({"message_id": mid, "uuid": uuid, "resource_id": hash, "body": "x".repeat(70_000)})
        })
        .collect();
    assert_eq!(add(&origin, "alice", &json!(items).to_string()).await.filed.added, 40);
    let channel = clone.channel("al").await;
    until("all items are here", async || {
        let found = clone.hub().catalog.items_after(channel.id, None, "", 100).await.unwrap();
        found.len() == 40 && found.iter().all(|item| item.row.is_some())
    })
    .await;
    // A change of the file afterwards does not send them again.
    let before = clone.counts();
    origin.put_bytes("alice", "avatar.jpg", b"new bytes").await;
    clone.shows("al", "avatar.jpg", b"new bytes").await;
    assert!(clone.counts().packets - before.packets < 8);
}

/// What a test's hook was told, and how often it says no before it listens.
#[derive(Default)]
struct Heard {
    refusals: AtomicUsize,
    changes: Mutex<Vec<Value>>,
}

async fn listen(State(heard): State<Arc<Heard>>, body: String) -> StatusCode {
    let left = heard.refusals.load(SeqCst);
    if left > 0 {
        heard.refusals.store(left - 1, SeqCst);
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    let body: Value = serde_json::from_str(&body).unwrap();
    heard.changes.lock().await.extend(body["changes"].as_array().unwrap().iter().cloned());
    StatusCode::OK
}

fn hooked(config: &mut toml::Table) {
    set(config, "on_change", "debounce_ms", 10);
    set(config, "on_change", "url", "http://127.0.0.1:1/not-there-yet");
}

/// The hook hears of entries and items that came from another clone, and of nothing that was done here;
/// what could not be told is told after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn the_hook_is_told_what_arrived() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = captured_pair(dir.path(), Setup::with(hooked)).await;
    let (packet, hash) = photo(&origin).await;
    add(&origin, "alice", &packet).await;
    has_item(&clone, "al", MID).await;
    clone.shows("al", "avatar.jpg", b"no picture, but a file").await;
    clone.put_bytes("al", "made here.txt", b"no news").await;

    let heard = Arc::new(Heard::default());
    heard.refusals.store(1, SeqCst);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/hook", post(listen)).with_state(Arc::clone(&heard));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let stopped = clone.stop().await;
    let path = stopped.dir.join("config.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let config = config.replace("127.0.0.1:1/not-there-yet", &format!("{address}/hook"));
    std::fs::write(&path, config).unwrap();
    let clone = stopped.start().await;
    until("the hook was told", async || heard.changes.lock().await.len() >= 2).await;

    let changes = heard.changes.lock().await.clone();
    assert_eq!(changes.len(), 2, "{changes:?}");
    let of = |kind: &str| changes.iter().find(|change| change["kind"] == kind).unwrap();
    let (entry, item) = (of("entry"), of("item"));
    assert_eq!((&entry["hash"], &entry["path"]), (&json!(hash), &json!("/avatar.jpg")));
    assert_eq!(entry["what"], json!(["put", "present"]));
    assert_eq!((&entry["present"], &entry["channel"]), (&json!(true), &json!("al")));
    assert_eq!((&item["mid"], &item["what"]), (&json!(MID), &json!(["put"])));
    let body = item["item"]["body"].as_str().unwrap();
    assert!(body.contains(clone.hub().config.url.as_str()), "{body}");

    files::rename(
        origin.hub(),
        &origin.channel("alice").await,
        &["avatar.jpg".to_owned()],
        &["me.jpg".to_owned()],
        false,
    )
    .await
    .unwrap();
    files::remove(origin.hub(), &origin.channel("alice").await, &["me.jpg".to_owned()])
        .await
        .unwrap();
    until("the hook heard of the removal", async || {
        heard.changes.lock().await.iter().any(|change| change["removed"] == true)
    })
    .await;
}

fn commanded(config: &mut toml::Table) {
    set(config, "on_change", "debounce_ms", 10);
    let script = "cat >> \"$0.tmp\" && mv \"$0.tmp\" \"$0\"";
    let command = ["sh", "-c", script, "PLACE"].map(|word| toml::Value::from(word.to_owned()));
    set(config, "on_change", "command", command.to_vec());
}

/// A command gets the same on its standard input.
#[tokio::test(flavor = "multi_thread")]
async fn the_hook_may_be_a_command() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = captured_pair(dir.path(), Setup::with(commanded)).await;
    let stopped = clone.stop().await;
    let told = dir.path().join("told.json");
    let path = stopped.dir.join("config.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("PLACE", told.to_str().unwrap())).unwrap();
    let clone = stopped.start().await;
    origin.put_bytes("alice", "a.txt", b"news").await;
    clone.shows("al", "a.txt", b"news").await;
    until("the command was run", async || told.exists()).await;
    let body: Value = serde_json::from_str(&std::fs::read_to_string(&told).unwrap()).unwrap();
    assert_eq!(body["hub"], clone.hub().config.url.as_str());
    assert_eq!(body["changes"][0]["filename"], "a.txt");
}

/// AUDIT-3, AUDIT-10: an item that was lost on the way is found when both are compared, and comes with the
/// entry that it sits on.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_item_is_found_by_comparing() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = captured_pair(dir.path(), Setup::default()).await;
    let (packet, _) = photo(&origin).await;
    clone.has("al", 1).await;
    let clone = clone.stop().await;
    assert_eq!(add(&origin, "alice", &packet).await.filed.added, 1);
    let origin = origin.stop().await;
    origin
        .look(async |hub| {
            let alice = hub.catalog.channel_by_nick("alice").await.unwrap().unwrap();
            for location in hub.catalog.locations(alice.id).await.unwrap() {
                hub.catalog.acked(alice.id, location.site, alice.seq).await.unwrap();
            }
        })
        .await;
    let (origin, clone) = (origin.start().await, clone.start().await);
    let (peer, channel) = (clone.peer(&origin).await, clone.channel("al").await);
    let found = audit::compare(clone.hub(), &peer, &channel, audit::Mode::Repair).await.unwrap();
    assert!(found.in_sync && found.missing_here >= 1, "{found:?}");
    assert!(stored(&clone, "al", MID).await.is_some_and(|item| item.row.is_some()));
    let again = audit::compare(clone.hub(), &peer, &channel, audit::Mode::Look).await.unwrap();
    assert_eq!((again.in_sync, again.exchanges), (true, 1));
}
