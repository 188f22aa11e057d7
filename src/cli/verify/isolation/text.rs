//! The verdict as people read it: the matrix, what its marks mean, what breaks isolation, notes.

use crate::cli::output::{self, line, printable};
use crate::domain::name::TargetName;
use crate::provision::isolation::login::Login;
use crate::provision::isolation::verdict::{Cell, Finding, Verdict, Weight};
use crate::provision::name::RoleName;
use std::collections::BTreeMap;

type Has = fn(&Cell) -> bool;

const MARKS: [(&str, Has, &str); 4] = [
    ("!", |cell| !cell.more.is_empty(), "more than the manifest says"),
    ("<", |cell| !cell.less.is_empty(), "less than the manifest says"),
    ("≠", Cell::disagrees, "the login went otherwise"),
    ("?", |cell| cell.unseen, "nobody looked inside"),
];

/// Users of a finding that are named.
const NAMED: usize = 6;

pub fn show(cluster: &TargetName, verdict: &Verdict) {
    matrix(verdict);
    for (mark, has, means) in MARKS {
        if verdict.cells.values().any(has) {
            line(&format!("{mark} {means}"));
        }
    }
    line(&logins(verdict));
    let breaks: Vec<&Finding> = verdict.of(Weight::Breaks).collect();
    let unknown: Vec<&Finding> = verdict.of(Weight::Unknown).collect();
    let notes: Vec<&Finding> = verdict.of(Weight::Note).collect();
    list("breaks isolation:", &breaks, true);
    list("not looked at:", &unknown, true);
    list("notes:", &notes, false);
    line("");
    line(&match (breaks.len(), unknown.len()) {
        (0, 0) => format!("cluster {cluster} is as the manifest says, and its tenants are apart"),
        (0, _) => format!("nothing is known to break the isolation of cluster {cluster}"),
        (1, _) => format!("cluster {cluster}: 1 thing breaks isolation"),
        (count, _) => format!("cluster {cluster}: {count} things break isolation"),
    });
}

fn matrix(verdict: &Verdict) {
    let databases = verdict.databases.iter();
    let names: Vec<String> = databases.map(|name| printable(name.as_str())).collect();
    let header: Vec<&str> = std::iter::once("DB USER")
        .chain(names.iter().map(String::as_str))
        .collect();
    let rows = verdict.users.iter().map(|user| {
        let cells = verdict.databases.iter().map(|database| {
            let cell = verdict.cells.get(&(user.clone(), database.clone()));
            cell.map(shown).unwrap_or_default()
        });
        std::iter::once(user.to_string()).chain(cells).collect()
    });
    output::table(&header, &rows.collect::<Vec<Vec<String>>>());
}

fn shown(cell: &Cell) -> String {
    let marks = MARKS.iter().filter(|(_, has, _)| has(cell));
    let marks: String = marks.map(|(mark, ..)| *mark).collect();
    format!("{}{marks}", cell.found.as_str())
}

/// How many were tried, and who could not be.
fn logins(verdict: &Verdict) -> String {
    let tried = verdict.cells.values();
    let tried = tried.filter(|cell| !matches!(cell.login, Login::NotTried(_)));
    let count = tried.count();
    let mut why: BTreeMap<&str, Vec<&RoleName>> = BTreeMap::new();
    for ((user, _), cell) in &verdict.cells {
        if let Login::NotTried(Some(reason)) = &cell.login {
            let users = why.entry(reason).or_default();
            if users.last() != Some(&user) {
                users.push(user);
            }
        }
    }
    let why: Vec<String> = why
        .into_iter()
        .map(|(reason, users)| format!("; not tried: {}: {}", printable(reason), some(users)))
        .collect();
    match (count, why.is_empty()) {
        (0, true) => "logins: none tried".to_owned(),
        _ => format!("logins: {count} tried{}", why.concat()),
    }
}

fn list(title: &str, findings: &[&Finding], is_wrong: bool) {
    if !findings.is_empty() {
        line("");
        line(title);
    }
    for finding in findings {
        let place = match &finding.database {
            Some(database) => format!(" in {:?}", database.as_str()),
            None => String::new(),
        };
        let users = match finding.users.is_empty() {
            true => String::new(),
            false => format!(" {}:", some(&finding.users)),
        };
        let head = format!("[{}]{place}{users} {}", finding.kind.as_str(), finding.what);
        let head = printable(&head);
        line(&match is_wrong {
            true => format!("  {}", output::red(&head)),
            false => format!("  {head}"),
        });
        line(&format!("      {}", printable(&finding.mends)));
    }
}

fn some<'a>(users: impl IntoIterator<Item = &'a RoleName>) -> String {
    let users: Vec<&str> = users.into_iter().map(RoleName::as_str).collect();
    let few: Vec<&str> = users.iter().take(NAMED).copied().collect();
    match users.len().saturating_sub(NAMED) {
        0 => few.join(", "),
        more => format!("{} and {more} more", few.join(", ")),
    }
}
