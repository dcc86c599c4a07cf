//! What is accepted and what is refused, byte for byte.

use super::*;
use crate::frames::{MAX_FRAME, data_header, end_frame};
use crate::manifest::MAX_CHUNK;

/// Feeds some bytes; the events and the error that they gave.
fn drain(reader: &mut FrameReader, bytes: &[u8]) -> (Vec<FrameEvent>, Option<FrameError>) {
    let mut input = Bytes::copy_from_slice(bytes);
    let mut events = Vec::new();
    loop {
        match reader.feed(&mut input) {
            Ok(Some(event)) => events.push(event),
            Ok(None) => return (events, None),
            Err(error) => return (events, Some(error)),
        }
    }
}

fn read(bytes: &[u8]) -> (Vec<FrameEvent>, Option<FrameError>) {
    drain(&mut FrameReader::new(), bytes)
}

/// The error that some bytes give, which must be the same when they arrive one by one.
fn error_of(bytes: &[u8]) -> Option<FrameError> {
    let mut reader = FrameReader::new();
    let one_by_one = bytes.iter().find_map(|byte| drain(&mut reader, &[*byte]).1);
    let at_once = read(bytes).1;
    assert_eq!(one_by_one, at_once, "{bytes:x?}");
    at_once
}

/// Every way in which MessagePack writes a number that is not negative.
fn every_width(number: u32) -> Vec<Vec<u8>> {
    let wide = u64::from(number);
    let mut widths = vec![
        [&[0xce][..], &number.to_be_bytes()].concat(),
        [&[0xcf][..], &wide.to_be_bytes()].concat(),
        [&[0xd3][..], &wide.to_be_bytes()].concat(),
    ];
    if let Ok(number) = i32::try_from(number) {
        widths.push([&[0xd2][..], &number.to_be_bytes()].concat());
    }
    if let Ok(number) = u16::try_from(number) {
        widths.push([&[0xcd][..], &number.to_be_bytes()].concat());
    }
    if let Ok(number) = i16::try_from(number) {
        widths.push([&[0xd1][..], &number.to_be_bytes()].concat());
    }
    if let Ok(number) = u8::try_from(number) {
        widths.push(vec![0xcc, number]);
    }
    if let Ok(number) = i8::try_from(number) {
        widths.extend([vec![0xd0, number as u8], vec![number as u8]]);
    }
    widths
}

/// FETCH-11: peers may write the same number in any of MessagePack's widths.
#[test]
fn every_integer_width_is_accepted() {
    for number in [
        0,
        1,
        127,
        128,
        255,
        256,
        65_535,
        65_536,
        (1 << 24) - 1,
        u32::MAX,
    ] {
        for written in every_width(number) {
            let frame = [&[0x94][..], &written, &written, &[0, 0xc4, 1, 7]].concat();
            let header = FrameEvent::Header {
                item: number,
                chunk: number,
                offset: 0,
                len: 1,
            };
            let data = FrameEvent::Data(Bytes::from_static(&[7]));
            let read = read(&frame);
            assert_eq!(read, (vec![header, data], None), "{written:x?}");
        }
    }
    for offset in every_width(9) {
        let frame = [&[0x94, 0, 0][..], &offset, &[0xc4, 1, 7]].concat();
        let header = FrameEvent::Header {
            item: 0,
            chunk: 0,
            offset: 9,
            len: 1,
        };
        assert_eq!(read(&frame).0.first(), Some(&header), "{offset:x?}");
    }
}

/// FETCH-11: chunk bytes may come as bin8, bin16 or bin32, whatever their number.
#[test]
fn every_bin_width_is_accepted() {
    for bin in [&[0xc4, 1][..], &[0xc5, 0, 1], &[0xc6, 0, 0, 0, 1]] {
        let frame = [&[0x94, 1, 2, 3][..], bin, &[7]].concat();
        let header = FrameEvent::Header {
            item: 1,
            chunk: 2,
            offset: 3,
            len: 1,
        };
        let data = FrameEvent::Data(Bytes::from_static(&[7]));
        assert_eq!(read(&frame).0, [header, data], "{bin:x?}");
    }
}

fn assert_malformed(bytes: &[u8]) {
    let failed = error_of(bytes);
    assert!(
        matches!(failed, Some(FrameError::Malformed(_))),
        "{bytes:x?} gave {failed:?}"
    );
}

/// FETCH-11, FETCH-13, FETCH-14: what has the wrong type, count or word is refused.
#[test]
fn malformed_frames_are_refused() {
    // Not an array, or of a wrong length.
    for bytes in [
        &[0xc0][..],
        &[0x81],
        &[0x90],
        &[0x91],
        &[0x95],
        &[0x20],
        b"<html>",
        b"HTTP/1.1",
    ] {
        assert_malformed(bytes);
    }
    // str instead of bin; negative, too wide, float, nil numbers.
    assert_malformed(&[0x94, 0, 0, 0, 0xa1, b'x']);
    assert_malformed(&[0x94, 0, 0, 0, 0xd9, 1, b'x']);
    for number in [
        &[0xff][..],
        &[0xd0, 0x80],
        &[0xd1, 0xff, 0xff],
        &[0xd3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0xcf, 0, 0, 0, 1, 0, 0, 0, 0],
        &[0xca, 0, 0, 0, 0],
        &[0xc0],
    ] {
        for before in [&[0x94][..], &[0x94, 0], &[0x94, 0, 0]] {
            assert_malformed(&[before, number].concat());
        }
    }
    // Ends: not nil first, another word, a word of another type.
    assert_malformed(&[0x92, 0]);
    assert_malformed(b"\x92\xc0\xa4Done");
    assert_malformed(b"\x92\xc0\xc4\x04done");
    // Refusals: not nil, not a map, fields missing, twice, of a wrong type; text that is not UTF-8.
    assert_malformed(&[0x93, 0, 0]);
    assert_malformed(&[0x93, 0, 0xc0, 0x92]);
    for fields in [
        &b"\x80"[..],
        b"\x81\xa4code\x01",
        b"\x81\xa4text\xa1x",
        b"\x82\xa4code\x01\xa4code",
        b"\x82\xa4code\xce\x00\x01\x00\x00",
        b"\x82\xa4code\x01\xa4text\xa1\xff",
        b"\x82\xa4code\x01\xa4text\xda\x02\x01",
        b"\x83\x01",
        b"\x83\xa5later\xc1",
    ] {
        assert_malformed(&[&[0x93, 0, 0xc0][..], fields].concat());
    }
}

/// FETCH-11, FETCH-12: payload lengths are checked before a byte of payload is taken.
#[test]
fn payloads_outside_the_limits_are_refused() {
    let largest = data_header(0, 0, MAX_CHUNK - MAX_FRAME, MAX_FRAME);
    assert_eq!(error_of(&largest), None);
    assert_eq!(error_of(&data_header(0, 0, 0, 0)), Some(FrameError::Empty));
    let len = MAX_FRAME + 1;
    assert_eq!(
        error_of(&data_header(0, 0, 0, len)),
        Some(FrameError::TooLarge(len))
    );
    assert_eq!(
        error_of(&data_header(0, 0, 0, u32::MAX)),
        Some(FrameError::TooLarge(u32::MAX))
    );
    for (offset, len) in [
        (MAX_CHUNK - MAX_FRAME + 1, MAX_FRAME),
        (MAX_CHUNK, 1),
        (u32::MAX, 1),
    ] {
        let beyond = Some(FrameError::BeyondChunk { offset, len });
        assert_eq!(error_of(&data_header(0, 0, offset, len)), beyond);
    }
}

/// FETCH-13: fields of a refusal that this version does not know are ignored, but not without bound.
#[test]
fn unknown_refusal_fields_are_skipped_within_a_bound() {
    let known = b"\xa4code\x1f\xa4text\xa4gone";
    let unknown = b"\xa5later\x82\x01\x93\xc0\xc3\xcb\0\0\0\0\0\0\0\0\xa1x\xc4\x02\0\0";
    let frame = [&b"\x93\x03\xc0\x83"[..], unknown, known].concat();
    let refused = FrameEvent::Refused {
        item: 3,
        code: 31,
        text: "gone".to_owned(),
    };
    assert_eq!(read(&frame).0, [refused]);
    let huge = [&b"\x93\x03\xc0\x83\xa5later\xc5\x04\x00"[..], &[0; 2000]].concat();
    let failed = Some(FrameError::HeadTooLong);
    assert_eq!(error_of(&huge), failed);
    let endless = [
        &b"\x93\x03\xc0\xdf\xff\xff\xff\xff"[..],
        &b"\xa1x\xc0".repeat(1000),
    ]
    .concat();
    assert_eq!(error_of(&endless), failed);
}

/// FETCH-14: nothing may follow the end frame, and an error is final.
#[test]
fn nothing_follows_the_end() {
    let mut reader = FrameReader::new();
    let mut bytes = Bytes::from([end_frame(End::Done), end_frame(End::Done)].concat());
    assert_eq!(
        reader.feed(&mut bytes),
        Ok(Some(FrameEvent::End(End::Done)))
    );
    assert_eq!(reader.feed(&mut Bytes::new()), Ok(None));
    assert!(reader.is_between_frames());
    assert_eq!(reader.feed(&mut bytes), Err(FrameError::AfterEnd));
    assert_eq!(reader.feed(&mut Bytes::new()), Err(FrameError::AfterEnd));
    assert!(!reader.is_between_frames());
}

/// FETCH-10: the reader says when it is in the middle of something.
#[test]
fn the_reader_knows_when_a_frame_is_unfinished() {
    let mut reader = FrameReader::new();
    assert!(reader.is_between_frames());
    let frame = [data_header(0, 0, 0, 3), vec![1, 2, 3]].concat();
    let (last, others) = frame.split_last().expect("not empty");
    for byte in others {
        assert_eq!(drain(&mut reader, &[*byte]).1, None);
        assert!(!reader.is_between_frames());
    }
    assert_eq!(drain(&mut reader, &[*last]).1, None);
    assert!(reader.is_between_frames());
}

/// One value of each MessagePack kind: its marker with its length, and the number of zeros that follow.
#[rustfmt::skip]
const EVERY_KIND: [(&[u8], usize); 39] = [
    (&[0x7f], 0), (&[0xe0], 0), (&[0xc0], 0), (&[0xc2], 0), (&[0xc3], 0),
    (&[0xcc], 1), (&[0xcd], 2), (&[0xce], 4), (&[0xcf], 8),
    (&[0xd0], 1), (&[0xd1], 2), (&[0xd2], 4), (&[0xd3], 8), (&[0xca], 4), (&[0xcb], 8),
    (&[0xa0], 0), (&[0xa3], 3), (&[0xd9, 5], 5), (&[0xda, 0, 5], 5), (&[0xdb, 0, 0, 0, 5], 5),
    (&[0xc4, 5], 5), (&[0xc5, 0, 5], 5), (&[0xc6, 0, 0, 0, 5], 5),
    (&[0x90], 0), (&[0x93], 3), (&[0xdc, 0, 5], 5), (&[0xdd, 0, 0, 0, 5], 5),
    (&[0x80], 0), (&[0x82], 4), (&[0xde, 0, 5], 10), (&[0xdf, 0, 0, 0, 5], 10),
    (&[0xd4], 2), (&[0xd5], 3), (&[0xd6], 5), (&[0xd7], 9), (&[0xd8], 17),
    (&[0xc7, 5], 6), (&[0xc8, 0, 5], 6), (&[0xc9, 0, 0, 0, 5], 6),
];

fn refusal_with(unknown: &[u8]) -> Vec<u8> {
    let known = b"\xa4code\x1f\xa4text\xa4gone";
    [&b"\x93\x03\xc0\x83\xa5later"[..], unknown, known].concat()
}

/// FETCH-13: an unknown field may hold any MessagePack value, and each is skipped exactly.
///
/// Regression: the skipper of the rmp crate panics on extension types.
#[test]
fn every_kind_of_unknown_value_is_skipped() {
    let refused = || FrameEvent::Refused {
        item: 3,
        code: 31,
        text: "gone".to_owned(),
    };
    for (marker, zeros) in EVERY_KIND {
        let value = [marker, &vec![0; zeros]].concat();
        assert_eq!(
            read(&refusal_with(&value)),
            (vec![refused()], None),
            "{marker:x?}"
        );
    }
    let nested = [vec![0x91; 900], vec![0]].concat();
    assert_eq!(
        read(&refusal_with(&nested)),
        (vec![refused()], None),
        "900 arrays deep"
    );
}
