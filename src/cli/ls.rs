//! `dbproxy ls`

use super::args::{Format, Ls};
use super::exit::Failure;
use super::{output, settings};
use crate::config::Settings;
use crate::config::check::CommandLine;
use crate::domain::name::{DatabaseName, DbUser};
use crate::domain::target::{Target, Users};
use std::process::ExitCode;

pub fn run(flags: &Ls) -> Result<ExitCode, Failure> {
    let settings = settings(&flags.common, CommandLine::default())?;
    match flags.output {
        Format::Json => output::line(&json(&settings).to_string()),
        Format::Text => {
            let rows: Vec<_> = settings
                .targets
                .iter()
                .map(|target| row(&settings, target))
                .collect();
            output::table(&["TARGET", "ENDPOINT", "LISTEN", "DB USERS", "DATABASES"], &rows);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(settings: &Settings, target: &Target) -> Vec<String> {
    vec![
        target.name.to_string(),
        target.token.to_string(),
        addresses(settings, target).join(" "),
        users(target).join(" "),
        match target.databases.as_slice() {
            [] => "any".to_owned(),
            _ => databases(target).join(" "),
        },
    ]
}

fn json(settings: &Settings) -> serde_json::Value {
    let target = |target: &Target| {
        serde_json::json!({
            "target": target.name.as_str(),
            "endpoint": target.token.to_string(),
            "region": target.region.as_str(),
            "listen": addresses(settings, target),
            "db_users": users(target),
            "databases": databases(target),
            "default_db_user": target.default_db_user.as_ref().map(DbUser::as_str),
            "default_database": target.default_database.as_ref().map(DatabaseName::as_str),
        })
    };
    settings.targets.iter().map(target).collect()
}

fn addresses(settings: &Settings, target: &Target) -> Vec<String> {
    let own = settings
        .listeners
        .iter()
        .filter(|listener| listener.target == target.name);
    own.map(|listener| listener.address.to_string()).collect()
}

/// Empty means any.
fn databases(target: &Target) -> Vec<&str> {
    target.databases.iter().map(DatabaseName::as_str).collect()
}

fn users(target: &Target) -> Vec<String> {
    match &target.users {
        Users::Any => vec!["*".to_owned()],
        Users::Listed(users) => users.iter().map(DbUser::to_string).collect(),
    }
}
