//! `GET /sessions` and `POST /sessions/terminate`.

mod request;

use super::Handles;
use super::answer::{Answer, json, refuse};
use super::operator::{Operator, not_recorded};
use crate::access::audit::Decided;
use crate::access::policy::Operation;
use crate::domain::reason::CloseReason;
use crate::domain::session_id::SessionId;
use crate::domain::target::Target;
use crate::platform::clock::rfc3339_millis;
use crate::platform::task::aside;
use crate::traffic::relay::Wish;
use crate::traffic::session::registry::{Facts, Seen};
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use request::Request;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

/// The live sessions of targets that the operator may view, the oldest first; of others not even their number.
pub async fn list(State(handles): State<Handles>, ConnectInfo(from): ConnectInfo<SocketAddr>) -> Answer {
    let listed = aside(move || listed(&handles, &Operator::at(from))).await;
    match listed {
        Some(listed) => json(StatusCode::OK, &listed),
        None => refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the sessions could not be listed",
        ),
    }
}

fn listed(handles: &Handles, operator: &Operator) -> Value {
    let served: Vec<Arc<Target>> = handles.targets.iter().map(|entry| entry.now()).collect();
    let viewed: HashSet<&str> = served
        .iter()
        .filter(|target| operator.may(handles, Operation::View(target)).is_ok())
        .map(|target| target.name.as_str())
        .collect();
    let mut targets: Vec<_> = viewed.iter().collect();
    targets.sort();
    let seen = handles.shared.registry.seen();
    let shown = seen
        .iter()
        .filter(|seen| viewed.contains(seen.facts.permit.target().name.as_str()));
    json!({
        "now": rfc3339_millis(handles.shared.clock.now()),
        "targets": targets,
        "sessions": shown.map(shown_as).collect::<Vec<_>>(),
    })
}

fn shown_as(seen: &Seen) -> Value {
    let Seen { facts, ending } = seen;
    let permit = &facts.permit;
    let expires = permit.expires();
    json!({
        "session": facts.session.to_string(),
        "caller": permit.caller().to_string(),
        "proof": permit.caller().proof.as_str(),
        "source": facts.source,
        "target": permit.target().name.as_str(),
        "database": permit.database().as_str(),
        "db_user": permit.db_user().as_str(),
        "backend_pid": facts.backend_pid,
        "policies": permit.policies(),
        "began": rfc3339_millis(facts.began),
        "expires": expires.map(|(end, _)| rfc3339_millis(end)),
        "expires_reason": expires.map(|(_, reason)| reason.as_str()),
        "ending": ending.map(CloseReason::as_str),
    })
}

/// Ends sessions: all that were named, or none.
pub async fn terminate(
    State(handles): State<Handles>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    body: Bytes,
) -> Answer {
    let request = match Request::parse(&body) {
        Ok(request) => request,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, why),
    };
    let operator = Operator::at(from);
    let judged = aside({
        let (handles, operator, sessions) = (handles.clone(), operator.clone(), request.sessions.clone());
        move || judge(&handles, &operator, &sessions)
    });
    let Some(judged) = judged.await else {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, "policy could not be asked");
    };
    let recorded = record(&handles, &operator, &judged, request.now).await;
    if let Some(denied) = judged.denied() {
        return refuse(StatusCode::FORBIDDEN, denied);
    }
    if let Err(answer) = recorded {
        return answer;
    }
    let (ending, unknown) = judged.end(
        &handles,
        match request.now {
            true => Wish::EndNow(CloseReason::Terminated),
            false => Wish::EndWhenIdle(CloseReason::Terminated),
        },
    );
    let answer = json!({"ending": ending, "unknown": unknown, "now": request.now});
    json(StatusCode::OK, &answer)
}

/// What policy says about the sessions that were named.
#[derive(Debug, Default)]
struct Judged {
    by_target: Vec<Group>,
    unknown: Vec<SessionId>,
}

/// The named sessions of one target.
#[derive(Debug)]
struct Group {
    target: Arc<Target>,
    sessions: Vec<SessionId>,
    decided: Result<Vec<Arc<str>>, String>,
    /// Whether the operator may know that there are such sessions; otherwise they are unknown to it.
    is_visible: bool,
}

fn judge(handles: &Handles, operator: &Operator, ids: &[SessionId]) -> Judged {
    let found = handles.shared.registry.find(ids);
    let known: HashMap<SessionId, &Arc<Facts>> = found.iter().map(|facts| (facts.session, facts)).collect();
    let mut judged = Judged::default();
    let mut groups: BTreeMap<&str, (&Arc<Target>, Vec<SessionId>)> = BTreeMap::new();
    for id in ids {
        match known.get(id) {
            None => judged.unknown.push(*id),
            Some(facts) => {
                let target = facts.permit.target();
                let group = groups.entry(target.name.as_str()).or_insert((target, Vec::new()));
                group.1.push(*id);
            }
        }
    }
    for (target, sessions) in groups.into_values() {
        let decided = operator.may(handles, Operation::Terminate(target));
        judged.by_target.push(Group {
            is_visible: decided.is_ok() || operator.may(handles, Operation::View(target)).is_ok(),
            target: target.clone(),
            sessions,
            decided: decided.map_err(|denial| denial.to_string()),
        });
    }
    judged
}

impl Judged {
    /// Why nothing is done.
    fn denied(&self) -> Option<&String> {
        let visible = self.by_target.iter().filter(|group| group.is_visible);
        visible.filter_map(|group| group.decided.as_ref().err()).next()
    }

    /// Ends what may be ended; ids of sessions that end, and ids that the operator is told not to exist.
    fn end(&self, handles: &Handles, wish: Wish) -> (Vec<String>, Vec<String>) {
        let (registry, now) = (&handles.shared.registry, handles.shared.clock.now());
        let mut ending = Vec::new();
        let mut unknown: Vec<String> = self.unknown.iter().map(ToString::to_string).collect();
        for group in &self.by_target {
            for id in &group.sessions {
                match group.decided.is_ok() && registry.end(*id, wish, now) {
                    true => ending.push(id.to_string()),
                    false => unknown.push(id.to_string()),
                }
            }
        }
        (ending, unknown)
    }
}

/// One line for each target, and one for what is unknown.
async fn record(handles: &Handles, operator: &Operator, judged: &Judged, now: bool) -> Result<(), Answer> {
    let audit = &handles.shared.audit;
    let is_refused = judged.denied().is_some();
    for Group {
        target,
        sessions,
        decided,
        ..
    } in &judged.by_target
    {
        let decided = match decided {
            Ok(_) if is_refused => {
                Decided::No("sessions of another target were asked for with them".to_owned())
            }
            Ok(policies) => Decided::Yes(policies.clone()),
            Err(because) => Decided::No(because.clone()),
        };
        let asked = operator.asked(decided);
        let written = audit
            .terminate_asked(&asked, Some(target.name.as_str()), sessions, now)
            .await;
        written.map_err(|error| not_recorded(&error))?;
    }
    if !judged.unknown.is_empty() {
        let asked = operator.asked(Decided::Nothing("there is no such session".to_owned()));
        let written = audit.terminate_asked(&asked, None, &judged.unknown, now).await;
        written.map_err(|error| not_recorded(&error))?;
    }
    Ok(())
}
