//! Sizes of documents.

use super::{made, printed};
use crate::provision::iam::document::{
    MANAGED_MAX, ROLE_INLINE_MAX, Statement, USER_INLINE_MAX, pack, weight,
};
use crate::provision::iam::{Mistake, Placement};
use std::collections::BTreeSet;
use std::fmt::Write as _;

fn document(statements: &[Statement]) -> usize {
    let document = crate::provision::iam::document::Document {
        name: String::new(),
        statements: statements.to_vec(),
    };
    weight(&document.json())
}

#[test]
fn a_document_is_filled_to_its_last_character() {
    let resources: BTreeSet<String> = ["aa", "bbb", "c\"c"].map(str::to_owned).into();
    let statements = [
        Statement::new(&["a:b"], resources),
        Statement::new(&["c:d", "e:f"], BTreeSet::from(["g".to_owned()])),
    ];
    let whole = document(&statements);
    assert_eq!(pack(&statements, whole).unwrap(), [statements.to_vec()]);
    let two = pack(&statements, whole - 1).unwrap();
    assert_eq!(two, [statements[..1].to_vec(), statements[1..].to_vec()]);
    for limit in 75..whole {
        let Some(packed) = pack(&statements, limit) else {
            continue;
        };
        let pieces = packed.iter().flatten().map(|statement| statement.resources.len());
        assert_eq!(pieces.sum::<usize>(), 4, "{limit}");
        for statements in packed {
            assert!(document(&statements) <= limit, "{limit}");
        }
    }
    assert_eq!(pack(&statements, 60), None);
}

/// `count` users that one principal may be.
fn many(count: usize, principal: &str) -> String {
    let head =
        "[clusters.c]\naccount_id = '111122223333'\nregion = 'eu-west-1'\nresource_ids = ['cluster-A']\n";
    let mut text = head.to_owned();
    for number in 0..count {
        writeln!(text, "users.u{number:04}.principals = ['{principal}']").unwrap();
    }
    text
}

#[test]
fn what_does_not_fit_inside_is_attached() {
    for (kind, inline) in [("role", ROLE_INLINE_MAX), ("user", USER_INLINE_MAX)] {
        let principal = format!("arn:aws:iam::111122223333:{kind}/r");
        // With quotes and a comma, which the last has not; around them stand 97 characters.
        let each = "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-A/u0000".len() + 3;
        let fits = (inline - 97 + 1) / each;
        let one = made(&many(fits, &principal)).unwrap();
        assert_eq!(one.bundles[0].placement, Placement::Inline);
        assert_eq!(one.bundles[0].documents[0].name, "dbproxy-connect-1");

        let many = many(fits + 1, &principal);
        let two = made(&many).unwrap();
        assert_eq!(two.bundles[0].placement, Placement::Managed);
        let names = two.bundles[0]
            .documents
            .iter()
            .map(|document| document.name.as_str());
        for (number, name) in names.enumerate() {
            assert_eq!(name, format!("dbproxy-connect-{kind}-r-{}", number + 1));
        }
        let all = printed(&many);
        for policy in all[&principal]["policies"].as_object().unwrap().values() {
            let text = format!("{policy:#}");
            let size = text.chars().filter(|c| !c.is_whitespace()).count();
            assert!(size <= MANAGED_MAX, "{size}");
        }
    }
}

#[test]
fn what_cannot_be_attached_is_a_mistake() {
    let principal = "arn:aws:iam::111122223333:role/r";
    let note = made(&many(1_200, principal)).unwrap().notes;
    assert!(
        note[0].contains("managed policies, and an account allows 10"),
        "{note:?}"
    );
    let mistakes = made(&many(2_400, principal)).unwrap_err().0;
    assert!(matches!(mistakes[..], [Mistake::TooMany { .. }]), "{mistakes:?}");
    let long = many(1, principal).replace("cluster-A", &format!("cluster-{}", "A".repeat(11_000)));
    let mistakes = made(&long).unwrap_err().0;
    assert!(matches!(mistakes[..], [Mistake::TooLong { .. }]), "{mistakes:?}");

    let mut cross = many(1, principal)
        + "[[clusters.c.cross_account]]\nname = 'x'\nexternal_id = 'secret'\nusers = ['u0000']\ntrusts = [";
    for number in 0..40 {
        write!(cross, "'arn:aws:iam::444455556666:role/monitoring-{number}', ").unwrap();
    }
    let mistakes = made(&(cross + "]\n")).unwrap_err().0;
    assert!(matches!(mistakes[..], [Mistake::Trusts { .. }]), "{mistakes:?}");
}
