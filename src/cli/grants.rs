//! `dbproxy grants`: who may be what, by the manifest.

use super::args::Format;
use super::exit::Failure;
use super::output;
use super::provision::args::Grants;
use super::provision::manifest::ManifestFile;
use crate::domain::name::{DbUser, TargetName};
use crate::platform::clock::{Clock, rfc3339};
use crate::provision::manifest::arn::PrincipalArn;
use crate::provision::manifest::{Cluster, DbUserEntry, Grant};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::SystemTime;

const HEADER: [&str; 5] = ["CLUSTER", "DB USER", "ROLES", "RDS_IAM", "PRINCIPALS"];

pub fn run(flags: &Grants) -> Result<ExitCode, Failure> {
    let file = ManifestFile::read(&flags.at.path(flags.config.as_deref())?)?;
    let clusters: Vec<(TargetName, Cluster)> = match &flags.cluster {
        Some(name) => vec![file.cluster(Some(name))?],
        None => file.manifest.clusters.clone().into_iter().collect(),
    };
    let users = || {
        clusters
            .iter()
            .flat_map(|(name, cluster)| cluster.users.iter().map(move |(user, entry)| (name, user, entry)))
    };
    let now = Clock::system().now();
    match flags.output {
        Format::Text => {
            let rows: Vec<_> = users()
                .map(|(cluster, user, entry)| row(cluster, user, entry, now))
                .collect();
            output::table(&HEADER, &rows);
        }
        Format::Json => {
            let all: Value = users()
                .map(|(cluster, user, entry)| shown(cluster, user, entry, now))
                .collect();
            output::line(&all.to_string());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(cluster: &TargetName, user: &DbUser, entry: &DbUserEntry, now: SystemTime) -> Vec<String> {
    let roles = entry
        .roles
        .iter()
        .map(|grant| ending(grant.role.as_str(), grant.until, now));
    let principals = entry.principals.iter();
    let principals = principals.map(|(arn, until)| ending(arn.as_str(), *until, now));
    vec![
        cluster.to_string(),
        user.to_string(),
        or_dash(roles.collect::<Vec<_>>().join(", ")),
        if entry.rds_iam { "yes" } else { "no" }.to_owned(),
        or_dash(principals.collect::<Vec<_>>().join(", ")),
    ]
}

fn or_dash(text: String) -> String {
    match text.is_empty() {
        true => "-".to_owned(),
        false => text,
    }
}

fn ending(name: &str, until: Option<SystemTime>, now: SystemTime) -> String {
    match until {
        None => name.to_owned(),
        Some(until) if until <= now => format!("{name} (ENDED {})", rfc3339(until)),
        Some(until) => format!("{name} (until {})", rfc3339(until)),
    }
}

fn shown(cluster: &TargetName, user: &DbUser, entry: &DbUserEntry, now: SystemTime) -> Value {
    let role = |grant: &Grant| {
        json!({
            "role": grant.role.as_str(),
            "until": grant.until.map(rfc3339),
            "ended": grant.has_ended(now),
        })
    };
    let principal = |(arn, until): (&PrincipalArn, &Option<SystemTime>)| {
        json!({
            "arn": arn.as_str(),
            "until": until.map(rfc3339),
            "ended": until.is_some_and(|until| until <= now),
        })
    };
    json!({
        "cluster": cluster.as_str(),
        "db_user": user.as_str(),
        "roles": entry.roles.iter().map(role).collect::<Vec<_>>(),
        "rds_iam": entry.rds_iam,
        "principals": entry.principals.iter().map(principal).collect::<Vec<_>>(),
    })
}
