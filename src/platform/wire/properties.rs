//! Properties of the wire code: any split of a stream gives the same messages, what is written
//! is read back, and no bytes make a parser panic.

use super::startup::{self, Opening, StartupMessage};
use super::walker::FrameWalker;
use super::{auth, error::ServerError, frame, greeting, options, proxy_header};
use bytes::BytesMut;
use proptest::prelude::*;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};

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
    fn any_split_of_a_stream_is_read_alike(
        messages in messages(),
        cuts in prop::collection::vec(1usize..9, 1..20),
    ) {
        let stream = stream_of(&messages).freeze();
        let mut reader = frame::FrameReader::new(Pieces { rest: &stream, cuts: cuts.iter().cycle().copied() });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (tag, body) in &messages {
            let frame = runtime.block_on(reader.read(100)).unwrap();
            prop_assert_eq!((frame.tag, &frame.body[..]), (*tag, &body[..]));
        }
        let end = runtime.block_on(reader.read(100));
        prop_assert!(matches!(end, Err(frame::FrameError::Closed)), "{end:?}");
    }

    #[test]
    fn settings_written_as_options_are_read_back(
        settings in prop::collection::vec(("[a-z_.]{1,12}", "[^\0]{0,20}"), 0..8),
    ) {
        let escaped = |text: &str| text.bytes().flat_map(|b| [b'\\', b]).collect::<Vec<u8>>();
        let written: Vec<u8> = settings
            .iter()
            .flat_map(|(name, value)| [&b"-c "[..], name.as_bytes(), b"=", &escaped(value), b" "].concat())
            .collect();
        let read = options::settings(&written);
        let pairs: Vec<_> = read.iter().map(|s| (s.name.clone(), s.value.clone())).collect();
        let expected: Vec<_> = settings
            .iter()
            .map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes()))
            .collect();
        prop_assert_eq!(pairs, expected);
    }

    #[test]
    fn a_proxy_header_names_its_client(ip in any::<std::net::IpAddr>(), port in any::<u16>(), junk in prop::collection::vec(any::<u8>(), 0..50)) {
        let (family, addresses) = match ip {
            std::net::IpAddr::V4(v4) => (0x11, [&v4.octets()[..], &[0; 4]].concat()),
            std::net::IpAddr::V6(v6) => (0x21, [&v6.octets()[..], &[0; 16]].concat()),
        };
        let field = [&[0x77, 0, u8::try_from(junk.len()).unwrap()], &junk[..]].concat();
        let body = [&addresses[..], &port.to_be_bytes(), &[0; 2], &field].concat();
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        let prefix = [&b"\r\n\r\n\0\r\nQUIT\n\x21"[..], &[family], &length].concat();
        let prefix: [u8; proxy_header::PREFIX_BYTES] = prefix.try_into().unwrap();
        prop_assert_eq!(proxy_header::body_length(&prefix).unwrap(), body.len());
        let header = proxy_header::parse(&prefix, &body).unwrap();
        prop_assert_eq!(header.source, proxy_header::Source::Client((ip, port).into()));
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
        let _ = options::settings(&bytes);
        if let Some((prefix, body)) = bytes.split_first_chunk() {
            let _ = proxy_header::body_length(prefix);
            let _ = proxy_header::parse(prefix, body);
        }
        FrameWalker::default().walk(&bytes, |_, _| {});
    }
}

/// A stream that comes in pieces of these sizes.
struct Pieces<'a, I> {
    rest: &'a [u8],
    cuts: I,
}

impl<I: Iterator<Item = usize> + Unpin> AsyncRead for Pieces<'_, I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let length = self
            .cuts
            .next()
            .unwrap()
            .min(self.rest.len())
            .min(buffer.remaining());
        let (piece, rest) = self.rest.split_at(length);
        buffer.put_slice(piece);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}
