//! `dbproxy wait`, `healthcheck`, `reload`, `shutdown`: one HTTP request to the admin address of a running dbproxy,
//! for images that have no shell and no curl.

use super::args::{AdminAddress, Healthcheck, Wait};
use super::exit::Failure;
use super::{admin, output};
use crate::config::values::duration;
use serde_json::Value;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Probes are answered at once.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Policies, certificates and lists are read meanwhile.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(25);
/// A record of it may have to be written first.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);

pub fn wait(flags: &Wait) -> Result<ExitCode, Failure> {
    let limit = duration(&flags.max).map_err(|what| Failure::text(1, format!("--max: {what}")))?;
    let address = admin::address(&flags.at)?;
    let began = Instant::now();
    loop {
        match ask(&address, "GET", "/readiness") {
            Ok(()) => return Ok(ExitCode::SUCCESS),
            Err(why) if began.elapsed() >= limit => {
                let message = format!("dbproxy at {address} was not ready within {}: {why}", flags.max);
                return Err(Failure::text(1, message));
            }
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

pub fn healthcheck(flags: &Healthcheck) -> Result<ExitCode, Failure> {
    let path = if flags.ready { "/readiness" } else { "/liveness" };
    once(&flags.at, "GET", path)
}

pub fn shutdown(at: &AdminAddress) -> Result<ExitCode, Failure> {
    let address = admin::address(at)?;
    let answer = admin::asked(&address, "POST", "/shutdown", "", SHUTDOWN_TIMEOUT)?;
    match answer.is_success() {
        true => Ok(ExitCode::SUCCESS),
        false => Err(Failure::text(
            1,
            format!("dbproxy at {address}: {}", answer.why()),
        )),
    }
}

fn once(at: &AdminAddress, method: &str, path: &str) -> Result<ExitCode, Failure> {
    let address = admin::address(at)?;
    match ask(&address, method, path) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(why) => Err(Failure::text(1, format!("dbproxy at {address}: {why}"))),
    }
}

/// Any 2xx is a yes; otherwise the body says why not.
fn ask(address: &str, method: &str, path: &str) -> Result<(), String> {
    let answer = admin::request(address, method, path, "", PROBE_TIMEOUT)?;
    match answer.is_success() {
        true => Ok(()),
        false => Err(answer.why()),
    }
}

/// Says what was read again; 1 if something could not be used.
pub fn reload(at: &AdminAddress) -> Result<ExitCode, Failure> {
    let address = admin::address(at)?;
    let answer = admin::asked(&address, "POST", "/reload", "", RELOAD_TIMEOUT)?;
    let Some(outcome) = answer.json() else {
        return Err(Failure::text(
            1,
            format!("dbproxy at {address}: {}", answer.why()),
        ));
    };
    let list = |name: &str| {
        outcome
            .get(name)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    for part in list("reloaded") {
        output::note(&format!("read again: {}", part.as_str().unwrap_or_default()));
    }
    let failed = list("failed");
    for part in &failed {
        let text = |name: &str| part.get(name).and_then(Value::as_str).unwrap_or_default();
        output::note(&format!(
            "not reloaded, {} stays as it was: {}",
            text("what"),
            text("why")
        ));
    }
    Ok(match answer.is_success() && failed.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    })
}
