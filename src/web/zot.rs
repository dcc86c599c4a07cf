//! `POST /zot`: every packet.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::http::{HeaderMap, Response};
use zotferry_protocol::frames::Resume;
use zotferry_protocol::refusal::{Code, Refusal};

use super::{hint, respond};
use crate::hub::Hub;
use crate::packets::{Presentation, receive};
use crate::transport::{MAX_BYTES_HEADER, PACKET_TYPE, RESUME_HEADER};

pub(super) async fn post(
    State(hub): State<Arc<Hub>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response<Body> {
    let presented = body
        .map_err(|rejection| refuse_body(&rejection))
        .and_then(|bytes| presentation(&headers, bytes));
    match presented {
        Ok(presentation) => respond(receive(&hub, presentation).await),
        Err(refusal) => hint(&refusal),
    }
}

/// PKT-3, REF-3: a body beyond the limit is not read to its end, so nobody knows who sent it.
fn refuse_body(rejection: &BytesRejection) -> Refusal {
    match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            Code::TooLarge.into()
        }
        _ => Refusal::with(Code::Malformed, "the body was cut off"),
    }
}

/// The packet and the two headers that may come with it.
fn presentation(headers: &HeaderMap, bytes: Bytes) -> Result<Presentation, Refusal> {
    let text = |name: &str| headers.get(name).map(|v| v.to_str().unwrap_or("?"));
    if text("content-type") != Some(PACKET_TYPE) {
        return Err(Refusal::with(
            Code::Malformed,
            format_args!("the content type is {PACKET_TYPE}"),
        ));
    }
    let bad = |name: &str| Refusal::with(Code::BadField, format_args!("the header {name}"));
    let resume = text(RESUME_HEADER).map(str::parse::<Resume>).transpose();
    // FETCH-23: digits alone; Rust's own parser would take a sign as well.
    let digits = |value: &str| match value.bytes().all(|b| b.is_ascii_digit()) {
        true => value.parse::<u64>().ok(),
        false => None,
    };
    let max_bytes = text(MAX_BYTES_HEADER).map(|value| digits(value).ok_or(())).transpose();
    Ok(Presentation {
        resume: resume.map_err(|_| bad(RESUME_HEADER))?.unwrap_or_default(),
        max_bytes: max_bytes.map_err(|_| bad(MAX_BYTES_HEADER))?,
        bytes,
    })
}
