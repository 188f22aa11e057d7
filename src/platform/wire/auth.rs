//! Authentication messages of the server, and the answers to them
//! (PostgreSQL manual, "Message Formats", `Authentication…`).

use crate::domain::secret::Secret;
use bytes::{BufMut, BytesMut};
use zeroize::Zeroizing;

pub const SCRAM_SHA_256: &str = "SCRAM-SHA-256";
pub const SCRAM_SHA_256_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// What the server asks for in an `R` message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    Ok,
    CleartextPassword,
    Md5Password {
        salt: [u8; 4],
    },
    Sasl {
        mechanisms: Vec<String>,
    },
    SaslContinue(Vec<u8>),
    SaslFinal(Vec<u8>),
    /// Kerberos, GSS, SSPI or something newer than dbproxy.
    Other(u32),
}

/// Reads the body of an `R` message; `None` when it is malformed.
pub fn parse(body: &[u8]) -> Option<Authentication> {
    let (code, rest) = body.split_first_chunk::<4>()?;
    Some(match u32::from_be_bytes(*code) {
        0 => Authentication::Ok,
        3 => Authentication::CleartextPassword,
        5 => Authentication::Md5Password {
            salt: rest.try_into().ok()?,
        },
        10 => Authentication::Sasl {
            mechanisms: parse_mechanisms(rest)?,
        },
        11 => Authentication::SaslContinue(rest.to_vec()),
        12 => Authentication::SaslFinal(rest.to_vec()),
        other => Authentication::Other(other),
    })
}

/// A list of C strings that ends with an empty one.
fn parse_mechanisms(rest: &[u8]) -> Option<Vec<String>> {
    let list = rest.strip_suffix(&[0])?;
    let list = list.strip_suffix(&[0]).unwrap_or(list);
    if list.is_empty() {
        return Some(Vec::new());
    }
    list.split(|b| *b == 0)
        .map(|name| String::from_utf8(name.to_vec()).ok())
        .collect()
}

/// An AuthenticationSASL message that offers exactly these mechanisms.
pub fn encode_sasl(mechanisms: &[String], out: &mut BytesMut) {
    let mut body = BytesMut::new();
    body.put_u32(10);
    for mechanism in mechanisms {
        body.put_slice(mechanism.as_bytes());
        body.put_u8(0);
    }
    body.put_u8(0);
    encode_frame(b'R', &body, out);
}

/// AuthenticationCleartextPassword.
pub fn encode_password_request(out: &mut BytesMut) {
    encode_frame(b'R', &3u32.to_be_bytes(), out);
}

/// AuthenticationSASLContinue, or AuthenticationSASLFinal.
pub fn encode_sasl_data(is_final: bool, data: &[u8], out: &mut BytesMut) {
    let code: u32 = if is_final { 12 } else { 11 };
    let body = [&code.to_be_bytes()[..], data].concat();
    encode_frame(b'R', &body, out);
}

/// The password of a PasswordMessage: a C string and nothing else.
pub fn parse_password(body: &[u8]) -> Option<&[u8]> {
    body.strip_suffix(&[0]).filter(|password| !password.contains(&0))
}

/// Mechanism and first data of a SASLInitialResponse.
pub fn parse_sasl_initial(body: &[u8]) -> Option<(&str, &[u8])> {
    let end = body.iter().position(|byte| *byte == 0)?;
    let (mechanism, rest) = body.split_at_checked(end)?;
    let (&length, data) = rest.get(1..)?.split_first_chunk::<4>()?;
    // -1 stands for no data at all, which no mechanism of ours begins with.
    let length = usize::try_from(i32::from_be_bytes(length)).ok()?;
    let mechanism = std::str::from_utf8(mechanism).ok()?;
    (data.len() == length).then_some((mechanism, data))
}

/// The token of OAUTHBEARER's first message, empty where the client only asks what it needs
/// (RFC 7628 §3.1).
pub fn parse_bearer(data: &[u8]) -> Option<&[u8]> {
    // No channel binding, no other identity.
    let rest = [&b"n,,"[..], b"y,,"]
        .iter()
        .find_map(|header| data.strip_prefix(*header))?;
    let fields = rest.strip_prefix(&[1])?.strip_suffix(&[1, 1])?;
    let mut tokens = fields
        .split(|byte| *byte == 1)
        .filter_map(|field| field.strip_prefix(b"auth="));
    let auth = tokens.next()?;
    if tokens.next().is_some() {
        return None;
    }
    match auth {
        [] => Some(auth),
        auth => {
            let (scheme, token) = auth.split_at_checked(7)?;
            scheme
                .eq_ignore_ascii_case(b"bearer ")
                .then(|| token.trim_ascii())
        }
    }
}

/// A PasswordMessage: the secret as a C string. The bytes are wiped after they were sent.
pub fn password_message(secret: &Secret) -> Zeroizing<Vec<u8>> {
    c_string_message(secret.expose())
}

/// The md5 answer: `md5(md5(password + user) + salt)` in the shape the server expects.
pub fn md5_message(user: &str, secret: &Secret, salt: [u8; 4]) -> Zeroizing<Vec<u8>> {
    let hash = Zeroizing::new(postgres_protocol::authentication::md5_hash(
        user.as_bytes(),
        secret.expose(),
        salt,
    ));
    c_string_message(hash.as_bytes())
}

fn c_string_message(text: &[u8]) -> Zeroizing<Vec<u8>> {
    // The exact capacity: growing would leave an unwiped copy behind.
    let mut out = Zeroizing::new(Vec::with_capacity(text.len().saturating_add(6)));
    out.push(b'p');
    let length = u32::try_from(text.len().saturating_add(5)).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text);
    out.push(0);
    out
}

/// The GSS2 flag that a client put in front of its SASLInitialResponse: `n` no channel binding,
/// `y` supported but thought not to be offered, `p` used (RFC 5802 §7). `None` when malformed.
pub fn channel_binding_flag(sasl_initial_response: &[u8]) -> Option<u8> {
    let end = sasl_initial_response.iter().position(|b| *b == 0)?;
    // mechanism, NUL, four length bytes, then the GSS2 header
    sasl_initial_response.get(end.checked_add(5)?).copied()
}

/// Any message: type byte, length, body.
pub fn encode_frame(tag: u8, body: &[u8], out: &mut BytesMut) {
    out.reserve(body.len().saturating_add(5));
    out.put_u8(tag);
    out.put_u32(u32::try_from(body.len().saturating_add(4)).unwrap_or(u32::MAX));
    out.put_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_clients_are_read_exactly() {
        assert_eq!(parse_password(b"secret\0"), Some(&b"secret"[..]));
        for wrong in [&b"secret"[..], b"sec\0ret\0", b""] {
            assert_eq!(parse_password(wrong), None);
        }
        let initial = [&b"SCRAM-SHA-256\0"[..], &3i32.to_be_bytes(), b"n,,"].concat();
        assert_eq!(parse_sasl_initial(&initial), Some(("SCRAM-SHA-256", &b"n,,"[..])));
        for length in [-2i32, -1, 2, 4, i32::MAX] {
            let wrong = [&b"SCRAM-SHA-256\0"[..], &length.to_be_bytes(), b"n,,"].concat();
            assert_eq!(parse_sasl_initial(&wrong), None, "{length}");
        }
    }

    #[test]
    fn a_bearer_token_is_taken_out_of_its_message() {
        assert_eq!(parse_bearer(b"n,,\x01auth=Bearer abc\x01\x01"), Some(&b"abc"[..]));
        assert_eq!(
            parse_bearer(b"n,,\x01host=x\x01auth=bearer  abc\x01\x01"),
            Some(&b"abc"[..])
        );
        assert_eq!(parse_bearer(b"n,,\x01auth=\x01\x01"), Some(&b""[..]));
        for wrong in [
            &b"n,a=me,\x01auth=Bearer abc\x01\x01"[..],
            b"p=x,,\x01auth=Bearer abc\x01\x01",
            b"n,,\x01auth=Basic abc\x01\x01",
            b"n,,\x01auth=Bearer a\x01auth=Bearer b\x01\x01",
            b"n,,\x01auth=Bearer abc",
            b"n,,\x01\x01",
            b"",
        ] {
            assert_eq!(parse_bearer(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn every_request_is_read() {
        let sasl = [&[0, 0, 0, 10][..], b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"].concat();
        assert_eq!(parse(&[0, 0, 0, 0]), Some(Authentication::Ok));
        assert_eq!(parse(&[0, 0, 0, 3]), Some(Authentication::CleartextPassword));
        assert_eq!(
            parse(&[0, 0, 0, 5, 1, 2, 3, 4]),
            Some(Authentication::Md5Password { salt: [1, 2, 3, 4] })
        );
        let Some(Authentication::Sasl { mechanisms }) = parse(&sasl) else {
            panic!("SASL")
        };
        assert_eq!(mechanisms, [SCRAM_SHA_256_PLUS, SCRAM_SHA_256]);
        let mut again = BytesMut::new();
        encode_sasl(&mechanisms, &mut again);
        assert_eq!(&again[5..], &sasl[..]);
        assert_eq!(parse(&[0, 0, 0, 7]), Some(Authentication::Other(7)));
    }

    #[test]
    fn malformed_requests_are_none() {
        for body in [&[][..], &[0, 0, 0], &[0, 0, 0, 5, 1, 2, 3], &[0, 0, 0, 10]] {
            assert_eq!(parse(body), None, "{body:?}");
        }
        assert_eq!(parse(&[0, 0, 0, 10, 0xff, 0, 0]), None);
    }

    #[test]
    fn the_channel_binding_flag_is_found() {
        let message = b"SCRAM-SHA-256\0\0\0\0\x20y,,n=,r=abc";
        assert_eq!(channel_binding_flag(message), Some(b'y'));
        assert_eq!(channel_binding_flag(b"SCRAM-SHA-256"), None);
        assert_eq!(channel_binding_flag(b"SCRAM-SHA-256\0\0"), None);
    }

    #[test]
    fn a_password_is_a_c_string() {
        let message = password_message(&Secret::from("pw".to_owned()));
        assert_eq!(&message[..], b"p\0\0\0\x07pw\0");
    }
}
