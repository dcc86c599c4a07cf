//! The vectors of `spec/vectors/items.json`, and what hub software may hand over.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use zotferry_protocol::codec;
use zotferry_protocol::identity::{BaseUrl, PublicKey, portable_id};
use zotferry_protocol::ids::{PortableId, ReplicaId, ResourceId};
use zotferry_protocol::packets::ItemRow;
use zotferry_protocol::version::{Hlc, Version};

use super::merge::merged;
use super::shown::signed;
use super::{Captured, Handed, attached, author, set_field};
use crate::catalog::{Channel, Item, VersionBytes};
use crate::keys::PrivateKey;
use crate::translate::{Home, Owns, Translation, Whose};

const VECTORS: &str = include_str!("../../spec/vectors/items.json");
const KEY: &str = include_str!("../../spec/vectors/keys/test-only-channel.pem");

/// Runs every case of a kind; a kind that nobody runs fails.
#[test]
fn items_behave_as_specified() {
    let kinds: BTreeMap<String, Vec<Value>> = serde_json::from_str(VECTORS).expect("vectors");
    for (kind, cases) in kinds {
        for case in cases {
            println!("{kind}: {}", case["name"]);
            match kind.as_str() {
                "texts" => text(&case, |t, text| t.text(text).into_owned()),
                "json_texts" => text(&case, |t, text| t.json(text).into_owned()),
                "rows" => text(&case, |t, row| {
                    let row = hex::decode(row).expect("hex");
                    hex::encode(t.row(&row).expect("a row"))
                }),
                "signed" => signed_again(&case),
                "merged" => merging(&case),
                other => panic!("nobody runs {other}"),
            }
        }
    }
}

struct Owned(BTreeSet<String>);

impl Owns for Owned {
    fn resource(&self, id: &ResourceId) -> Whose {
        self.item(id.as_str())
    }

    fn item(&self, uuid: &str) -> Whose {
        if self.0.contains(uuid) { Whose::Channel } else { Whose::Other }
    }
}

fn home(value: &Value) -> Home {
    Home {
        url: BaseUrl::parse(value["url"].as_str().expect("a URL")).expect("a base URL"),
        nick: value["nick"].as_str().expect("a nick").to_owned(),
        uid: value["uid"].as_u64(),
    }
}

/// TRANS-1 to TRANS-7.
fn text(case: &Value, translate: impl Fn(&Translation<'_>, &str) -> String) {
    let (from, to) = (home(&case["from"]), home(&case["to"]));
    let owned: BTreeSet<String> =
        serde_json::from_value(case["owned"].clone()).expect("a list of names");
    let owned = Owned(owned);
    let (before, after) = (case["before"].as_str(), case["after"].as_str());
    let (before, after) = (before.expect("a text"), after.expect("a text"));
    let there = Translation::new(&from, &to, &owned);
    assert_eq!(translate(&there, before), after);
    assert_eq!(translate(&there, after), after, "TRANS-4");
    let back = translate(&Translation::new(&to, &from, &owned), after);
    assert_eq!(back == before, case["comes_back"].as_bool().expect("a flag"), "TRANS-5: {back}");
}

/// ITEM-10.
fn signed_again(case: &Value) {
    let key = PrivateKey::from_pem(KEY).expect("a key");
    let row = |name: &str| hex::decode(case[name].as_str().expect("hex")).expect("hex");
    assert_eq!(signed(&key, row("before")).expect("signed"), row("after"));
}

fn version(value: &Value) -> Version {
    let vector = value["vector"].as_object().expect("a map").iter();
    let vector = vector.map(|(replica, n)| {
        (replica.parse::<ReplicaId>().expect("a replica"), n.as_u64().expect("a number"))
    });
    let hlc = Hlc(value["hlc"].as_u64().expect("a clock"));
    let replica = value["replica"].as_str().expect("a replica").parse().expect("a replica");
    Version::new(vector.collect(), hlc, replica).expect("a version")
}

fn item(version: &Version, row: &[u8]) -> Item {
    Item {
        mid: "mid".into(),
        uuid: "uuid".into(),
        resource: ResourceId::new("f1").expect("an id"),
        author: String::new(),
        row: Some(row.to_vec()),
        url: "https://a.example".into(),
        nick: "alice".into(),
        uid: None,
        version: VersionBytes(codec::encode(version)),
        seq: None,
    }
}

/// ITEM-6.
fn merging(case: &Value) {
    let comes = item(&version(&case["comes"]), b"comes");
    let held = (!case["held"].is_null()).then(|| item(&version(&case["held"]), b"held"));
    let merged = merged(held.as_ref(), comes).expect("merged");
    let (kept, at) = merged.unwrap_or_else(|| {
        let held = held.expect("nothing changes only where something is held");
        (held, version(&case["held"]))
    });
    assert_eq!(kept.row.as_deref(), case["row"].as_str().map(str::as_bytes));
    assert_eq!(at, version(&case["version"]));
    assert_eq!(kept.version.0, codec::encode(&at));
}

fn row(value: &Value) -> ItemRow {
    ItemRow(codec::encode(value))
}

/// A field is set or added, and all other bytes stay, also beyond 15 fields.
#[test]
fn setting_a_field_touches_no_other() {
    for count in [1usize, 15, 16, 40] {
        let fields: BTreeMap<String, usize> = (0..count).map(|n| (format!("f{n:02}"), n)).collect();
        let before = codec::encode(&fields);
        let after = set_field(&before, "f00", &codec::encode(&7)).expect("a map");
        let mut expected = fields.clone();
        expected.insert("f00".into(), 7);
        assert_eq!(after, codec::encode(&expected));
        let after = set_field(&before, "g", &codec::encode(&7)).expect("a map");
        expected = fields;
        expected.insert("g".into(), 7);
        assert_eq!(after, codec::encode(&expected));
    }
}

/// ITEM-9: an author is known by the portable id, or by guid and key; the id stays when the key changes.
#[test]
fn the_author_is_found_in_either_form() {
    let key = PrivateKey::from_pem(KEY).expect("a key");
    let pem = key.public().pem().to_owned();
    let id = portable_id("guid", key.public());
    let mut channel = Channel {
        id: 1,
        portable_id: id.clone(),
        guid: "guid".into(),
        nick: "alice".into(),
        public_pem: pem.clone(),
        replica: ReplicaId([1; 8]),
        quota: None,
        used: 0,
        reserved: 0,
        superseded: 0,
        hlc: 0,
        seq: 0,
        present_seq: 0,
        paused: false,
        created: zotferry_protocol::ids::Millis(0),
    };
    let by_key = row(&json!({"author": {"id": "guid", "key": pem}}));
    assert_eq!(author(&by_key, &channel), id.as_str());
    assert_eq!(author(&row(&json!({"author_xchan": id.as_str()})), &channel), id.as_str());
    assert_eq!(author(&row(&json!({"author": {"id": "g", "key": "no key"}})), &channel), "");
    assert_eq!(author(&row(&json!({"author_xchan": "https://elsewhere.example"})), &channel), "");
    // Only the channel's own key speaks for its guid.
    channel.portable_id = PortableId::new("x".repeat(86)).expect("an id");
    assert_eq!(author(&by_key, &channel), "x".repeat(86));
    channel.guid = "another".into();
    assert_eq!(author(&by_key, &channel), id.as_str());
    assert!(PublicKey::from_pem(&channel.public_pem).is_ok());
}

/// An entry is named by `resource_id`, or else by what is attached, as a value or as text.
#[test]
fn an_item_names_its_entry() {
    let attach = json!([{"href": "https://a.example/attach/f2/3"}, {"hash": "f3"}]);
    let ids = |value: &Value| -> Vec<String> {
        attached(&row(value)).iter().map(ToString::to_string).collect()
    };
    assert_eq!(ids(&json!({"resource_id": "f1", "attach": attach})), ["f1"]);
    assert_eq!(ids(&json!({"resource_id": "", "attach": attach})), ["f2", "f3"]);
    assert_eq!(ids(&json!({"attach": attach.to_string()})), ["f2", "f3"]);
    assert!(ids(&json!({"attach": ""})).is_empty());
}

/// One item, a list, and a sync packet whose data is a value or text; column names become those
/// that travel, and a hub's own numbers stay behind (ITEM-3).
#[test]
fn items_are_found_in_what_is_handed_over() {
    let one = json!({"mid": "m1", "uuid": "u1", "body": "b", "plink": "p", "uid": 2, "id": 7});
    let packet = json!({
        "relocate": {"url": "https://a.example", "channel_address": "alice"},
        "file": [{"attach": [], "item": [one]}, {"attach": []}],
    });
    for text in [
        one.to_string(),
        json!([one]).to_string(),
        packet.to_string(),
        json!({"type": "sync", "data": packet}).to_string(),
        format!("SIGHEADER: x\n{}", json!({"type": "sync", "data": packet.to_string()})),
    ] {
        let mut captured = Captured::read(&text).expect("items");
        let handed = Handed::of(captured.items.remove(0)).expect("an item");
        assert_eq!((handed.mid.as_str(), handed.uid), ("m1", Some(2)));
        let expected = json!({"message_id": "m1", "uuid": "u1", "body": "b", "permalink": "p"});
        assert_eq!(handed.row, row(&expected));
        assert_eq!(captured.at.is_some(), text.contains("relocate"));
    }
    for text in ["", "{}", "7", "[", "{\"file\": []}"] {
        assert!(Captured::read(text).is_err(), "{text}");
    }
    assert!(Handed::of(json!({"message_id": "m1"})).is_err(), "no body");
}
