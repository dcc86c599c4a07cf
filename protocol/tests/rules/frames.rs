//! Frames survive every split and every cut.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;
use zotferry_protocol::frames::{
    End, FrameError, FrameEvent, FrameReader, FrameRefusal, data_header, end_frame, refusal_frame,
};
use zotferry_protocol::manifest::MAX_CHUNK;

/// What an origin sends.
#[derive(Debug, Clone)]
enum Sent {
    Data {
        item: u32,
        chunk: u32,
        offset: u32,
        bytes: Vec<u8>,
    },
    Refused(u32, FrameRefusal),
}

impl Sent {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Data {
                item,
                chunk,
                offset,
                bytes,
            } => {
                let mut frame = data_header(*item, *chunk, *offset, bytes.len() as u32);
                frame.extend_from_slice(bytes);
                frame
            }
            Self::Refused(item, refusal) => refusal_frame(*item, refusal),
        }
    }

    fn events(&self) -> Vec<FrameEvent> {
        match self.clone() {
            Self::Data {
                item,
                chunk,
                offset,
                bytes,
            } => {
                let len = bytes.len() as u32;
                let header = FrameEvent::Header {
                    item,
                    chunk,
                    offset,
                    len,
                };
                vec![header, FrameEvent::Data(bytes.into())]
            }
            Self::Refused(item, FrameRefusal { code, text }) => {
                vec![FrameEvent::Refused { item, code, text }]
            }
        }
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let bytes = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 1..300),
        1 => prop::collection::vec(any::<u8>(), 65_530..65_540),
    ];
    let data = (any::<u32>(), any::<u32>(), 0..MAX_CHUNK - 70_000, bytes).prop_map(
        |(item, chunk, offset, bytes)| Sent::Data {
            item,
            chunk,
            offset,
            bytes,
        },
    );
    let refused = (any::<u32>(), any::<u16>(), "\\PC{0,100}")
        .prop_map(|(item, code, text)| Sent::Refused(item, FrameRefusal { code, text }));
    prop_oneof![3 => data, 1 => refused]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Done), Just(End::Limit)]
}

/// A whole response.
#[derive(Debug, Clone)]
struct Response {
    sent: Vec<Sent>,
    end: End,
}

impl Response {
    fn encode(&self) -> Vec<u8> {
        let frames = self.sent.iter().map(Sent::encode);
        frames.chain([end_frame(self.end)]).flatten().collect()
    }

    fn events(&self) -> Vec<FrameEvent> {
        let events = self.sent.iter().flat_map(Sent::events);
        events.chain([FrameEvent::End(self.end)]).collect()
    }

    /// How many of the first `cut` bytes are chunk bytes.
    fn payload_before(&self, cut: usize) -> usize {
        let mut start = 0;
        let mut payload = 0;
        for sent in &self.sent {
            let end = start + sent.encode().len();
            if let Sent::Data { bytes, .. } = sent {
                payload += cut.min(end).saturating_sub(end - bytes.len());
            }
            start = end;
        }
        payload
    }
}

fn response() -> impl Strategy<Value = Response> {
    let sent = prop::collection::vec(sent(), 0..6);
    (sent, end()).prop_map(|(sent, end)| Response { sent, end })
}

/// Cuts bytes at any places.
fn split(bytes: &[u8], cuts: &[Index]) -> Vec<Bytes> {
    let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2)
        .map(|ends| Bytes::copy_from_slice(&bytes[ends[0]..ends[1]]))
        .collect()
}

/// What a reader made of some input: the events, data pieces joined, and the error that stopped it.
#[derive(Debug, PartialEq)]
struct Read {
    events: Vec<FrameEvent>,
    failed: Option<FrameError>,
    between_frames: bool,
}

fn read(pieces: impl IntoIterator<Item = Bytes>) -> Read {
    let mut reader = FrameReader::new();
    let mut events = Vec::new();
    let failed = pieces
        .into_iter()
        .find_map(|piece| feed_all(&mut reader, &piece, &mut events).err());
    Read {
        events,
        failed,
        between_frames: reader.is_between_frames(),
    }
}

/// Feeds one piece until nothing of it is left, and checks that its data is passed on, not copied.
fn feed_all(
    reader: &mut FrameReader,
    piece: &Bytes,
    events: &mut Vec<FrameEvent>,
) -> Result<(), FrameError> {
    let memory = piece.as_ptr_range();
    let mut rest = piece.clone();
    while let Some(event) = reader.feed(&mut rest)? {
        if let FrameEvent::Data(data) = &event {
            let slice = data.as_ptr_range();
            assert!(
                memory.start <= slice.start && slice.end <= memory.end,
                "data was copied"
            );
        }
        push_joined(events, event);
    }
    assert!(rest.is_empty(), "the reader asked for more with input left");
    Ok(())
}

fn push_joined(events: &mut Vec<FrameEvent>, event: FrameEvent) {
    match (events.last_mut(), event) {
        (Some(FrameEvent::Data(first)), FrameEvent::Data(second)) => {
            *first = [&first[..], &second[..]].concat().into();
        }
        (_, event) => events.push(event),
    }
}

/// Whether these are the first events of a whole response, the last piece of data perhaps cut.
fn is_prefix(cut: &[FrameEvent], whole: &[FrameEvent]) -> bool {
    let same = |(cut, whole): (&FrameEvent, &FrameEvent)| match (cut, whole) {
        (FrameEvent::Data(cut), FrameEvent::Data(whole)) => whole.starts_with(cut),
        _ => cut == whole,
    };
    cut.len() <= whole.len() && cut.iter().zip(whole).all(same)
}

fn delivered(events: &[FrameEvent]) -> usize {
    let len = |event: &FrameEvent| match event {
        FrameEvent::Data(data) => data.len(),
        _ => 0,
    };
    events.iter().map(len).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// FETCH-10: the events of a response do not depend on how its bytes are split.
    #[test]
    fn any_split_gives_the_same_events(
        response in response(),
        cuts in prop::collection::vec(any::<Index>(), 0..40),
    ) {
        let read = read(split(&response.encode(), &cuts));
        let events = response.events();
        prop_assert_eq!(read, Read { events, failed: None, between_frames: true });
    }

    /// FETCH-10: a response cut anywhere has delivered every chunk byte that arrived.
    #[test]
    fn a_cut_loses_only_what_did_not_arrive(response in response(), cut: Index) {
        let bytes = Bytes::from(response.encode());
        let cut = cut.index(bytes.len());
        let before = read([bytes.slice(..cut)]);
        prop_assert_eq!(before.failed, None);
        prop_assert_eq!(delivered(&before.events), response.payload_before(cut));
        prop_assert!(is_prefix(&before.events, &response.events()));
        prop_assert!(!before.events.contains(&FrameEvent::End(response.end)));
        let whole = read([bytes.slice(..cut), bytes.slice(cut..)]);
        prop_assert_eq!(whole.events, response.events());
    }

    /// FETCH-10: whatever a peer sends, in whatever pieces, is judged the same, without a panic.
    #[test]
    fn damaged_input_is_judged_the_same_in_any_split(
        response in response(),
        damage in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
        cuts in prop::collection::vec(any::<Index>(), 0..40),
    ) {
        let mut bytes = response.encode();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        prop_assert_eq!(read(split(&bytes, &cuts)), read([Bytes::from(bytes)]));
    }

    /// FETCH-10: the same for input that is no response at all, byte by byte.
    #[test]
    fn arbitrary_input_is_judged_the_same_byte_by_byte(
        first in prop_oneof![Just(0x92_u8), Just(0x93), Just(0x94), any::<u8>()],
        rest in prop::collection::vec(prop_oneof![Just(0xc0_u8), 0..4_u8, any::<u8>()], 0..60),
    ) {
        let bytes: Vec<u8> = std::iter::once(first).chain(rest).collect();
        let byte_by_byte = read(bytes.iter().map(|byte| Bytes::copy_from_slice(&[*byte])));
        prop_assert_eq!(byte_by_byte, read([Bytes::from(bytes)]));
    }
}
