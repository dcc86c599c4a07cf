//! Pages that say why there is nothing to see.

use askama::Template;
use axum::body::Body;
use axum::http::{Response, StatusCode, header};

use super::Nothing;
use super::headers::{self, STYLE, set};

/// How long a browser waits before it asks again for a file that nobody can give now, in seconds.
const AGAIN: u64 = 30;

#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    style: &'static str,
    title: &'a str,
    text: &'a str,
    login: bool,
}

/// The page where nothing is shown.
pub(super) fn nothing(nothing: &Nothing) -> Response<Body> {
    match nothing {
        Nothing::Missing => notice(
            StatusCode::NOT_FOUND,
            "Not found",
            "There is nothing here, or it is not for everyone.",
            true,
        ),
        Nothing::Unknown => {
            let text = "This needs the name of a channel of this hub and one of its app passwords.";
            let mut page = notice(StatusCode::UNAUTHORIZED, "Who are you?", text, false);
            let realm = "Basic realm=\"channel and app password\", charset=\"UTF-8\"";
            set(&mut page, header::WWW_AUTHENTICATE, realm);
            page
        }
        Nothing::Unchecked(error) => {
            tracing::warn!(%error, "a password was not checked");
            let text = "Too many passwords are being checked at the moment.";
            again(StatusCode::SERVICE_UNAVAILABLE, text)
        }
        Nothing::Failed(error) => {
            tracing::error!(%error, "a page could not be made");
            let text = "This hub cannot read its catalog at the moment.";
            again(StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}

/// The page for a file that is wanted and that nobody can give now.
pub(super) fn not_now(size: u64) -> Response<Body> {
    let size = crate::text::bytes(size);
    let text = format!(
        "This file of {size} is on its way to this hub, and no hub that has it answers at the moment. \
         It will be here later."
    );
    again(StatusCode::SERVICE_UNAVAILABLE, &text)
}

/// The page for a range beyond the end.
pub(super) fn outside(size: u64) -> Response<Body> {
    let status = StatusCode::RANGE_NOT_SATISFIABLE;
    let mut page = notice(status, "No such range", "The file ends before that.", false);
    set(&mut page, header::CONTENT_RANGE, &format!("bytes */{size}"));
    page
}

fn again(status: StatusCode, text: &str) -> Response<Body> {
    let mut page = notice(status, "Not now", text, false);
    set(&mut page, header::RETRY_AFTER, &AGAIN.to_string());
    page
}

fn notice(status: StatusCode, title: &str, text: &str, login: bool) -> Response<Body> {
    let page = Notice { style: STYLE, title, text, login }.render();
    let mut response = Response::new(Body::from(page.unwrap_or_else(|_| text.to_owned())));
    *response.status_mut() = status;
    headers::page(&mut response);
    response
}
