//! Cells of the matrix that are not as the manifest says.

use crate::provision::isolation::facts::Facts;
use crate::provision::isolation::login::Login;
use crate::provision::isolation::verdict::{Cell, Cells, Finding, Kind};
use crate::provision::name::{Database, RoleName};
use crate::provision::wanted::{Privilege, Wanted};

pub(super) fn find(facts: &Facts, wanted: &Wanted, cells: &Cells, findings: &mut Vec<Finding>) {
    absent(facts, wanted, findings);
    for ((user, name), cell) in cells {
        let finding = |kind, what: String, mends: String| Finding {
            kind,
            database: Some(name.clone()),
            users: vec![user.clone()],
            what,
            mends,
        };
        if let Some(more) = unexplained(facts, user, name, cell) {
            let mends = if wanted.databases.contains_key(name) {
                "`dbproxy plan` shows what of it is dbproxy's to take away; what others granted, they must revoke"
            } else {
                "The database is not in the manifest: revoke what PUBLIC and the user's roles have there"
            };
            let what = format!("reaches more than the manifest says: {more}");
            findings.push(finding(Kind::Exceeds, what, mends.to_owned()));
        }
        if !cell.less.is_empty() {
            let what = format!("reaches less than the manifest says: {}", cell.less.join("; "));
            findings.push(finding(Kind::Lacks, what, "`dbproxy apply`".to_owned()));
        }
        if cell.disagrees() {
            let what = match cell.login {
                Login::In => "is let in, though the privilege functions say that it may not connect",
                _ => "is refused, though the privilege functions say that it may connect",
            };
            let mends =
                "Somebody changed privileges meanwhile: look again. If it stays, see the server's log";
            findings.push(finding(Kind::Login, what.to_owned(), mends.to_owned()));
        }
    }
}

/// That everybody may connect is told once, not for every user.
fn unexplained(facts: &Facts, user: &RoleName, name: &Database, cell: &Cell) -> Option<String> {
    let public = facts.databases.get(name).map(|database| &database.public)?;
    let told_anyway = |what: &&String| {
        facts.is_superuser(user)
            || (*what == "may connect" && public.contains(&Privilege::Connect))
            || (*what == "may create schemas" && public.contains(&Privilege::Create))
    };
    let left: Vec<&str> = cell
        .more
        .iter()
        .filter(|what| !told_anyway(what))
        .map(String::as_str)
        .collect();
    (!left.is_empty()).then(|| left.join("; "))
}

fn absent(facts: &Facts, wanted: &Wanted, findings: &mut Vec<Finding>) {
    let is_absent = |name: &&RoleName| {
        let login = wanted.roles.get(*name).is_some_and(|role| role.login);
        login && !facts.cluster.roles.contains_key(*name)
    };
    let users: Vec<RoleName> = wanted.roles.keys().filter(is_absent).cloned().collect();
    let databases = wanted.databases.keys();
    for database in databases.filter(|name| !facts.databases.contains_key(*name)) {
        findings.push(Finding {
            kind: Kind::Absent,
            database: Some(database.clone()),
            users: Vec::new(),
            what: "the database of the manifest is not there, or allows no connections".to_owned(),
            mends: "`dbproxy apply`".to_owned(),
        });
    }
    if !users.is_empty() {
        findings.push(Finding {
            kind: Kind::Absent,
            database: None,
            users,
            what: "db users of the manifest that are not there".to_owned(),
            mends: "`dbproxy apply`".to_owned(),
        });
    }
}
