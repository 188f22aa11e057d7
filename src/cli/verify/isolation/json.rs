//! The verdict as programs read it.

use crate::domain::name::TargetName;
use crate::provision::isolation::login::Login;
use crate::provision::isolation::verdict::{Cell, Finding, Level, Verdict, Weight};
use crate::provision::name::{Database, RoleName, SchemaName};
use serde_json::{Map, Value, json};

pub fn of(cluster: &TargetName, verdict: &Verdict) -> Value {
    let list = |weight| verdict.of(weight).map(finding).collect::<Value>();
    json!({
        "cluster": cluster.as_str(),
        "isolated": verdict.is_isolated(),
        "matrix": verdict.cells.iter().map(cell).collect::<Value>(),
        "breaks": list(Weight::Breaks),
        "unknown": list(Weight::Unknown),
        "notes": list(Weight::Note),
    })
}

fn cell(((user, database), cell): (&(RoleName, Database), &Cell)) -> Value {
    let (login, why) = match &cell.login {
        Login::In => ("in", None),
        Login::Shut => ("shut", None),
        Login::NotTried(why) => ("not tried", why.as_deref()),
    };
    json!({
        "db_user": user.as_str(),
        "database": database.as_str(),
        "found": name(cell.found),
        "expected": name(cell.expected),
        "schemas": schemas(cell),
        "more": cell.more,
        "less": cell.less,
        "looked_inside": !cell.unseen,
        "login": login,
        "not_tried_because": why,
        "disagrees": cell.disagrees(),
    })
}

fn schemas(cell: &Cell) -> Value {
    let named = |(schema, level): (&SchemaName, &Level)| (schema.to_string(), json!(name(*level)));
    Value::Object(cell.schemas.iter().map(named).collect::<Map<_, _>>())
}

fn name(level: Level) -> &'static str {
    match level {
        Level::None => "none",
        level => level.as_str(),
    }
}

fn finding(finding: &Finding) -> Value {
    json!({
        "kind": finding.kind.as_str(),
        "database": finding.database.as_ref().map(Database::as_str),
        "db_users": finding.users.iter().map(RoleName::as_str).collect::<Value>(),
        "what": finding.what,
        "mends": finding.mends,
    })
}
