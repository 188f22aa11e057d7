//! Answers with holes.

use super::*;

const DOCUMENT: &str = "{\"Statement\":[]}";

fn one(kind: PrincipalKind, name: &str) -> Principal {
    let word = match kind {
        PrincipalKind::Role => "role",
        PrincipalKind::User => "user",
        PrincipalKind::Group => "group",
    };
    Principal {
        kind,
        arn: format!("arn:aws:iam::111122223333:{word}/{name}"),
        name: name.to_owned(),
        held: Held {
            inline: vec![("main".to_owned(), DOCUMENT.to_owned())],
            attached: vec!["arn:aws:iam::aws:policy/P".to_owned()],
        },
        groups: Vec::new(),
        trust: (kind == PrincipalKind::Role).then(|| DOCUMENT.to_owned()),
        tags: Vec::new(),
    }
}

fn details() -> Details {
    let mut user = one(PrincipalKind::User, "u");
    user.groups.push("g".to_owned());
    Details {
        principals: vec![
            user,
            one(PrincipalKind::Role, "r"),
            one(PrincipalKind::Group, "g"),
        ],
        policies: vec![Policy {
            arn: "arn:aws:iam::aws:policy/P".to_owned(),
            name: "P".to_owned(),
            document: DOCUMENT.to_owned(),
            default_version: "v1".to_owned(),
            versions: vec!["v1".to_owned()],
        }],
    }
}

fn read(change: impl FnOnce(&mut Details)) -> Result<Found, Holes> {
    let mut details = details();
    change(&mut details);
    Found::of("aws", AccountId::new("111122223333").unwrap(), &details)
}

#[test]
fn what_is_not_told_is_a_mistake_and_not_nothing() {
    let found = read(|_| {}).unwrap();
    let user = &found.principals["arn:aws:iam::111122223333:user/u"];
    assert_eq!(
        (user.groups.len(), found.groups.len(), found.managed.len()),
        (1, 1, 1)
    );
    type Break = fn(&mut Details);
    let broken: [(Break, &str); 8] = [
        (
            |all| all.policies.clear(),
            "user/u has the policy arn:aws:iam::aws:policy/P",
        ),
        (|all| drop(all.principals.pop()), "in the group `g`"),
        (
            |all| all.policies[0].document.clear(),
            "policy arn:aws:iam::aws:policy/P is no JSON",
        ),
        (
            |all| all.principals[0].held.inline[0].1 = "100%".to_owned(),
            "policy main of arn:aws:iam::111122223333:user/u",
        ),
        (
            |all| all.principals[1].held.inline[0].1 = "[]".to_owned(),
            "role/r is no JSON object",
        ),
        (
            |all| all.principals[2].held.inline[0].1.clear(),
            "group/g is no JSON",
        ),
        (
            |all| all.principals[1].trust = None,
            "the trust policy of arn:aws:iam::111122223333:role/r",
        ),
        (
            |all| all.principals[2].held.attached.push("x".to_owned()),
            "group/g has the policy x",
        ),
    ];
    for (change, expected) in broken {
        let told = read(change).unwrap_err().to_string();
        assert!(told.contains(expected), "{told}");
    }
    let many = read(|all| {
        let user = all.principals[0].clone();
        all.principals.extend(std::iter::repeat_n(user, 20));
        all.policies.clear();
    });
    assert_eq!(many.unwrap_err().0.len(), TOLD_MAX + 1);
}
