//! Catalogs as they are compared: the leaves of entries and items, what the hub under test lists, and what a clone of
//! ours says that it has.
//!
//! Owns: keys, digests, sums, the answer to an `audit-request`. Not here: what is judged.
//! Spec: AUDIT-1 to AUDIT-4, AUDIT-6 to AUDIT-8.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::actor::Actor;
use crate::case::{Miss, Want, need};
use crate::entry::Entry;
use crate::keys::random;
use crate::wire::{Reply, Value, list, map};

/// AUDIT-1: the key of a leaf.
pub(crate) fn key_of(kind: &str, id: &str) -> Vec<u8> {
    Sha256::new_with_prefix(kind).chain_update([0]).chain_update(id).finalize().to_vec()
}

/// AUDIT-2: the digest of a file or folder.
pub(crate) fn digest_of(entry: &Entry) -> Vec<u8> {
    let version = |version: &Option<Value>| version.as_ref().map_or(Value::Nil, canonical);
    let root = entry.data.first().and_then(|data| data.at("root")).cloned();
    let parts = Value::List(vec![
        "attach".into(),
        entry.hash().into(),
        canonical(&entry.place),
        canonical(&entry.meta),
        version(&entry.content),
        version(&entry.removed),
        entry.row.text("folder").unwrap_or_default().into(),
        entry.filename().into(),
        root.unwrap_or(Value::Nil),
    ]);
    Sha256::digest(parts.bytes()).to_vec()
}

/// AUDIT-3: the digest of an item.
pub(crate) fn digest_of_item(item: &Value) -> Vec<u8> {
    let (mid, version) = (item.text("mid").unwrap_or_default(), item.at("version"));
    let parts = list(["item".into(), mid.into(), version.map_or(Value::Nil, canonical)]);
    Sha256::digest(parts.bytes()).to_vec()
}

/// A version as it stands in a leaf: the vector in the order of its replica ids.
pub(crate) fn canonical(version: &Value) -> Value {
    let Some(Value::Map(vector)) = version.at("vector") else { return Value::Nil };
    let mut vector = vector.clone();
    vector.sort_by_key(|(replica, _)| replica.bytes());
    version.clone().with("vector", Value::Map(vector))
}

/// AUDIT-4: the exclusive or of digests.
pub(crate) fn sum<'a>(digests: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<u8> {
    let add = |sum: Vec<u8>, digest: &Vec<u8>| sum.iter().zip(digest).map(|(a, b)| a ^ b).collect();
    digests.into_iter().fold(vec![0; 32], add)
}

/// One element of an `audit-request`.
pub(crate) fn range(prefix: &[u8], digest: [u8; 32], list: bool) -> Value {
    map([("prefix", prefix.to_vec().into()), ("digest", digest.into()), ("list", list.into())])
}

/// How some ranges stand at the hub.
pub(crate) async fn compared(actor: &Actor, ranges: Vec<Value>) -> Result<Vec<Value>, Miss> {
    let reply = actor.ask(&actor.packet("audit-request", [("ranges", list(ranges))])).await?;
    Want::Packet("audit-page").check(&reply)?;
    let Reply::Packet { body, .. } = reply else { return Err("no packet".into()) };
    need(!body.list("ranges").is_empty(), "AUDIT-6: no range is answered")?;
    Ok(body.list("ranges").to_vec())
}

/// The leaves of a range at the hub: key and digest.
pub(crate) async fn listed(actor: &Actor, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Miss> {
    let (mut all, mut after) = (Vec::new(), None::<Vec<u8>>);
    loop {
        let mut asked = range(prefix, random(), true);
        if let Some(after) = after.take() {
            asked.set("after", after);
        }
        let found = compared(actor, vec![asked]).await?;
        let bytes = found[0].bin("leaves").ok_or("AUDIT-8: no list")?;
        need(bytes.len() % 64 == 0, "AUDIT-8: half a leaf")?;
        all.extend(bytes.chunks(64).map(|leaf| (leaf[..32].to_vec(), leaf[32..].to_vec())));
        if found[0].flag("more") != Some(true) {
            return Ok(all);
        }
        need(!bytes.is_empty(), "AUDIT-6: more, and nothing came")?;
        after = all.last().map(|(key, _)| key.clone());
    }
}

/// The digest of one leaf at the hub.
pub(crate) async fn at_hub(actor: &Actor, key: &[u8]) -> Result<Option<Vec<u8>>, Miss> {
    let found = listed(actor, &key[..4]).await?;
    Ok(found.into_iter().find(|(leaf, _)| leaf == key).map(|(_, digest)| digest))
}

/// What a clone of ours says that it has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leaves(pub(crate) BTreeMap<Vec<u8>, Vec<u8>>);

impl Leaves {
    /// The ranges of an `audit-page` that answers those of a request (AUDIT-6).
    pub(crate) fn page(&self, asked: &Value) -> Value {
        let ranges = asked.list("ranges").iter().zip(0u64..);
        list(ranges.map(|(range, number)| self.answer(range, number)))
    }

    fn below<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = (&'a Vec<u8>, &'a Vec<u8>)> {
        self.0.iter().filter(move |(key, _)| key.starts_with(prefix))
    }

    fn answer(&self, asked: &Value, number: u64) -> Value {
        let prefix = asked.bin("prefix").unwrap_or_default();
        let (digest, count) = self.stands(prefix);
        let mut answer = map([
            ("range", number.into()),
            ("digest", digest.clone().into()),
            ("count", count.into()),
        ]);
        let after = asked.bin("after");
        if asked.bin("digest") == Some(&digest) && after.is_none() {
            return answer;
        }
        let listed = asked.flag("list") == Some(true) || prefix.len() >= 4 || count <= 128;
        if listed || after.is_some() {
            let leaves =
                self.below(prefix).filter(|(key, _)| after.is_none_or(|a| key.as_slice() > a));
            let leaves: Vec<u8> =
                leaves.flat_map(|(key, digest)| [key.as_slice(), digest].concat()).collect();
            // As many as surely fit the packet.
            let most = leaves.len().min(4096 * 64);
            answer.set("leaves", leaves[..most].to_vec()).set("more", most < leaves.len());
        } else {
            let below = (0..=u8::MAX).map(|byte| self.stands(&[prefix, &[byte]].concat()));
            let (digests, counts): (Vec<Vec<u8>>, Vec<u64>) = below.unzip();
            answer.set("digests", digests.concat()).set("counts", list(counts));
        }
        answer
    }

    /// The sum and the number of the leaves below a prefix.
    fn stands(&self, prefix: &[u8]) -> (Vec<u8>, u64) {
        let count = self.below(prefix).count() as u64;
        (sum(self.below(prefix).map(|(_, digest)| digest)), count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AUDIT-7, AUDIT-8: an equal range is left at that, a small one is listed, a large one is divided.
    #[test]
    fn ranges_are_equal_listed_or_divided() {
        let leaf = |n: u16| (key_of("attach", &n.to_string()), key_of("item", &n.to_string()));
        let few = Leaves((0..128).map(leaf).collect());
        let own = few.stands(&[]).0.try_into().expect("made here");
        let asked = |digest| map([("ranges", list([range(&[], digest, false)]))]);
        let page = few.page(&asked(own));
        assert!(page.at("0.leaves").is_none() && page.uint("0.count") == Some(128));
        assert_eq!(few.page(&asked([0; 32])).bin("0.leaves").expect("made here").len(), 128 * 64);
        let many = Leaves((0..129).map(leaf).collect());
        let page = many.page(&asked([0; 32]));
        assert_eq!(page.bin("0.digests").expect("made here").len(), 256 * 32);
        let below: Vec<Vec<u8>> =
            page.bin("0.digests").expect("made here").chunks(32).map(<[u8]>::to_vec).collect();
        assert_eq!(Some(sum(&below).as_slice()), page.bin("0.digest"));
        let counts =
            page.list("0.counts").iter().map(|n| if let Value::Uint(n) = n { *n } else { 0 });
        assert_eq!(counts.sum::<u64>(), 129);
    }
}
