//! Certificates with all manner of names.

use super::*;
use proptest::prelude::*;
use rcgen::string::{BmpString, TeletexString};
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue, KeyPair, SanType, date_time_ymd,
};
use std::sync::LazyLock;

static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate().unwrap());

const KINDS: [NameKind; 5] = [
    NameKind::Uri,
    NameKind::Email,
    NameKind::Dns,
    NameKind::Cn,
    NameKind::First,
];

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn email(text: &str) -> SanType {
    SanType::Rfc822Name(text.try_into().unwrap())
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

fn build(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    change(&mut params);
    params.self_signed(&*KEY).unwrap().der().to_vec()
}

fn with_names(names: Vec<SanType>, common_name: Option<&str>) -> Vec<u8> {
    build(|params| {
        params.subject_alt_names = names;
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
    })
}

fn with_common_name(name: impl Into<DnValue>) -> Vec<u8> {
    build(|params| params.distinguished_name.push(DnType::CommonName, name))
}

/// Subject alternative names by their tags and bytes, whatever they are.
fn with_raw_names(names: &[(u8, &[u8])]) -> Vec<u8> {
    let element = |tag: u8, bytes: &[u8]| {
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        match bytes.len() {
            short @ ..=127 => [&[tag, short as u8], bytes].concat(),
            128..=255 => [&[tag, 0x81, length[1]], bytes].concat(),
            _ => [&[tag, 0x82, length[0], length[1]], bytes].concat(),
        }
    };
    let names: Vec<u8> = names
        .iter()
        .flat_map(|(tag, bytes)| element(*tag, bytes))
        .collect();
    with_raw_extension(element(0x30, &names))
}

fn with_raw_extension(content: Vec<u8>) -> Vec<u8> {
    build(|params| {
        params.distinguished_name.push(DnType::CommonName, "fallback");
        params
            .custom_extensions
            .push(CustomExtension::from_oid_content(&[2, 5, 29, 17], content));
    })
}

fn fault(certificate: &[u8], kind: NameKind) -> NameFault {
    match name_of(certificate, kind) {
        Err(CertificateError::Unfit { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_kind_is_found_among_the_others() {
    let names = vec![
        SanType::IpAddress("10.0.0.1".parse().unwrap()),
        dns("DB.Example.org"),
        email("Jane.Doe+db@Example.ORG"),
        uri("spiffe://example.org/ns/A/sa/b"),
    ];
    let certificate = with_names(names, Some("Jane Doé"));
    for (kind, name) in [
        (NameKind::Uri, "uri:spiffe://example.org/ns/A/sa/b"),
        (NameKind::Email, "email:Jane.Doe+db@example.org"),
        (NameKind::Dns, "dns:db.example.org"),
        (NameKind::Cn, "cn:Jane Doé"),
        (NameKind::First, "uri:spiffe://example.org/ns/A/sa/b"),
    ] {
        assert_eq!(name_of(&certificate, kind).as_deref(), Ok(name));
    }
}

#[test]
fn the_first_kind_that_is_there_counts() {
    let first = |names, cn| name_of(&with_names(names, cn), NameKind::First);
    assert_eq!(
        first(vec![dns("a"), email("j@x")], Some("n")).unwrap(),
        "email:j@x"
    );
    assert_eq!(first(vec![dns("a")], Some("n")).unwrap(), "dns:a");
    assert_eq!(first(vec![], Some("n")).unwrap(), "cn:n");
    let address = SanType::IpAddress("10.0.0.1".parse().unwrap());
    assert_eq!(first(vec![address], Some("n")).unwrap(), "cn:n");
    // Several, or one that is no name, do not make way for the next kind.
    assert_eq!(
        first(vec![uri("a:b"), uri("a:c"), dns("a")], Some("n")),
        Err(CertificateError::Ambiguous("URI"))
    );
    assert_eq!(
        fault(&with_names(vec![dns("*.a")], Some("n")), NameKind::First),
        NameFault::Wildcard
    );
    assert_eq!(
        fault(&with_raw_names(&[(0x86, b"a:\xff")]), NameKind::First),
        NameFault::NotText
    );
}

#[test]
fn none_is_not_replaced_by_another_kind_and_several_are_refused() {
    let nothing = build(|_| ());
    for (kind, label) in [
        (NameKind::Uri, "URI"),
        (NameKind::Email, "e-mail address"),
        (NameKind::Dns, "DNS name"),
        (NameKind::Cn, "common name"),
        (NameKind::First, "common name"),
    ] {
        assert_eq!(name_of(&nothing, kind), Err(CertificateError::Missing(label)));
    }
    for (kind, names) in [
        (NameKind::Uri, vec![uri("a:b"), uri("a:b")]),
        (NameKind::Email, vec![email("a@b"), email("c@d")]),
        (NameKind::Dns, vec![dns("a"), dns("b")]),
    ] {
        let certificate = with_names(names, Some("n"));
        assert!(matches!(
            name_of(&certificate, kind),
            Err(CertificateError::Ambiguous(_))
        ));
        assert_eq!(name_of(&certificate, NameKind::Cn).unwrap(), "cn:n");
    }
    let two_common_names = build(|params| {
        params.distinguished_name.push(DnType::CommonName, "one");
        params
            .distinguished_name
            .push(DnType::CustomDnType(vec![2, 5, 4, 3]), "two");
    });
    assert_eq!(
        name_of(&two_common_names, NameKind::Cn),
        Err(CertificateError::Ambiguous("common name"))
    );
}

#[test]
fn texts_that_are_no_names_are_refused() {
    for (tag, kind, text, expected) in [
        (0x86, NameKind::Uri, "", NameFault::Empty),
        (0x86, NameKind::Uri, "no-scheme", NameFault::Form),
        (0x86, NameKind::Uri, "1a:b", NameFault::Form),
        (0x86, NameKind::Uri, ":b", NameFault::Form),
        (0x86, NameKind::Uri, "a:", NameFault::Form),
        (0x86, NameKind::Uri, "a:b c", NameFault::Form),
        (0x86, NameKind::Uri, "spiffe://exämple", NameFault::Form),
        (0x86, NameKind::Uri, "a:b\0", NameFault::Invisible),
        (0x86, NameKind::Uri, "a:b\n", NameFault::Invisible),
        (0x81, NameKind::Email, "jane", NameFault::Form),
        (0x81, NameKind::Email, "@host", NameFault::Form),
        (0x81, NameKind::Email, "jane@", NameFault::Form),
        (0x81, NameKind::Email, "jane@good@evil", NameFault::Form),
        (0x81, NameKind::Email, "\"jane@good\"@evil", NameFault::Form),
        (0x81, NameKind::Email, "jane doe@host", NameFault::Form),
        (0x81, NameKind::Email, "jane@*.host", NameFault::Wildcard),
        (0x81, NameKind::Email, "jane\0@host", NameFault::Invisible),
        (0x81, NameKind::Email, "jané@host", NameFault::Form),
        (0x82, NameKind::Dns, "*.host", NameFault::Wildcard),
        (0x82, NameKind::Dns, "good\0.evil", NameFault::Invisible),
        (0x82, NameKind::Dns, "host.", NameFault::Form),
        (0x82, NameKind::Dns, ".host", NameFault::Form),
        (0x82, NameKind::Dns, "a..b", NameFault::Form),
        (0x82, NameKind::Dns, "a b", NameFault::Form),
        (0x82, NameKind::Dns, " host", NameFault::Invisible),
        (0x82, NameKind::Dns, "a/b", NameFault::Form),
    ] {
        let certificate = with_raw_names(&[(tag, text.as_bytes())]);
        assert_eq!(fault(&certificate, kind), expected, "{text:?}");
        assert_eq!(fault(&certificate, NameKind::First), expected, "{text:?}");
    }
}

#[test]
fn lengths_are_bounded() {
    let uri_of = |length: usize| format!("a:{}", "b".repeat(length - 2));
    let named = |tag, text: &str| with_raw_names(&[(tag, text.as_bytes())]);
    assert!(name_of(&named(0x86, &uri_of(1_024)), NameKind::Uri).is_ok());
    assert_eq!(
        fault(&named(0x86, &uri_of(1_025)), NameKind::Uri),
        NameFault::TooLong
    );
    let host = |labels: usize| vec!["a".repeat(63); labels].join(".");
    assert!(name_of(&named(0x82, &host(3)), NameKind::Dns).is_ok());
    assert_eq!(fault(&named(0x82, &host(4)), NameKind::Dns), NameFault::Form);
    assert_eq!(
        fault(&named(0x82, &"a".repeat(64)), NameKind::Dns),
        NameFault::Form
    );
    assert_eq!(
        fault(&with_common_name("é".repeat(513)), NameKind::Cn),
        NameFault::TooLong
    );
    assert_eq!(
        name_of(&vec![0x30; CERTIFICATE_BYTES_MAX + 1], NameKind::Cn),
        Err(CertificateError::Malformed)
    );
}

#[test]
fn common_names_are_kept_exactly_if_all_of_them_can_be_seen() {
    for name in ["jane", "Jane Doe, Ltd.", "山田", "*", "a@b", "uri:spiffe://x"] {
        assert_eq!(
            name_of(&with_common_name(name), NameKind::Cn).unwrap(),
            format!("cn:{name}")
        );
    }
    for name in [
        "jane\0",
        "ja\u{7f}ne",
        "ja\u{85}ne",
        " jane",
        "jane\u{a0}",
        "ja\u{202e}ne",
        "ja\u{200b}ne",
        "\u{feff}jane",
    ] {
        assert_eq!(
            fault(&with_common_name(name), NameKind::Cn),
            NameFault::Invisible,
            "{name:?}"
        );
    }
    assert_eq!(fault(&with_common_name(""), NameKind::Cn), NameFault::Empty);
    // Of old character sets, clients and authorities do not agree what the bytes mean.
    let old = [
        DnValue::BmpString(BmpString::try_from("jane").unwrap()),
        DnValue::TeletexString(TeletexString::try_from("jane").unwrap()),
    ];
    for name in old {
        assert_eq!(fault(&with_common_name(name), NameKind::Cn), NameFault::NotText);
    }
}

#[test]
fn extensions_that_cannot_be_read_are_not_skipped() {
    for content in [
        b"".as_slice(),
        b"\x30",
        b"\x30\x02\x86\x05",
        // bytes after the names
        b"\x30\x03\x82\x01a\0",
        // a universal tag
        b"\x30\x03\x0c\x01a",
        // no sequence
        b"\x04\x03\x82\x01a",
    ] {
        for kind in KINDS {
            let certificate = with_raw_extension(content.to_vec());
            assert_eq!(
                name_of(&certificate, kind),
                Err(CertificateError::Malformed),
                "{content:?}"
            );
        }
    }
    let twice = build(|params| {
        params.subject_alt_names = vec![dns("one")];
        params.custom_extensions.push(CustomExtension::from_oid_content(
            &[2, 5, 29, 17],
            b"\x30\0".to_vec(),
        ));
    });
    assert_eq!(name_of(&twice, NameKind::Dns), Err(CertificateError::Malformed));
}

#[test]
fn what_follows_a_certificate_is_not_overlooked() {
    let mut certificate = with_common_name("jane");
    certificate.push(0);
    assert_eq!(
        name_of(&certificate, NameKind::Cn),
        Err(CertificateError::Malformed)
    );
}

#[test]
fn the_proof_ends_with_the_certificate() {
    let day = |days: u64| Duration::from_secs(days * 86_400);
    for (year, end) in [
        (1960, UNIX_EPOCH - day(3_653)),
        (1970, UNIX_EPOCH),
        (2049, UNIX_EPOCH + day(28_855)),
        (2050, UNIX_EPOCH + day(29_220)),
        (9999, UNIX_EPOCH + day(2_932_532)),
    ] {
        let certificate = build(|params| {
            params.distinguished_name.push(DnType::CommonName, "jane");
            params.not_before = date_time_ymd(1955, 1, 1);
            params.not_after = date_time_ymd(year, 1, 1);
        });
        assert_eq!(not_after(&certificate), Ok(end), "{year}");
        let proof = Settings { name: NameKind::Cn }.prove(&certificate).unwrap();
        assert_eq!(proof.name, "cn:jane");
        assert_eq!(proof.expires, end);
    }
}

/// Whatever comes, a name that is given out keeps to the rules.
fn read_all(bytes: &[u8]) {
    let _ = not_after(bytes);
    for kind in KINDS {
        if let Ok(name) = name_of(bytes, kind) {
            assert!(name.len() <= name::NAME_BYTES_MAX + "email:".len());
            assert!(!name.contains(char::is_control), "{name:?}");
        }
    }
}

proptest! {
    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        read_all(&bytes);
    }

    #[test]
    fn changed_certificates_never_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
            with_names(vec![uri("a:b"), email("a@b"), dns("a")], Some("jane"))
        });
        let mut certificate = WHOLE.clone();
        for (at, byte) in changes {
            let at = at.index(certificate.len());
            certificate[at] = byte;
        }
        read_all(&certificate);
        read_all(&certificate[..cut.index(certificate.len())]);
    }

    #[test]
    fn names_of_any_bytes_never_panic(
        tag in prop::sample::select(vec![0x80_u8, 0x81, 0x82, 0x84, 0x86, 0xa0, 0xa4, 0xa6]),
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        read_all(&with_raw_names(&[(tag, &bytes)]));
    }
}
