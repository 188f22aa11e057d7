//! Files of verifiers, good and bad.

use super::*;
use proptest::prelude::*;
use std::error::Error;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

const VERIFIER: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
const SEED: [u8; 32] = [5; 32];

fn refused(text: &str) -> (usize, LineError) {
    Verifiers::parse(text.as_bytes()).unwrap_err()
}

/// A verifier with other iterations.
fn slower() -> String {
    VERIFIER.replace("4096", "10000")
}

#[test]
fn users_are_found_by_their_exact_names() {
    let text = format!(
        "; users\r\n# more\n\n  \t\n\"jane\" \"{VERIFIER}\"\r\n  \"a \"\"b\"\" é\"\t \"{VERIFIER}\"  \n\"last\" \"{VERIFIER}\""
    );
    let verifiers = Verifiers::parse(text.as_bytes()).unwrap();
    assert_eq!(verifiers.len(), 3);
    for user in ["jane", "a \"b\" é", "last"] {
        assert_eq!(&*verifiers.find(user).unwrap().to_text(), VERIFIER);
    }
    for user in ["Jane", "jane ", "", "a"] {
        assert!(verifiers.find(user).is_none(), "{user}");
    }
    assert_eq!(format!("{verifiers:?}"), "Verifiers { users: 3, .. }");
    assert!(Verifiers::parse(b"").unwrap().is_empty());
}

#[test]
fn what_is_no_verifier_is_refused_with_its_line() {
    for (password, problem) in [
        ("hunter2", LineError::PlainText),
        ("", LineError::PlainText),
        ("md5-is-old", LineError::PlainText),
        ("scram-sha-256$4096", LineError::PlainText),
        ("md5d41d8cd98f00b204e9800998ecf8427e", LineError::Md5),
        ("SCRAM-SHA-256$4096", LineError::Verifier(VerifierError::Form)),
        (
            "SCRAM-SHA-256$1:AAAA$AAAA:AAAA",
            LineError::Verifier(VerifierError::Salt),
        ),
    ] {
        let text = format!("\"jane\" \"{VERIFIER}\"\n# comment\n\"joe\" \"{password}\"\n");
        assert_eq!(refused(&text), (3, problem), "{password}");
    }
}

#[test]
fn lines_of_another_form_are_refused() {
    for line in [
        "jane",
        "\"jane\"",
        "\"jane\" ",
        "\"jane",
        "\"\"jane",
        "jane:x",
        "\"jane\" x",
        "\"jane\" \"x",
        "\"jane\"\"x\"",
        "\u{feff}\"jane\" \"x\"",
        "\"jane\" \"x\" \"y\"",
        "\"jane\" \"x\" # comment",
        "\"jane\" \"x\"y",
    ] {
        assert_eq!(refused(line), (1, LineError::Form), "{line}");
    }
    let unglued = format!("\"jane\"\"{VERIFIER}\"");
    assert_eq!(refused(&unglued).1, LineError::Form);
    let no_user = format!("\"\" \"{VERIFIER}\"");
    assert_eq!(refused(&no_user), (1, LineError::User(NameError::Empty)));
    let long = format!("\"{}\" \"{VERIFIER}\"", "x".repeat(64));
    assert_eq!(refused(&long), (1, LineError::User(NameError::TooLong(64))));
    let nul = format!("\"a\0\" \"{VERIFIER}\"");
    assert_eq!(refused(&nul), (1, LineError::User(NameError::Nul)));
    let not_text = Verifiers::parse(b"\n\"\xff\" \"x\"").unwrap_err();
    assert_eq!(not_text, (2, LineError::NotUtf8));
}

#[test]
fn a_user_has_one_verifier_and_there_are_not_too_many() {
    let line = |user: &str| format!("\"{user}\" \"{VERIFIER}\"\n");
    let twice = [line("a"), line("b"), line("a")].concat();
    assert_eq!(refused(&twice), (3, LineError::Duplicate { first: 1 }));
    // All in as few bytes as there may be, or the file would be too long before.
    let many: String = (0..USERS_MAX).map(|n| line(&n.to_string())).collect();
    assert_eq!(Verifiers::parse(many.as_bytes()).unwrap().len(), USERS_MAX);
    assert_eq!(refused(&(many + &line("x"))), (USERS_MAX + 1, LineError::TooMany));
}

#[test]
fn files_are_read_up_to_their_limit_and_errors_show_nothing_of_them() {
    let dir = std::env::temp_dir().join(format!("dbproxy-verifiers-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("users.txt");
    std::fs::write(&path, format!("\"jane\" \"{VERIFIER}\"\n")).unwrap();
    let may = |mode| std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    // Whoever may write it could add a user.
    for mode in [0o620, 0o602, 0o666] {
        may(mode);
        let error = Verifiers::load(&path).unwrap_err();
        assert!(error.to_string().contains("chmod go-w"), "{mode:o}: {error}");
    }
    for (mode, is_exposed) in [(0o644, true), (0o640, false), (0o600, false)] {
        may(mode);
        let verifiers = Verifiers::load(&path).unwrap();
        assert_eq!(
            (verifiers.len(), verifiers.is_exposed()),
            (1, is_exposed),
            "{mode:o}"
        );
    }
    std::fs::write(&path, "\n\"hunter1\" \"hunter2\"\n").unwrap();
    let error = Verifiers::load(&path).unwrap_err();
    let shown = format!("{error} {error:?} {:?}", error.source().map(ToString::to_string));
    assert!(
        shown.contains("line 2") && shown.contains("plain text") && !shown.contains("hunter"),
        "{shown}"
    );
    std::fs::write(&path, ";".repeat(FILE_BYTES_MAX)).unwrap();
    assert!(Verifiers::load(&path).unwrap().is_empty());
    std::fs::write(&path, ";".repeat(FILE_BYTES_MAX + 1)).unwrap();
    assert!(matches!(
        Verifiers::load(&path),
        Err(VerifiersError::TooLong { .. })
    ));
    assert!(matches!(Verifiers::load(&dir), Err(VerifiersError::Read { .. })));
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(matches!(Verifiers::load(&path), Err(VerifiersError::Read { .. })));
}

#[test]
fn somebody_unknown_looks_like_most_others() {
    let none = Verifiers::default();
    assert_eq!(
        none.find_or_mock("x", &SEED).to_text(),
        Verifier::mock("x", &SEED).to_text()
    );
    let slower = slower();
    let text = format!("\"a\" \"{VERIFIER}\"\n\"b\" \"{slower}\"\n\"c\" \"{slower}\"\n");
    let verifiers = Verifiers::parse(text.as_bytes()).unwrap();
    assert_eq!(&*verifiers.find_or_mock("a", &SEED).to_text(), VERIFIER);
    let mock = verifiers.find_or_mock("x", &SEED);
    assert_eq!((mock.iterations(), mock.salt().len()), (10_000, 16));
    assert_eq!(mock.to_text(), verifiers.find_or_mock("x", &SEED).to_text());
    assert_ne!(mock.to_text(), verifiers.find_or_mock("y", &SEED).to_text());
}

proptest! {
    #[test]
    fn users_written_are_users_found(users in prop::collection::hash_set("[^\0\n]{1,12}", 0..8)) {
        let text: String = users
            .iter()
            .map(|user| format!("\"{}\" \"{VERIFIER}\"\n", user.replace('"', "\"\"")))
            .collect();
        let verifiers = Verifiers::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(verifiers.len(), users.len());
        for user in &users {
            prop_assert!(verifiers.find(user).is_some());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"\" \n;SCRAM-SHA-256$".to_vec())], 0..200),
    ) {
        let _ = Verifiers::parse(&bytes);
    }
}
