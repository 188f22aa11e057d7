//! `POST /shutdown`: what SIGTERM does, if policy permits it.

use super::Handles;
use super::answer::{Answer, refuse};
use super::operator::{Operator, not_recorded};
use crate::access::policy::Operation;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use std::net::SocketAddr;

/// What mends a denial: a set of policies that was made before the action existed does not name it.
const HINT: &str =
    "a policy has to permit Action::\"shutdown\" on Broker::\"dbproxy\"; SIGTERM ends dbproxy without policy";

pub async fn shutdown(State(handles): State<Handles>, ConnectInfo(from): ConnectInfo<SocketAddr>) -> Answer {
    let operator = Operator::at(from);
    let Some((decided, denied)) = operator.decide(&handles, Operation::Shutdown).await else {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, "policy could not be asked");
    };
    let recorded = handles
        .shared
        .audit
        .shutdown_asked(&operator.asked(decided))
        .await;
    match (denied, recorded) {
        (Some(denied), _) => refuse(StatusCode::FORBIDDEN, format!("{denied} ({HINT})")),
        (None, Err(error)) => not_recorded(&error),
        (None, Ok(())) => {
            handles.stop.notify_one();
            (StatusCode::ACCEPTED, "draining\n").into_response()
        }
    }
}
