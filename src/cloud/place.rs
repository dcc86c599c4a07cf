//! URLs to names, and names to URLs.
//!
//! Owns: percent-encoding, the query's few words. Not here: what is at a place.
//! Invariant: a name that holds a slash, or is not UTF-8, leads nowhere; what is written into a URL
//! is read back as the same name.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// All but the characters that RFC 3986 calls unreserved.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A place in a channel, as a URL names it.
pub(super) struct Place<'a> {
    /// The channel's name on this hub.
    pub(super) nick: String,
    /// From the top down; none for the top.
    pub(super) names: Vec<String>,
    /// Whether the URL ends with a slash, as a folder's does.
    pub(super) slash: bool,
    /// The last segment as it came.
    last: &'a str,
}

impl<'a> Place<'a> {
    /// The place in `/cloud/<channel>/<name>/<name>`; `None` where no entry can be.
    pub(super) fn parse(path: &'a str) -> Option<Self> {
        let below = path.strip_prefix("/cloud/")?;
        let slash = below.ends_with('/');
        let below = below.strip_suffix('/').unwrap_or(below);
        let mut names = below.split('/').map(decode).collect::<Option<Vec<_>>>()?;
        let nick = names.remove(0);
        let last = below.rsplit('/').next().unwrap_or(below);
        Some(Self { nick, names, slash, last })
    }

    /// This place with the slash of a folder, from where it was asked for.
    pub(super) fn with_slash(&self) -> String {
        format!("./{}/", self.last)
    }
}

fn decode(segment: &str) -> Option<String> {
    let name = percent_decode_str(segment).decode_utf8().ok()?;
    let fine = !name.is_empty() && !name.contains(['/', '\0']);
    fine.then(|| name.into_owned())
}

/// A name as one segment of a URL.
pub(super) fn encode(name: &str) -> String {
    utf8_percent_encode(name, ESCAPED).to_string()
}

/// The page of a folder.
pub(super) fn folder_url<'n>(nick: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    let mut url = format!("/cloud/{}/", encode(nick));
    for name in names {
        url.push_str(&encode(name));
        url.push('/');
    }
    url
}

/// What comes after the `?`.
#[derive(Clone, Copy)]
pub(super) struct Query<'a>(pub(super) &'a str);

impl<'a> Query<'a> {
    /// Whether a word stands there, with or without a value.
    pub(super) fn has(self, word: &str) -> bool {
        self.0.split('&').any(|part| part.split('=').next() == Some(word))
    }

    /// The value of a word.
    pub(super) fn value(self, word: &str) -> Option<&'a str> {
        self.0.split('&').find_map(|part| part.strip_prefix(word)?.strip_prefix('='))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written into a URL is read back; what can be no name leads nowhere.
    #[test]
    fn names_survive_urls() {
        let names = ["a b", "<script>", "50%", "%2f", "a?b#c", "..;", "\u{202e}gpj", "a\nb", "é"];
        let url = folder_url("al ice", names);
        let place = Place::parse(&url).expect("a place");
        assert_eq!((place.nick.as_str(), place.slash), ("al ice", true));
        assert_eq!(place.names, names);
        for bad in ["/cloud/a//b", "/cloud/a/b%2Fc", "/cloud/a/%00", "/cloud/a/%ff", "/cloud//"] {
            assert!(Place::parse(bad).is_none(), "{bad}");
        }
        assert!(Place::parse("/cloud/alice").is_some_and(|p| p.names.is_empty() && !p.slash));
        assert_eq!(Place::parse("/cloud/a/x%20y").expect("a place").with_slash(), "./x%20y/");
    }

    #[test]
    fn words_of_a_query_are_found() {
        let query = Query("download&after=x-1&login=");
        assert!(query.has("download") && query.has("login") && !query.has("down"));
        assert_eq!((query.value("after"), query.value("aft")), (Some("x-1"), None));
    }
}
