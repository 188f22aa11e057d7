//! `dbproxy sessions`: what a running dbproxy relays now, and an end to it.

use super::args::{Format, Sessions};
use super::exit::Failure;
use super::{admin, output};
use crate::access::audit::query::fits;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(15);

pub fn run(flags: &Sessions) -> Result<ExitCode, Failure> {
    let address = admin::address(&flags.at)?;
    match flags.terminate.is_empty() {
        true => list(&address, flags),
        false => terminate(&address, flags),
    }
}

/// The body of a success.
fn ask(address: &str, method: &str, path: &str, body: &str) -> Result<Value, Failure> {
    let answer = admin::asked(address, method, path, body, TIMEOUT)?;
    match answer.json().filter(|_| answer.is_success()) {
        Some(json) => Ok(json),
        None => Err(Failure::text(
            1,
            format!("dbproxy at {address}: {}", answer.why()),
        )),
    }
}

fn texts(answer: &Value, name: &str) -> Vec<String> {
    let list = answer.get(name).and_then(Value::as_array);
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

fn list(address: &str, flags: &Sessions) -> Result<ExitCode, Failure> {
    let answer = ask(address, "GET", "/sessions", "")?;
    let is_wanted = |session: &&Value| {
        let says = |name: &str| session.get(name).and_then(Value::as_str).unwrap_or_default();
        flags
            .caller
            .as_ref()
            .is_none_or(|glob| fits(glob, says("caller")))
            && flags
                .target
                .as_ref()
                .is_none_or(|target| target == says("target"))
    };
    let all = answer.get("sessions").and_then(Value::as_array);
    let sessions: Vec<&Value> = all.into_iter().flatten().filter(is_wanted).collect();
    if texts(&answer, "targets").is_empty() {
        output::note("policy lets you view the sessions of no target (action \"view\")");
    }
    match flags.output {
        Format::Json => output::line(&json!(sessions).to_string()),
        Format::Text => {
            let now = time(&answer, "now");
            let rows: Vec<_> = sessions.iter().map(|session| row(session, now)).collect();
            output::table(&HEADER, &rows);
        }
    }
    Ok(ExitCode::SUCCESS)
}

const HEADER: [&str; 11] = [
    "SESSION", "CALLER", "PROOF", "SOURCE", "TARGET", "DATABASE", "DB USER", "PID", "AGE", "ENDS", "POLICIES",
];

fn row(session: &Value, now: Option<Timestamp>) -> Vec<String> {
    let says = |name: &str| {
        session
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or("-")
            .to_owned()
    };
    let between = |from: Option<Timestamp>, to: Option<Timestamp>| {
        let length = to?.duration_since(from?);
        Some(output::span(length.try_into().unwrap_or_default()))
    };
    let age = between(time(session, "began"), now);
    let ends = match session.get("ending").and_then(Value::as_str) {
        Some(reason) => format!("now: {reason}"),
        None => match between(now, time(session, "expires")) {
            Some(left) => format!("in {left}: {}", says("expires_reason")),
            None => "-".to_owned(),
        },
    };
    vec![
        says("session"),
        says("caller"),
        says("proof"),
        says("source"),
        says("target"),
        says("database"),
        says("db_user"),
        session
            .get("backend_pid")
            .map_or("-".to_owned(), Value::to_string),
        age.unwrap_or_else(|| "-".to_owned()),
        ends,
        texts(session, "policies").join(","),
    ]
}

fn time(from: &Value, name: &str) -> Option<Timestamp> {
    from.get(name).and_then(Value::as_str)?.parse().ok()
}

/// 1 when one of the sessions is not there; the others end all the same.
fn terminate(address: &str, flags: &Sessions) -> Result<ExitCode, Failure> {
    let body = json!({"sessions": flags.terminate, "now": flags.now}).to_string();
    let answer = ask(address, "POST", "/sessions/terminate", &body)?;
    let unknown = texts(&answer, "unknown");
    match flags.output {
        Format::Json => output::line(&answer.to_string()),
        Format::Text => {
            let how = if flags.now {
                "ended"
            } else {
                "ends when its transaction does"
            };
            for id in texts(&answer, "ending") {
                output::line(&format!("{id}  {how}"));
            }
        }
    }
    match unknown.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => Err(Failure::text(
            1,
            format!(
                "no such session, or none that you may view: {}",
                unknown.join(", ")
            ),
        )),
    }
}
