//! Cases in which the hub under test is asked: we are the clone.
//!
//! Owns: the list of these cases, one file for each group. Not here: what a hub does on its own (`client`).

mod audit;
mod bringing;
mod chunks;
mod clone_sync;
mod envelope;
mod freshness;
mod identity;
mod items;
mod limits;
mod locations;
mod manifest;
mod operations;
mod refusals;
mod replay;
mod restore;
mod resume;
mod rotation;
mod signing;
mod statements;
mod streaming;
mod tenants;
mod tombstones;
mod versions;

use zotferry_protocol::refusal::Code;

use crate::actor::Actor;
use crate::case::{Case, Want};
use crate::keys::random;
use crate::wire::Value;

/// All of them but the last.
pub fn cases() -> Vec<Case> {
    [
        envelope::cases(),
        signing::cases(),
        freshness::cases(),
        identity::cases(),
        locations::cases(),
        statements::cases(),
        clone_sync::cases(),
        operations::cases(),
        versions::cases(),
        items::cases(),
        replay::cases(),
        manifest::cases(),
        chunks::cases(),
        resume::cases(),
        streaming::cases(),
        limits::cases(),
        refusals::cases(),
        audit::cases(),
        tombstones::cases(),
        restore::cases(),
        bringing::cases(),
    ]
    .concat()
}

/// Those that come last: a hub that is wrong here may be left with another key for the test channel, and lets no clone
/// of ours in any more.
pub fn last() -> Vec<Case> {
    [tenants::cases(), rotation::cases()].concat()
}

/// A packet that changes nothing, and that every hub answers.
fn challenge(actor: &Actor) -> Value {
    actor.packet("challenge", [("nonce", random::<32>().into())])
}

/// One way to spoil a packet, and what must be said to it.
struct Spoilt {
    id: &'static str,
    requirements: &'static str,
    sentence: &'static str,
    want: Want,
    /// The bytes that are sent in the place of a good packet with this body.
    make: fn(&Actor, &Value) -> Vec<u8>,
}

impl From<Spoilt> for Case {
    fn from(spoilt: Spoilt) -> Self {
        let Spoilt { id, requirements, sentence, want, make } = spoilt;
        Self::server(id, requirements, sentence, want.sentence(), move |world| async move {
            let me = world.me();
            let body = challenge(me);
            let answer = me.post(make(me, &body), &[]).await?;
            want.check(&me.judge(&answer, &body)?)
        })
    }
}

/// One way to spoil a body that is signed all the same, and what must be said to it.
struct Odd {
    id: &'static str,
    requirements: &'static str,
    sentence: &'static str,
    want: Want,
    /// The body.
    make: fn(&Actor) -> Value,
}

impl From<Odd> for Case {
    fn from(odd: Odd) -> Self {
        let Odd { id, requirements, sentence, want, make } = odd;
        Self::server(id, requirements, sentence, want.sentence(), move |world| async move {
            let body = make(world.me());
            want.check(&world.me().ask(&body).await?)
        })
    }
}

/// `bad-field`, by a hub that does not know yet who speaks.
const HINT: Want = Want::Hint(Code::BadField);
/// `bad-field`, by a hub that does.
const BAD_FIELD: Want = Want::Signed(Code::BadField);
