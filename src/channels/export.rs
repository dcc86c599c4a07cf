//! A channel's identity as a file that its owner carries to another hub.
//!
//! Owns: what is in the file. Not here: its encryption (`sealed`), what a hub does with an identity
//! (`adopt`).
//! Invariant: an identity that comes out of a file belongs together: guid, keys, id, key size.
//! Spec: ID-1, ID-2, ID-20, ID-26 for what comes out of the file; the file itself is local to this program.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;
use zotferry_protocol::codec;
use zotferry_protocol::identity::{
    BaseUrl, MAX_ROTATIONS, PublicKey, SignedLocation, SignedRotation, site_id,
};
use zotferry_protocol::ids::{PortableId, ReplicaId};

use super::rotate::renew;
use super::sealed::{self, SealError, SealKey};
use super::{ChannelError, Identity, adopt, hubzilla};
use crate::catalog::{CatalogError, Channel, LocationState, NewLocation, NewSite};
use crate::hub::{Hub, HubError};
use crate::keys::{KeyFileError, PrivateKey};

/// Locations in one file.
const MAX_LOCATIONS: usize = 64;

/// Why an identity cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file as such.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// What is in it does not belong together.
    #[error("the identity in the file does not hold together: {0}")]
    Content(String),
    /// The channel was rotated elsewhere.
    #[error("the newest key of {0} is not on this hub; export the identity on a hub that has it")]
    OldKey(String),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The hub.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// An identity that came out of a file.
pub struct Opened {
    /// The identity.
    pub identity: Identity,
    /// Hubs where the channel lives that do not speak this protocol.
    pub foreign: Vec<Foreign>,
    /// Whether its key lay open in the file, which should be destroyed then.
    pub plain: bool,
}

/// A hub that does not speak this protocol.
pub struct Foreign {
    /// Where it is.
    pub url: BaseUrl,
    /// Its key.
    pub site_key: PublicKey,
}

/// What is encrypted: a MessagePack map.
#[derive(Serialize, Deserialize)]
struct Contents {
    channel: PortableId,
    guid: String,
    nick: String,
    public_key: String,
    private_key: String,
    #[serde(deserialize_with = "codec::bounded::<_, _, MAX_LOCATIONS>")]
    locations: Vec<SignedLocation>,
    #[serde(default, deserialize_with = "codec::bounded::<_, _, MAX_ROTATIONS>")]
    rotations: Vec<SignedRotation>,
}

/// The identity of a channel, encrypted: what makes another hub its clone.
pub async fn export(
    hub: &Arc<Hub>,
    channel: &Channel,
    key: &SealKey,
) -> Result<Vec<u8>, ExportError> {
    if !hub.holds_newest_key(channel)? {
        return Err(ExportError::OldKey(channel.nick.clone()));
    }
    let rows = hub.catalog.locations(channel.id).await?;
    let records = rows.iter().filter(|row| !row.foreign && !row.deleted);
    let contents = Contents {
        channel: channel.portable_id.clone(),
        guid: channel.guid.clone(),
        nick: channel.nick.clone(),
        public_key: channel.public_pem.clone(),
        private_key: hub.channel_key(channel)?.to_pem()?.to_string(),
        locations: records
            .filter_map(|row| codec::decode_owned(&row.record).ok())
            .take(MAX_LOCATIONS)
            .collect(),
        rotations: hub.chain(channel).await?.signed(),
    };
    Ok(sealed::seal(&contents.bytes(), key)?)
}

impl Contents {
    fn bytes(self) -> Zeroizing<Vec<u8>> {
        let bytes = Zeroizing::new(codec::encode(&self));
        drop(Zeroizing::new(self.private_key));
        bytes
    }

    fn identity(self) -> Result<Identity, ExportError> {
        let secret = Zeroizing::new(self.private_key);
        let key = PrivateKey::from_pem(&secret)?;
        let wrong = |what: &str| Err(ExportError::Content(what.into()));
        if key.public().pem() != self.public_key {
            return wrong("the private key and the public key do not match");
        }
        let Self { guid, nick, locations, rotations, channel, .. } = self;
        let identity = Identity { guid, nick, key, rotations, locations };
        let chain = identity.chain().map_err(|e| ExportError::Content(e.to_string()))?;
        if *chain.channel() != channel {
            return wrong("guid and key do not give the channel's id");
        }
        Ok(identity)
    }
}

/// Whether a file can be opened without a passphrase: its key lies open.
pub fn is_plain(file: &[u8]) -> bool {
    !sealed::is_sealed(file) && file.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{')
}

/// What of a file whose key lies open makes the identity: an export of Hubzilla has much more in it, and may be
/// larger than a hub takes.
pub fn essence(file: &[u8]) -> Result<Zeroizing<Vec<u8>>, ExportError> {
    hubzilla::essence(file)
}

/// The identity in a file; a file whose key lies open needs none.
pub fn open(file: &[u8], key: Option<&SealKey>) -> Result<Opened, ExportError> {
    if file.len() > sealed::MAX_FILE {
        return Err(SealError::TooLarge(file.len()).into());
    }
    if is_plain(file) {
        return hubzilla::open(file);
    }
    let secret = sealed::open(file, key.ok_or(SealError::Passphrase)?)?;
    let contents: Contents =
        codec::decode_owned(&secret).map_err(|e| ExportError::Content(e.to_string()))?;
    Ok(Opened { identity: contents.identity()?, foreign: Vec::new(), plain: false })
}

/// What is done to bytes of a file, sealed or not, and to what would come out of it; any bytes may be given.
pub(crate) fn fuzzed(bytes: &[u8]) {
    essence(bytes).ok();
    open(bytes, None).ok();
    sealed::fuzzed(bytes);
    let Ok(contents) = codec::decode_owned::<Contents>(bytes) else { return };
    if let Ok(identity) = contents.identity() {
        assert!(identity.chain().is_ok(), "an identity that does not hold together came out");
    }
}

/// Makes this hub a clone of what came out of a file, or brings the newest key of a channel that lives
/// here. Hubs that do not speak this protocol are kept and not announced to.
pub async fn import(
    hub: &Arc<Hub>,
    opened: Opened,
    nick: Option<&str>,
) -> Result<Channel, ChannelError> {
    let id = opened.identity.chain().map_err(|e| ChannelError::Statement(e.to_string()))?;
    if let Some(channel) = hub.catalog.channel_by_id(id.channel()).await? {
        return renew(hub, &channel, opened.identity).await;
    }
    let nick = nick.unwrap_or(&opened.identity.nick).to_owned();
    let channel = adopt(hub, opened.identity, &nick).await?;
    for foreign in opened.foreign {
        keep(hub, &channel, &foreign).await?;
    }
    Ok(channel)
}

async fn keep(hub: &Hub, channel: &Channel, foreign: &Foreign) -> Result<(), ChannelError> {
    let site = NewSite {
        site_id: site_id(&foreign.url, &foreign.site_key),
        url: foreign.url.to_string(),
        key_pem: foreign.site_key.pem().to_owned(),
    };
    let site = hub.catalog.upsert_site(&site).await?;
    let location = NewLocation {
        channel: channel.id,
        site,
        replica: ReplicaId([0; 8]),
        primary: false,
        deleted: false,
        serial: 0,
        record: Vec::new(),
        state: LocationState::Pending,
        foreign: true,
    };
    hub.catalog.upsert_location(&location).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use zotferry_protocol::identity::portable_id;

    use super::*;
    use crate::channels::create;

    async fn hub(dir: &std::path::Path, port: u16) -> Arc<Hub> {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let url = BaseUrl::parse(&format!("http://{address}")).expect("a URL");
        Hub::init(dir, url, address).await.expect("made");
        Arc::new(Hub::open(dir).await.expect("opened"))
    }

    /// An exported channel is the same channel elsewhere, and knows where it lives.
    #[tokio::test]
    async fn an_identity_goes_to_another_hub() {
        let dir = tempfile::tempdir().expect("a folder");
        let here = hub(&dir.path().join("a"), 9001).await;
        let there = hub(&dir.path().join("b"), 9002).await;
        let alice = create(&here, "alice").await.expect("made");
        assert!(matches!(SealKey::new("short"), Err(SealError::Short)));
        let key = SealKey::new("correct horse").expect("made");
        let file = export(&here, &alice, &key).await.expect("exported");
        assert!(!is_plain(&file));
        let wrong = SealKey::of(&file, "wrong horse").expect("made");
        let wrong = open(&file, Some(&wrong)).map(drop).expect_err("wrong");
        assert!(matches!(wrong, ExportError::Seal(SealError::Passphrase)));
        let key = SealKey::of(&file, "correct horse").expect("made");
        let opened = open(&file, Some(&key)).expect("opens");
        assert_eq!(opened.identity.locations.len(), 1);
        let clone = import(&there, opened, Some("alice2")).await.expect("imported");
        assert_eq!((clone.portable_id, clone.guid), (alice.portable_id, alice.guid));
        assert_ne!(clone.replica, alice.replica, "every import is a replica of its own");
        let urls: Vec<String> = there
            .catalog
            .locations(clone.id)
            .await
            .expect("read")
            .into_iter()
            .map(|l| l.url)
            .collect();
        assert_eq!(urls, ["http://127.0.0.1:9002", "http://127.0.0.1:9001"]);
    }

    /// The hubs of a Hubzilla channel are kept, and nothing is queued for them.
    #[tokio::test]
    async fn hubs_of_a_hubzilla_channel_are_not_announced_to() {
        let dir = tempfile::tempdir().expect("a folder");
        let hub = hub(&dir.path().join("a"), 9001).await;
        let file = include_bytes!("../../tests/fixtures/hubzilla-identity.json");
        assert!(is_plain(file));
        let alice = import(&hub, open(file, None).expect("opens"), None).await.expect("imported");
        let locations = hub.catalog.locations(alice.id).await.expect("read");
        let foreign: Vec<_> =
            locations.iter().filter(|l| l.foreign).map(|l| l.url.as_str()).collect();
        assert_eq!(foreign, ["https://hub-a.test"]);
        assert!(hub.queue.is_empty());
    }

    /// An identity whose parts are from different channels is refused.
    #[test]
    fn parts_of_different_channels_are_refused() {
        let contents = || {
            let file = include_bytes!("../../tests/fixtures/hubzilla-identity.json");
            let identity = open(file, None).expect("opens").identity;
            Contents {
                channel: portable_id(&identity.guid, identity.key.public()),
                guid: identity.guid,
                nick: identity.nick,
                public_key: identity.key.public().pem().to_owned(),
                private_key: identity.key.to_pem().expect("a PEM").to_string(),
                locations: Vec::new(),
                rotations: Vec::new(),
            }
        };
        contents().identity().map(drop).expect("belongs together");
        let guid = Contents { guid: "another".into(), ..contents() };
        let key = Contents { public_key: "another".into(), ..contents() };
        for broken in [guid, key] {
            assert!(matches!(broken.identity(), Err(ExportError::Content(_))));
        }
    }
}
