//! Properties of the wire code: any split of a stream gives the same messages, what is written
//! is read back, and no bytes make a parser panic.

use super::startup::{self, Opening, StartupMessage};
use super::walker::FrameWalker;
use super::{auth, error::ServerError, frame, greeting};
use bytes::BytesMut;
use proptest::prelude::*;

fn messages() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    prop::collection::vec(
        (
            prop::sample::select(b"QSFPBEDCZNTdcp".to_vec()),
            prop::collection::vec(any::<u8>(), 1..40),
        ),
        0..20,
    )
}

fn stream_of(messages: &[(u8, Vec<u8>)]) -> BytesMut {
    let mut out = BytesMut::new();
    for (tag, body) in messages {
        auth::encode_frame(*tag, body, &mut out);
    }
    out
}

proptest! {
    #[test]
    fn any_split_of_a_stream_is_walked_alike(
        messages in messages(),
        cuts in prop::collection::vec(1usize..60, 0..40),
    ) {
        let stream = stream_of(&messages);
        let mut walker = FrameWalker::default();
        let (mut seen, mut rest) = (Vec::new(), &stream[..]);
        for cut in cuts.iter().cycle().take(if cuts.is_empty() { 0 } else { 10_000 }) {
            let (chunk, after) = rest.split_at((*cut).min(rest.len()));
            walker.walk(chunk, |tag, status| seen.push((tag, status)));
            rest = after;
        }
        walker.walk(rest, |tag, status| seen.push((tag, status)));
        let expected: Vec<_> = messages
            .iter()
            .map(|(tag, body)| (*tag, if *tag == b'Z' { body[0] } else { 0 }))
            .collect();
        prop_assert_eq!(seen, expected);
        prop_assert!(walker.at_boundary());
    }

    #[test]
    fn frames_written_are_frames_cut(messages in messages()) {
        let mut stream = stream_of(&messages);
        for (tag, body) in &messages {
            let frame = frame::take_frame(&mut stream, 100).unwrap().unwrap();
            prop_assert_eq!((frame.tag, &frame.body[..]), (*tag, &body[..]));
        }
        prop_assert!(stream.is_empty());
    }

    #[test]
    fn a_startup_message_written_is_read_back(
        parameters in prop::collection::btree_map("[a-z_.]{1,20}", "[^\0]{0,40}", 0..12),
        minor in any::<u16>(),
    ) {
        let mut sent = StartupMessage::new(parameters.iter().map(|(n, v)| (&**n, &**v)));
        sent.minor = minor;
        let mut bytes = BytesMut::new();
        sent.encode(&mut bytes);
        match startup::parse(&bytes[4..]) {
            Ok(Opening::Startup(read)) => prop_assert_eq!(read, sent),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = startup::parse(&bytes);
        let _ = auth::parse(&bytes);
        let _ = auth::channel_binding_flag(&bytes);
        let _ = greeting::parse_backend_key(&bytes);
        let _ = ServerError::parse(&bytes);
        let _ = frame::take_frame(&mut BytesMut::from(&bytes[..]), 100);
        FrameWalker::default().walk(&bytes, |_, _| {});
    }
}
