//! Names that PostgreSQL or RDS keeps for itself.

use crate::domain::name::NameError;
use crate::provision::name::{Database, RoleName, SchemaName};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    #[error("`{0}`: {1}")]
    Illegal(String, NameError),
    #[error("`{0}`: names of PostgreSQL itself begin with `pg_`; choose another")]
    System(String),
    #[error("`{0}` is kept by RDS for itself; choose another")]
    Rds(String),
    #[error("`{0}` is a word of SQL, not a name; choose another")]
    Word(String),
    #[error("`{0}` is not a database of applications; choose another")]
    Template(String),
}

/// A db role or db user (PostgreSQL manual, "CREATE ROLE"; RDS User Guide, "Understanding the rds_superuser role").
pub fn role(name: &str) -> Result<RoleName, BadName> {
    let valid = RoleName::new(name).map_err(|error| BadName::Illegal(name.to_owned(), error))?;
    match name {
        "public" | "none" => Err(BadName::Word(name.to_owned())),
        _ if name.starts_with("pg_") => Err(BadName::System(name.to_owned())),
        _ if name.starts_with("rds_") || name == "rdsadmin" => Err(BadName::Rds(name.to_owned())),
        _ => Ok(valid),
    }
}

/// A role that the manifest only speaks of.
pub fn anybody(name: &str) -> Result<RoleName, BadName> {
    RoleName::new(name).map_err(|error| BadName::Illegal(name.to_owned(), error))
}

pub fn database(name: &str) -> Result<Database, BadName> {
    let valid = Database::new(name).map_err(|error| BadName::Illegal(name.to_owned(), error))?;
    match name {
        "template0" | "template1" => Err(BadName::Template(name.to_owned())),
        "rdsadmin" => Err(BadName::Rds(name.to_owned())),
        _ => Ok(valid),
    }
}

pub fn schema(name: &str) -> Result<SchemaName, BadName> {
    let valid = SchemaName::new(name).map_err(|error| BadName::Illegal(name.to_owned(), error))?;
    match name.starts_with("pg_") || name == "information_schema" {
        true => Err(BadName::System(name.to_owned())),
        false => Ok(valid),
    }
}

/// `pg_trgm`; a question mark after it is the manifest's own.
pub fn is_extension(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    (1..=63).contains(&name.len()) && name.bytes().all(legal)
}

/// Of a setting: `statement_timeout`, `auto_explain.log_min_duration`.
pub fn is_setting(name: &str) -> bool {
    let first = name
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"_.$".contains(&b);
    first && name.len() <= 127 && name.bytes().all(legal)
}
