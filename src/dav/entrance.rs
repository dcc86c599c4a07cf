//! Who comes in: the channel's name and an app password (RFC 7617).
//!
//! Invariant: an unknown channel and a wrong password get the same answer for the same work.

use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::catalog::Channel;
use crate::hub::Hub;
use crate::passwords::PasswordError;

/// What an unlucky visitor is told to do.
const CHALLENGE: &str = "Basic realm=\"zotferry\", charset=\"UTF-8\"";
/// Seconds after which a queue that was full is worth another try.
const LATER: u64 = 2;

/// Whether a visitor comes in.
pub(super) enum Entrance {
    /// Into this channel.
    Open(Channel),
    /// No.
    Shut(Response<Body>),
}

pub(super) async fn enter(hub: &Hub, nick: &str, headers: &HeaderMap) -> Entrance {
    let Some((user, password)) = credentials(headers) else {
        return Entrance::Shut(refuse());
    };
    match known(hub, nick, &user, &password).await {
        Ok(Some(channel)) => Entrance::Open(channel),
        Ok(None) => Entrance::Shut(refuse()),
        Err(PasswordError::Busy) => {
            let later = [(header::RETRY_AFTER, LATER)];
            let text = "too many passwords are being checked\n";
            Entrance::Shut((StatusCode::SERVICE_UNAVAILABLE, later, text).into_response())
        }
        Err(error) => {
            tracing::error!(%error, "a password could not be checked");
            Entrance::Shut(StatusCode::INTERNAL_SERVER_ERROR.into_response())
        }
    }
}

async fn known(
    hub: &Hub,
    nick: &str,
    user: &str,
    password: &str,
) -> Result<Option<Channel>, PasswordError> {
    let channel = hub.catalog.channel_by_nick(nick).await?.filter(|_| user == nick);
    let now = hub.clock.now();
    let fits = hub.passwords.check(&hub.catalog, nick, channel.as_ref(), password, now).await?;
    Ok(channel.filter(|_| fits))
}

/// User and password, if any were given in a form that is understood.
pub(super) fn credentials(headers: &HeaderMap) -> Option<(String, Zeroizing<String>)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user.to_owned(), Zeroizing::new(password.to_owned())))
}

fn refuse() -> Response<Body> {
    let challenge = [(header::WWW_AUTHENTICATE, CHALLENGE)];
    let text = "the name of a channel and one of its app passwords open it\n";
    (StatusCode::UNAUTHORIZED, challenge, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7617: the first colon parts name and password; the scheme's case does not matter.
    #[test]
    fn credentials_are_read() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().expect("a value"));
            credentials(&headers).map(|(user, password)| format!("{user} {}", *password))
        };
        let encoded = STANDARD.encode("alice:a:b \u{e9}");
        for scheme in ["Basic", "basic", "BASIC"] {
            assert_eq!(read(&format!("{scheme} {encoded}")), Some("alice a:b \u{e9}".to_owned()));
        }
        let no_colon = format!("Basic {}", STANDARD.encode("alice"));
        for wrong in ["Basic", "Basic !", &no_colon, &format!("Bearer {encoded}")] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
