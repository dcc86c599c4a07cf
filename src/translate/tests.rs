use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

const PHOTO: &str = "333dc10b-96a8-4df1-81ae-d02ad0305e83";
const POST: &str = "23bb79f4-bf69-40f0-bee4-38f220c14b01";

fn home(url: &str, nick: &str, uid: u64) -> Home {
    let url = BaseUrl::parse(url).expect("a base URL");
    Home { url, nick: nick.to_owned(), uid: Some(uid) }
}

/// The things of these names are the channel's.
struct Ours(BTreeSet<String>);

impl Ours {
    fn of(names: &[&str]) -> Self {
        Self(names.iter().map(|name| (*name).to_owned()).collect())
    }
}

impl Owns for Ours {
    fn resource(&self, id: &ResourceId) -> Whose {
        self.item(id.as_str())
    }

    fn item(&self, uuid: &str) -> Whose {
        match uuid {
            _ if self.0.contains(uuid) => Whose::Channel,
            _ if uuid.starts_with("unheard") => Whose::Unknown,
            _ => Whose::Other,
        }
    }
}

fn a() -> &'static Home {
    static A: LazyLock<Home> = LazyLock::new(|| home("https://hub-a.test", "alice", 2));
    &A
}

fn translated(from: &Home, to: &Home, text: &str) -> String {
    let ours = Ours::of(&[PHOTO, POST]);
    Translation::new(from, to, &ours).text(text).into_owned()
}

/// TRANS-1, TRANS-2: what points to the channel, with another nick and number at the target.
#[test]
fn what_points_to_the_channel_is_translated() {
    let b = home("https://b.example:8443", "al", 71);
    let mid = URL_SAFE_NO_PAD.encode(format!("https://hub-a.test/item/{POST}"));
    for (text, expected) in [
        ("https://hub-a.test/channel/alice", "https://b.example:8443/channel/al"),
        (
            "[url=https://hub-a.test/channel/alice]A[/url]",
            "[url=https://b.example:8443/channel/al]A[/url]",
        ),
        (
            "<a href=\"https://hub-a.test/photos/alice/album/?a=1&amp;b=2\">",
            "<a href=\"https://b.example:8443/photos/al/album/?a=1&amp;b=2\">",
        ),
        (
            "at https://hub-a.test/cloud/alice/a%20b/c.txt.",
            "at https://b.example:8443/cloud/al/a%20b/c.txt.",
        ),
        ("(https://hub-a.test/channel/alice).", "(https://b.example:8443/channel/al)."),
        ("https://hub-a.test/channel/alice... and", "https://b.example:8443/channel/al... and"),
        ("HTTPS://Hub-A.Test:443/channel/%61lice", "https://b.example:8443/channel/al"),
        ("https://hub-a.test/photo/profile/m/2", "https://b.example:8443/photo/profile/m/71"),
        (
            &format!("[zmg=300x200]https://hub-a.test/photo/{PHOTO}-2.jpg[/zmg]"),
            &format!("[zmg=300x200]https://b.example:8443/photo/{PHOTO}-2.jpg[/zmg]"),
        ),
        (
            &format!("https://hub-a.test/attach/{PHOTO}"),
            &format!("https://b.example:8443/attach/{PHOTO}"),
        ),
        (
            &format!("https://hub-a.test/item/{POST}!"),
            &format!("https://b.example:8443/item/{POST}!"),
        ),
        (
            &format!("https://hub-a.test/display/b64.{mid}"),
            &format!("https://b.example:8443/display/b64.{mid}"),
        ),
        (
            &format!("https://hub-a.test/display/{POST}"),
            &format!("https://b.example:8443/display/{POST}"),
        ),
    ] {
        assert_eq!(translated(a(), &b, text), expected);
        assert_eq!(translated(a(), &b, expected), expected, "TRANS-4");
    }
}

/// TRANS-1, TRANS-2: what only looks like it is left alone.
#[test]
fn what_points_elsewhere_is_left_alone() {
    let b = home("https://b.example", "al", 71);
    for text in [
        "https://hub-a.test",
        "https://hub-a.test/",
        "https://hub-a.test.example/channel/alice",
        "https://hub-a.tester/channel/alice",
        "https://xhub-a.test/channel/alice",
        "https://hub-a.test:8443/channel/alice",
        "https://hub-a.test./channel/alice",
        "http://hub-a.test/channel/alice",
        "https://hub-a.test@evil.example/channel/alice",
        "https://hub-a.test:80@evil.example/channel/alice",
        "https://user@hub-a.test/channel/alice",
        "https://hub-a.test\\@evil.example/channel/alice",
        "xhttps://hub-a.test/channel/alice",
        "https://hub-a.test/channel/alice2",
        "https://hub-a.test/channel/alic",
        "https://hub-a.test/channel/alice-b",
        "https://hub-a.test/channel/alice.b",
        "https://hub-a.test/channel/alice%62",
        "https://hub-a.test/channel/alic\u{e9}",
        "https://hub-a.test/channel/bob",
        "https://hub-a.test/channel/alice/../bob",
        "https://hub-a.test/channel/alice/%2E%2e/bob",
        "https://hub-a.test/channels/alice",
        "https://hub-a.test/alice",
        "https://hub-a.test/photo/profile/m/3",
        "https://hub-a.test/photo/profile/m/21",
        "https://hub-a.test/photo/profile/m/2a",
        "https://hub-a.test/photo/9f0e7a53-0000-4df1-81ae-d02ad0305e83-1.jpg",
        "https://hub-a.test/item/9f0e7a53-0000-4df1-81ae-d02ad0305e83",
        "https://hub-a.test/display/b64.%%%",
        "hub-a.test/channel/alice",
        "alice@hub-a.test",
    ] {
        assert_eq!(translated(a(), &b, text), text);
    }
}

/// TRANS-5: without a number at both homes nobody can say whose a profile photo is.
#[test]
fn a_profile_photo_without_a_number_stays() {
    let text = "https://hub-a.test/photo/profile/l/2";
    let b = Home { uid: None, ..home("https://b.example", "alice", 2) };
    assert_eq!(translated(a(), &b, text), text);
}

/// ITEM-12: a text that names what nobody knows says so.
#[test]
fn a_name_that_nobody_knows_is_reported() {
    let (b, ours) = (home("https://b.example", "alice", 2), Ours::of(&[PHOTO]));
    let known = Translation::new(a(), &b, &ours);
    known.text(&format!("https://hub-a.test/photo/{PHOTO}-1 https://hub-a.test/attach/theirs"));
    assert!(!known.met_unknown());
    let unknown = Translation::new(a(), &b, &ours);
    assert_eq!(
        unknown.text("https://hub-a.test/attach/unheard"),
        "https://hub-a.test/attach/unheard"
    );
    assert!(unknown.met_unknown());
}

/// TRANS-6, TRANS-7: JSON in text keeps its escapes, and what names an item stays.
#[test]
fn json_in_text_is_translated_inside_its_strings() {
    let b = home("http://127.0.0.1:9000", "al", 71);
    let ours = Ours::of(&[PHOTO, POST]);
    let text = format!(
        r#" {{"id":"https:\/\/hub-a.test\/item\/{POST}", "url" : "https:\/\/hub-a.test\/channel\/alice",
        "\u0069d2":["https://hub-a.test/item/{POST}"], "html":"<a href=\"https://hub-a.test/album/alice\">\ud83d\ude00\u00fc<\/a>",
        "deep":"{{\"href\":\"https:\\/\\/hub-a.test\\/channel\\/alice\"}}","n":1.50}}"#
    );
    let expected = text
        .replace(r"https:\/\/hub-a.test\/channel\/alice", r"http:\/\/127.0.0.1:9000\/channel\/al")
        .replace(
            &format!("[\"https://hub-a.test/item/{POST}"),
            &format!("[\"http://127.0.0.1:9000/item/{POST}"),
        )
        .replace("https://hub-a.test/album/alice", "http://127.0.0.1:9000/album/al")
        .replace(
            r"https:\\/\\/hub-a.test\\/channel\\/alice",
            r"http:\\/\\/127.0.0.1:9000\\/channel\\/al",
        );
    let there = Translation::new(a(), &b, &ours);
    assert_eq!(there.json(&text), expected);
    assert_eq!(Translation::new(&b, a(), &ours).json(&expected), text);
}

fn captured(packet: &str) -> Value {
    let json = packet.split_once('\n').expect("a first line with the signature").1;
    let packet: Value = serde_json::from_str(json).expect("a packet");
    packet["data"].clone()
}

/// TRANS-2, TRANS-7: of a captured packet every URL of the channel is translated; its names stay.
#[test]
fn captured_items_are_translated_there_and_back() {
    let b = home("https://b.example", "al", 71);
    for packet in [
        include_str!("../../tests/fixtures/hubzilla-sync-0015.json"),
        include_str!("../../tests/fixtures/hubzilla-sync-0029.json"),
        include_str!("../../tests/fixtures/hubzilla-sync-0043.json"),
    ] {
        let item = &captured(packet)["file"][0]["item"][0];
        let ours = Ours::of(&[
            item["resource_id"].as_str().expect("a resource"),
            item["uuid"].as_str().expect("a UUID"),
        ]);
        let row = zotferry_protocol::codec::encode(item);
        let there = Translation::new(a(), &b, &ours);
        let new = there.row(&row).expect("a map").into_owned();
        assert!(!there.met_unknown());
        let shown: Value = zotferry_protocol::codec::decode_owned(&new).expect("a map");
        let mut left = Vec::new();
        urls(&shown, "", &mut left);
        left.retain(|(_, text)| text.contains("hub-a.test"));
        let names: Vec<&str> = left.iter().map(|(path, _)| path.as_str()).collect();
        let expected = [
            ".author.address",
            ".message_id",
            ".message_parent",
            ".message_top",
            ".object.id",
            ".owner.address",
        ];
        assert_eq!(names, expected);
        assert_eq!(shown["author"]["photo"]["src"], json!("https://b.example/photo/profile/m/71"));
        assert_eq!(shown["object"]["cc"][0], json!("https://b.example/followers/al"));
        assert_eq!(there.row(&new).expect("a map"), new, "TRANS-4");
        assert_eq!(Translation::new(&b, a(), &ours).row(&new).expect("a map"), row, "TRANS-5");
    }
    let profile =
        &captured(include_str!("../../tests/fixtures/hubzilla-sync-0029.json"))["profile"][0];
    for (field, size) in [("photo", "l"), ("thumb", "m")] {
        let url = profile[field].as_str().expect("a URL");
        assert_eq!(translated(a(), &b, url), format!("https://b.example/photo/profile/{size}/71"));
    }
}

fn urls(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| urls(v, &format!("{path}.{k}"), found)),
        Value::Array(list) => list.iter().for_each(|v| urls(v, &format!("{path}[]"), found)),
        Value::String(text) => found.push((path.to_owned(), text.clone())),
        _ => {}
    }
}

/// ITEM-7: fields that are not translated keep their bytes, also where their numbers are not written
/// in the shortest way.
#[test]
fn unknown_fields_keep_their_bytes() {
    let (b, ours) = (home("https://b.example", "al", 71), Ours::of(&[]));
    let row = [
        &[0xde, 0, 2, 0xa5][..],
        b"later",
        &[0xcd, 0, 1],
        &[0xa4],
        b"body",
        &[0xd9, 32],
        b"https://hub-a.test/channel/alice",
    ]
    .concat();
    let new = Translation::new(a(), &b, &ours).row(&row).expect("a map").into_owned();
    let expected =
        [&row[..13], &[0xa4][..], b"body", &[0xbc], b"https://b.example/channel/al"].concat();
    assert_eq!(new, [&row[..4 + 5 + 3], &expected[13..]].concat());
}

/// One piece of a text: of the channel, or of nobody.
fn piece() -> impl Strategy<Value = String> {
    let url = prop_oneof![
        Just("/channel/NICK".to_owned()),
        Just("/cloud/NICK/a%20b/%C3%BC.txt?x=1&amp;y=2#top".to_owned()),
        Just("/photo/profile/l/UID".to_owned()),
        Just(format!("/photo/{PHOTO}-1.jpg")),
        Just(format!("/attach/{PHOTO}")),
        Just(format!("/item/{POST}")),
        Just("/channel/bob".to_owned()),
        Just("/channel/NICK2".to_owned()),
        Just("/photo/theirs-1".to_owned()),
        Just("/".to_owned()),
    ];
    let hub = prop_oneof![
        4 => Just("HUB"),
        1 => Just("HUB.example"),
        1 => Just("https://other.example"),
        1 => Just("https://user@HUB"),
    ];
    let wrap = prop_oneof![
        Just(("[url=", "]x[/url]")),
        Just(("<img src=\"", "\"/>")),
        Just(("", ".")),
        Just(("(", ")")),
        Just(("[img=10x20]", "[/img]")),
        Just(("'", "'")),
        Just(("\u{fc}", ", ")),
        Just(("?next=", "&amp;z")),
        Just(("\\\"", "\\\"")),
    ];
    prop_oneof![
        3 => (hub, url, wrap).prop_map(|(hub, url, (left, right))| format!("{left}{hub}{url}{right}")),
        1 => "[ -~\u{e0}-\u{ff}]{0,12}",
        1 => Just(" \n".to_owned()),
    ]
}

/// A hub and a channel there.
fn some_home() -> impl Strategy<Value = Home> {
    let url = prop_oneof![
        Just("https://a.test"),
        Just("https://a.test:8443"),
        Just("http://127.0.0.1:9001"),
        Just("http://[::1]:9002"),
        Just("https://xn--bcher-kva.example"),
    ];
    let nick = prop_oneof![Just("alice"), Just("al.ice"), Just("a-l"), Just("alice.")];
    (url, nick, 1..3u64).prop_map(|(url, nick, uid)| home(url, nick, uid))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// TRANS-4, TRANS-5: twice is once, and there and back is nothing, in text and in JSON.
    #[test]
    fn translating_is_idempotent_and_reversible(
        pieces in prop::collection::vec(piece(), 0..8),
        from in some_home(),
        to in some_home(),
    ) {
        prop_assume!(from.url != to.url);
        let text = pieces.concat()
            .replace("https://user@HUB", &from.url.as_str().replace("://", "://user@"))
            .replace("HUB", from.url.as_str())
            .replace("NICK", &from.nick)
            .replace("UID", &from.uid.expect("set").to_string());
        let ours = Ours::of(&[PHOTO, POST]);
        let (there, back) = (Translation::new(&from, &to, &ours), Translation::new(&to, &from, &ours));
        let json = json!({"content": text, "list": [text]}).to_string().replace('/', "\\/");
        for (old, new, again, home) in [
            (&text, there.text(&text), there.text(&there.text(&text)).into_owned(), back.text(&there.text(&text)).into_owned()),
            (&json, there.json(&json), there.json(&there.json(&json)).into_owned(), back.json(&there.json(&json)).into_owned()),
        ] {
            prop_assert_eq!(&*new, again.as_str());
            prop_assert_eq!(&home, old);
        }
    }

    /// TRANS-1: whatever the text, nothing breaks, and where the hub is not named nothing changes.
    #[test]
    fn other_texts_are_left_alone(text in "(https?://|[a-z.:/@\\[\\]%\u{e4}]){0,40}") {
        let b = home("https://b.example", "al", 71);
        prop_assert_eq!(translated(a(), &b, &text), text);
    }
}
