//! Whatever was wanted before: after the steps there are none left, and what is others' is as it was.

use super::account::{ACCOUNT, arn, principal, with};
use super::made;
use crate::provision::iam::Policies;
use crate::provision::iam::found::{Found, FoundManaged, FoundRole};
use crate::provision::iam::own::is_own_inline;
use crate::provision::iam::rights::Rights;
use crate::provision::step::StepKind;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

const NAMES: [&str; 4] = ["role/app", "role/p/app-2", "user/app", "user/someone"];

/// How many users each principal may be in each of two clusters, who else of them, and roles for others: by number,
/// with how many trust them, the first user, and hours.
type Wanted = ([(usize, usize); 4], usize, BTreeMap<usize, (usize, usize, u64)>);

fn wanted() -> impl Strategy<Value = Wanted> {
    let count = prop_oneof![3 => 0..4_usize, 1 => 100..180_usize, 1 => 20..40_usize];
    let each = (count, 0..3_usize);
    let cross = prop::collection::btree_map(0..3_usize, (1..3_usize, 0..4_usize, 1..4_u64), 0..3);
    (
        [each.clone(), each.clone(), each.clone(), each],
        0..2_usize,
        cross,
    )
}

fn policies((counts, skip, cross): &Wanted) -> Policies {
    let mut text = String::new();
    for (cluster, skip) in [("c", *skip), ("d", 0)] {
        writeln!(text, "[clusters.{cluster}]\naccount_id = '{ACCOUNT}'\nregion = 'eu-west-1'\nresource_ids = ['cluster-{cluster}']").unwrap();
        let most = counts
            .iter()
            .map(|(c, d)| if cluster == "c" { *c } else { *d })
            .max()
            .unwrap()
            .max(4);
        for number in skip..most + skip {
            let who = NAMES
                .iter()
                .zip(counts)
                .filter(|(_, (c, d))| number < skip + if cluster == "c" { *c } else { *d });
            let who: Vec<String> = who
                .map(|(name, _)| format!("'arn:aws:iam::{ACCOUNT}:{name}'"))
                .collect();
            writeln!(text, "users.u{number:03}.principals = [{}]", who.join(", ")).unwrap();
        }
    }
    for (number, (trusts, first, hours)) in cross {
        let trusts: Vec<String> = (0..*trusts)
            .map(|one| format!("'arn:aws:iam::444455556666:role/t{one}'"))
            .collect();
        writeln!(
            text,
            "[[clusters.d.cross_account]]\nname = 'x{number}'\nexternal_id = 'secret{first}'\nusers = ['u00{first}']\n\
             trusts = [{}]\nmax_session = '{hours}h'",
            trusts.join(", ")
        )
        .unwrap();
    }
    made(&text).unwrap()
}

/// An account where others have been busy.
fn busy() -> Found {
    let names: Vec<String> = NAMES
        .iter()
        .map(|name| format!("arn:aws:iam::{ACCOUNT}:{name}"))
        .collect();
    let mut found = with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    found.principals.insert(arn("role", "stranger"), principal(true));
    let managed = arn("policy", "theirs");
    let document = json!({ "Statement": [{ "Effect": "Deny", "Action": "*", "Resource": "*" }] });
    let entry = FoundManaged {
        name: "theirs".into(),
        document: document.clone(),
        versions: vec!["v1".into()],
    };
    found.managed.insert(managed.clone(), entry);
    for one in found.principals.values_mut() {
        one.held.inline.insert("dbproxy-by-hand".into(), document.clone());
        one.held.attached.insert(managed.clone());
    }
    found
}

/// What is not dbproxy's.
fn foreign(found: &Found) -> Value {
    let mut all = BTreeMap::new();
    for (arn, one) in &found.principals {
        let own = one.role.as_ref().is_some_and(FoundRole::is_own);
        let inline = one.held.inline.iter().filter(|(name, _)| !is_own_inline(name));
        let attached = one.held.attached.iter().filter(|arn| !found.is_own_managed(arn));
        let held = json!([inline.collect::<Vec<_>>(), attached.collect::<Vec<_>>()]);
        if !own {
            all.insert(arn, json!([held, one.role.as_ref().map(|role| &role.trust)]));
        }
    }
    json!(all)
}

fn rights(found: &Found) -> BTreeMap<&String, Rights> {
    let principals = found.principals.iter();
    principals
        .map(|(arn, one)| (arn, found.own_rights(&one.held)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn after_the_steps_there_are_none_and_others_see_nothing_of_them(all in prop::collection::vec(wanted(), 2..4)) {
        let mut found = busy();
        let before = foreign(&found);
        for one in &all {
            let wanted = policies(one);
            let start = found.clone();
            let plan = found.difference(&wanted).into_plan().unwrap();
            let mut had: BTreeMap<String, Rights> = BTreeMap::new();
            for step in &plan.steps {
                for call in &step.calls {
                    found.perform(call);
                }
                // Nobody is without what it had and is to have, not for a moment.
                for (arn, rights) in rights(&found) {
                    had.entry(arn.clone()).or_insert_with(|| rights.clone()).retain(|right| rights.contains(right));
                }
            }
            let (start, end) = (rights(&start), rights(&found));
            let mut lost = false;
            for (arn, before) in &start {
                let after = end.get(arn).cloned().unwrap_or_default();
                lost |= !before.is_subset(&after);
                let kept: BTreeSet<&String> = before.intersection(&after).collect();
                if let Some(had) = had.get(*arn) {
                    prop_assert!(kept.iter().all(|right| had.contains(*right)), "{} is without for a moment", arn);
                }
            }
            let marked = plan.steps.iter().any(|step| step.kind == StepKind::Destructive);
            prop_assert!(marked || !lost, "something is taken away without a word");
            prop_assert_eq!(found.difference(&wanted).plan.steps, []);
        }
        prop_assert_eq!(foreign(&found), before);
        // And with nothing wanted nothing is left.
        found.become_(&policies(&(Default::default(), 0, BTreeMap::new())));
        prop_assert_eq!(rights(&found).values().flatten().count(), 0);
        prop_assert_eq!(found.managed.len(), 1);
        prop_assert_eq!(found, busy());
    }
}
