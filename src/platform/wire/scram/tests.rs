//! SCRAM against the example of RFC 7677, a client that others wrote, and clients that cheat.

use super::*;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

pub(super) const NONCE: [u8; NONCE_BYTES] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18];
const NONCE_TEXT: &str = "AQIDBAUGBwgJCgsMDQ4PEBES";
const ZEROES: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// What a client makes of channel binding.
#[derive(Debug, Clone, Copy)]
pub(super) enum Client {
    Unsupported,
    NotOffered,
    Bound(&'static [u8]),
}

/// A whole login with `postgres-protocol` as the client; it checks the server's signature too.
pub(super) fn log_in(
    verifier: &Verifier,
    password: &[u8],
    client: Client,
    channel: Option<&[u8]>,
) -> Result<(), ScramError> {
    let (mechanism, binding) = match client {
        Client::Unsupported => (SCRAM_SHA_256, ChannelBinding::unsupported()),
        Client::NotOffered => (SCRAM_SHA_256, ChannelBinding::unrequested()),
        Client::Bound(data) => (
            SCRAM_SHA_256_PLUS,
            ChannelBinding::tls_server_end_point(data.to_vec()),
        ),
    };
    let mut client = ScramSha256::new(password, binding);
    let (answer, exchange) = Exchange::begin(verifier, mechanism, client.message(), channel, NONCE)?;
    client.update(&answer).unwrap();
    let last = exchange.finish(client.message())?;
    client.finish(&last).unwrap();
    Ok(())
}

fn pencil() -> Verifier {
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    Verifier::of_password(b"pencil", &salt, 4_096).unwrap()
}

fn begin(mechanism: &str, first: &str, channel: Option<&[u8]>) -> Result<(Vec<u8>, Exchange), ScramError> {
    Exchange::begin(&pencil(), mechanism, first.as_bytes(), channel, NONCE)
}

#[test]
fn the_example_of_the_rfc_succeeds() {
    let first = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    let nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    let (answer, exchange) = Exchange::begin_with(&pencil(), "SCRAM-SHA-256", first, None, nonce).unwrap();
    assert_eq!(
        answer,
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    );
    let last = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    let answer = exchange.finish(last).unwrap();
    assert_eq!(answer, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

#[test]
fn an_independent_client_logs_in() {
    let verifier = pencil();
    for (client, channel) in [
        (Client::Unsupported, None),
        (Client::Unsupported, Some(&b"hash"[..])),
        (Client::NotOffered, None),
        (Client::Bound(b"hash"), Some(b"hash")),
    ] {
        assert_eq!(
            log_in(&verifier, b"pencil", client, channel),
            Ok(()),
            "{client:?}"
        );
        let wrong = log_in(&verifier, b"Pencil", client, channel);
        assert_eq!(wrong, Err(ScramError::Proof), "{client:?}");
    }
}

#[test]
fn a_verifier_is_the_one_that_postgresql_makes() {
    let text = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
        WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
    assert_eq!(&*pencil().to_text(), text);
    let read = Verifier::parse(text).unwrap();
    assert_eq!(log_in(&read, b"pencil", Client::Unsupported, None), Ok(()));
}

#[test]
fn passwords_are_prepared_as_postgresql_does() {
    for (password, becomes) in [
        ("plain ASCII", "plain ASCII"),
        // RFC 4013, section 3
        ("I\u{ad}X", "IX"),
        ("\u{aa}", "a"),
        ("\u{2168}", "IX"),
        ("a\u{3000}b", "a b"),
        // What cannot be prepared is taken as it is.
        ("\u{7}", "\u{7}"),
        ("\u{2168}\u{7}", "\u{2168}\u{7}"),
        ("\u{627}1", "\u{627}1"),
        ("\u{ad}", "\u{ad}"),
    ] {
        assert_eq!(
            *verifier::prepared(password.as_bytes()),
            becomes.as_bytes(),
            "{password:?}"
        );
    }
    assert_eq!(*verifier::prepared(b"\xff\xe2\x85\xa8"), b"\xff\xe2\x85\xa8");
    let composed = Verifier::of_password("\u{2168}\u{e9}".as_bytes(), &[1; 8], 4_096).unwrap();
    let otherwise = "IXe\u{301}".as_bytes();
    assert_eq!(log_in(&composed, otherwise, Client::Unsupported, None), Ok(()));
}

#[test]
fn first_messages_that_must_not_pass_are_refused() {
    let (plain, plus, hash) = (SCRAM_SHA_256, SCRAM_SHA_256_PLUS, Some(&b"hash"[..]));
    let long = |n: usize| "x".repeat(n);
    for (mechanism, first, channel, error) in [
        // the mechanism and the channel
        (plain, "y,,n=,r=abc", hash, ScramError::Downgrade),
        (plain, "p=tls-server-end-point,,n=,r=abc", hash, ScramError::Unfit),
        (plain, "p=tls-server-end-point,,n=,r=abc", None, ScramError::Unfit),
        (plus, "n,,n=,r=abc", hash, ScramError::Unfit),
        (plus, "y,,n=,r=abc", hash, ScramError::Unfit),
        (plus, "p=tls-unique,,n=,r=abc", hash, ScramError::BindingType),
        (
            plus,
            "p=TLS-SERVER-END-POINT,,n=,r=abc",
            hash,
            ScramError::BindingType,
        ),
        (plus, "p=,,n=,r=abc", hash, ScramError::BindingType),
        (
            plus,
            "p=tls-server-end-point,,n=,r=abc",
            None,
            ScramError::Mechanism,
        ),
        (plus, "n,,n=,r=abc", None, ScramError::Mechanism),
        ("SCRAM-SHA-1", "n,,n=,r=abc", None, ScramError::Mechanism),
        ("scram-sha-256", "n,,n=,r=abc", None, ScramError::Mechanism),
        ("", "n,,n=,r=abc", None, ScramError::Mechanism),
        // what dbproxy does not do
        (
            plain,
            "n,a=admin,n=,r=abc",
            None,
            ScramError::AuthorizationIdentity,
        ),
        (plain, "n,x,n=,r=abc", None, ScramError::AuthorizationIdentity),
        (plain, "n,,m=new,n=,r=abc", None, ScramError::Extension),
        (plain, "n,,n=,m=new,r=abc", None, ScramError::Extension),
        (plain, "n,,n=,r=abc,m=new", None, ScramError::Extension),
        // the length
        (
            plain,
            &format!("n,,n=,r=abc,x={}", long(4_096)),
            None,
            ScramError::TooLong(4_110),
        ),
    ] {
        let refused = begin(mechanism, first, channel).unwrap_err();
        assert_eq!(refused, error, "{mechanism} {first:.40}");
    }
}

#[test]
fn malformed_first_messages_are_refused() {
    let long = |n: usize| "x".repeat(n);
    for first in [
        "",
        ",",
        "n",
        "n,",
        "n,,",
        "N,,n=,r=abc",
        "z,,n=,r=abc",
        "p,,n=,r=abc",
        "nn,,n=,r=abc",
        "n,,n=",
        "n,,n=,",
        "n,,r=abc",
        "n,,n=,r=",
        "n,,n=,r=a b",
        "n,,n=,r=\u{e9}",
        "n,,n=,r=a\u{7f}",
        "n,,n=,r=a\0",
        "n,,n=\0,r=a",
        "n,,n=,r=abc,",
        "n,,n=,r=abc,x",
        "n,,n=,r=abc,x=",
        "n,,n=,r=abc,xy=z",
        "n,,n=,r=abc,1=z",
        "n,,n=,r=abc,r=abc",
        "n,,n=,r=abc,p=z",
        "n,,a=x,n=,r=abc",
        " n,,n=,r=abc",
        &format!("n,,n=,r={}", long(513)),
        &format!("n,,n={},r=abc", long(1_025)),
    ] {
        let refused = begin(SCRAM_SHA_256, first, None).unwrap_err();
        assert!(
            matches!(refused, ScramError::Malformed(_)),
            "{first:?}: {refused:?}"
        );
    }
    let not_text = Exchange::begin(&pencil(), SCRAM_SHA_256, b"n,,n=\xff,r=abc", None, NONCE);
    assert!(matches!(not_text, Err(ScramError::Malformed(_))));
}

#[test]
fn what_is_only_unusual_passes() {
    for first in [
        "n,,n=*,r=abc",
        "n,,n=a=2Cb,r=abc",
        "n,,n=\u{e9},r=abc",
        "n,,n=,r=abc,x=y,Z=1=2",
        "y,,n=,r=!~",
    ] {
        assert!(begin(SCRAM_SHA_256, first, None).is_ok(), "{first}");
    }
}

/// A client that knows the password, and may send something else than it should.
fn cheat(
    header: &str,
    channel: Option<&[u8]>,
    change: impl Fn(&str, &str) -> (String, String),
) -> Result<Vec<u8>, ScramError> {
    let mechanism = if header.starts_with('p') {
        SCRAM_SHA_256_PLUS
    } else {
        SCRAM_SHA_256
    };
    let (answer, exchange) = begin(mechanism, &format!("{header}n=,r=abc"), channel).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let honest = STANDARD.encode(
        [
            header.as_bytes(),
            channel.filter(|_| header.starts_with('p')).unwrap_or_default(),
        ]
        .concat(),
    );
    let (without_proof, after) = change(&honest, &format!("abc{NONCE_TEXT}"));
    let mut salted = Key::default();
    let rounds = std::num::NonZeroU32::new(4_096).unwrap();
    aws_lc_rs::pbkdf2::derive(
        aws_lc_rs::pbkdf2::PBKDF2_HMAC_SHA256,
        rounds,
        pencil().salt(),
        b"pencil",
        &mut *salted,
    );
    let client_key = hmac(&*salted, &[b"Client Key"]);
    let signed = format!("n=,r=abc,{answer},{without_proof}");
    let signature = hmac(&*sha256(&*client_key), &[signed.as_bytes()]);
    let proof: Vec<u8> = client_key
        .iter()
        .zip(signature.iter())
        .map(|(a, b)| a ^ b)
        .collect();
    exchange.finish(format!("{without_proof},p={}{after}", STANDARD.encode(proof)).as_bytes())
}

#[test]
fn last_messages_must_be_of_this_exchange_and_this_connection() {
    let whole = |binding: &str, nonce: &str| (format!("c={binding},r={nonce}"), String::new());
    let plus = "p=tls-server-end-point,,";
    let hash = Some(&b"hash"[..]);
    assert!(cheat("n,,", None, whole).is_ok());
    assert!(cheat("n,,", None, |c, r| (format!("c={c},r={r},x=y"), String::new())).is_ok());
    assert!(cheat(plus, hash, whole).is_ok());
    // The data of another connection, none, and the headers of other modes.
    for other in [
        "p=tls-server-end-point,,hasH",
        "p=tls-server-end-point,,has",
        plus,
        "n,,",
        "y,,",
        "",
    ] {
        let other = STANDARD.encode(other);
        let refused = cheat(plus, hash, |_, nonce| whole(&other, nonce));
        assert_eq!(refused, Err(ScramError::Binding));
    }
    for (header, other) in [
        ("n,,", "eSws"),
        ("y,,", "biws"),
        ("n,,", "biws="),
        ("n,,", "biwsAA=="),
    ] {
        let refused = cheat(header, None, |_, nonce| whole(other, nonce));
        assert_eq!(refused, Err(ScramError::Binding), "{header} {other}");
    }
    for nonce in [
        "abc",
        NONCE_TEXT,
        "",
        &format!("abc{NONCE_TEXT}x"),
        &format!("abC{NONCE_TEXT}"),
    ] {
        let refused = cheat("n,,", None, |binding, _| whole(binding, nonce));
        assert_eq!(refused, Err(ScramError::Nonce), "{nonce}");
    }
}

#[test]
fn malformed_last_messages_are_refused() {
    let wrong = |change: &dyn Fn(&str, &str) -> (String, String)| cheat("n,,", None, change).unwrap_err();
    let malformed = |error: ScramError| assert!(matches!(error, ScramError::Malformed(_)), "{error:?}");
    malformed(wrong(&|c, r| (format!("r={r},c={c}"), String::new())));
    malformed(wrong(&|c, r| (format!("c={c},r={r},p={ZEROES}"), String::new())));
    malformed(wrong(&|c, r| (format!("c={c},r={r},r={r}"), String::new())));
    malformed(wrong(&|c, r| (format!("c={c},r={r},"), String::new())));
    malformed(wrong(&|c, r| (format!("c={c},r={r}"), ",x=y".to_owned())));
    malformed(wrong(&|c, r| (format!("c={c},r={r}"), "\0".to_owned())));
    assert_eq!(
        wrong(&|c, r| (format!("c={c},r={r},m=x"), String::new())),
        ScramError::Extension
    );
    assert_eq!(
        wrong(&|c, r| (format!("m=x,c={c},r={r}"), String::new())),
        ScramError::Extension
    );
    let finish = |last: &str| {
        begin(SCRAM_SHA_256, "n,,n=,r=abc", None)
            .unwrap()
            .1
            .finish(last.as_bytes())
    };
    let start = format!("c=biws,r=abc{NONCE_TEXT}");
    for proof in [
        "",
        "AAAA",
        &ZEROES.replacen('A', "", 1),
        &format!("A{ZEROES}"),
        &ZEROES.replace('=', "A"),
        &ZEROES.replace("A=", "B="),
        &ZEROES.replace("A=", "=="),
    ] {
        malformed(finish(&format!("{start},p={proof}")).unwrap_err());
    }
    malformed(finish("").unwrap_err());
    malformed(finish(&start).unwrap_err());
    assert_eq!(finish(&format!("{start},p={ZEROES}")), Err(ScramError::Proof));
    assert_eq!(finish(&"x".repeat(4_097)), Err(ScramError::TooLong(4_097)));
}

#[test]
fn nobody_logs_in_as_a_mock_user() {
    let mock = Verifier::mock("nobody", &[3; 32]);
    for password in [&b""[..], b"nobody", b"pencil", &[3; 32]] {
        assert_eq!(
            log_in(&mock, password, Client::Unsupported, None),
            Err(ScramError::Proof)
        );
    }
}

#[test]
fn verifiers_out_of_bounds_are_refused() {
    let key = STANDARD.encode([1; 32]);
    let text = |iterations: &str, salt: usize| {
        format!(
            "SCRAM-SHA-256${iterations}:{}${key}:{key}",
            STANDARD.encode(vec![0; salt])
        )
    };
    for (text, error) in [
        (String::new(), VerifierError::Form),
        ("md5aa".to_owned(), VerifierError::Form),
        (text("4096", 16).replace("SCRAM", "scram"), VerifierError::Form),
        (text("4096", 16).replace('$', ":"), VerifierError::Form),
        (format!("{:0>200}", text("4096", 16)), VerifierError::Form),
        (text("4095", 16), VerifierError::Iterations),
        (text("1000001", 16), VerifierError::Iterations),
        (text("+4096", 16), VerifierError::Iterations),
        (text("", 16), VerifierError::Iterations),
        (text("99999999999", 16), VerifierError::Iterations),
        (text("4096", 7), VerifierError::Salt),
        (text("4096", 65), VerifierError::Salt),
        (text("4096", 16).replace("==$", "$"), VerifierError::Salt),
        (text("4096", 16).replace(&key, "AAAA"), VerifierError::Key),
        (text("4096", 16) + ":", VerifierError::Key),
        (text("4096", 16) + " ", VerifierError::Key),
    ] {
        assert_eq!(Verifier::parse(&text).unwrap_err(), error, "{text}");
    }
    for iterations in ["4096", "1000000"] {
        assert!(
            Verifier::parse(&text(iterations, 8)).is_ok() && Verifier::parse(&text(iterations, 64)).is_ok()
        );
    }
    let of = |password: &[u8], salt: usize, iterations| {
        Verifier::of_password(password, &vec![0; salt], iterations).unwrap_err()
    };
    assert_eq!(of(b"x", 7, 4_096), VerifierError::Salt);
    assert_eq!(of(b"x", 16, 0), VerifierError::Iterations);
    assert_eq!(of(b"x", 16, 1_000_001), VerifierError::Iterations);
    assert_eq!(of(b"", 16, 4_096), VerifierError::Password);
    assert_eq!(of(&[b'x'; 1_025], 16, 4_096), VerifierError::Password);
}

#[test]
fn debug_shows_no_keys() {
    let verifier = pencil();
    assert_eq!(format!("{verifier:?}"), "Verifier(redacted)");
    let (_, exchange) = begin(SCRAM_SHA_256, "n,,n=,r=abc", None).unwrap();
    assert_eq!(format!("{exchange:?}"), "Exchange { .. }");
}

#[test]
fn what_is_offered_depends_on_the_connection() {
    assert_eq!(mechanisms(true), ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]);
    assert_eq!(mechanisms(false), ["SCRAM-SHA-256"]);
}

/// Self-signed by `openssl req -x509`, ecdsa-with-SHA256.
const CERTIFICATE: &str = "MIIBFTCBuwIUZSuI5wvqej8A1Xrrl4IW0mZ0lfkwCgYIKoZIzj0EAwIwDDEKMAgGA1UEAwwBdDAgFw0yNjExMjUyMjE4MTlaGA8yMTI2\
MTEwMTIyMTgxOVowDDEKMAgGA1UEAwwBdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABFF2yyDT+wfZIwUC0ut/hJN8ASht0DaCR/TcL/ofpGGS\
+cfVShwxZshP23lEoUrBPL3vEKmtgsJy0TkZDP3joD8wCgYIKoZIzj0EAwIDSQAwRgIhAOvcJaWDAUMeF8YALLpgdktEBp2Wxm67RNvg++Ew9qvQ\
AiEAyIt4AKr0Rjw9TagFQtpKLejblJ+rNw/pXKe0XAHRCBc=";
/// The same of ecdsa-with-SHA384.
const CERTIFICATE_384: &str = "MIIBFDCBuwIUGGZahX/lsVANvVJQFoXIRolHrskwCgYIKoZIzj0EAwMwDDEKMAgGA1UEAwwBdDAgFw0yNjExMjUyMjE4MTlaGA8yMTI2\
MTEwMTIyMTgxOVowDDEKMAgGA1UEAwwBdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABFF2yyDT+wfZIwUC0ut/hJN8ASht0DaCR/TcL/ofpGGS\
+cfVShwxZshP23lEoUrBPL3vEKmtgsJy0TkZDP3joD8wCgYIKoZIzj0EAwMDSAAwRQIgCCvgokPtaxlskKH8WzXXFx8S4A79Spd6vFVR+5dr8skC\
IQCLhMV3UYf4e1g7S1G8rhscxyb2VAp9LcADYim8spV2kA==";

pub(super) fn certificate() -> Vec<u8> {
    STANDARD.decode(CERTIFICATE).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn certificates_have_the_hashes_that_openssl_says() {
    let hash = end_point(&certificate()).unwrap();
    assert_eq!(
        hex(&hash),
        "af3136b4f6f85df4322f93a857056a51fa5a64a738b7e77c11536bd713231bc2"
    );
    let hash = end_point(&STANDARD.decode(CERTIFICATE_384).unwrap()).unwrap();
    assert_eq!(
        hex(&hash),
        "283099b2f6f909ebb6db88ca5a86b4532b6af2b21265a24649fb2c6843331781bfaf46fab7152a8f75609508f0f0b4ad"
    );
    let longer = [certificate(), vec![0]].concat();
    assert_eq!(end_point(&longer), None);
}

#[test]
fn the_signature_says_which_hash_it_is() {
    let element = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
    let hash_bytes = |identifier: &[u8]| {
        let algorithm = [element(0x06, identifier), vec![0x05, 0x00]].concat();
        let parts = [
            element(0x30, b"\x02\x01\x01"),
            element(0x30, &algorithm),
            vec![0x03, 0x01, 0x00],
        ];
        end_point(&element(0x30, &parts.concat())).map(|hash| hash.len())
    };
    let rsa = |last| hash_bytes(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last]);
    let ecdsa = |last: &[u8]| hash_bytes(&[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04], last].concat());
    assert_eq!([4, 5, 11, 12, 13].map(rsa), [32, 32, 32, 48, 64].map(Some));
    assert_eq!(
        [&[1][..], &[3, 2], &[3, 3], &[3, 4]].map(ecdsa),
        [32, 32, 48, 64].map(Some)
    );
    // RSASSA-PSS, SHA-224, and what there is not.
    assert_eq!([10, 14, 0].map(rsa), [None; 3]);
    assert_eq!([&[3, 1][..], &[3], &[3, 2, 0], &[]].map(ecdsa), [None; 4]);
    // Ed25519
    assert_eq!(hash_bytes(&[0x2b, 0x65, 0x70]), None);
    assert_eq!(end_point(b""), None);
    assert_eq!(end_point(b"\x30\x80\0\0"), None);
    assert_eq!(end_point(b"\x30\x84\0\0\0\0"), None);
}
