//! What was found, for people and for programs.

use crate::cli::exit::Failure;
use crate::cli::output::{Table, line, printable};
use crate::domain::name::TargetName;
use crate::provision::drift::{Finding, Mend, Severity};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub struct Report {
    pub findings: Vec<Finding>,
    /// Planes, and what of them.
    looked: Vec<(&'static str, String)>,
    not_looked: Vec<(&'static str, String)>,
    pub notes: Vec<String>,
    /// What could not be looked at, and should have been.
    pub failures: Vec<Failure>,
}

impl Report {
    pub fn looked_at(&mut self, plane: &'static str, what: String) {
        self.looked.push((plane, what));
    }

    pub fn not_looked_at(&mut self, plane: &'static str, why: String) {
        self.not_looked.push((plane, why));
    }

    pub fn json(&self) -> Value {
        let finding = |finding: &Finding| {
            json!({
                "kind": finding.kind.as_str(),
                "severity": finding.severity().as_str(),
                "plane": finding.kind.plane().as_str(),
                "cluster": finding.cluster.as_ref().map(TargetName::as_str),
                "database": finding.database,
                "subject": finding.subject,
                "what": finding.what,
                "mend": { finding.mend.how(): finding.mend.text() },
            })
        };
        let looked = |(plane, what): &(&str, String)| json!({ "plane": plane, "what": what });
        let not = |(plane, why): &(&str, String)| json!({ "plane": plane, "why": why });
        json!({
            "findings": self.findings.iter().map(finding).collect::<Vec<_>>(),
            "looked_at": self.looked.iter().map(looked).collect::<Vec<_>>(),
            "not_looked_at": self.not_looked.iter().map(not).collect::<Vec<_>>(),
            "notes": self.notes,
            "errors": self.failures.iter().map(|failure| &failure.message).collect::<Vec<_>>(),
        })
    }

    /// By cluster; what is about none in particular comes last.
    pub fn show(&self) {
        let clusters: BTreeSet<_> = self.findings.iter().map(|finding| &finding.cluster).collect();
        let named = clusters.iter().filter(|name| name.is_some());
        for cluster in named.chain(clusters.iter().filter(|name| name.is_none())) {
            let own = self
                .findings
                .iter()
                .filter(|finding| finding.cluster == **cluster);
            let heading = match cluster {
                Some(name) => format!("cluster {name}:"),
                None => "in no cluster of the manifest:".to_owned(),
            };
            show(&heading, &own.collect::<Vec<_>>());
        }
        if !self.notes.is_empty() {
            line("notes:");
        }
        self.notes
            .iter()
            .for_each(|note| line(&format!("  {}", printable(note))));
        for (heading, all) in [("looked at", &self.looked), ("not looked at", &self.not_looked)] {
            let all: Vec<String> = all
                .iter()
                .map(|(plane, what)| format!("{plane} ({what})"))
                .collect();
            if !all.is_empty() {
                line(&format!("{heading}: {}", printable(&all.join(", "))));
            }
        }
        line(&self.summary());
    }

    fn summary(&self) -> String {
        let of = |severity| {
            self.findings
                .iter()
                .filter(|one| one.severity() == severity)
                .count()
        };
        let could_not = match self.failures.len() {
            0 => String::new(),
            1 => "; 1 thing could not be looked at".to_owned(),
            many => format!("; {many} things could not be looked at"),
        };
        let found = match self.findings.len() {
            0 if self.looked.is_empty() => return format!("nothing was looked at{could_not}"),
            0 => return format!("no drift{could_not}"),
            1 => "1 finding".to_owned(),
            many => format!("{many} findings"),
        };
        let (high, medium, low) = (of(Severity::High), of(Severity::Medium), of(Severity::Low));
        format!("{found}: {high} high, {medium} medium, {low} low{could_not}")
    }
}

const COLUMNS: [&str; 6] = ["#", "SEVERITY", "KIND", "DATABASE", "WHO OR WHAT", "FINDING"];

fn show(heading: &str, findings: &[&Finding]) {
    line(heading);
    let mut table = Table::new(&COLUMNS);
    let mut mends: Vec<(&Mend, Vec<String>)> = Vec::new();
    for (number, finding) in (1_usize..).zip(findings) {
        let row = vec![
            number.to_string(),
            finding.severity().as_str().to_owned(),
            finding.kind.as_str().to_owned(),
            finding.database.clone().unwrap_or_else(|| "-".to_owned()),
            finding.subject.clone(),
            finding.what.clone(),
        ];
        match finding.severity() {
            Severity::High => table.push_red(row),
            Severity::Medium | Severity::Low => table.push(row),
        }
        match mends.iter_mut().find(|(mend, _)| **mend == finding.mend) {
            Some((_, numbers)) => numbers.push(number.to_string()),
            None => mends.push((&finding.mend, vec![number.to_string()])),
        }
    }
    table.show();
    line("what mends it:");
    for (mend, numbers) in mends {
        let how = match mend {
            Mend::Command(_) => "run: ",
            Mend::Sql(_) => "let who may run in SQL: ",
            Mend::Edit(_) => "",
        };
        line(&format!(
            "  {}: {how}{}",
            numbers.join(", "),
            printable(mend.text())
        ));
    }
    line("");
}
