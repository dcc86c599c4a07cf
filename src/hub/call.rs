//! Asking another hub: sign, send, and believe only an answer that it signed for this request.
//!
//! Owns: outgoing packets, answers, and the correction for clocks that differ. Not here: when to
//! ask again (the queue), what an answer means.
//! Spec: SIGN-1, SIGN-7, SIGN-10, SIGN-11, SIGN-16, SIGN-17, REF-4, REF-5, QUEUE-13.

use uuid::Uuid;
use zotferry_protocol::envelope::{Draft, MAX_LIFE, Party, Verified, open, seal};
use zotferry_protocol::identity::{BaseUrl, Introduction, PublicKey};
use zotferry_protocol::ids::{Millis, PacketId, PortableId, SiteId};
use zotferry_protocol::pacing::MAX_PAUSE;
use zotferry_protocol::packets::{Packet, RefusalPacket};
use zotferry_protocol::refusal::{Code, CodeNumber, Retry};

use super::{Hub, HubError};
use crate::catalog::{CatalogError, SiteNo};
use crate::transport::{Answer, TransportError};

/// The largest difference of clocks that is corrected: a day, in ms.
const MAX_OFFSET: i64 = 24 * 3600 * 1000;

/// Why a hub's answer is not what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It could not be reached, or went away.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// It refused, and signed that: it speaks about the thing that was asked for.
    #[error("{site} refuses: {code} ({shown})", shown = crate::text::visible(.text))]
    Refused {
        /// Who refuses.
        site: BaseUrl,
        /// The row of the refusal table.
        code: CodeNumber,
        /// Its sentence.
        text: String,
        /// Seconds to wait.
        retry_after: Option<u32>,
    },
    /// Something else answered: a proxy, an error page, an unsigned hint. It speaks about the path.
    #[error("{site} answered {status}, not signed{hint}")]
    NotOurs {
        /// Who was asked.
        site: BaseUrl,
        /// The HTTP status.
        status: u16,
        /// What the body said, if it was a hint.
        hint: String,
        /// Seconds of `Retry-After`.
        retry_after: Option<u64>,
    },
    /// This hub has challenged its host too often.
    #[error("the host of {site} was asked for challenges too often; again in {seconds} s")]
    TooSoon {
        /// Who was to be asked.
        site: BaseUrl,
        /// Seconds to wait.
        seconds: u32,
    },
    /// This hub's own catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Something of this hub's own folder, a key for instance.
    #[error(transparent)]
    Hub(#[from] Box<HubError>),
    /// Something else of this hub's own, or an answer that makes no sense.
    #[error("{0}")]
    Local(String),
}

impl From<HubError> for CallError {
    fn from(error: HubError) -> Self {
        Self::Hub(Box::new(error))
    }
}

impl CallError {
    /// Whether and where asking again may help. REF-5: what is not signed ends nothing.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Refused { code, .. } => code.retry(),
            Self::Transport(TransportError::Forbidden(..)) => Retry::Never,
            // QUEUE-13: what a name resolves to changes, and is not signed.
            _ => Retry::Later,
        }
    }

    /// QUEUE-12: ms that the peer asked to wait for. Bounded, because anybody on the path may ask.
    pub fn retry_after(&self) -> Option<u64> {
        let seconds = match self {
            Self::Refused { retry_after, .. } => retry_after.map(u64::from),
            Self::NotOurs { retry_after, .. } => *retry_after,
            Self::TooSoon { seconds, .. } => Some((*seconds).into()),
            _ => None,
        };
        seconds.map(|seconds| seconds.saturating_mul(1000).min(MAX_PAUSE))
    }

    /// Whether the peer refused with this code, and signed it.
    pub fn is(&self, wanted: Code) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == wanted)
    }
}

/// Another hub, with its key ready for use.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its row in the catalog.
    pub row: SiteNo,
    /// Its id.
    pub id: SiteId,
    /// Its address.
    pub url: BaseUrl,
    /// Its key.
    pub key: PublicKey,
    /// How far its clock is ahead of ours, in ms.
    pub clock_offset: i64,
}

/// A signed request that may be presented until it expires.
#[derive(Debug, Clone)]
pub struct Capability {
    /// Its id, which the answers repeat.
    pub id: PacketId,
    /// The envelope.
    pub bytes: bytes::Bytes,
    /// When it should be replaced, by our clock.
    pub until: Millis,
}

impl Hub {
    /// SIGN-7: a packet to a hub, signed now.
    pub async fn seal(
        &self,
        to: &Peer,
        channel: &PortableId,
        packet: Packet,
        introduction: Option<Introduction>,
    ) -> Result<Capability, CallError> {
        let now = self.clock.now();
        let draft = self.draft(&to.id, channel, now.offset(to.clock_offset), None);
        let id = draft.id;
        let bytes = self.sign(draft, packet, introduction).await?;
        Ok(Capability { id, bytes: bytes.into(), until: now.plus(MAX_LIFE - 30_000) })
    }

    /// An answer to a hub's packet.
    pub async fn seal_answer(
        &self,
        to: &Party,
        request: PacketId,
        packet: Packet,
    ) -> Result<Vec<u8>, CallError> {
        let draft = self.draft(&to.hub, &to.channel, self.clock.now(), Some(request));
        self.sign(draft, packet, None).await
    }

    fn draft(
        &self,
        hub: &SiteId,
        channel: &PortableId,
        at: Millis,
        answers: Option<PacketId>,
    ) -> Draft {
        Draft {
            // PKT-20: a new id for every packet.
            id: PacketId(Uuid::now_v7().into_bytes()),
            from: Party { hub: self.site_id.clone(), channel: channel.clone() },
            to: Party { hub: hub.clone(), channel: channel.clone() },
            at,
            life: MAX_LIFE,
            answers,
        }
    }

    /// RSA takes milliseconds: not on an async thread.
    async fn sign(
        &self,
        draft: Draft,
        packet: Packet,
        introduction: Option<Introduction>,
    ) -> Result<Vec<u8>, CallError> {
        self.metrics.signatures.one();
        let key = std::sync::Arc::clone(&self.site_key);
        let signing = move || seal(draft, &packet, &*key, introduction.as_ref());
        match tokio::task::spawn_blocking(signing).await {
            Ok(signed) => signed.map_err(|e| CallError::Local(e.to_string())),
            Err(stopped) => Err(CallError::Local(stopped.to_string())),
        }
    }

    /// Sends a packet and returns the packet that the hub answered. Asks a second time when the hub
    /// says, signed, that our date is off by its clock (SIGN-10).
    pub async fn call(
        &self,
        peer: &Peer,
        channel: &PortableId,
        packet: &Packet,
        introduction: Option<&Introduction>,
    ) -> Result<Verified<Packet>, CallError> {
        Ok(self.call_weighed(peer, channel, packet, introduction).await?.0)
    }

    /// The same, and how many bytes of packets went both ways.
    pub async fn call_weighed(
        &self,
        peer: &Peer,
        channel: &PortableId,
        packet: &Packet,
        introduction: Option<&Introduction>,
    ) -> Result<(Verified<Packet>, u64), CallError> {
        let mut weight = 0;
        let mut peer = peer.clone();
        for last in [false, true] {
            let request = self.seal(&peer, channel, packet.clone(), introduction.cloned()).await?;
            self.metrics.requests.one();
            let response = self.transport.post(&peer.url, request.bytes.clone(), &[]).await?;
            let answer = self.transport.packet_body(response).await?;
            weight += (request.bytes.len() + answer.packet.as_ref().map_or(0, |p| p.len())) as u64;
            let answer = self.believe(&peer, request.id, answer)?;
            let Packet::Refusal(refusal) = &*answer else { return Ok((answer, weight)) };
            if last || !self.corrected(&mut peer, refusal).await? {
                return Err(refused(&peer, refusal));
            }
        }
        unreachable!("the second round returns")
    }

    /// Whether a refusal was about our date and the peer's clock is now taken into account.
    pub async fn corrected(
        &self,
        peer: &mut Peer,
        refusal: &RefusalPacket,
    ) -> Result<bool, CallError> {
        if refusal.code != Code::Stale {
            return Ok(false);
        }
        let ours = i64::try_from(self.clock.now().0).unwrap_or(i64::MAX);
        let offset = i64::try_from(refusal.clock.0).unwrap_or(i64::MAX).saturating_sub(ours);
        if offset.abs() > MAX_OFFSET {
            tracing::warn!(site = %peer.url, offset, "its clock is off by more than a day");
            return Ok(false);
        }
        tracing::warn!(site = %peer.url, offset_ms = offset, "its clock differs; corrected");
        peer.clock_offset = offset;
        self.catalog.set_clock_offset(peer.row, offset).await?;
        Ok(true)
    }

    /// SIGN-11: the packet in an answer, if the peer signed it for this request.
    pub fn believe(
        &self,
        peer: &Peer,
        request: PacketId,
        answer: Answer,
    ) -> Result<Verified<Packet>, CallError> {
        let status = answer.status.as_u16();
        let retry_after = answer.retry_after;
        let not_ours =
            |hint: String| CallError::NotOurs { site: peer.url.clone(), status, hint, retry_after };
        let Some(bytes) = answer.packet else { return Err(not_ours(String::new())) };
        let check = || {
            let sealed = open(&bytes)?;
            let authentic = sealed.authenticate(&peer.key, &self.site_id)?;
            authentic.answers(request)?;
            authentic.packet()
        };
        check().map_err(|refusal| not_ours(format!(": {refusal}")))
    }
}

/// A refusal packet as an error.
pub fn refused(peer: &Peer, refusal: &RefusalPacket) -> CallError {
    CallError::Refused {
        site: peer.url.clone(),
        code: refusal.code,
        text: refusal.text.clone(),
        retry_after: refusal.retry_after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unsigned(status: u16, retry_after: u64) -> CallError {
        let site = BaseUrl::parse("https://hub.example").expect("a URL");
        CallError::NotOurs { site, status, hint: String::new(), retry_after: Some(retry_after) }
    }

    /// QUEUE-12, REF-5: what a proxy asks for is waited for, but not for ever, and no job ends by it.
    #[test]
    fn nobody_on_the_path_stops_a_job_for_good() {
        assert_eq!(unsigned(503, 7).retry_after(), Some(7_000));
        assert_eq!(unsigned(503, u64::MAX).retry_after(), Some(MAX_PAUSE));
        for status in [200, 301, 400, 401, 403, 404, 410, 429, 500, 503] {
            assert_eq!(unsigned(status, 1).retry(), Retry::Later);
        }
    }
}
