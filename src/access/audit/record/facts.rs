//! The JSON of a record's lines: what all three events say, and what each adds. Names and their order are
//! those that readers of the lines know; what is not known is left out.

use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;

#[derive(Serialize)]
pub(super) struct Facts<'a> {
    pub session: String,
    pub caller: Option<String>,
    pub proof: Option<&'static str>,
    pub session_name: Option<&'a str>,
    pub groups: Option<&'a [String]>,
    pub source: &'a str,
    pub listener: &'a str,
    pub target: &'a str,
    pub database: Option<&'a str>,
    pub db_user: Option<&'a str>,
    pub asked_user: Option<&'a str>,
    pub role: Option<&'a str>,
    pub server_name: Option<&'a str>,
    pub decision: &'static str,
    #[serde(serialize_with = "ids")]
    pub policies: &'a [Arc<str>],
    pub because: Option<&'a str>,
    pub context: Option<&'a Value>,
    pub credential: Option<&'static str>,
    pub aws_key: Option<&'a str>,
    pub aws_role: Option<&'a str>,
    pub aws_source_identity: Option<&'a str>,
    pub backend_pid: Option<i32>,
    pub client_tls: Option<&'static str>,
    pub server_tls: Option<&'static str>,
}

#[derive(Serialize)]
pub(super) struct Opened<'a> {
    #[serde(flatten)]
    pub facts: Facts<'a>,
    pub took_ms: u64,
}

#[derive(Serialize)]
pub(super) struct Refused<'a> {
    #[serde(flatten)]
    pub facts: Facts<'a>,
    pub reason: &'static str,
    pub sqlstate: &'a str,
    pub error: &'a str,
}

/// Nobody reads an error there.
#[derive(Serialize)]
pub(super) struct RefusedInTls<'a> {
    #[serde(flatten)]
    pub facts: Facts<'a>,
    pub reason: &'static str,
    pub certificate_subject: Option<&'a str>,
    pub certificate_serial: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct Closed<'a> {
    #[serde(flatten)]
    pub facts: Facts<'a>,
    pub reason: &'static str,
    pub bytes_to_server: u64,
    pub bytes_to_client: u64,
    pub seconds: f64,
}

/// The names of an event as they are written.
pub(super) fn object(event: impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(event) {
        Ok(Value::Object(facts)) => facts,
        _ => Map::new(),
    }
}

/// `Arc` is not for serde; none is as good as unknown.
fn ids<S: serde::Serializer>(ids: &[Arc<str>], serializer: S) -> Result<S::Ok, S::Error> {
    match ids {
        [] => serializer.serialize_none(),
        ids => serializer.collect_seq(ids.iter().map(AsRef::<str>::as_ref)),
    }
}
