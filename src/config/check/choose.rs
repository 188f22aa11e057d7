//! The targets to serve: those named on the command line, a broker among them, or all of the file.

use super::callers::read_authenticators;
use super::listeners;
use crate::access::identity::Authenticator;
use crate::config::section::{Problems, Section};
use crate::config::source::Environment;
use crate::config::target::manifest::Source;
use crate::config::target::{self, AdHoc, Defaults, Described};
use crate::domain::name::TargetName;
use crate::domain::target::Target;
use ipnet::IpNet;
use std::cell::RefCell;
use toml::Table;

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

/// A target's name, its place, and what was written there.
pub type Written = (String, String, Table);

/// The targets of the file, and what was written of those that the manifest may speak of.
pub fn read_targets(
    root: &mut Section<'_>,
    defaults: &Defaults,
    environment: Environment<'_>,
    manifest: Option<Source<'_>>,
) -> (Vec<Configured>, Vec<Written>) {
    let (mut targets, mut all_written) = (Vec::new(), Vec::new());
    for (name, mut section) in root.sections("targets") {
        let listen = listeners::read(&mut section);
        let balancers = listeners::read_balancers(&mut section);
        let authenticators = read_authenticators(&mut section);
        let described = Described::InFile;
        let (path, written) = section.written();
        all_written.push((name.clone(), path, written));
        let target = read_target(&name, section, (defaults, environment), manifest, described);
        let chosen = target.map(|target| Chosen {
            target,
            listen,
            balancers,
            authenticators,
            described,
        });
        targets.push(Configured { name, chosen });
    }
    (targets, all_written)
}

/// What the target does not say itself the manifest does, and then the defaults. A broker decides itself who may be whom.
pub fn read_target(
    name: &str,
    mut section: Section<'_>,
    (defaults, environment): (&Defaults, Environment<'_>),
    manifest: Option<Source<'_>>,
    described: Described,
) -> Option<Target> {
    let said = match manifest.filter(|_| !defaults.make_broker(&section)) {
        Some(manifest) => manifest.of(name, &mut section),
        None => {
            without_manifest(&mut section, manifest.is_some());
            None
        }
    };
    if let Some(said) = &said {
        said.fill(&mut section);
    }
    defaults.fill(&mut section);
    target::read(name, section, described, (environment, said))
}

fn without_manifest(section: &mut Section<'_>, is_there: bool) {
    if section.string("cluster").is_some() {
        let what = match is_there {
            true => "is not for a broker, which decides itself who may be whom",
            false => "goes with `manifest`, which says what the cluster is",
        };
        section.problem("cluster", what);
    }
}

/// The targets of the file, but those with mistakes.
pub fn targets(configured: &[Configured]) -> Vec<Target> {
    let chosen = configured.iter().filter_map(|one| one.chosen.as_ref());
    chosen.map(|chosen| chosen.target.clone()).collect()
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
        if words.is_empty() && self.ad_hoc.via.is_none() {
            if self.ad_hoc.audience.is_some() {
                self.problem("--audience", "goes with `--via`: it is the name of that broker");
            }
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
        chosen.extend(self.broker(&names, &chosen));
        chosen
    }

    /// The broker of `--via`.
    fn broker(&self, names: &[String], chosen: &[Chosen]) -> Option<Chosen> {
        let via = self.ad_hoc.via.as_deref()?;
        let taken = |name: &TargetName| is_taken(name, names, chosen);
        let target = target::read_via(via, self.ad_hoc, &taken, self.problems, self.environment)?;
        Some(on_command_line(target))
    }

    /// Listeners and caches find targets by name, so no two may have the same.
    fn endpoint(&self, word: &str, names: &[String], chosen: &[Chosen]) -> Option<Chosen> {
        let taken = |name: &TargetName| is_taken(name, names, chosen);
        let target = target::read_ad_hoc(
            word,
            self.ad_hoc,
            self.defaults,
            &taken,
            self.problems,
            self.environment,
        )?;
        let same = |other: &&Chosen| {
            other.described == Described::OnCommandLine && other.target.token == target.token
        };
        if chosen.iter().find(same).is_some() {
            self.problem(word, "this target is named twice");
            return None;
        }
        Some(on_command_line(target))
    }

    fn problem(&self, word: &str, what: &str) {
        self.problems.borrow_mut().add(word, what);
    }
}

fn is_taken(name: &TargetName, names: &[String], chosen: &[Chosen]) -> bool {
    let configured = names.iter().any(|known| known == name.as_str());
    configured || chosen.iter().any(|other| other.target.name == *name)
}

fn on_command_line(target: Target) -> Chosen {
    Chosen {
        target,
        listen: None,
        balancers: None,
        authenticators: None,
        described: Described::OnCommandLine,
    }
}
