//! A hub's base URL in its one normalised form.
//!
//! Invariant: two spellings of one hub give the same text, so they give the same site id.
//! Spec: ID-4, ID-19.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};
use url::{Host, Url};

/// Why text is no base URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Does not parse.
    #[error("not a URL: {0}")]
    Form(String),
    /// Something other than http and https.
    #[error("a hub's URL begins with https:// (or http:// on loopback)")]
    Scheme,
    /// User name, password, path, query or fragment.
    #[error("a hub's URL is a scheme, a host and perhaps a port, nothing else")]
    Extra,
}

/// Lower-case scheme and host, no default port, no trailing slash; at most 255 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// ID-4: normalises what a person typed.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let url = Url::parse(text.trim()).map_err(|e| UrlError::Form(e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UrlError::Scheme);
        }
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        let host = url.host_str().ok_or_else(|| UrlError::Form("no host".into()))?;
        if !bare || host.ends_with('.') || text.len() > 255 {
            return Err(UrlError::Extra);
        }
        let normal = url.origin().ascii_serialization();
        // A name may be longer in its ASCII form than as it was written.
        if normal.len() > 255 {
            return Err(UrlError::Extra);
        }
        Ok(Self(normal))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This URL and an absolute path.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// Scheme, host and port, parsed.
    pub fn to_url(&self) -> Url {
        Url::parse(&self.0).expect("was parsed before")
    }

    /// Whether the transport is encrypted.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }

    /// Whether the host is `localhost` or a loopback address.
    pub fn is_loopback(&self) -> bool {
        match self.to_url().host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseUrl({})", self.0)
    }
}

impl<'de> Deserialize<'de> for BaseUrl {
    /// ID-19: on the wire only the normalised form is accepted.
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        let url = Self::parse(&text).map_err(de::Error::custom)?;
        if url.0 != text {
            return Err(de::Error::custom("a base URL that is not normalised"));
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ID-4: spellings of one hub become one text.
    #[test]
    fn spellings_are_normalised() {
        for (typed, normal) in [
            ("HTTPS://Hub.Example/", "https://hub.example"),
            ("https://hub.example:443", "https://hub.example"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
        ] {
            assert_eq!(BaseUrl::parse(typed).expect("a base URL").as_str(), normal);
        }
    }

    /// ID-4: anything beside scheme, host and port is refused.
    #[test]
    fn other_urls_are_refused() {
        for bad in [
            "ftp://hub.example",
            "https://user@hub.example",
            "https://hub.example/path",
            "https://hub.example/?q",
            "https://hub.example./",
            "hub.example",
            "",
        ] {
            assert!(BaseUrl::parse(bad).is_err(), "{bad:?} passed");
        }
    }

    /// ID-4: what is short enough as it is written may be too long as it is sent. (Fuzzing found a URL that could not be read
    /// again.)
    #[test]
    fn the_normal_form_has_its_length_too() {
        let long = format!("https://{}\u{40d}.example", "y".repeat(234));
        assert!(long.len() <= 255 && BaseUrl::parse(&long).is_err());
        let short = format!("https://{}\u{40d}.example", "y".repeat(200));
        let url = BaseUrl::parse(&short).expect("a base URL");
        assert_eq!(BaseUrl::parse(url.as_str()), Ok(url));
    }
}
