//! Who looks, and what they may see.
//!
//! An entry whose four access lists are empty is everyone's, if that is so of every folder above it.
//! Lists that name anybody are for hubs that know who is who: here they mean the owner alone.
//!
//! Invariant: what cannot be checked is denied; an entry that may not be seen cannot be told from one
//! that does not exist.

use axum::http::{HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Ask, Nothing};
use crate::catalog::{Attach, Channel};
use crate::hub::Hub;

/// Who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Viewer {
    /// Anybody.
    Public,
    /// Somebody with a password of the channel.
    Owner,
}

/// Who asks about a channel, `None` for one that does not exist. Credentials that are wrong are never
/// taken for none; whoever wants to log in is asked for them wherever they stand, so that the answer
/// tells nothing about what is there.
pub(super) async fn viewer(
    hub: &Hub,
    nick: &str,
    channel: Option<&Channel>,
    ask: &Ask<'_>,
) -> Result<Viewer, Nothing> {
    let Some(shown) = ask.headers.get(header::AUTHORIZATION) else {
        return if ask.query.has("login") { Err(Nothing::Unknown) } else { Ok(Viewer::Public) };
    };
    let Some((user, password)) = basic(shown) else { return Err(Nothing::Unknown) };
    let channel = channel.filter(|_| user == nick);
    let now = hub.clock.now();
    match hub.passwords.check(&hub.catalog, &user, channel, &password, now).await? {
        true => Ok(Viewer::Owner),
        false => Err(Nothing::Unknown),
    }
}

/// RFC 7617: a name and a password.
fn basic(header: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// Whether an entry's lists let everybody see it.
pub(super) fn is_public(entry: &Attach) -> bool {
    [&entry.allow_cid, &entry.allow_gid, &entry.deny_cid, &entry.deny_gid]
        .iter()
        .all(|list| list.trim().is_empty())
}

/// Whether everybody may see an entry: it and all folders above it are named.
pub(super) fn open_to_all<'a>(chain: impl IntoIterator<Item = &'a Attach>) -> bool {
    chain.into_iter().all(is_public)
}

/// Fails unless the viewer may see the last of a chain of folders and an entry.
pub(super) fn check<'a>(
    viewer: Viewer,
    chain: impl IntoIterator<Item = &'a Attach>,
) -> Result<(), Nothing> {
    match viewer == Viewer::Owner || open_to_all(chain) {
        true => Ok(()),
        false => Err(Nothing::Missing),
    }
}
