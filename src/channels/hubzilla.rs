//! A plain identity export of Hubzilla: JSON with the private key in the open.
//!
//! Owns: which of its fields count. Not here: the rest of a Hubzilla channel.
//! Spec: ID-1, ID-2.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;
use zotferry_protocol::identity::{BaseUrl, PublicKey, portable_id};

use super::Identity;
use super::export::{ExportError, Foreign, Opened};
use crate::keys::PrivateKey;

/// Hubs of one channel that are kept.
const MAX_HUBS: usize = 64;

#[derive(Serialize, Deserialize)]
struct Export {
    channel: Channel,
    #[serde(default)]
    hubloc: Vec<Hubloc>,
}

#[derive(Serialize, Deserialize)]
struct Channel {
    channel_address: String,
    channel_guid: String,
    channel_guid_sig: String,
    channel_hash: String,
    channel_pubkey: String,
    channel_prvkey: String,
}

#[derive(Serialize, Deserialize)]
struct Hubloc {
    hubloc_url: String,
    hubloc_sitekey: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hubloc_hash: Option<String>,
    /// 0 or 1, as a number or as text.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    hubloc_deleted: Value,
}

/// What of an export makes the identity. The rest of it, connections above all, is not this program's, and may
/// be many times larger.
pub(super) fn essence(file: &[u8]) -> Result<Zeroizing<Vec<u8>>, ExportError> {
    let mut export = read(file)?;
    export.hubloc.truncate(MAX_HUBS);
    let bytes = serde_json::to_vec(&export).map(Zeroizing::new);
    drop(Zeroizing::new(export.channel.channel_prvkey));
    bytes.map_err(|e| ExportError::Content(e.to_string()))
}

fn read(file: &[u8]) -> Result<Export, ExportError> {
    let mut export: Export = serde_json::from_slice(file)
        .map_err(|e| ExportError::Content(format!("not a Hubzilla identity: {e}")))?;
    let id = &export.channel.channel_hash;
    export.hubloc.retain(|hub| hub.is_of(id));
    Ok(export)
}

/// Reads an export and checks that everything in it belongs together.
pub(super) fn open(file: &[u8]) -> Result<Opened, ExportError> {
    let export = read(file)?;
    let channel = export.channel;
    let secret = Zeroizing::new(channel.channel_prvkey);
    let key = PrivateKey::from_pem(&secret)?;
    let stated = PublicKey::from_pem(&channel.channel_pubkey)
        .map_err(|e| ExportError::Content(e.to_string()))?;
    let wrong = |what: &str| Err(ExportError::Content(what.into()));
    if stated != *key.public() {
        return wrong("the private key and the public key do not match");
    }
    if portable_id(&channel.channel_guid, key.public()).as_str() != channel.channel_hash {
        return wrong("guid and key do not give the channel's id");
    }
    if !signs_guid(&channel.channel_guid_sig, &channel.channel_guid, key.public()) {
        return wrong("the guid is not signed by the channel's key");
    }
    let foreign = export.hubloc.iter().take(MAX_HUBS).filter_map(foreign).collect();
    let nick = channel.channel_address;
    let (rotations, locations) = (Vec::new(), Vec::new());
    let identity = Identity { guid: channel.channel_guid, nick, key, rotations, locations };
    Ok(Opened { identity, foreign, plain: true })
}

impl Hubloc {
    /// Whether the channel lives there still.
    fn is_of(&self, channel: &str) -> bool {
        let deleted = self.hubloc_deleted == 1 || self.hubloc_deleted == "1";
        !deleted && self.hubloc_hash.as_ref().is_none_or(|hash| hash == channel)
    }
}

/// Zot writes `sha256.<base64url>`, the signature over the guid's text.
fn signs_guid(signature: &str, guid: &str, key: &PublicKey) -> bool {
    signature
        .strip_prefix("sha256.")
        .and_then(|text| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok())
        .is_some_and(|signature| key.verifies(guid.as_bytes(), &signature))
}

/// A hub that is not usable as a location is passed over: it is not asked for anything anyway.
fn foreign(hubloc: &Hubloc) -> Option<Foreign> {
    Some(Foreign {
        url: BaseUrl::parse(&hubloc.hubloc_url).ok()?,
        site_key: PublicKey::from_pem(&hubloc.hubloc_sitekey).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = include_str!("../../tests/fixtures/hubzilla-identity.json");

    fn changed(from: &str, to: &str) -> Result<Opened, ExportError> {
        assert!(ALICE.contains(from), "{from} is in the fixture");
        open(ALICE.replacen(from, to, 1).as_bytes())
    }

    /// The channel keeps its id and key.
    #[test]
    fn an_export_of_hubzilla_is_the_same_channel() {
        let opened = open(ALICE.as_bytes()).expect("opens");
        let identity = opened.identity;
        let id = portable_id(&identity.guid, identity.key.public());
        assert!(
            id.as_str().starts_with("W_0bVhfagYVaHYys39KZw4bJihB9EwGObsGpgM32pidp1UGFnZBvGIwB")
        );
        assert_eq!(identity.nick, "alice");
        assert_eq!(identity.key.public().bits(), 4096);
        assert!(identity.locations.is_empty(), "none of its hubs is announced to");
        assert_eq!(opened.foreign[0].url.as_str(), "https://hub-a.test");
        assert!(opened.plain, "a file with an open key is to be destroyed");
    }

    /// Guid, signature, id and keys belong together.
    #[test]
    fn what_does_not_belong_together_is_refused() {
        for (from, to, says) in [
            ("W_0bVhfag", "W_0bVhfaX", "do not give the channel's id"),
            ("sha256.ERmV", "sha256.ERmW", "not signed"),
            ("\"channel_guid\": \"cj4W", "\"channel_guid\": \"cj4X", "do not give"),
            ("4Zks+EEKxOeVuuZF", "4Zks+EEKxOeVuuZG", "do not match"),
            ("\"channel_guid\"", "\"guid\"", "not a Hubzilla identity"),
        ] {
            let Err(error) = changed(from, to) else { panic!("{from} was changed") };
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    /// The key is the one in the file, bit by bit.
    #[test]
    fn the_key_is_the_one_in_the_file() {
        let export: Value = serde_json::from_str(ALICE).expect("JSON");
        let key = open(ALICE.as_bytes()).expect("opens").identity.key;
        assert_eq!(key.to_pem().expect("a PEM").as_str(), export["channel"]["channel_prvkey"]);
        assert_eq!(key.public().pem(), export["channel"]["channel_pubkey"]);
    }

    /// What is left out makes no difference; hubs that the channel has left, or that are another's, are none.
    #[test]
    fn the_essence_of_an_export_is_the_same_channel() {
        let mut export: Value = serde_json::from_str(ALICE).expect("JSON");
        let hub = export["hubloc"][0].clone();
        for (name, value) in [
            ("hubloc_deleted", serde_json::json!(1)),
            ("hubloc_deleted", serde_json::json!("1")),
            ("hubloc_hash", serde_json::json!("another channel's")),
        ] {
            let mut other = hub.clone();
            other[name] = value;
            other["hubloc_url"] = "https://elsewhere.test".into();
            export["hubloc"].as_array_mut().expect("a list").push(other);
        }
        export["abook"] = serde_json::json!(["x".repeat(2 << 20)]);
        let file = serde_json::to_vec(&export).expect("JSON");
        let essence = essence(&file).expect("an export");
        assert!(essence.len() < 16 << 10, "{} bytes", essence.len());
        for file in [&file, &*essence] {
            let opened = open(file).expect("opens");
            let urls: Vec<&str> = opened.foreign.iter().map(|hub| hub.url.as_str()).collect();
            assert_eq!(
                (opened.identity.nick.as_str(), urls),
                ("alice", vec!["https://hub-a.test"])
            );
        }
        assert!(super::essence(b"{\"channel\": {}}").is_err());
    }
}
