//! Which name of a certificate is the caller's, by the setting `client_name`.

use super::house::{House, dns, email, named, uri};
use super::{SPIFFE, WHO, anybody, assert_names_nobody};
use crate::callers::assert_is;
use crate::support::Sandbox;
use rcgen::SanType;

const SETTINGS: [&str; 5] = ["first", "uri", "email", "dns", "cn"];
const URIS: &str = "more than one URI";
const EMAILS: &str = "more than one e-mail address";
const HOSTS: &str = "more than one DNS name";
const NO_URI: &str = "has no URI";
const NO_EMAIL: &str = "has no e-mail address";
const NO_HOST: &str = "has no DNS name";
const CN: &str = "cn:jane";

/// Certificates of `CN=jane` with further names, and for each setting whom they name, or why nobody.
fn holders() -> Vec<(Vec<SanType>, [&'static str; 5])> {
    let spiffe = "uri:spiffe://example.org/ns/prod/sa/report";
    let (address, host) = ("email:Jane@example.org", "dns:jane.example.org");
    let jane = [email("Jane@Example.org"), dns("Jane.Example.org")];
    vec![
        (vec![], [CN, NO_URI, NO_EMAIL, NO_HOST, CN]),
        (
            [&jane[..], &[uri(SPIFFE)]].concat(),
            [spiffe, spiffe, address, host, CN],
        ),
        (jane.to_vec(), [address, NO_URI, address, host, CN]),
        (jane[1..].to_vec(), [host, NO_URI, NO_EMAIL, host, CN]),
        (
            vec![uri(SPIFFE), uri("spiffe://example.org/admin"), jane[1].clone()],
            [URIS, URIS, NO_EMAIL, host, CN],
        ),
        (
            vec![jane[0].clone(), email("boss@example.org")],
            [EMAILS, NO_URI, EMAILS, NO_HOST, CN],
        ),
        (
            vec![jane[1].clone(), dns("boss.example.org")],
            [HOSTS, NO_URI, NO_EMAIL, HOSTS, CN],
        ),
        (
            vec![dns("*.example.org")],
            ["a wildcard", NO_URI, NO_EMAIL, "a wildcard", CN],
        ),
    ]
}

#[test]
fn the_name_that_counts_is_the_one_that_was_settled() {
    let (sandbox, _turn) = Sandbox::shared();
    let house = House::new(sandbox);
    let held: Vec<_> = holders()
        .iter()
        .zip(1..)
        .map(|((names, expected), serial)| {
            (house.give(&serial.to_string(), &named(serial, names)), *expected)
        })
        .collect();
    for (number, setting) in SETTINGS.iter().enumerate() {
        let lines = match *setting {
            // What holds without the setting.
            "first" => String::new(),
            setting => format!("client_name = \"{setting}\""),
        };
        let proxy = house.proxy(sandbox, &anybody(), &lines);
        for (held, expected) in &held {
            let output = house.psql(&proxy, Some(held), WHO);
            let expected = expected[number];
            match expected.contains(':') {
                true => {
                    assert_is(&proxy, &output, "app_ro");
                    proxy.wait_until_logged(&format!("caller=cert:{expected} "));
                }
                false => assert_names_nobody(&proxy, &output, expected),
            }
        }
    }
}
