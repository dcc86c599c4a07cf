//! Which paths of a hub point to the channel.
//!
//! Spec: TRANS-2, the table of forms.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::percent_decode_str;
use zotferry_protocol::ids::ResourceId;

use super::find::is_word;
use super::{Translation, Whose};

/// First segments after which a channel's nick stands.
const BY_NICK: [&str; 24] = [
    "album",
    "articles",
    "cal",
    "cards",
    "channel",
    "chat",
    "cloud",
    "connect",
    "dav",
    "feed",
    "followers",
    "following",
    "gallery",
    "hcard",
    "inbox",
    "ofeed",
    "outbox",
    "page",
    "photos",
    "poco",
    "profile",
    "viewconnections",
    "webpages",
    "wiki",
];

/// What stands in a path in place of another name.
type Named = Option<(Range<usize>, String)>;

/// Whether a path, which begins with `/` and has the rest of the text behind it, points to the
/// channel, and what in it is named otherwise at the target.
pub(super) fn points(t: &Translation<'_>, path: &str) -> Option<Named> {
    let module = path[1..].find('/').map(|len| &path[1..=len])?;
    let at = module.len() + 2;
    let rest = &path[at..];
    let named = match module {
        "photo" => match profile_photo(rest) {
            Some(number) => by_number(t, at + number.start, &rest[number])?,
            None => photo(t, rest).then_some(None)?,
        },
        "attach" => is_resource(t, [resource(rest)]).then_some(None)?,
        "item" | "activity" | "conversation" | "display" => {
            item(t, module, rest).then_some(None)?
        }
        module if BY_NICK.contains(&module) => by_nick(t, at, rest)?,
        _ => return None,
    };
    (!has_dot_segments(path)).then_some(named)
}

/// The path of a URL, up to where no URL goes on, has segments that lead elsewhere.
fn has_dot_segments(path: &str) -> bool {
    let outside = |c: char| c.is_whitespace() || c.is_control() || "\"<>[]{}|\\^`?#".contains(c);
    let path = &path[..path.find(outside).unwrap_or(path.len())];
    // A point after the last slash ends the sentence, or means what stands before it.
    let path = path.strip_suffix("/.").unwrap_or(path);
    path.split('/').any(|segment| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    })
}

/// What a name in a path may be: all of the word, or less of the points with which it ends.
fn words(rest: &str) -> impl Iterator<Item = &str> {
    let mut word = Some(&rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())]);
    std::iter::from_fn(move || {
        let next = word?;
        word = next.strip_suffix('.');
        Some(next)
    })
}

fn by_nick(t: &Translation<'_>, at: usize, rest: &str) -> Option<Named> {
    let is_nick = |word: &&str| {
        percent_decode_str(word).decode_utf8().ok() == Some(Cow::Borrowed(t.from.nick.as_str()))
    };
    let word = words(rest).find(is_nick)?;
    let differs = t.from.nick != t.to.nick;
    Some(differs.then(|| (at..at + word.len(), t.to.nick.clone())))
}

/// Where the number stands in `profile/l/2`.
fn profile_photo(rest: &str) -> Option<Range<usize>> {
    let start = ["profile/l/", "profile/m/", "profile/s/"].iter().find(|p| rest.starts_with(**p));
    let start = start?.len();
    let number = &rest[start..];
    let len = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    let goes_on = number[len..].starts_with(|c| is_word(c) && c != '.');
    Some(start..start + if goes_on { 0 } else { len })
}

fn by_number(t: &Translation<'_>, at: usize, number: &str) -> Option<Named> {
    let (from, to) = (t.from.uid?, t.to.uid?);
    if number != from.to_string() {
        return None;
    }
    Some((from != to).then(|| (at..at + number.len(), to.to_string())))
}

/// The resource with which a text begins.
fn resource(rest: &str) -> Option<&str> {
    let id = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let len = rest.find(|c| !id(c)).unwrap_or(rest.len());
    let goes_on = rest[len..].starts_with(|c: char| c == '%' || c.is_alphanumeric());
    (!goes_on).then_some(&rest[..len])
}

/// `RESOURCE`, or `RESOURCE-SCALE`.
fn photo(t: &Translation<'_>, rest: &str) -> bool {
    let whole = resource(rest);
    let scaled = whole.and_then(|id| {
        let id = id.strip_suffix(|c: char| c.is_ascii_digit())?;
        id.strip_suffix('-')
    });
    is_resource(t, [scaled, whole])
}

fn is_resource<const N: usize>(t: &Translation<'_>, names: [Option<&str>; N]) -> bool {
    let ids: Vec<_> = names.into_iter().flatten().flat_map(ResourceId::new).collect();
    !ids.is_empty() && t.is_ours(ids.iter().map(|id| t.owns.resource(id)))
}

fn item(t: &Translation<'_>, module: &str, rest: &str) -> bool {
    let Some(word) = words(rest).last() else { return false };
    let named = word.strip_prefix("b64.").filter(|_| module == "display");
    let Some(encoded) = named else {
        return !word.is_empty() && t.is_ours([t.owns.item(word)]);
    };
    let mid = URL_SAFE_NO_PAD.decode(encoded).ok().and_then(|mid| String::from_utf8(mid).ok());
    let whose = mid.as_deref().and_then(|mid| mid.rsplit('/').next()).map(|id| t.owns.item(id));
    t.is_ours([whose.unwrap_or(Whose::Other)])
}
