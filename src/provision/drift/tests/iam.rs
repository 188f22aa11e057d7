//! What IAM says.

use super::super::iam::{Facts, findings, resource_id};
use super::super::{Finding, Mend};
use super::{kinds, manifest, name, now, told};
use crate::provision::iam::found::{Found, FoundHeld, FoundManaged, FoundPrincipal, FoundRole};
use crate::provision::iam::render::json;
use crate::provision::iam::{Known, Policies, Site, policies};
use crate::provision::inspected::Inspected;
use crate::provision::manifest::arn::AccountId;
use crate::provision::plan::fixture::{FULL, login, role, row, settled};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const OWN: &str = "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-A";
const APP: &str = "arn:aws:iam::111122223333:role/path/app";
const OVER: &str = "arn:aws:iam::111122223333:role/over";

fn account(id: &str) -> Found {
    Found {
        partition: "aws".to_owned(),
        account: AccountId::new(id).unwrap(),
        principals: BTreeMap::new(),
        groups: BTreeMap::new(),
        managed: BTreeMap::new(),
    }
}

/// As if what is printed had been applied.
fn applied(policies: &Policies) -> [Found; 2] {
    let printed: Value = serde_json::from_str(&json::render(policies)).unwrap();
    ["111122223333", "444455556666"].map(|id| {
        let mut found = account(id);
        for (arn, bundle) in printed.as_object().unwrap() {
            if !arn.contains(id) {
                continue;
            }
            let inline = bundle["policies"].as_object().unwrap();
            let trust = bundle.get("role").map(|role| role["trust"].clone());
            let principal = FoundPrincipal {
                held: FoundHeld {
                    inline: inline
                        .iter()
                        .map(|(name, document)| (name.clone(), document.clone()))
                        .collect(),
                    attached: BTreeSet::new(),
                },
                groups: BTreeSet::new(),
                role: Some(FoundRole {
                    trust: trust.unwrap_or(Value::Null),
                    tags: BTreeMap::new(),
                    max_session: None,
                }),
            };
            found.principals.insert(arn.clone(), principal);
        }
        found
    })
}

fn after(change: impl FnOnce(&mut [Found; 2], &mut Inspected)) -> Vec<Finding> {
    let manifest = manifest();
    let (name, cluster) = (name(), &manifest.clusters[&name()]);
    let mut mistakes = Vec::new();
    let site = Site::new(&name, cluster, &Known::default(), &mut mistakes).unwrap();
    let sites = [site];
    let policies = policies(&sites, now()).unwrap();
    let mut found = applied(&policies);
    let mut inspected = settled(&cluster.wanted(now()), 160_010);
    change(&mut found, &mut inspected);
    findings(&Facts {
        sites: &sites,
        inspected: &[(name.clone(), inspected)].into(),
        policies: &policies,
        found: &found,
        other_ids: &BTreeSet::from(["cluster-OTHER".to_owned()]),
    })
}

/// Somebody who has this and no more.
fn with(statement: &Value) -> FoundPrincipal {
    FoundPrincipal {
        held: FoundHeld {
            inline: [("main".to_owned(), json!({ "Statement": [statement] }))].into(),
            attached: BTreeSet::new(),
        },
        groups: BTreeSet::new(),
        role: None,
    }
}

fn connect(resource: &str) -> Value {
    json!({ "Effect": "Allow", "Action": "rds-db:connect", "Resource": resource })
}

/// What is told when a stranger has this.
fn stranger(statement: &Value) -> Vec<Finding> {
    named("stranger", statement)
}

fn named(name: &str, statement: &Value) -> Vec<Finding> {
    after(|[own, _], _| {
        own.principals
            .insert(format!("arn:aws:iam::111122223333:role/{name}"), with(statement));
    })
}

#[test]
fn what_is_applied_as_printed_has_not_drifted() {
    told(&after(|_, _| {}), &[]);
}

#[test]
fn policies_that_are_missing_are_told_and_whom_nobody_can_be() {
    let findings = after(|[own, _], _| {
        own.principals.get_mut(APP).unwrap().held.inline.clear();
    });
    told(
        &findings,
        &["missing_policy role app", "user_nobody_can_be db user \"writer\""],
    );
    let Mend::Edit(mend) = &findings[0].mend else {
        panic!()
    };
    assert!(
        mend.contains(&format!("dbproxy iam-policy --principal {APP} --format cli")),
        "{mend}"
    );
    let findings = after(|[own, there], _| {
        own.principals.remove(OVER);
        there
            .principals
            .values_mut()
            .for_each(|one| one.held.inline.clear());
    });
    assert_eq!(
        kinds(&findings),
        [&["missing_policy"; 4][..], &["user_nobody_can_be"]].concat(),
        "{findings:#?}"
    );
    // Its path does not matter.
    let findings = after(|[own, _], _| {
        let moved = own.principals.remove(APP).unwrap();
        own.principals.insert(APP.replace("path/", "another/"), moved);
    });
    told(&findings, &[]);
    // Under a condition it is given, denied it is not.
    let given = |further: Value| {
        after(move |[own, _], _| {
            let held = &mut own.principals.get_mut(APP).unwrap().held;
            held.inline.clear();
            held.inline.insert(
                "x".to_owned(),
                json!({ "Statement": [connect(&format!("{OWN}/writer")), further] }),
            );
        })
    };
    let condition = json!({ "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } });
    let deny = json!({ "Effect": "Deny", "Action": "rds-db:*", "Resource": format!("{OWN}/w*") });
    let mut maybe = deny.clone();
    maybe["Condition"] = condition;
    told(&given(maybe), &[]);
    assert_eq!(kinds(&given(deny)), ["missing_policy", "user_nobody_can_be"]);
}

#[test]
fn what_the_manifest_does_not_give_is_told() {
    told(
        &stranger(&connect(&format!("{OWN}/writer"))),
        &["extra_policy role stranger"],
    );
    let findings = stranger(&connect(&format!("{OWN}/nobody")));
    told(&findings, &["policy_for_missing_user role stranger"]);
    assert!(
        findings[0]
            .what
            .contains("inline policy main lets it be db user \"nobody\""),
        "{findings:?}"
    );
    told(
        &stranger(&connect(
            &OWN.replace("cluster-A", "cluster-OLD")
                .as_str()
                .to_owned()
                .add("/writer"),
        )),
        &["stale_resource_id role stranger"],
    );
    // The provisioner can be everybody, so who may be it is said of all but those who are meant to.
    let provisioner = connect(&format!("{OWN}/dbproxy_provisioner"));
    let findings = stranger(&provisioner);
    told(&findings, &["extra_policy role stranger"]);
    assert!(
        findings[0]
            .mend
            .text()
            .contains("to `provisioner_principals` of [clusters.c]"),
        "{findings:?}"
    );
    told(&named("deploy", &provisioner), &[]);
    told(&named("path/deploy", &provisioner), &[]);
    // Of other targets, other regions, and roles that are left alone nothing is said.
    for known in [
        format!("{}/writer", OWN.replace("cluster-A", "cluster-OTHER")),
        format!("{}/writer", OWN.replace("eu-west-1", "eu-west-2")),
        format!("{OWN}/known"),
    ] {
        told(&stranger(&connect(&known)), &[]);
    }
    told(
        &named(
            "Admin",
            &json!({ "Effect": "Allow", "Action": "*", "Resource": "*" }),
        ),
        &[],
    );
}

use std::ops::Add;

#[test]
fn wildcards_that_fit_nobody_yet_are_told() {
    // Of a name that fits and is denied nothing is said, nor of one that nobody can have.
    for (resource, denied, is_told) in [
        (format!("{OWN}/adm*"), "x", true),
        (format!("{OWN}/a?m"), "x", true),
        (OWN.replace("cluster-A", "*").add("/adm*"), "x", true),
        ("arn:aws:rds-db:*/ad*".to_owned(), "x", true),
        (format!("{OWN}/adm*"), "admin", true),
        (format!("{OWN}/adm*"), "a*", false),
        (OWN.replace("cluster-A", "cluster-B").add("/adm*"), "x", false),
        (format!("{OWN}/{}*", "a".repeat(64)), "x", false),
    ] {
        let both = [
            connect(&resource),
            json!({ "Effect": "Deny", "Action": "*", "Resource": format!("{OWN}/{denied}") }),
        ];
        let findings = after(|[own, _], _| {
            let mut stranger = with(&both[0]);
            stranger
                .held
                .inline
                .insert("no".to_owned(), json!({ "Statement": [both[1]] }));
            own.principals
                .insert("arn:aws:iam::111122223333:role/stranger".to_owned(), stranger);
        });
        assert_eq!(
            kinds(&findings),
            vec!["wildcard_arn"; usize::from(is_told)],
            "{resource} {denied}: {findings:?}"
        );
        let covers = "db users of cluster c that do not exist yet";
        assert!(
            findings.iter().all(|one| one.what.contains(covers)),
            "{findings:?}"
        );
    }
}

#[test]
fn wildcards_say_what_they_cover() {
    let statement =
        |action: &str, resource: &str| json!({ "Effect": "Allow", "Action": action, "Resource": resource });
    for (action, resource, covers) in [
        ("rds-db:connect", format!("{OWN}/*"), "every db user of cluster c"),
        ("rds-db:*", format!("{OWN}/w*"), "\"writer\" of cluster c"),
        ("*", "*".to_owned(), "every other cluster of the account"),
        (
            "rds-db:connect",
            OWN.replace("cluster-A", "*").add("/nobody"),
            "\"nobody\" of cluster c",
        ),
        (
            "rds-db:connect",
            format!("{OWN}/${{aws:username}}"),
            "every db user of cluster c",
        ),
    ] {
        let findings = stranger(&statement(action, &resource));
        told(&findings, &["wildcard_arn role stranger"]);
        assert!(findings[0].what.contains(covers), "{covers}: {findings:?}");
    }
    for nothing in [
        statement("rds:*", "*"),
        statement("*", "arn:aws:s3:::*"),
        statement(
            "rds-db:connect",
            &format!("{}/*", OWN.replace("eu-west-1", "eu-west-2")),
        ),
        json!({ "Effect": "Allow", "NotAction": "rds-db:*", "Resource": "*" }),
        json!({ "Effect": "Deny", "Action": "*", "Resource": "*" }),
    ] {
        told(&stranger(&nothing), &[]);
    }
    let findings =
        stranger(&json!({ "Effect": "Allow", "NotAction": "iam:*", "NotResource": "arn:aws:s3:::*" }));
    told(&findings, &["wildcard_arn role stranger"]);
    assert!(
        findings[0].what.contains("by NotResource with NotAction"),
        "{findings:?}"
    );
    let mut maybe = statement("rds-db:connect", &format!("{OWN}/*"));
    maybe["Condition"] = json!({ "StringEquals": { "aws:PrincipalTag/team": "x" } });
    let findings = stranger(&maybe);
    assert!(
        findings[0]
            .what
            .contains("allows rds-db:connect under a condition by"),
        "{findings:?}"
    );
}

#[test]
fn groups_and_managed_policies_count() {
    let findings = after(|[own, _], _| {
        let policy = "arn:aws:iam::111122223333:policy/wide";
        let managed = FoundManaged {
            name: "wide".to_owned(),
            document: json!({ "Statement": connect(&format!("{OWN}/writer")) }),
            versions: vec!["v1".to_owned()],
        };
        own.managed.insert(policy.to_owned(), managed);
        let group = "arn:aws:iam::111122223333:group/team";
        let held = FoundHeld {
            inline: BTreeMap::new(),
            attached: [policy.to_owned()].into(),
        };
        own.groups.insert(group.to_owned(), held);
        let user = FoundPrincipal {
            held: FoundHeld::default(),
            groups: [group.to_owned()].into(),
            role: None,
        };
        own.principals
            .insert("arn:aws:iam::111122223333:user/jane".to_owned(), user);
    });
    told(&findings, &["extra_policy user jane"]);
    assert!(
        findings[0]
            .what
            .starts_with("managed policy wide of group team lets it"),
        "{findings:?}"
    );
}

#[test]
fn users_of_the_database_alone_are_told_too() {
    let findings = after(|_, inspected| {
        let mut odd = login();
        odd.member_of.push(row("rds_iam", FULL, "postgres"));
        inspected.roles.insert(role("odd"), odd);
    });
    told(&findings, &["user_nobody_can_be db user \"odd\""]);
}

#[test]
fn changes_of_trust_are_told() {
    let trusting = |change: fn(&mut FoundRole)| {
        after(move |[own, _], _| change(own.principals.get_mut(OVER).unwrap().role.as_mut().unwrap()))
    };
    let said = |findings: &[Finding], what: &str| {
        assert!(
            findings
                .iter()
                .all(|one| one.kind.as_str() == "trust_changed" && one.subject == "role over")
        );
        assert!(
            findings.iter().any(|one| one.what.contains(what)),
            "{what}: {findings:#?}"
        );
    };
    let others = trusting(|role| role.trust["Statement"][0]["Principal"] = json!("*"));
    said(&others, "trusts `*` too");
    said(
        &others,
        "does not trust `arn:aws:iam::444455556666:role/there` for sts:AssumeRole",
    );
    said(
        &trusting(|role| {
            role.trust["Statement"][0]
                .as_object_mut()
                .unwrap()
                .remove("Condition");
        }),
        "without the external id",
    );
    said(
        &trusting(|role| {
            role.trust["Statement"][0]["Condition"] =
                json!({ "StringEquals": { "sts:externalid": ["secret", "b"] } });
        }),
        "another external id",
    );
    said(
        &trusting(|role| {
            role.trust["Statement"][0]["Condition"] =
                json!({ "StringEqualsIfExists": { "sts:ExternalId": "secret" } });
        }),
        "without the external id",
    );
    said(
        &trusting(|role| {
            let web = json!({ "Effect": "Allow", "Principal": { "Federated": "idp" }, "Action": "sts:AssumeRoleWith*" });
            role.trust["Statement"].as_array_mut().unwrap().push(web);
        }),
        "trusts `idp` too",
    );
    said(
        &trusting(|role| {
            role.trust["Statement"].as_array_mut().unwrap().pop();
        }),
        "for sts:TagSession",
    );
    said(
        &trusting(|role| role.max_session = Some(Duration::from_secs(7200))),
        "7200 s at most, and 3600 s",
    );
    told(
        &trusting(|role| role.max_session = Some(Duration::from_secs(3600))),
        &[],
    );
}

#[test]
fn a_configuration_of_another_cluster_is_told() {
    let manifest = manifest();
    let cluster = &manifest.clusters[&name()];
    assert_eq!(resource_id(&name(), cluster, Some("cluster-A")), None);
    assert_eq!(resource_id(&name(), cluster, None), None);
    let found: Vec<_> = resource_id(&name(), cluster, Some("cluster-B"))
        .into_iter()
        .collect();
    told(&found, &["stale_resource_id cluster c"]);
}
