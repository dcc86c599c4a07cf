//! What is done to bytes of strangers, as functions that any bytes may be given to: they never panic, and what they take
//! keeps its promises. Run over kept seeds by the tests, and by the targets in `fuzz/` for as long as somebody likes.
//!
//! Owns: what has to hold for every input. Not here: seeds and mutations (`src/fuzz/tests.rs`).

use bytes::Bytes;

use crate::codec;
use crate::envelope::{Header, open};
use crate::frames::{End, FrameError, FrameEvent, FrameReader, Resume};
use crate::identity::{
    BaseUrl, Introduction, Location, Notice, PublicKey, Rotation, SignedLocation, SignedNotice,
    SignedRotation,
};
use crate::ids::{Digest, Millis, SiteId};
use crate::manifest::Manifest;
use crate::merkle::{self, verify_page};
use crate::packets::{ManifestPages, Packet};
use crate::restore::{Restore, SignedRestore};

/// A body: what is taken is the same packet after a round through its bytes.
pub fn packet(bytes: &[u8]) {
    let Ok(header) = codec::decode_map::<Header>(bytes) else { return };
    let Ok(packet) = Packet::decode(&header.kind, bytes) else { return };
    assert_eq!(packet.kind(), header.kind);
    let again = codec::encode(&packet);
    assert_eq!(Packet::decode(&header.kind, &again), Ok(packet));
}

/// An envelope, as it comes from anybody: to the end of all checks if `key` signed it for `me`.
pub fn envelope(bytes: &[u8], key: &PublicKey, me: &SiteId) {
    let Ok(sealed) = open(bytes) else { return };
    if let Some(Ok(introduction)) = sealed.introduction() {
        introduction.location().claimed_channel().ok();
    }
    let Ok(authentic) = sealed.authenticate(key, me) else { return };
    let (at, expires) = (authentic.header().at, authentic.header().expires);
    let later = Millis(expires.0.saturating_add(1));
    assert!(
        later == expires || authentic.header().fresh(later).is_err(),
        "nothing is fresh for ever"
    );
    authentic.header().fresh(at).ok();
    authentic.packet().ok();
}

/// Pages of digests for a content whose size is in the first eight bytes: a page counts for one root only.
pub fn manifest_page(bytes: &[u8]) {
    let Some((size, rest)) = bytes.split_first_chunk() else { return };
    let Ok(manifest) = Manifest::of(u64::from_le_bytes(*size)) else { return };
    let Ok(answer) = codec::decode_owned::<ManifestPages>(rest) else { return };
    for page in &answer.pages {
        let (mut digests, path) = (page.digests(), page.path());
        let root = merkle::root(&digests);
        if verify_page(&root, &manifest, page.page, &digests, &path).is_ok() {
            assert!(path.is_empty(), "a root that its own page hides");
            assert_eq!(digests.len(), manifest.page_chunks(page.page).iter().count());
            digests[0].0[0] ^= 1;
            assert!(verify_page(&root, &manifest, page.page, &digests, &path).is_err());
        }
    }
}

/// All that a reader says about an answer that comes in pieces of these sizes.
fn told(
    bytes: &[u8],
    pieces: impl Iterator<Item = usize>,
) -> (Vec<FrameEvent>, Option<FrameError>) {
    let (mut reader, mut rest, mut events) = (FrameReader::new(), bytes, Vec::new());
    for size in pieces {
        let (now, later) = rest.split_at(size.clamp(1, rest.len().max(1)).min(rest.len()));
        rest = later;
        let mut piece = Bytes::copy_from_slice(now);
        loop {
            match reader.feed(&mut piece) {
                Ok(None) => break,
                Ok(Some(FrameEvent::Data(more))) => match events.last_mut() {
                    // Where a piece ends is no news.
                    Some(FrameEvent::Data(data)) => *data = [&data[..], &more[..]].concat().into(),
                    _ => events.push(FrameEvent::Data(more)),
                },
                Ok(Some(event)) => {
                    let is_end = matches!(event, FrameEvent::End(End::Done | End::Limit));
                    events.push(event);
                    if is_end {
                        return (events, None);
                    }
                }
                Err(error) => return (events, Some(error)),
            }
        }
        if rest.is_empty() {
            break;
        }
    }
    (events, None)
}

/// The frames of an answer, cut at places that the first byte chooses: they say the same as in one piece, and hold no more
/// bytes than came.
pub fn frames(bytes: &[u8]) {
    let Some((cuts, frames)) = bytes.split_first() else { return };
    let step = usize::from(*cuts % 13) + 1;
    let whole = told(frames, std::iter::once(frames.len().max(1)));
    let cut = told(frames, std::iter::repeat(step));
    assert_eq!(whole, cut, "cut into pieces of {step}");
    let data = whole.0.iter().map(|event| match event {
        FrameEvent::Data(bytes) => bytes.len(),
        _ => 0,
    });
    assert!(data.sum::<usize>() <= frames.len());
}

/// What hubs and channels state about each other, signed or not; and the header that says where an answer goes on.
pub fn locations(bytes: &[u8], key: &PublicKey) {
    if let Ok(signed) = codec::decode_owned::<SignedLocation>(bytes)
        && let Ok(channel) = signed.claimed_channel()
        && let Ok(verified) = signed.verify(&channel, key)
    {
        assert_eq!(*verified.signed(), signed);
        assert!(!verified.replaces(verified.location()), "a record replaces itself");
    }
    if let Ok(signed) = codec::decode_owned::<SignedNotice>(bytes) {
        codec::decode_owned::<Notice>(&signed.record).ok();
    }
    if let Ok(signed) = codec::decode_owned::<SignedRotation>(bytes)
        && let Ok(said) = codec::decode_owned::<Rotation>(&signed.record)
    {
        signed.verify(&said.channel).ok();
    }
    if let Ok(signed) = codec::decode_owned::<SignedRestore>(bytes) {
        signed.claimed_channel().ok();
    }
    same::<Location>(bytes);
    same::<Notice>(bytes);
    same::<Rotation>(bytes);
    same::<Introduction>(bytes);
    codec::decode_owned::<Restore>(bytes).ok();
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    text.parse::<Resume>().ok();
    text.parse::<Digest>().ok();
    if let Ok(url) = BaseUrl::parse(text) {
        assert_eq!(
            BaseUrl::parse(url.as_str()).as_ref(),
            Ok(&url),
            "normalised once is normalised"
        );
        assert!(url.to_url().host().is_some());
        url.is_loopback();
    }
}

/// What is taken is the same after a round through its bytes.
fn same<T>(bytes: &[u8])
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    if let Ok(value) = codec::decode_owned::<T>(bytes) {
        assert_eq!(codec::decode_owned::<T>(&codec::encode(&value)), Ok(value));
    }
}
