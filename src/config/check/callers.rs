//! How callers prove who they are: `authenticators`, and a table for each that needs one.

use super::ListenerSetting;
use super::choose::Chosen;
use crate::access::identity::scram::Verifiers;
use crate::access::identity::{Authenticator, IssuerSettings, aws_iam, mtls, oidc};
use crate::config::reference;
use crate::config::section::{Problems, Section};
use crate::config::values::duration;
use crate::domain::target::CredentialKind;
use crate::error::Chain;
use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

/// The authenticators that are configured.
#[derive(Debug, Default)]
pub struct CallersSetting {
    pub aws_iam: Option<aws_iam::Settings>,
    pub oidc: Vec<(oidc::Settings, IssuerSettings)>,
    /// Authorities to trust for issuers and STS, beside the machine's own.
    pub http_ca_file: Option<PathBuf>,
    pub scram_file: Option<PathBuf>,
    /// Which name of a client certificate counts; `[client_tls]` says whose certificates are accepted.
    pub mtls: Option<mtls::Settings>,
    /// Failures in a minute that lock a source for one; 0: never.
    pub login_failures: u32,
}

impl CallersSetting {
    pub fn read(root: &mut Section<'_>) -> Self {
        let default = reference::default_of("login_failures_per_minute")
            .parse()
            .unwrap_or_default();
        let login_failures = root
            .integer("login_failures_per_minute", 0..=1_000_000)
            .unwrap_or(default);
        Self {
            aws_iam: read_aws_iam(root),
            oidc: read_oidc(root),
            http_ca_file: root.string("http_ca_file").map(PathBuf::from),
            scram_file: read_scram(root),
            mtls: None,
            login_failures: u32::try_from(login_failures).unwrap_or_default(),
        }
    }

    fn has(&self, authenticator: Authenticator) -> bool {
        match authenticator {
            Authenticator::Local => true,
            Authenticator::AwsIam => self.aws_iam.is_some(),
            Authenticator::Oidc | Authenticator::OauthBearer => !self.oidc.is_empty(),
            Authenticator::Mtls => self.mtls.is_some(),
            Authenticator::Scram => self.scram_file.is_some(),
        }
    }
}

/// The `authenticators` of a table.
pub fn read_authenticators(section: &mut Section<'_>) -> Option<Vec<Authenticator>> {
    let names = section.strings("authenticators")?;
    if names.is_empty() {
        section.problem("authenticators", "is empty: nobody could prove anything");
    }
    let mut read = Vec::new();
    for name in names {
        match section.convert("authenticators", name.parse()) {
            Some(authenticator) if read.contains(&authenticator) => {
                section.problem("authenticators", format_args!("`{name}` is named twice"));
            }
            Some(authenticator) => read.push(authenticator),
            None => {}
        }
    }
    let other = |one: &&Authenticator| one.asks() && **one != Authenticator::OauthBearer;
    if let Some(other) = read
        .iter()
        .find(other)
        .filter(|_| read.contains(&Authenticator::OauthBearer))
    {
        // The protocol asks a client once.
        let what = format_args!("`oauthbearer` is never asked for beside `{}`", other.as_str());
        section.problem("authenticators", what);
    }
    Some(read)
}

/// What a listener needs that is to be reached by others.
pub struct Conditions<'a> {
    pub callers: &'a CallersSetting,
    pub targets: &'a [Chosen],
    pub has_policy: bool,
    pub has_tls: bool,
}

/// Holds listeners and authenticators against each other.
pub fn judge(listeners: &[ListenerSetting], conditions: &Conditions<'_>, problems: &RefCell<Problems>) {
    for listener in listeners {
        let key = format!("listen ({})", listener.target);
        let address = &listener.address;
        let problem = |what: String| problems.borrow_mut().add(&key, what);
        for authenticator in &listener.authenticators {
            if !conditions.callers.has(*authenticator) {
                problem(format!(
                    "{address} takes `{}`, which is not configured",
                    authenticator.as_str()
                ));
            }
        }
        if let Some(asked) = asked_twice(listener, conditions.targets) {
            problem(format!(
                "{address} takes `{}`, but a credential of the target is `passthrough`: the database would ask the \
                 client too, which answers with the proof that it has given here",
                asked.as_str()
            ));
        }
        if address.is_local() {
            continue;
        }
        if listener.authenticators.contains(&Authenticator::Local) {
            problem(format!(
                "{address} can be reached from other machines, where `local` proves nothing: set `authenticators`, \
                 or listen on loopback or on a unix socket"
            ));
        }
        if !conditions.has_policy {
            problem(format!(
                "{address} can be reached from other machines: that needs policies (`[policy]`), which say who may \
                 be whom"
            ));
        }
        if !conditions.has_tls {
            problem(format!(
                "{address} can be reached from other machines: that needs `[client_tls]`, so that proofs do not \
                 cross the network in clear"
            ));
        }
    }
}

/// What clients are asked for where the database's own question reaches them as well.
fn asked_twice(listener: &ListenerSetting, targets: &[Chosen]) -> Option<Authenticator> {
    let target = targets
        .iter()
        .map(|chosen| &chosen.target)
        .find(|target| target.name == listener.target)?;
    let credentials = target.user_credentials.values().chain([&target.credential]);
    let passes_through = |kind: &CredentialKind| matches!(kind, CredentialKind::Passthrough);
    let asked = listener.authenticators.iter().copied().find(|one| one.asks());
    asked.filter(|_| credentials.into_iter().any(passes_through))
}

fn read_aws_iam(root: &mut Section<'_>) -> Option<aws_iam::Settings> {
    let mut section = root.section("aws_iam")?;
    let audience = section.required(
        "audience",
        "is missing: the name of this broker, for which callers sign their proofs",
    );
    let accounts = section.strings("accounts");
    if accounts.as_ref().is_some_and(Vec::is_empty) {
        section.problem("accounts", "is empty: nobody could prove anything");
    }
    let settings = aws_iam::Settings {
        // What is missing has been told.
        audience: audience.unwrap_or_else(|| "-".to_owned()),
        accounts: accounts.unwrap_or_default(),
        regions: section.strings("regions").unwrap_or_default(),
        endpoint: section.string("endpoint"),
        max_age: time(&mut section, "max_age", reference::AWS_IAM),
    };
    for mistake in settings.mistakes() {
        section.problem(mistake.key(), mistake);
    }
    section.finish();
    Some(settings)
}

fn read_oidc(root: &mut Section<'_>) -> Vec<(oidc::Settings, IssuerSettings)> {
    let mut issuers: Vec<(oidc::Settings, IssuerSettings)> = Vec::new();
    for (_, mut section) in root.sections("oidc") {
        let issuer = section.required("issuer", "is missing: what `iss` of its tokens says");
        if issuer.as_ref().is_some_and(|issuer| issuer.contains('#')) {
            section.problem(
                "issuer",
                "holds a `#`, which parts issuer and subject in policies: callers could be mistaken for others",
            );
        }
        let audience = section.required("audience", "is missing: what `aud` of its tokens must hold");
        let aws = section.boolean("aws").unwrap_or(false);
        let once = section.boolean("once").unwrap_or(false);
        let sessions_outlive_token = section.boolean("sessions_outlive_token").unwrap_or(false);
        let groups_claim = section
            .string("groups_claim")
            .unwrap_or_else(|| "groups".to_owned());
        let groups_prefix = section
            .string("groups_prefix")
            .unwrap_or_else(|| "oidc:".to_owned());
        if !groups_prefix.ends_with(':') {
            section.problem(
                "groups_prefix",
                "does not end with `:`, so groups could be mistaken for others",
            );
        }
        if issuers
            .iter()
            .any(|(_, known)| known.groups_prefix == groups_prefix)
        {
            section.problem(
                "groups_prefix",
                "is that of another issuer: their groups would be the same",
            );
        }
        let jwks_uri = section.string("jwks_uri");
        let max_lifetime = time(&mut section, "max_lifetime", reference::OIDC);
        if let (Some(issuer), Some(audience)) = (issuer, audience) {
            let settings = oidc::Settings {
                issuer: issuer.clone(),
                audience: audience.clone(),
                jwks_uri,
                groups_claim,
                max_lifetime,
                single_audience: aws,
                once,
            };
            for mistake in settings.mistakes() {
                section.problem(mistake.key(), mistake);
            }
            issuers.push((
                settings,
                IssuerSettings {
                    issuer,
                    audience,
                    groups_prefix,
                    aws,
                    sessions_outlive_token,
                },
            ));
        }
        section.finish();
    }
    issuers
}

/// The file is read here for its mistakes; what listens reads it again.
fn read_scram(root: &mut Section<'_>) -> Option<PathBuf> {
    let mut section = root.section("scram")?;
    let file = section
        .required("file", "is missing: the file of verifiers")
        .map(PathBuf::from);
    if let Some(Err(error)) = file.as_deref().map(Verifiers::load) {
        section.problem("file", Chain(&error));
    }
    section.finish();
    file
}

/// One that cannot be read has been told; the default stands in for it.
fn time(section: &mut Section<'_>, key: &'static str, keys: &[reference::Key]) -> Duration {
    let default = keys
        .iter()
        .find(|known| known.name == key)
        .map_or("", |known| known.default);
    let text = section.string(key);
    let given = text.and_then(|text| section.convert(key, duration(&text)));
    given.unwrap_or_else(|| duration(default).unwrap_or_default())
}
