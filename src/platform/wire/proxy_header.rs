//! PROXY protocol, version 2: what a load balancer puts in front of a client's bytes to say whose they
//! are (HAProxy, "The PROXY protocol", section 2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Signature, version and command, family, length.
pub const PREFIX_BYTES: usize = 16;
/// Longest rest of a header that is accepted: addresses and further fields. AWS's balancers add tens of
/// bytes, HAProxy some hundred with a client certificate's names.
pub const BODY_BYTES_MAX: usize = 4_096;

/// What every header begins with.
pub const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2 in the upper half, the command in the lower: the balancer speaks for itself.
const LOCAL: u8 = 0x20;
/// For a client.
const PROXY: u8 = 0x21;
const FIELD_AUTHORITY: u8 = 0x02;
const FIELD_CRC32C: u8 = 0x03;
const FIELD_AWS: u8 = 0xea;
/// First byte of an AWS field that holds the id of a VPC endpoint (Elastic Load Balancing, "Proxy
/// protocol").
const AWS_VPC_ENDPOINT: u8 = 0x01;
/// Longest name that is kept, as in DNS.
const NAME_BYTES_MAX: usize = 255;

/// Why a header was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyHeaderError {
    #[error("the connection does not begin with a PROXY protocol v2 header")]
    Signature,
    #[error("version or command {0:#04x} of the PROXY protocol is not known")]
    VersionCommand(u8),
    #[error("a header of {0} bytes, allowed are {BODY_BYTES_MAX}")]
    TooLong(u16),
    #[error("the header is too short for its addresses")]
    Addresses,
    #[error("a field overruns the header")]
    Field,
    #[error("the checksum is wrong")]
    Checksum,
}

/// For whom the balancer connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// For itself: a health check.
    Balancer,
    Client(SocketAddr),
    /// For somebody without an internet address, or it does not say.
    Unknown,
}

/// A header that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyHeader {
    pub source: Source,
    /// The name that the client asked for, if the balancer ended its TLS.
    pub authority: Option<Box<str>>,
    /// The AWS VPC endpoint that the client came through.
    pub vpc_endpoint: Option<Box<str>>,
}

/// Checks the prefix; returns how many bytes follow it.
pub fn body_length(prefix: &[u8; PREFIX_BYTES]) -> Result<usize, ProxyHeaderError> {
    let [.., version_command, _family, high, low] = *prefix;
    if !prefix.starts_with(&SIGNATURE) {
        return Err(ProxyHeaderError::Signature);
    }
    if !matches!(version_command, LOCAL | PROXY) {
        return Err(ProxyHeaderError::VersionCommand(version_command));
    }
    let length = u16::from_be_bytes([high, low]);
    match usize::from(length) {
        body @ 0..=BODY_BYTES_MAX => Ok(body),
        _ => Err(ProxyHeaderError::TooLong(length)),
    }
}

/// Reads what follows the prefix; the slice is exactly as long as [`body_length`] says.
pub fn parse(prefix: &[u8; PREFIX_BYTES], body: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    let [.., version_command, family, _, _] = *prefix;
    if version_command == LOCAL {
        // Whatever else it may say is to be skipped, the family included.
        return Ok(ProxyHeader {
            source: Source::Balancer,
            authority: None,
            vpc_endpoint: None,
        });
    }
    let (source, fields) = addresses(family, body)?;
    let mut header = ProxyHeader {
        source,
        authority: None,
        vpc_endpoint: None,
    };
    let mut rest = fields;
    while let Some((kind, value, after)) = take_field(rest)? {
        match (kind, value) {
            (FIELD_AUTHORITY, name) => header.authority = readable(name),
            (FIELD_AWS, [AWS_VPC_ENDPOINT, id @ ..]) => header.vpc_endpoint = readable(id),
            (FIELD_CRC32C, sum) => {
                let at = body.len().saturating_sub(after.len()).saturating_sub(sum.len());
                check_sum(prefix, body, at, sum)?;
            }
            _ => {}
        }
        rest = after;
    }
    Ok(header)
}

/// The client's address by the transport and address family, and what follows the addresses.
fn addresses(family: u8, body: &[u8]) -> Result<(Source, &[u8]), ProxyHeaderError> {
    let short = ProxyHeaderError::Addresses;
    match family {
        // TCP over IPv4: two addresses, two ports
        0x11 => {
            let (&[a, b, c, d, _, _, _, _, high, low, _, _], fields) =
                body.split_first_chunk::<12>().ok_or(short)?;
            let ip = IpAddr::V4(Ipv4Addr::new(a, b, c, d));
            let port = u16::from_be_bytes([high, low]);
            Ok((Source::Client(SocketAddr::new(ip, port)), fields))
        }
        // TCP over IPv6
        0x21 => {
            let (source, rest) = body.split_first_chunk::<16>().ok_or(short)?;
            let (_destination, rest) = rest.split_first_chunk::<16>().ok_or(short)?;
            let (&[high, low, _, _], fields) = rest.split_first_chunk::<4>().ok_or(short)?;
            let ip = IpAddr::V6(Ipv6Addr::from(*source));
            let port = u16::from_be_bytes([high, low]);
            Ok((Source::Client(SocketAddr::new(ip, port)), fields))
        }
        // Datagrams have addresses of the same sizes, unix sockets two paths of 108 bytes.
        0x12 => Ok((Source::Unknown, body.get(12..).ok_or(short)?)),
        0x22 => Ok((Source::Unknown, body.get(36..).ok_or(short)?)),
        0x31 | 0x32 => Ok((Source::Unknown, body.get(216..).ok_or(short)?)),
        // Unspecified: the rest is to be skipped.
        _ => Ok((Source::Unknown, &[])),
    }
}

type Field<'a> = (u8, &'a [u8], &'a [u8]);

/// The first field: its kind, its value, and what follows it.
fn take_field(rest: &[u8]) -> Result<Option<Field<'_>>, ProxyHeaderError> {
    if rest.is_empty() {
        return Ok(None);
    }
    let (&[kind, high, low], rest) = rest.split_first_chunk::<3>().ok_or(ProxyHeaderError::Field)?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let (value, after) = rest.split_at_checked(length).ok_or(ProxyHeaderError::Field)?;
    Ok(Some((kind, value, after)))
}

/// A name for logs; what is no name is left out.
fn readable(bytes: &[u8]) -> Option<Box<str>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let fits = !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.contains(char::is_control);
    fits.then(|| text.into())
}

/// The sum is over the whole header, with zeroes in its own place (`at` in the body).
fn check_sum(
    prefix: &[u8; PREFIX_BYTES],
    body: &[u8],
    at: usize,
    sum: &[u8],
) -> Result<(), ProxyHeaderError> {
    let expected = u32::from_be_bytes(sum.try_into().map_err(|_| ProxyHeaderError::Field)?);
    let end = at.saturating_add(sum.len());
    let before = body.get(..at).unwrap_or_default();
    let after = body.get(end..).unwrap_or_default();
    let whole = prefix.iter().chain(before).chain(&[0; 4]).chain(after);
    match crc32c(whole) == expected {
        true => Ok(()),
        false => Err(ProxyHeaderError::Checksum),
    }
}

/// CRC-32C (RFC 3720 appendix B.4), bit by bit: once for each connection.
fn crc32c<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    let sum = bytes.fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| match sum & 1 {
            0 => sum >> 1,
            _ => (sum >> 1) ^ 0x82f6_3b78,
        })
    });
    !sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version_command: u8, family: u8, body: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
        let prefix = prefix(version_command, family, body.len());
        assert_eq!(body_length(&prefix)?, body.len());
        parse(&prefix, body)
    }

    fn prefix(version_command: u8, family: u8, length: usize) -> [u8; PREFIX_BYTES] {
        let length = u16::try_from(length).unwrap().to_be_bytes();
        let prefix = [&SIGNATURE[..], &[version_command, family], &length].concat();
        prefix.try_into().unwrap()
    }

    fn field(kind: u8, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).unwrap().to_be_bytes();
        [&[kind], &length[..], value].concat()
    }

    const V4: [u8; 12] = [10, 1, 2, 3, 127, 0, 0, 1, 0x12, 0x34, 0x15, 0x38];

    #[test]
    fn the_client_is_named_by_ipv4_and_ipv6() {
        let v4 = header(0x21, 0x11, &V4).unwrap();
        assert_eq!(v4.source, Source::Client("10.1.2.3:4660".parse().unwrap()));
        let address: Ipv6Addr = "2001:db8::7".parse().unwrap();
        let body = [&address.octets()[..], &[0; 16], &[0, 80, 0, 0]].concat();
        let v6 = header(0x21, 0x21, &body).unwrap();
        assert_eq!(v6.source, Source::Client("[2001:db8::7]:80".parse().unwrap()));
    }

    #[test]
    fn a_balancer_may_speak_for_itself_or_for_nobody_in_particular() {
        assert_eq!(header(0x20, 0x11, &V4).unwrap().source, Source::Balancer);
        assert_eq!(header(0x20, 0, b"").unwrap().source, Source::Balancer);
        assert_eq!(header(0x20, 0x11, b"").unwrap().source, Source::Balancer);
        assert_eq!(header(0x20, 0x21, b"\x02\xff").unwrap().source, Source::Balancer);
        assert_eq!(header(0x21, 0, b"whatever").unwrap().source, Source::Unknown);
        assert_eq!(header(0x21, 0x31, &[0; 216]).unwrap().source, Source::Unknown);
        assert_eq!(header(0x21, 0x12, &V4).unwrap().source, Source::Unknown);
    }

    #[test]
    fn known_fields_are_kept_and_others_skipped() {
        let fields = [
            field(0x04, &[0; 7]),
            field(FIELD_AUTHORITY, b"db.example"),
            field(FIELD_AWS, b"\x01vpce-0123"),
            field(0x77, b""),
        ];
        let read = header(0x21, 0x11, &[&V4[..], &fields.concat()].concat()).unwrap();
        assert_eq!(read.authority.as_deref(), Some("db.example"));
        assert_eq!(read.vpc_endpoint.as_deref(), Some("vpce-0123"));
        for name in [&b"a\nb"[..], b"", b"\xff", &[b'x'; 256]] {
            let body = [&V4[..], &field(FIELD_AUTHORITY, name)].concat();
            assert_eq!(header(0x21, 0x11, &body).unwrap().authority, None);
        }
    }

    #[test]
    fn a_checksum_is_checked() {
        assert_eq!(crc32c(b"123456789".iter()), 0xe306_9283);
        let zeroed = [&V4[..], &field(FIELD_CRC32C, &[0; 4]), &field(0x77, b"more")].concat();
        let sum = crc32c(prefix(0x21, 0x11, zeroed.len()).iter().chain(&zeroed));
        let right = [
            &V4[..],
            &field(FIELD_CRC32C, &sum.to_be_bytes()),
            &field(0x77, b"more"),
        ]
        .concat();
        assert!(header(0x21, 0x11, &right).is_ok());
        assert_eq!(header(0x21, 0x11, &zeroed), Err(ProxyHeaderError::Checksum));
        let short = [&V4[..], &field(FIELD_CRC32C, &[0; 3])].concat();
        assert_eq!(header(0x21, 0x11, &short), Err(ProxyHeaderError::Field));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(header(0x21, 0x11, &V4[..11]), Err(ProxyHeaderError::Addresses));
        assert_eq!(header(0x21, 0x21, &[0; 35]), Err(ProxyHeaderError::Addresses));
        let cut = [&V4[..], &[1, 0]].concat();
        assert_eq!(header(0x21, 0x11, &cut), Err(ProxyHeaderError::Field));
        let overrun = [&V4[..], &[1, 0, 2, 9]].concat();
        assert_eq!(header(0x21, 0x11, &overrun), Err(ProxyHeaderError::Field));
        assert_eq!(
            body_length(&prefix(0x22, 0x11, 0)),
            Err(ProxyHeaderError::VersionCommand(0x22))
        );
        assert_eq!(
            body_length(&prefix(0x21, 0x11, 4_097)),
            Err(ProxyHeaderError::TooLong(4_097))
        );
        assert_eq!(
            body_length(b"GET / HTTP/1.1\r\n"),
            Err(ProxyHeaderError::Signature)
        );
    }
}
