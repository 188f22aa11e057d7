//! Who may assume the cross-account roles, and how.

use super::Account;
use super::holder::shown;
use super::rule::{Side, statements, texts};
use crate::provision::drift::finding::{Finding, Mend};
use crate::provision::drift::kind::Kind;
use crate::provision::iam::document::ASSUME;
use crate::provision::iam::entitled::Made;
use crate::provision::iam::found::FoundRole;
use serde_json::Value;
use std::collections::BTreeSet;

/// Other ways into a role, of no use here.
const OTHER_WAYS: [&str; 2] = ["sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity"];
const EXTERNAL_ID: &str = "sts:ExternalId";

pub fn findings(account: &Account<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for bundle in account.bundles() {
        let holder = bundle.holder.to_string();
        let principal = account.principal(&holder);
        // That the role is not there is told with its policies.
        let (Some(made), Some(role)) = (&bundle.made, principal.and_then(|(_, one)| one.role.as_ref()))
        else {
            continue;
        };
        findings.extend(differences(made, role).into_iter().map(|what| Finding {
            kind: Kind::TrustChanged,
            cluster: cluster(account, &holder),
            database: None,
            subject: shown(&holder),
            what,
            mend: Mend::Edit(format!(
                "give the role the trust policy and session length that `dbproxy iam-policy --principal {holder}` prints"
            )),
        }));
    }
    findings
}

fn cluster(account: &Account<'_>, role: &str) -> Option<crate::domain::name::TargetName> {
    let name = role.rsplit('/').next().unwrap_or(role);
    let is_its = |cross: &crate::provision::manifest::CrossAccount| cross.name == name;
    let mut sites = account.sites.iter();
    let site = sites.find(|site| site.cluster.cross_account.iter().any(is_its))?;
    Some(site.name.clone())
}

fn differences(made: &Made, role: &FoundRole) -> Vec<String> {
    let trusted: BTreeSet<String> = made.trusts.iter().map(ToString::to_string).collect();
    let mut others = BTreeSet::new();
    let (mut without_id, mut with_other_id) = (false, false);
    let mut allowed: [BTreeSet<String>; 3] = Default::default();
    let allows = |statement: &&Value| statement.get("Effect").and_then(Value::as_str) == Some("Allow");
    for statement in statements(&role.trust).into_iter().filter(allows) {
        let does = |action: &str| Side::actions(statement).covers(&action.to_ascii_lowercase(), true);
        let whom = principals(statement);
        let [assume, ..] = ASSUME;
        if does(assume) || OTHER_WAYS.into_iter().any(does) {
            others.extend(whom.difference(&trusted).cloned());
        }
        if does(assume) {
            match external_id(statement).as_deref() {
                None => without_id = true,
                Some([own]) if *own == made.external_id => {}
                Some(_) => with_other_id = true,
            }
        }
        for (action, allowed) in ASSUME.into_iter().zip(&mut allowed) {
            if does(action) {
                allowed.extend(whom.iter().cloned());
            }
        }
    }
    let mut told = Vec::new();
    if !others.is_empty() {
        let others: Vec<String> = others.iter().map(|other| format!("`{other}`")).collect();
        told.push(format!(
            "trusts {} too, whom the manifest does not name",
            others.join(", ")
        ));
    }
    if without_id {
        told.push("can be assumed without the external id of the manifest".to_owned());
    }
    if with_other_id {
        told.push("asks for another external id than the manifest says".to_owned());
    }
    for (action, allowed) in ASSUME.into_iter().zip(allowed) {
        let lacking = trusted.difference(&allowed);
        told.extend(lacking.map(|who| format!("does not trust `{who}` for {action}, as the manifest says")));
    }
    if let Some(found) = role.max_session.filter(|found| *found != made.max_session) {
        let (found, wanted) = (found.as_secs(), made.max_session.as_secs());
        told.push(format!(
            "its sessions live {found} s at most, and {wanted} s by the manifest"
        ));
    }
    told
}

/// ARNs, services and issuers alike; `*` is everybody.
fn principals(statement: &Value) -> BTreeSet<String> {
    let own = |value: &Value| texts(value).into_iter().map(str::to_owned).collect::<Vec<_>>();
    match (statement.get("Principal"), statement.get("NotPrincipal")) {
        (Some(Value::Object(kinds)), _) => kinds.values().flat_map(own).collect(),
        (Some(one), _) => own(one).into_iter().collect(),
        (None, Some(_)) => BTreeSet::from(["everybody but some (NotPrincipal)".to_owned()]),
        (None, None) => BTreeSet::new(),
    }
}

/// What a caller must say. `None`: it need not (`…IfExists` lets in who says nothing).
fn external_id(statement: &Value) -> Option<Vec<&str>> {
    let conditions = statement.get("Condition").and_then(Value::as_object)?;
    let equals = conditions
        .iter()
        .find(|(operator, _)| operator.eq_ignore_ascii_case("StringEquals"))?;
    let keys = equals.1.as_object()?;
    let id = keys
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(EXTERNAL_ID))?;
    Some(texts(id.1))
}
