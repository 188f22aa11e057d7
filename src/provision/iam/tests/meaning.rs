//! Partitions, odd names, accounts of others, and the forms that are printed.

use super::{made, made_with, manifest, printed, sites};
use crate::domain::endpoint::Region;
use crate::provision::iam::provisioner::{Writing, provisioner};
use crate::provision::iam::render::cloudformation::{self, TemplateError};
use crate::provision::iam::render::{commands, json, terraform};
use crate::provision::iam::{Known, Mistake, Placement};
use serde_json::{Value, json};

const HEAD: &str =
    "[clusters.c]\naccount_id = '111122223333'\nregion = 'eu-west-1'\nresource_ids = ['db-A']\n";

fn mistakes(text: &str) -> Vec<Mistake> {
    made(text).unwrap_err().0
}

#[test]
fn arns_are_of_the_partition_of_the_region() {
    for (region, partition) in [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")] {
        let text = HEAD.replace("eu-west-1", region)
            + &format!(
                "users.u.principals = ['arn:{partition}:iam::111122223333:role/r']\n\
                 [[clusters.c.cross_account]]\nname = 'x'\nexternal_id = 'secret'\nusers = ['u']\n\
                 trusts = ['arn:{partition}:iam::444455556666:user/v']\n"
            );
        let all = printed(&text);
        let arn = format!("arn:{partition}:rds-db:{region}:111122223333:dbuser:db-A/u");
        let role = format!("arn:{partition}:iam::111122223333:role/x");
        for holder in [&format!("arn:{partition}:iam::111122223333:role/r"), &role] {
            let statement = &all[holder]["policies"]["dbproxy-connect-1"]["Statement"];
            assert_eq!(statement[0]["Resource"], json!([arn]), "{holder}");
        }
        let foreign = &all[format!("arn:{partition}:iam::444455556666:user/v")]["policies"];
        assert_eq!(
            foreign["dbproxy-connect-1"]["Statement"][0]["Resource"],
            json!([role])
        );
    }
    let known = Known {
        account: Some("111122223333".to_owned()),
        region: Region::new("cn-north-1"),
        resource_id: Some("db-A".to_owned()),
    };
    let text = "[clusters.c]\nusers.u.principals = ['arn:aws:iam::111122223333:role/r']\n";
    assert!(matches!(
        made_with(text, &known).unwrap_err().0[..],
        [Mistake::Partition { .. }]
    ));
}

#[test]
fn what_the_manifest_leaves_out_the_target_says() {
    let text = "[clusters.c]\nusers.u.principals = ['arn:aws:iam::111122223333:role/r']\n";
    let mut known = Known {
        account: Some("111122223333".to_owned()),
        region: Region::new("eu-west-1"),
        resource_id: Some("db-A".to_owned()),
    };
    assert_eq!(made_with(text, &known).unwrap().bundles.len(), 1);
    // The account is known only now, so the judge of the manifest could not tell.
    let foreign = text.replace("111122223333", "444455556666");
    assert!(matches!(
        made_with(&foreign, &known).unwrap_err().0[..],
        [Mistake::Foreign { .. }]
    ));
    let broker = foreign.replace("users.u.principals", "broker_principals");
    assert!(matches!(
        made_with(&broker, &known).unwrap_err().0[..],
        [Mistake::Foreign { .. }]
    ));
    known.resource_id = Some("db-*".to_owned());
    assert!(matches!(
        made_with(text, &known).unwrap_err().0[..],
        [Mistake::Wild { .. }]
    ));
    known.account = Some("mine".to_owned());
    assert!(matches!(
        made_with(text, &known).unwrap_err().0[..],
        [Mistake::Account { .. }]
    ));
    let missing = mistakes(text).len();
    assert_eq!(missing, 3);
}

#[test]
fn names_that_no_policy_can_hold_are_mistakes() {
    let wild = manifest(&format!("{HEAD}provisioner = 'p*'\n"));
    let sites = sites(&wild, &Known::default()).unwrap();
    assert!(matches!(
        provisioner(&sites, None).unwrap_err().0[..],
        [Mistake::Wild { .. }]
    ));
    for name in ["\u{17c}aba", "a\\u0001b", "tab\\tbed"] {
        let text = format!("{HEAD}users.\"{name}\" = {{}}\n");
        assert!(
            matches!(mistakes(&text)[..], [Mistake::Unwritable { .. }]),
            "{name}"
        );
    }
    // Whoever logs in by password needs no policy.
    for name in ["a*", "\u{17c}aba"] {
        let text = format!("{HEAD}users.'{name}'.rds_iam = false\n");
        assert!(made(&text).unwrap().bundles.is_empty(), "{name}");
    }
}

#[test]
fn odd_names_survive_every_form() {
    let name = r#"é "q" 's' \ %{x} a/b:c {{y}}"#;
    let text = format!("{HEAD}users.{name:?}.principals = ['arn:aws:iam::111122223333:role/r+=,.@-_']\n");
    let arn = format!("arn:aws:rds-db:eu-west-1:111122223333:dbuser:db-A/{name}");
    let made = made(&text).unwrap();
    let document = made.bundles[0].documents[0].json();
    assert_eq!(document["Statement"][0]["Resource"], json!([arn]));

    let printed: Value = serde_json::from_str(&json::render(&made)).unwrap();
    assert_eq!(
        printed["arn:aws:iam::111122223333:role/r+=,.@-_"]["policies"]["dbproxy-connect-1"],
        document
    );
    let template: Value = serde_json::from_str(&cloudformation::render(&made).unwrap()).unwrap();
    let (id, resource) = template["Resources"].as_object().unwrap().iter().next().unwrap();
    assert!(id.chars().all(|c| c.is_ascii_alphanumeric()), "{id}");
    assert_eq!(resource["Properties"]["PolicyDocument"], document);
    assert_eq!(resource["Properties"]["RoleName"], "r+=,.@-_");
    let hcl = terraform::render(&made);
    assert!(hcl.contains(r#"/é \"q\" 's' \\ %%{x} a/b:c {{y}}""#), "{hcl}");
    assert!(
        hcl.contains("\"policy_1_of_role_r_x2b__x3d__x2c__x2e__x40_-_\""),
        "{hcl}"
    );
    // What a shell makes of it.
    let command = commands::render(&made);
    let quoted = command.split_once("--policy-document ").unwrap().1;
    let read = quoted.trim_matches('\'').replace("'\\''", "'");
    assert_eq!(serde_json::from_str::<Value>(&read).unwrap(), document);
}

#[test]
fn no_text_is_taken_for_a_template() {
    let text =
        format!("{HEAD}users.\"{{{{resolve:ssm:x}}}}\".principals = ['arn:aws:iam::111122223333:role/r']\n");
    assert_eq!(
        cloudformation::render(&made(&text).unwrap()),
        Err(TemplateError::Reference)
    );
    // Paths of IAM may have `${`, and stand in trust policies.
    let text = format!(
        "{HEAD}users.u = {{}}\n[[clusters.c.cross_account]]\nname = 'x'\nexternal_id = 'secret'\nusers = ['u']\n\
         trusts = ['arn:aws:iam::444455556666:role/${{a}}/v']\n"
    );
    let hcl = terraform::render(&made(&text).unwrap());
    assert!(hcl.contains("role/$${a}/v") && !hcl.contains("/${a}"), "{hcl}");
}

#[test]
fn who_may_for_a_time_is_entitled_until_then() {
    let (r, s) = (
        "arn:aws:iam::111122223333:role/r",
        "arn:aws:iam::111122223333:role/s",
    );
    let text =
        format!("{HEAD}users.u.principals = ['{s}', {{ arn = '{r}', until = 1970-01-01T00:00:10Z }}]\n");
    let manifest = manifest(&text);
    let sites = sites(&manifest, &Known::default()).unwrap();
    let entitled = |seconds: u64| {
        let now = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let bundles = super::policies(&sites, now).unwrap().bundles;
        let all = bundles.iter().map(|bundle| match &bundle.holder {
            crate::provision::iam::Holder::Principal(principal) => principal.to_string(),
            other => panic!("{other:?}"),
        });
        all.collect::<Vec<_>>()
    };
    assert_eq!(entitled(9), [r, s]);
    assert_eq!(entitled(10), [s]);
}

#[test]
fn clusters_are_merged_and_permission_sets_told() {
    let set =
        "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Data_0123456789abcdef";
    let other = HEAD
        .replace("clusters.c", "clusters.d")
        .replace("db-A", "cluster-B");
    let users = format!("users.u.principals = ['{set}', 'arn:aws:iam::111122223333:role/r']\n");
    let made = made(&format!("{HEAD}{users}{other}{users}")).unwrap();
    let arn = |id: &str| format!("arn:aws:rds-db:eu-west-1:111122223333:dbuser:{id}/u");
    assert_eq!(made.bundles.len(), 2);
    for bundle in &made.bundles {
        let document = bundle.documents[0].json();
        assert_eq!(
            document["Statement"][0]["Resource"],
            json!([arn("cluster-B"), arn("db-A")])
        );
    }
    assert_eq!(made.bundles[0].placement, Placement::PermissionSet);
    assert_eq!(made.notes.len(), 1);
    assert!(!cloudformation::render(&made).unwrap().contains("AWSReservedSSO"));
}

#[test]
fn a_role_for_others_is_trusted_with_the_external_id_alone() {
    let cross = "users.u = {}\n[[clusters.c.cross_account]]\nname = 'x'\nexternal_id = 'secret'\nusers = ['u']\n\
                 trusts = ['arn:aws:iam::444455556666:role/v']\nmax_session = '2h'\n";
    let all = printed(&format!("{HEAD}{cross}"));
    let role = &all["arn:aws:iam::111122223333:role/x"]["role"];
    assert_eq!(role["max_session_seconds"], 7200);
    let whom = json!({ "AWS": ["arn:aws:iam::444455556666:role/v"] });
    assert_eq!(
        role["trust"]["Statement"],
        json!([
            { "Effect": "Allow", "Principal": whom, "Action": "sts:AssumeRole",
              "Condition": { "StringEquals": { "sts:ExternalId": "secret" } } },
            { "Effect": "Allow", "Principal": whom, "Action": ["sts:SetSourceIdentity", "sts:TagSession"] },
        ])
    );
    // Of two clusters: one role if they agree.
    let other = HEAD.replace("clusters.c", "clusters.d").replace("db-A", "db-B");
    let second = cross.replace("clusters.c", "clusters.d");
    assert_eq!(
        made(&format!("{HEAD}{cross}{other}{second}"))
            .unwrap()
            .bundles
            .len(),
        2
    );
    let second = second.replace("secret", "other");
    assert!(matches!(
        mistakes(&format!("{HEAD}{cross}{other}{second}"))[..],
        [Mistake::TwoRoles { .. }]
    ));
}

#[test]
fn the_provisioner_changes_nothing_of_rds_and_only_these_roles() {
    let text = format!(
        "{HEAD}users.u.principals = ['arn:aws:iam::111122223333:role/p/r', 'arn:aws:iam::111122223333:user/s']\n"
    );
    let manifest = manifest(&text);
    let sites = sites(&manifest, &Known::default()).unwrap();
    let policies = super::policies(&sites, std::time::SystemTime::UNIX_EPOCH).unwrap();
    let without = json::render(&provisioner(&sites, None).unwrap());
    assert!(
        without.contains("dbuser:db-A/dbproxy_provisioner") && !without.contains("iam:"),
        "{without}"
    );
    let with = json::render(
        &provisioner(
            &sites,
            Some(Writing {
                policies: &policies,
                boundaries: &[].into(),
            }),
        )
        .unwrap(),
    );
    assert!(
        with.contains("iam:PutRolePolicy") && with.contains("role/p/r\""),
        "{with}"
    );
    assert!(!with.contains("Modify") && !with.contains("CreateRole"), "{with}");
    let printed: Value = serde_json::from_str(&with).unwrap();
    for statement in printed["provisioner:111122223333"]["policies"]["dbproxy-provisioner-1"]["Statement"]
        .as_array()
        .unwrap()
    {
        let (resource, action) = (statement["Resource"].to_string(), statement["Action"].to_string());
        let looks = action.contains("rds:Describe") || action.contains("iam:GetAccount");
        assert_eq!(resource.contains("\"*\""), looks, "{statement}");
        // What may be taken from anybody is dbproxy's own.
        let is_wide = resource.contains('*') && !looks;
        assert_eq!(
            is_wide,
            action.contains("iam:De") && action.contains("tach")
                || action.contains("DeleteRole\"")
                || action.contains("DeletePolicy\""),
            "{statement}"
        );
        let own = statement.to_string();
        assert!(
            !is_wide || own.contains("policy/dbproxy-connect-*") || own.contains("managed-by"),
            "{statement}"
        );
    }
}

#[test]
fn with_a_boundary_the_provisioner_writes_only_to_whom_it_holds() {
    let text = format!(
        "{HEAD}users.u.principals = ['arn:aws:iam::111122223333:role/r', 'arn:aws:iam::111122223333:user/s']\n\
         [[clusters.c.cross_account]]\nname = 'x'\nexternal_id = 'secret'\nusers = ['u']\n\
         trusts = ['arn:aws:iam::444455556666:role/v']\n"
    );
    let manifest = manifest(&text);
    let sites = sites(&manifest, &Known::default()).unwrap();
    let policies = super::policies(&sites, std::time::SystemTime::UNIX_EPOCH).unwrap();
    let boundary = "arn:aws:iam::111122223333:policy/limit".to_owned();
    for boundaries in [[].into(), [boundary.clone()].into()] {
        let writing = Writing {
            policies: &policies,
            boundaries: &boundaries,
        };
        let printed = json::render(&provisioner(&sites, Some(writing)).unwrap());
        let printed: Value = serde_json::from_str(&printed).unwrap();
        let documents = printed["provisioner:111122223333"]["policies"]
            .as_object()
            .unwrap();
        let statements = documents
            .values()
            .flat_map(|one| one["Statement"].as_array().unwrap());
        let mut puts = 0;
        for statement in statements {
            let action = statement["Action"].to_string();
            if action.contains("iam:Put") || action.contains("iam:Attach") {
                puts += 1;
                let held = &statement["Condition"]["StringEquals"]["iam:PermissionsBoundary"];
                let expected = if boundaries.is_empty() {
                    Value::Null
                } else {
                    json!([boundary])
                };
                assert_eq!(*held, expected, "{statement}");
            }
            assert!(
                boundaries.is_empty() || !action.contains("iam:CreateRole"),
                "{statement}"
            );
            if action.contains("iam:TagRole") {
                let keys = &statement["Condition"]["ForAllValues:StringEquals"]["aws:TagKeys"];
                assert_eq!(*keys, json!(["managed-by"]));
            }
        }
        assert_eq!(puts, 2);
    }
}
