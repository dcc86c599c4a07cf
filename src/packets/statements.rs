//! What is stated about a channel: its keys, its places, and what clones say of each other's.
//!
//! Owns: what of it is taken, and what follows: who is a clone no more, what this hub states anew,
//! who is told. Not here: who may bring it (`admit`, `clone_sync`, a person), what a statement is
//! (the protocol's `identity`).
//! Invariant: one change at a time ([`Hub::statements`]); the keys first, then records, then notices,
//! so that each is judged by the newest keys.
//! Spec: ID-8 to ID-11, ID-17, ID-20, ID-27 to ID-31, ID-33, ID-34, ID-36 to ID-40, ID-43.

use std::collections::HashSet;
use std::sync::Arc;

use uuid::Uuid;
use zotferry_protocol::codec;
use zotferry_protocol::identity::{
    KeyChain, Notice, SignedLocation, SignedNotice, Standing, VerifiedLocation, VerifiedNotice,
};
use zotferry_protocol::ids::{ReplicaId, SiteId};
use zotferry_protocol::packets::Locations;
use zotferry_protocol::refusal::{Code, Refusal};

use crate::catalog::{
    Channel, Location, LocationState, NewLocation, NewSite, NoticeRow, Placed, Turn, primary,
};
use crate::hub::{CallError, Hub};
use crate::queue::{Lane, Task};

/// ID-43: places of a channel, those that it has left among them.
const MOST_PLACES: usize = 256;
/// ID-43: of them, those that have not answered a challenge yet.
const MOST_UNPROVED: usize = 64;

/// Who brings statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bringer {
    /// A hub that is not listed.
    Stranger,
    /// A listed clone.
    Clone,
    /// A person, who also decides between rivals.
    Person,
}

/// Why statements were not taken.
#[derive(Debug)]
pub(crate) enum TakeError {
    /// One of them does not hold.
    Refused(Refusal),
    /// Something of this hub's own.
    Own(CallError),
}

impl From<Refusal> for TakeError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<E: Into<CallError>> From<E> for TakeError {
    fn from(error: E) -> Self {
        Self::Own(error.into())
    }
}

/// Takes what is new and holds, and does what follows from it.
pub(crate) async fn take(
    hub: &Arc<Hub>,
    channel: &Channel,
    said: &Locations,
    bringer: Bringer,
) -> Result<(), TakeError> {
    let _one_at_a_time = hub.statements.in_channel(channel.id).await;
    let before = hub.catalog.locations(channel.id).await?;
    let chain = hub.chain(channel).await?;
    let theirs = KeyChain::new(channel.portable_id.clone(), chain.first().clone());
    let theirs = theirs.with(&said.rotations)?;
    let (chain, rival, mut news) = match judge(&before, &chain, &theirs, bringer) {
        Judged::Theirs => {
            turn(hub, channel, &theirs, Vec::new()).await?;
            (theirs, false, true)
        }
        Judged::Same => (chain, false, false),
        Judged::Ours => (chain, true, false),
    };
    let mut room = Places::of(&before);
    for verified in verified(&chain, &said.records).await? {
        match verified {
            Ok(verified) => {
                room.one_more(verified.site_id())?;
                news |= place(hub, channel, &verified).await?;
            }
            Err(refusal) if rival => tracing::debug!(%refusal, "a record under other keys"),
            Err(refusal) => return Err(refusal.into()),
        }
    }
    for notice in &said.notices {
        match chain.verify_notice(notice) {
            Ok(verified) => news |= note(hub, channel, &chain, &verified).await?,
            Err(refusal) if rival => tracing::debug!(%refusal, "a notice under other keys"),
            Err(refusal) => return Err(refusal.into()),
        }
    }
    settle(hub, channel, &chain, &before, news).await?;
    Ok(())
}

/// What of some records holds. Sixty-four of them with the longest keys take their time, which is no other request's.
async fn verified(
    chain: &KeyChain,
    records: &[SignedLocation],
) -> Result<Vec<Result<VerifiedLocation, Refusal>>, CallError> {
    let (chain, records) = (chain.clone(), records.to_vec());
    let verifying = move || records.iter().map(|record| chain.verify_location(record)).collect();
    tokio::task::spawn_blocking(verifying).await.map_err(|e| CallError::Local(e.to_string()))
}

/// ID-43: the places that are known of a channel, each of which is a row and may be a challenge.
struct Places {
    known: HashSet<SiteId>,
    unproved: usize,
}

impl Places {
    fn of(rows: &[Location]) -> Self {
        let pending = |l: &&Location| !l.deleted && l.state == LocationState::Pending;
        let unproved = rows.iter().filter(pending).count();
        Self { known: rows.iter().map(|row| row.site_id.clone()).collect(), unproved }
    }

    fn one_more(&mut self, site: &SiteId) -> Result<(), Refusal> {
        if self.known.contains(site) {
            return Ok(());
        }
        if self.known.len() >= MOST_PLACES || self.unproved >= MOST_UNPROVED {
            return Err(Refusal::with(Code::TooMany, "the channel has too many places"));
        }
        self.unproved += 1;
        self.known.insert(site.clone());
        Ok(())
    }
}

/// Which of two chains counts from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    /// Theirs says nothing new.
    Same,
    /// Theirs parts from ours, or may not be brought by this hub: ours counts.
    Ours,
    /// Theirs counts.
    Theirs,
}

/// ID-29, ID-30: theirs, if it counts and if who brings it, or each hub that rotated, is a listed
/// clone here.
pub(super) fn judge(
    places: &[Location],
    ours: &KeyChain,
    theirs: &KeyChain,
    bringer: Bringer,
) -> Judged {
    let lives = |l: &Location| !l.deleted && l.state == LocationState::Listed;
    let listed = |id| places.iter().any(|l| l.site_id == id && lives(l));
    match ours.standing(theirs) {
        Standing::Known => Judged::Same,
        Standing::Newer(from) => {
            let mut turns = theirs.rotations()[from..].iter();
            match bringer != Bringer::Stranger || turns.all(|r| listed(r.site().clone())) {
                true => Judged::Theirs,
                false => Judged::Ours,
            }
        }
        Standing::Rival if bringer == Bringer::Person => Judged::Theirs,
        Standing::Rival => Judged::Ours,
    }
}

/// ID-28: the channel has these keys from now on. Records that do not hold by them are of clones no
/// more; this hub's own is stated anew if a key that is here may sign it.
pub(crate) async fn turn(
    hub: &Arc<Hub>,
    channel: &Channel,
    chain: &KeyChain,
    notices: Vec<NoticeRow>,
) -> Result<(), CallError> {
    let places = hub.catalog.locations(channel.id).await?;
    let stated = places.iter().filter(|place| !place.foreign);
    let mut gone = chain.put_out(stated.map(|place| (place.site, &place.record)));
    hub.settle_key(channel, chain)?;
    let key = hub.channel_key(channel)?;
    let mut own = places.iter().find(|place| place.site == hub.site && !place.deleted);
    // ID-31: by the newest key, if it is here; by another one only where nothing else holds.
    let record = |place: &Location| codec::decode_owned::<SignedLocation>(&place.record);
    let newest = |own: &Location| record(own).is_ok_and(|r| chain.is_of_newest(&r));
    let better = key.public() == chain.newest() && own.is_some_and(|own| !newest(own));
    if chain.admits(key.public(), &hub.site_id) && (better || gone.contains(&hub.site)) {
        gone.retain(|site| *site != hub.site);
    } else {
        own = None;
    }
    let rotations = chain.signed().iter().map(codec::encode).collect();
    let newest = chain.newest().pem().to_owned();
    hub.catalog.turn(channel.id, &Turn { rotations, newest, gone, notices }).await?;
    let number = chain.rotations().len();
    tracing::info!(channel = channel.nick, number, "the channel's key was rotated");
    if let Some(own) = own {
        let channel = hub.catalog.channel(channel.id).await?;
        hub.state_location(&channel, own.primary, false).await?;
    }
    Ok(())
}

/// Stores a record if it is newer. A place that is new here, or comes back, has to prove itself
/// before it is listed. Whether this hub has to state its own place anew because of it.
async fn place(
    hub: &Hub,
    channel: &Channel,
    verified: &VerifiedLocation,
) -> Result<bool, CallError> {
    let location = verified.location();
    if *verified.site_id() == hub.site_id {
        return own(hub, channel, location.serial).await;
    }
    let new = NewSite {
        site_id: verified.site_id().clone(),
        url: location.url.to_string(),
        key_pem: verified.site_key().pem().to_owned(),
    };
    let site = hub.catalog.upsert_site(&new).await?;
    let known = hub.catalog.location(channel.id, site).await?;
    let state = known.filter(|row| !row.deleted).map_or(LocationState::Pending, |row| row.state);
    let placed = hub
        .catalog
        .upsert_location(&NewLocation {
            channel: channel.id,
            site,
            replica: location.replica,
            primary: location.primary,
            deleted: location.deleted,
            serial: location.serial,
            record: codec::encode(verified.signed()),
            state,
            foreign: false,
        })
        .await?;
    if placed == Placed::Kept {
        return Ok(false);
    }
    let now = hub.catalog.location(channel.id, site).await?;
    if now.is_some_and(|row| !row.deleted && row.state == LocationState::Pending) {
        hub.push_keyed(Lane { channel: channel.id, site }, Task::Announce).await?;
    }
    Ok(false)
}

/// ID-20: a statement about this hub that is newer than its own last one was made before its catalog
/// was put back to an earlier state. What it has written since may stand under the same numbers as
/// what it wrote before: it is another writer from here on.
async fn own(hub: &Hub, channel: &Channel, serial: u64) -> Result<bool, CallError> {
    let Some(own) = hub.own_place(channel.id).await? else { return Ok(false) };
    if serial <= own.serial || own.deleted {
        return Ok(false);
    }
    tracing::warn!(
        channel = channel.nick,
        "another clone knows a later statement of this hub: its catalog is an older one"
    );
    hub.catalog.set_replica(channel.id, fresh_replica()).await?;
    let channel = hub.catalog.channel(channel.id).await?;
    hub.state_above(&channel, own.primary, false, serial).await?;
    Ok(true)
}

/// ID-20: a writer that was never before.
pub(crate) fn fresh_replica() -> ReplicaId {
    ReplicaId(Uuid::new_v4().into_bytes()[..8].try_into().unwrap_or_default())
}

/// ID-37, ID-38: keeps a notice if it counts; whether it was new.
async fn note(
    hub: &Hub,
    channel: &Channel,
    chain: &KeyChain,
    verified: &VerifiedNotice,
) -> Result<bool, CallError> {
    let notice = verified.notice();
    let known = hub.catalog.notice(channel.id, &notice.site).await?;
    let before = known.as_ref().map(|row| Notice {
        channel: notice.channel.clone(),
        site: row.site.clone(),
        removed: row.removed,
        primary: row.primary,
        serial: row.serial,
    });
    let held = known.and_then(|row| codec::decode_owned::<SignedNotice>(&row.record).ok());
    // One that a later key signed anew says the same and can be passed on.
    let signed_anew = before.as_ref() == Some(notice) && held.as_ref() != Some(verified.signed());
    if before.as_ref().is_some_and(|before| !notice.replaces(before)) && !signed_anew {
        return Ok(false);
    }
    let places = hub.catalog.locations(channel.id).await?;
    let place = places.iter().find(|place| place.site_id == notice.site);
    let place = place.map(|p| (p.site, notice.removed || !lives_by_record(chain, p)));
    hub.catalog.put_notice(channel.id, &row_of(verified), place).await?;
    Ok(!signed_anew)
}

/// Whether a place's own record holds and says that the channel lives there.
pub(crate) fn lives_by_record(chain: &KeyChain, place: &Location) -> bool {
    let record = codec::decode_owned::<SignedLocation>(&place.record);
    let held = record.and_then(|record| chain.verify_location(&record));
    held.is_ok_and(|held| !held.location().deleted)
}

/// A notice as it is kept.
fn row_of(verified: &VerifiedNotice) -> NoticeRow {
    let notice = verified.notice();
    NoticeRow {
        site: notice.site.clone(),
        removed: notice.removed,
        primary: notice.primary,
        serial: notice.serial,
        record: codec::encode(verified.signed()),
    }
}

/// What follows from what has changed since `before`.
pub(crate) async fn settle(
    hub: &Arc<Hub>,
    channel: &Channel,
    chain: &KeyChain,
    before: &[Location],
    mut news: bool,
) -> Result<(), CallError> {
    let after = hub.catalog.locations(channel.id).await?;
    for place in &after {
        let was = before.iter().find(|was| was.site == place.site);
        if place.deleted && was.is_none_or(|was| !was.deleted) {
            hub.let_go_of(channel.id, place.site).await?;
        } else if was.is_some_and(|was| was.deleted) && !place.deleted && place.site != hub.site {
            hub.push_keyed(Lane { channel: channel.id, site: place.site }, Task::Announce).await?;
        }
    }
    news |= claim(hub, channel, &after).await?;
    if news {
        hub.announce_soon(channel.id).await?;
    }
    forget_old_keys(hub, channel, chain).await
}

/// ID-11, ID-40: this hub says that it is the primary location if it is by a notice, and withdraws
/// its claim if a later one stands. Whether it stated anything.
async fn claim(hub: &Hub, channel: &Channel, places: &[Location]) -> Result<bool, CallError> {
    let Some(own) = places.iter().find(|p| p.site == hub.site && !p.deleted) else {
        return Ok(false);
    };
    let first = primary(places).is_some_and(|first| first.site == hub.site);
    if first == own.primary {
        return Ok(false);
    }
    let channel = hub.catalog.channel(channel.id).await?;
    hub.state_location(&channel, first, false).await?;
    tracing::info!(channel = channel.nick, primary = first, "this hub's place was stated anew");
    Ok(true)
}

/// ID-33: once every place that counts is stated under the newest key, the keys before it are of no
/// use to anybody but a thief.
async fn forget_old_keys(hub: &Hub, channel: &Channel, chain: &KeyChain) -> Result<(), CallError> {
    if chain.rotations().is_empty() || hub.channel_key(channel)?.public() != chain.newest() {
        return Ok(());
    }
    let places = hub.catalog.locations(channel.id).await?;
    let settled = places.iter().filter(|place| !place.deleted && !place.foreign).all(|place| {
        let record = codec::decode_owned::<SignedLocation>(&place.record);
        record.is_ok_and(|record| chain.is_of_newest(&record))
    });
    if settled {
        let destroyed = hub.destroy_other_keys(&channel.portable_id)?;
        if destroyed > 0 {
            tracing::info!(
                channel = channel.nick,
                "every clone has the channel's newest key: the private key before it was destroyed"
            );
        }
    }
    Ok(())
}

/// ID-18, ID-34: everything signed that this hub holds about a channel.
pub(crate) async fn known(hub: &Hub, channel: &Channel) -> Result<Locations, CallError> {
    let chain = hub.chain(channel).await?;
    let mut places = hub.catalog.locations(channel.id).await?;
    // The primary location and this hub's own before all others, should there be too many.
    let first = primary(&places).map(|place| place.site);
    places.sort_by_key(|p| (Some(p.site) != first, p.site != hub.site, p.deleted));
    let records = places.iter().filter(|place| !place.foreign);
    let records = records.filter_map(|p| codec::decode_owned::<SignedLocation>(&p.record).ok());
    let records = records.filter(|record| chain.verify_location(record).is_ok());
    Ok(Locations {
        records: records.take(64).collect(),
        notices: notices(hub, channel, &chain).await?,
        rotations: chain.signed(),
    })
}

/// ID-34: the notices that the newest key signed.
pub(crate) async fn notices(
    hub: &Hub,
    channel: &Channel,
    chain: &KeyChain,
) -> Result<Vec<SignedNotice>, CallError> {
    let rows = hub.catalog.notices(channel.id).await?;
    let signed = rows.iter().filter_map(|row| codec::decode_owned(&row.record).ok());
    Ok(signed.filter(|notice| chain.verify_notice(notice).is_ok()).take(64).collect())
}
