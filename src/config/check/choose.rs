//! The targets to serve: those named on the command line, or all of the file.

use super::callers::read_authenticators;
use super::listeners;
use crate::access::identity::Authenticator;
use crate::config::section::{Problems, Section};
use crate::config::source::Environment;
use crate::config::target::{self, AdHoc, Defaults, Described};
use crate::domain::name::TargetName;
use crate::domain::target::Target;
use ipnet::IpNet;
use std::cell::RefCell;

/// A target that will be served.
pub struct Chosen {
    pub target: Target,
    /// Addresses of its own.
    pub listen: Option<Vec<String>>,
    /// Load balancers of its own.
    pub balancers: Option<Vec<IpNet>>,
    /// Authenticators of its own.
    pub authenticators: Option<Vec<Authenticator>>,
    described: Described,
}

/// A target of the file. One with mistakes still has its name.
pub struct Configured {
    name: String,
    chosen: Option<Chosen>,
}

pub fn read_targets(
    root: &mut Section<'_>,
    defaults: &Defaults,
    environment: Environment<'_>,
) -> Vec<Configured> {
    let mut targets = Vec::new();
    for (name, mut section) in root.sections("targets") {
        let listen = listeners::read(&mut section);
        let balancers = listeners::read_balancers(&mut section);
        let authenticators = read_authenticators(&mut section);
        defaults.fill(&mut section);
        let described = Described::InFile;
        let target = target::read(&name, section, described, environment);
        let chosen = target.map(|target| Chosen {
            target,
            listen,
            balancers,
            authenticators,
            described,
        });
        targets.push(Configured { name, chosen });
    }
    targets
}

/// What choosing needs beside the words of the command line.
pub struct Choice<'a> {
    pub ad_hoc: &'a AdHoc,
    pub defaults: &'a Defaults,
    pub problems: &'a RefCell<Problems>,
    pub environment: Environment<'a>,
}

impl Choice<'_> {
    pub fn choose(&self, configured: Vec<Configured>, words: &[String]) -> Vec<Chosen> {
        if words.is_empty() {
            return configured.into_iter().filter_map(|one| one.chosen).collect();
        }
        let names: Vec<String> = configured.iter().map(|one| one.name.clone()).collect();
        let mut left = configured;
        let mut chosen = Vec::new();
        for word in words {
            if let Some(at) = left.iter().position(|one| one.name == *word) {
                chosen.extend(left.remove(at).chosen);
            } else if names.contains(word) {
                self.problem(word, "this target is named twice");
            } else if word.starts_with("arn:") {
                let what = "targets by ARN are not supported yet; give the endpoint name";
                self.problem(word, what);
            } else if word.contains('.') {
                chosen.extend(self.endpoint(word, &names, &chosen));
            } else if names.is_empty() {
                self.problem(word, "no such target; the configuration has none");
            } else {
                let what = format!("no such target; the configuration has {}", names.join(", "));
                self.problem(word, &what);
            }
        }
        chosen
    }

    /// Listeners and caches find targets by name, so no two may have the same.
    fn endpoint(&self, word: &str, names: &[String], chosen: &[Chosen]) -> Option<Chosen> {
        let taken = |name: &TargetName| {
            let configured = names.iter().any(|known| known == name.as_str());
            configured || chosen.iter().any(|other| other.target.name == *name)
        };
        let described = Described::OnCommandLine;
        let target = target::read_ad_hoc(
            word,
            self.ad_hoc,
            self.defaults,
            &taken,
            self.problems,
            self.environment,
        )?;
        let same = |other: &&Chosen| other.described == described && other.target.token == target.token;
        if chosen.iter().find(same).is_some() {
            self.problem(word, "this target is named twice");
            return None;
        }
        Some(Chosen {
            target,
            listen: None,
            balancers: None,
            authenticators: None,
            described,
        })
    }

    fn problem(&self, word: &str, what: &str) {
        self.problems.borrow_mut().add(word, what);
    }
}
