//! Rotations of the channel's key: from whom one is taken. Those that do not hold are in `statements`.
//!
//! What is taken here would change the test channel's key for good: those cases have a channel of their own.
//! Spec: ID-24 to ID-30.

use zotferry_protocol::refusal::Code;

use crate::actor::Actor;
use crate::case::{Case, Miss, Outcome, Want, need};
use crate::http::Response;
use crate::keys::{Key, now};
use crate::target::Target;
use crate::wire::{Reply, Value, list, map};
use crate::world::World;

const BAD_LOCATION: Want = Want::Signed(Code::BadLocation);
const LOCATIONS: Want = Want::Packet("locations");

pub(super) fn cases() -> Vec<Case> {
    vec![shown_by_a_stranger(), from_a_clone()]
}

/// A rotation of the channel's key, with all that makes it good but what a case changes.
pub(super) struct Rotation<'a> {
    pub(super) record: Value,
    pub(super) old: &'a Key,
    pub(super) new: &'a Key,
    pub(super) site: &'a Key,
}

impl<'a> Rotation<'a> {
    /// By a hub of ours, which keeps itself and the hub under test, from the test channel's key to one of ours.
    pub(super) fn good(world: &'a World, me: &'a Actor) -> Self {
        let keep = [me.site(), world.shared().hub.site.as_str()];
        Self::by(me, &keep, world.channel_key(), world.other_key())
    }

    /// By a hub of ours, from a key to another.
    fn by(site: &'a Actor, keep: &[&str], old: &'a Key, new: &'a Key) -> Self {
        let record = map([
            ("channel", site.shared().channel.as_str().into()),
            ("number", 1u64.into()),
            ("old_key", old.public().pem().into()),
            ("new_key", new.public().pem().into()),
            ("keep", list(keep.iter().copied())),
            ("url", site.url().into()),
            ("site_key", site.key().public().pem().into()),
            ("at", now().into()),
        ]);
        Self { record, old, new, site: site.key() }
    }

    pub(super) fn signed(&self) -> Value {
        let record = self.record.bytes();
        let text = [b"zot-file-rotation\n", record.as_slice()].concat();
        map([
            ("old_sig", self.old.sign(&text).into()),
            ("new_sig", self.new.sign(&text).into()),
            ("site_sig", self.site.sign(&text).into()),
            ("record", record.into()),
        ])
    }

    pub(super) fn with(mut self, path: &str, value: impl Into<Value>) -> Value {
        self.record.set(path, value);
        self.signed()
    }
}

/// Sends rotations and records.
async fn rotate(
    actor: &Actor,
    rotations: Vec<Value>,
    records: Vec<Value>,
) -> Result<Reply, String> {
    let fields = [("records", list(records)), ("rotations", list(rotations))];
    actor.ask(&actor.packet("locations", fields)).await
}

/// Whether an answer to `locations` tells of a rotation.
fn tells_of(reply: &Reply, rotation: &Value) -> Result<bool, Miss> {
    LOCATIONS.check(reply)?;
    let Reply::Packet { body, .. } = reply else { return Err("no packet".into()) };
    let record = rotation.bin("record");
    Ok(body.list("rotations").iter().any(|told| told.bin("record") == record))
}

/// The key before a rotation counts still, and the one after it does not.
async fn old_key_counts(world: &World, rotation: &Value, new: &Key) -> Outcome {
    let me = world.me();
    let by_old = rotate(me, Vec::new(), vec![me.state(&me.place())]).await?;
    need(!tells_of(&by_old, rotation)?, "the hub tells its clones of the rotation")?;
    let by_new = me.state_by(&me.place(), new, me.key());
    BAD_LOCATION.check(&rotate(me, Vec::new(), vec![by_new]).await?)
}

/// A hub that answers no challenge.
async fn mute(world: &World) -> Result<Actor, String> {
    let stranger = world.stranger().await?;
    stranger.hook(|_, _| Some(Response::new(503, "text/plain", "not now\n")));
    Ok(stranger)
}

/// Keeps a hub of ours that rotates, the hub under test, and our first hub.
fn keep<'a>(world: &'a World, by: &'a Actor) -> [&'a str; 3] {
    [by.site(), &world.shared().hub.site, world.me().site()]
}

fn shown_by_a_stranger() -> Case {
    let want = Want::Hint(Code::BadLocation);
    Case::server(
        "rotation.shown-by-a-stranger",
        "ID-30 ID-21 SIGN-3",
        "A hub that is not known introduces itself by a record of a new key, with a rotation to that key that it has made itself.",
        want.sentence() + "; the old key counts",
        move |world| async move {
            let stranger = mute(&world).await?;
            let (old, new) = (world.channel_key(), world.other_key());
            let rotation = Rotation::by(&stranger, &keep(&world, &stranger), old, new).signed();
            let place = stranger.state_by(&stranger.place(), new, stranger.key());
            let shown = place.clone().with("rotations", list([rotation.clone()]));
            let body = stranger.packet("locations", [("records", list([place]))]);
            want.check(&stranger.introduce(&body, &shown).await?)?;
            old_key_counts(&world, &rotation, new).await
        },
    )
}

/// Into the channel that may lose its key.
pub(super) async fn spare(world: &World) -> Result<World, Miss> {
    let target = &world.shared().target;
    let Some((guid, key)) = target.spare.clone() else {
        return Err(Miss::Skipped(
            "needs --spare-guid and --spare-key, a channel to be used up".into(),
        ));
    };
    let entered = World::enter(Target { guid, key, spare: None, ..target.clone() }).await;
    entered.map_err(|why| Miss::Failed(format!("the spare channel, new for each run: {why}")))
}

fn from_a_clone() -> Case {
    Case::server(
        "rotation.from-a-clone",
        "ID-30 ID-26 ID-27 ID-28 ID-34",
        "In a channel of its own: a listed clone sends a rotation by itself that keeps it and not a second clone; later a hub \
         that is not listed brings another rotation of that clone.",
        format!(
            "the first is taken: the answer has it, a record by the new key is taken, the second clone is refused with {}; \
             so is the next one, for its own hub is listed",
            Want::Signed(Code::NotAClone).sentence()
        ),
        |world| async move {
            let world = spare(&world).await?;
            let outcome = turned(&world).await;
            world.close().await.ok();
            outcome
        },
    )
}

async fn turned(world: &World) -> Outcome {
    let (me, left) = (world.me(), world.second().await?);
    let kept = [me.site(), world.shared().hub.site.as_str()];
    let keys = [world.channel_key().clone(), Key::new()?, Key::new()?];
    let first = Rotation::by(me, &kept, &keys[0], &keys[1]).signed();
    let reply = rotate(me, vec![first.clone()], Vec::new()).await?;
    need(tells_of(&reply, &first)?, "the answer is without the rotation: it was not taken")?;
    let anew = me.state_by(&me.place(), &keys[1], me.key());
    LOCATIONS.check(&rotate(me, Vec::new(), vec![anew]).await?)?;
    let none = || list(Vec::<Value>::new());
    let report = left.packet("sync-report", [("operations", none()), ("present", none())]);
    Want::Signed(Code::NotAClone).check(&left.ask(&report).await?)?;
    let stranger = mute(world).await?;
    let second = Rotation::by(me, &kept, &keys[1], &keys[2]).with("number", 2u64);
    let place = stranger.state_by(&stranger.place(), &keys[1], stranger.key());
    let shown = place.clone().with("rotations", list([first.clone()]));
    let body = stranger.packet("locations", [("records", list([place]))]);
    LOCATIONS.check(&stranger.introduce(&body, &shown).await?)?;
    let reply = rotate(&stranger, vec![first, second.clone()], Vec::new()).await?;
    need(
        tells_of(&reply, &second)?,
        "a rotation by a listed clone was not taken from another hub",
    )?;
    let anew = me.state_by(&me.place(), &keys[2], me.key());
    LOCATIONS.check(&rotate(me, Vec::new(), vec![anew]).await?)
}
