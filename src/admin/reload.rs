//! `POST /reload`: what SIGHUP does, with an answer.

use super::Handles;
use super::answer::{Answer, json, refuse};
use super::operator::{Operator, not_recorded};
use crate::access::audit::By;
use crate::access::policy::Operation;
use crate::platform::task::within;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long an operator waits for the outcome.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(20);
/// Operators that wait at a time.
pub const RELOADS_WAITING: usize = 8;

/// What became of a reload, part by part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    pub done: Vec<&'static str>,
    /// What stays as it was, and why.
    pub failed: Vec<(&'static str, String)>,
}

impl Reloaded {
    pub fn note(&mut self, part: &'static str, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.done.push(part),
            Err(why) => self.failed.push((part, why)),
        }
    }
}

/// A permitted reload, and where its outcome is waited for.
#[derive(Debug)]
pub struct AskedReload {
    pub by: By,
    pub answer: oneshot::Sender<Reloaded>,
}

/// Where reloads are asked for; whoever receives it reloads and says how it went.
pub type AskReload = mpsc::Sender<AskedReload>;

pub async fn reload(State(handles): State<Handles>, ConnectInfo(from): ConnectInfo<SocketAddr>) -> Answer {
    let operator = Operator::at(from);
    let Some((decided, denied)) = operator.decide(&handles, Operation::Reload).await else {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, "policy could not be asked");
    };
    let recorded = handles.shared.audit.reload_asked(&operator.asked(decided)).await;
    match (denied, recorded) {
        (Some(denied), _) => refuse(StatusCode::FORBIDDEN, denied),
        (None, Err(error)) => not_recorded(&error),
        (None, Ok(())) => ask(&handles, operator.by()).await,
    }
}

async fn ask(handles: &Handles, by: By) -> Answer {
    let unavailable = |why: &str| refuse(StatusCode::SERVICE_UNAVAILABLE, why);
    if handles.shared.shutdown.drain.is_cancelled() {
        return unavailable("draining");
    }
    let (answer, answered) = oneshot::channel();
    if handles.reload.try_send(AskedReload { by, answer }).is_err() {
        return unavailable("too many reloads are waiting");
    }
    let Some(Ok(Reloaded { done, failed })) = within(RELOAD_TIMEOUT, answered).await else {
        return unavailable("the outcome is not known yet; see dbproxy's log");
    };
    let status = match failed.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let failed: Vec<_> = failed
        .iter()
        .map(|(what, why)| json!({"what": what, "why": why}))
        .collect();
    json(status, &json!({"reloaded": done, "failed": failed}))
}
