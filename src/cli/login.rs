//! `dbproxy login`: a proof of who one is, as the password for another dbproxy.

use super::args::{Common, Format, Login};
use super::exit::Failure;
use super::token::one_target;
use super::{output, runtime};
use crate::access::credential::proof::{TokenFault, expiry_of, prover, region, token};
use crate::access::credential::{CredentialError, read_small};
use crate::config::source;
use crate::domain::endpoint::Region;
use crate::domain::secret::Secret;
use crate::domain::target::{BrokerSettings, ProofSource};
use crate::platform::aws::Sdk;
use crate::platform::aws::proof::EXPIRES;
use crate::platform::clock::{Clock, rfc3339};
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::SystemTime;
use toml::Value;
use zeroize::Zeroizing;

/// More than any broker reads.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

/// What is printed.
struct Shown {
    proof: Secret,
    expires_at: Option<SystemTime>,
    /// How the broker takes it, and whom it proves as far as that can be told here.
    authenticator: &'static str,
    principal: &'static str,
    audience: Option<String>,
}

pub fn run(flags: &Login) -> Result<ExitCode, Failure> {
    let shown = match (&flags.token_file, flags.token_command.as_slice()) {
        (Some(file), _) => of_file(file)?,
        (None, [program, arguments @ ..]) => of_token(of_command(program, arguments)?),
        (None, []) => of_broker(flags)?,
    };
    let text = String::from_utf8_lossy(shown.proof.expose());
    match flags.output {
        Format::Text => output::line(&text),
        Format::Json => output::line(
            &serde_json::json!({
                "proof": text,
                "expires_at": shown.expires_at.map(rfc3339),
                "authenticator": shown.authenticator,
                "principal": shown.principal,
                "audience": shown.audience,
            })
            .to_string(),
        ),
    }
    Ok(ExitCode::SUCCESS)
}

fn of_broker(flags: &Login) -> Result<Shown, Failure> {
    let given = match flags.region.as_deref() {
        Some(text) => {
            let region = Region::new(text);
            Some(region.ok_or_else(|| Failure::text(1, format!("--region: `{text}` is not an AWS region")))?)
        }
        None => None,
    };
    let settings = match (&flags.audience, &flags.broker) {
        (None, Some(name)) => configured(flags, name)?,
        _ => None,
    };
    let named = flags.audience.as_ref().or(flags.broker.as_ref());
    match (settings, named) {
        (Some(settings), _) => match settings.proof {
            ProofSource::TokenFile(file) => of_file(&file),
            ProofSource::AwsIam { region } => of_aws(settings.audience, given.or(region).as_ref()),
        },
        (None, Some(name)) => of_aws(name.clone(), given.as_ref()),
        (None, None) => Err(Failure::text(
            1,
            "no broker is named: give --audience or --broker",
        )),
    }
}

/// The broker that a target of the configuration is; none where no target has this name.
fn configured(flags: &Login, name: &str) -> Result<Option<BrokerSettings>, Failure> {
    let environment = &source::process_environment;
    let file = source::read(flags.config.as_deref(), environment).map_err(Failure::usage)?;
    let targets = file.table.get("targets").and_then(Value::as_table);
    if !targets.is_some_and(|targets| targets.contains_key(name)) {
        return Ok(None);
    }
    let common = Common {
        config: flags.config.clone(),
        region: None,
        ca_file: None,
    };
    let settings = one_target(&common, name)?;
    let target = settings.targets.first();
    match target.and_then(|target| target.credential.broker()) {
        Some(broker) => Ok(Some(broker.clone())),
        None => {
            let what = format!("target `{name}` is no broker: the kind of its credential is another");
            Err(Failure::text(1, what))
        }
    }
}

fn of_aws(audience: String, given: Option<&Region>) -> Result<Shown, Failure> {
    let clock = Clock::system();
    let (credentials, region) = runtime()?.block_on(async {
        let sdk = Sdk::load(given).await;
        let credentials = sdk.credentials().await.map_err(CredentialError::from)?;
        Ok::<_, CredentialError>((credentials, region(given, &sdk)?))
    })?;
    // A long-lived key is a user's; one with a session token nearly always a role's.
    let principal = match credentials.session_token() {
        None => "iam-user",
        Some(_) => "iam-session",
    };
    let ends = [clock.now().checked_add(EXPIRES), credentials.expiry()];
    let expires_at = ends.into_iter().flatten().min();
    let prover = prover(credentials, region, audience.clone(), clock);
    let proof = prover
        .prove()
        .map_err(|fault| Failure::text(1, format!("no proof can be made: {fault}")))?;
    Ok(Shown {
        proof,
        expires_at,
        authenticator: "aws-iam",
        principal,
        audience: Some(audience),
    })
}

fn of_file(file: &Path) -> Result<Shown, Failure> {
    let read = read_small(file).map_err(TokenFault::from);
    let token = read.and_then(|bytes| token(&bytes));
    let token = token.map_err(|fault| Failure::text(4, format!("{}: {fault}", file.display())))?;
    Ok(of_token(token))
}

/// The command may talk to the person on stderr and stdin; the token is what it prints.
fn of_command(program: &str, arguments: &[String]) -> Result<Secret, Failure> {
    let failed = |what: String| Failure::text(4, format!("`{program}` {what}"));
    let mut child = Command::new(program)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(format!("cannot be run: {error}")))?;
    let mut bytes = Zeroizing::new(Vec::new());
    if let Some(stdout) = child.stdout.take() {
        let read = stdout.take(TOKEN_BYTES_MAX).read_to_end(&mut bytes);
        read.map_err(|error| failed(format!("cannot be read: {error}")))?;
    }
    let status = child
        .wait()
        .map_err(|error| failed(format!("cannot be waited for: {error}")))?;
    if !status.success() {
        return Err(failed(format!("ended with {status}")));
    }
    token(&bytes).map_err(|fault| failed(format!("printed no token: {fault}")))
}

fn of_token(token: Secret) -> Shown {
    Shown {
        expires_at: expiry_of(&token),
        proof: token,
        authenticator: "oidc",
        principal: "token-subject",
        audience: None,
    }
}
