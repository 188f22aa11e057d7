//! Properties of SCRAM: no bytes make it panic, verifiers are read as they were written, and exactly the
//! right password logs in.

use super::tests::{Client, NONCE, log_in};
use super::verifier::prepared;
use super::*;
use crate::platform::wire::auth::{SCRAM_SHA_256, SCRAM_SHA_256_PLUS};
use proptest::prelude::*;

fn exchange(channel: Option<&[u8]>) -> Exchange {
    let verifier = Verifier::mock("somebody", &[7; 32]);
    let (mechanism, first) = match channel {
        Some(_) => (SCRAM_SHA_256_PLUS, &b"p=tls-server-end-point,,n=,r=abc"[..]),
        None => (SCRAM_SHA_256, &b"n,,n=,r=abc"[..]),
    };
    Exchange::begin(&verifier, mechanism, first, channel, NONCE)
        .unwrap()
        .1
}

/// Text that is made of what SCRAM's messages are made of, so that parsers get further than the start.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "n",
        "y",
        "p=",
        "tls-server-end-point",
        ",",
        ",,",
        "a=",
        "n=",
        "r=",
        "c=",
        "biws",
        "m=",
        "x=",
        "abc",
        "=",
        "AQIDBAUGBwgJCgsMDQ4PEBES",
        ",p=",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "\u{e9}",
        "\0",
        "$",
        ":",
        "SCRAM-SHA-256$",
        "4096",
        "AAAAAAAAAAA=",
    ]);
    prop::collection::vec(pieces, 0..14).prop_map(|pieces| pieces.concat().into_bytes())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![nearly(), prop::collection::vec(any::<u8>(), 0..300)]
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in bytes(), channel in prop::option::of(prop::collection::vec(any::<u8>(), 0..40))) {
        let verifier = Verifier::mock("somebody", &[7; 32]);
        for mechanism in [SCRAM_SHA_256, SCRAM_SHA_256_PLUS, &String::from_utf8_lossy(&bytes)] {
            if let Ok((answer, _)) = Exchange::begin(&verifier, mechanism, &bytes, channel.as_deref(), NONCE) {
                prop_assert!(answer.len() < MESSAGE_BYTES_MAX);
            }
        }
        // None of them is a proof for keys that nobody has.
        prop_assert!(exchange(None).finish(&bytes).is_err());
        prop_assert!(exchange(Some(b"data")).finish(&bytes).is_err());
        let _ = Verifier::parse(&String::from_utf8_lossy(&bytes));
        let _ = end_point(&bytes);
    }

    #[test]
    fn no_change_of_a_certificate_makes_its_hash_panic(at in 0usize..281, byte in any::<u8>(), cut in 0usize..281) {
        let mut certificate = super::tests::certificate();
        certificate[at] = byte;
        let _ = end_point(&certificate);
        prop_assert_eq!(end_point(&certificate[..cut]), None);
    }

    #[test]
    fn verifiers_are_read_as_they_were_written(
        iterations in ITERATIONS_MIN..=ITERATIONS_MAX,
        salt in prop::collection::vec(any::<u8>(), 8..=64),
        keys in any::<[[u8; 32]; 2]>(),
    ) {
        let [salt, stored, server] = [&salt[..], &keys[0], &keys[1]].map(|bytes| STANDARD.encode(bytes));
        let text = format!("SCRAM-SHA-256${iterations}:{salt}${stored}:{server}");
        prop_assert_eq!(&*Verifier::parse(&text).unwrap().to_text(), &text);
    }

    #[test]
    fn mock_users_look_like_others(user in ".{0,20}", seed in any::<[u8; 32]>(), salt in 8usize..=64, iterations in ITERATIONS_MIN..=ITERATIONS_MAX) {
        let mock = Verifier::mock(&user, &seed);
        prop_assert_eq!((mock.iterations(), mock.salt().len()), (4_096, 16));
        let text = mock.to_text();
        prop_assert_eq!(&Verifier::parse(&text).unwrap().to_text(), &text);
        prop_assert_eq!(&Verifier::mock(&user, &seed).to_text(), &text);
        for (user, seed) in [(&format!("{user}x"), seed), (&user, seed.map(|byte| !byte))] {
            let other = Verifier::mock(user, &seed);
            prop_assert_ne!(other.salt(), mock.salt());
        }
        let salt = STANDARD.encode(vec![b's'; salt]);
        let keys = STANDARD.encode([9; 32]);
        let real = Verifier::parse(&format!("SCRAM-SHA-256${iterations}:{salt}${keys}:{keys}")).unwrap();
        let like = real.mock_like(&user, &seed);
        prop_assert_eq!(like.to_text().len(), real.to_text().len());
        prop_assert_eq!((like.iterations(), like.salt().len()), (real.iterations(), real.salt().len()));
    }
}

proptest! {
    // Thousands of rounds for each.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn only_the_right_password_logs_in(
        right in prop_oneof![prop::collection::vec(any::<u8>(), 1..20), "\\PC{1,12}".prop_map(String::into_bytes)],
        wrong in prop::collection::vec(any::<u8>(), 0..20),
        salt in prop::collection::vec(any::<u8>(), 8..=64),
        bound in any::<bool>(),
    ) {
        let verifier = Verifier::of_password(&right, &salt, ITERATIONS_MIN).unwrap();
        let data = b"the hash of a certificate";
        let (client, channel) = match bound {
            true => (Client::Bound(data), Some(&data[..])),
            false => (Client::NotOffered, None),
        };
        prop_assert_eq!(log_in(&verifier, &right, client, channel), Ok(()));
        let mut longer = right.clone();
        longer.push(b'!');
        prop_assert_eq!(log_in(&verifier, &longer, client, channel), Err(ScramError::Proof));
        // Two that mean the same are one.
        prop_assume!(prepared(&wrong) != prepared(&right));
        prop_assert_eq!(log_in(&verifier, &wrong, client, channel), Err(ScramError::Proof));
    }
}
