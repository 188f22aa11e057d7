//! A target that is an RDS endpoint name, or a broker, on the command line and a few flags.

use super::{Defaults, Described, read};
use crate::config::section::{Problems, Section};
use crate::config::source::Environment;
use crate::config::values::{POSTGRES_PORT, host_port};
use crate::domain::endpoint::EndpointName;
use crate::domain::name::TargetName;
use crate::domain::target::Target;
use std::cell::RefCell;
use std::path::PathBuf;
use toml::{Table, Value};

/// What the flags give to targets that are named by their endpoint.
#[derive(Debug, Default, Clone)]
pub struct AdHoc {
    pub db_users: Vec<String>,
    pub region: Option<String>,
    pub ca_file: Option<PathBuf>,
    /// Another dbproxy, as `host` or `host:port`.
    pub via: Option<String>,
    /// Its name, where that is not its host.
    pub audience: Option<String>,
}

/// The flags and `[defaults]` become the table of a target, so that they are judged by its rules.
pub fn read_ad_hoc(
    text: &str,
    given: &AdHoc,
    defaults: &Defaults,
    taken: &dyn Fn(&TargetName) -> bool,
    problems: &RefCell<Problems>,
    environment: Environment<'_>,
) -> Option<Target> {
    let mut section = Section::new(text, Table::new(), problems);
    section.fill("endpoint", Value::from(text), text);
    let name = name_of(&section, text, taken)?;
    fill_flags(&mut section, given);
    defaults.fill(&mut section);
    section.fill("db_users", Value::from("*"), "--db-user");
    read(
        name.as_str(),
        section,
        Described::OnCommandLine,
        (environment, None),
    )
}

/// A broker. `[defaults]` are of databases: none of them is meant for it.
pub fn read_via(
    text: &str,
    given: &AdHoc,
    taken: &dyn Fn(&TargetName) -> bool,
    problems: &RefCell<Problems>,
    environment: Environment<'_>,
) -> Option<Target> {
    let mut section = Section::new("--via", Table::new(), problems);
    section.fill("endpoint", Value::from(text), "--via");
    let name = name_of(&section, text, taken)?;
    fill_flags(&mut section, given);
    let mut credential = Table::new();
    credential.insert("kind".to_owned(), Value::from("broker"));
    if let Some(audience) = &given.audience {
        credential.insert("audience".to_owned(), Value::from(audience.as_str()));
    }
    section.fill("credential", Value::Table(credential), "--via");
    read(
        name.as_str(),
        section,
        Described::OnCommandLine,
        (environment, None),
    )
}

fn name_of(section: &Section<'_>, text: &str, taken: &dyn Fn(&TargetName) -> bool) -> Option<TargetName> {
    let at = section.convert("endpoint", host_port(text, POSTGRES_PORT))?;
    let name = free_name(&EndpointName::parse(&at.host).host, taken)
        .ok_or("no name is free for this target; configure it with one");
    section.convert("endpoint", name)
}

fn fill_flags(section: &mut Section<'_>, given: &AdHoc) {
    if let Some(region) = &given.region {
        section.fill("region", Value::from(region.as_str()), "--region");
    }
    if let Some(file) = &given.ca_file {
        section.fill(
            "ca_file",
            Value::from(file.to_string_lossy().into_owned()),
            "--ca-file",
        );
    }
    if let Some(first) = given.db_users.first() {
        section.fill("db_users", Value::from(given.db_users.clone()), "--db-user");
        if first != "*" {
            section.fill("default_db_user", Value::from(first.as_str()), "--db-user");
        }
    }
}

/// A short name for an endpoint that no other target has: its first label, or all of it, or the
/// label with a number.
pub fn free_name(host: &str, taken: &dyn Fn(&TargetName) -> bool) -> Option<TargetName> {
    let label = host.split('.').next().unwrap_or(host);
    let stem: String = label.chars().take(58).collect();
    let numbered = (2..10_000).map(|number| format!("{stem}-{number}"));
    [label.to_owned(), host.to_owned()]
        .into_iter()
        .chain(numbered)
        .filter_map(|name| TargetName::new(name).ok())
        .find(|name| !taken(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_free_in_the_end() {
        let name = |host: &str, taken: &[&str]| {
            let name = free_name(host, &|name| taken.contains(&name.as_str()));
            name.unwrap().to_string()
        };
        assert_eq!(name("a.b.c", &[]), "a");
        assert_eq!(name("a.b.c", &["a"]), "a.b.c");
        assert_eq!(name("a.b.c", &["a", "a.b.c", "a-2"]), "a-3");
        let long = format!("{}.{}", "x".repeat(63), "y".repeat(9));
        assert_eq!(name(&long, &[&"x".repeat(63)]), format!("{}-2", "x".repeat(58)));
    }
}
