//! The record of one attempt: opened when a startup message was read, closed exactly once.
//! Refused attempts are recorded too. A record never holds a secret.

mod facts;

use super::Audit;
use super::sink::SinkError;
use crate::domain::caller::Caller;
use crate::domain::name::{DatabaseName, DbUser};
use crate::domain::reason::CloseReason;
use crate::domain::session_id::SessionId;
use crate::error::Refusal;
use crate::platform::tls::server::RefusedCertificate;
use facts::{Closed, Facts, Opened, Refused, RefusedInTls, object};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What became known of a session, in the order it became known.
#[derive(Debug)]
pub struct Record {
    audit: Arc<Audit>,
    session: SessionId,
    source: String,
    listener: String,
    began: Instant,
    target: String,
    client_tls: bool,
    server_name: Option<String>,
    user: String,
    database: String,
    role: Option<String>,
    caller: Option<Caller>,
    /// Who the client asked to be, where that is not whom it became.
    asked_user: Option<String>,
    policies: Vec<Arc<str>>,
    because: Option<String>,
    credential: Option<&'static str>,
    signed: Signed,
    context: Option<Value>,
    backend_pid: Option<i32>,
    legs: Legs,
}

/// With what AWS identity dbproxy logs in: what joins a line with CloudTrail's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signed {
    /// The access key that signed the token or the proof. Not secret; CloudTrail names it.
    pub key_id: Option<String>,
    pub role_arn: Option<String>,
    pub source_identity: Option<String>,
}

/// TLS of the two legs; none: in clear, or within this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Legs {
    pub client: Option<&'static str>,
    pub server: Option<&'static str>,
}

/// Longest text of a client's that is recorded; a line must not grow without bound.
const TEXT_CHARACTERS_MAX: usize = 1_024;

/// Where a connection came from and where it arrived.
#[derive(Debug, Clone)]
pub struct Origin {
    pub session: SessionId,
    pub source: String,
    pub listener: String,
    pub target: String,
}

/// How much was relayed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Volume {
    pub to_server: u64,
    pub to_client: u64,
}

impl Record {
    pub fn open(audit: Arc<Audit>, origin: &Origin, client_tls: bool) -> Self {
        Self {
            audit,
            session: origin.session,
            source: origin.source.clone(),
            listener: origin.listener.clone(),
            target: origin.target.clone(),
            began: Instant::now(),
            client_tls,
            server_name: None,
            user: String::new(),
            database: String::new(),
            role: None,
            caller: None,
            asked_user: None,
            policies: Vec::new(),
            because: None,
            credential: None,
            signed: Signed::default(),
            context: None,
            backend_pid: None,
            legs: Legs::default(),
        }
    }

    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Names as the client sent them, before they were judged; bounded by the startup packet.
    pub fn asked_for(&mut self, user: &[u8], database: &[u8]) {
        self.user = bounded(user);
        self.database = bounded(database);
    }

    /// The role that the session is to have from its first moment, where the client asks for another than
    /// the db user; bounded by the startup packet.
    pub fn begins_as(&mut self, role: Option<&[u8]>) {
        self.role = role.map(bounded);
    }

    /// The name that the client's TLS handshake asked for; bounded by the handshake.
    pub fn server_name(&mut self, name: Option<&str>) {
        self.server_name = name.map(str::to_owned);
    }

    pub fn identified(&mut self, caller: &Caller) {
        self.caller = Some(caller.clone());
    }

    /// Whom the client becomes, where, and by which policies.
    pub fn permitted(
        &mut self,
        db_user: &DbUser,
        database: &DatabaseName,
        policies: &[Arc<str>],
        credential: &'static str,
    ) {
        if self.user != db_user.as_str() {
            self.asked_user = Some(std::mem::replace(&mut self.user, db_user.to_string()));
        }
        self.database = database.to_string();
        self.policies = policies.to_vec();
        self.credential = Some(credential);
    }

    /// What policy was asked with, beside who and what.
    pub fn asked_with(&mut self, context: Value) {
        self.context = Some(context);
    }

    /// With what dbproxy logs in.
    pub fn signed(&mut self, signed: Signed) {
        self.signed = signed;
    }

    pub fn legs(&mut self, legs: Legs) {
        self.legs = legs;
    }

    fn shown_policies(&self) -> Option<String> {
        (!self.policies.is_empty()).then(|| self.policies.join(","))
    }

    /// What a client is not told of a denial.
    pub fn denied_because(&mut self, because: String) {
        self.because = Some(because);
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    pub fn listener(&self) -> &str {
        &self.listener
    }

    /// The session is connected; the one line that says so. An error means that it must not begin.
    pub async fn connected(&mut self, backend_pid: Option<i32>, took: Duration) -> Result<(), SinkError> {
        self.backend_pid = backend_pid;
        let facts = object(Opened {
            facts: self.facts("permit"),
            took_ms: millis(took),
        });
        let audit = self.audit.clone();
        match audit.write("session.opened", facts).await {
            Err(error) if audit.is_required() => return Err(error),
            _ => {}
        }
        tracing::info!(
            target: "audit",
            session = %self.session,
            caller = self.caller.as_ref().map(shown),
            source = self.source,
            listener = self.listener,
            database_target = self.target,
            db_user = self.user,
            database = self.database,
            role = self.role,
            asked_user = self.asked_user,
            policy = self.shown_policies(),
            credential = self.credential,
            backend_pid = self.backend_pid,
            client_tls = self.client_tls,
            server_name = self.server_name,
            took_ms = millis(took),
            "session opened"
        );
        Ok(())
    }

    /// The client was refused.
    pub async fn refused(self, refusal: &Refusal) {
        tracing::warn!(
            target: "audit",
            session = %self.session,
            caller = self.caller.as_ref().map(shown),
            source = self.source,
            listener = self.listener,
            database_target = self.target,
            db_user = self.user,
            database = self.database,
            asked_user = self.asked_user,
            policy = self.shown_policies(),
            credential = self.credential,
            because = self.because,
            reason = %refusal.reason,
            sqlstate = refusal.sqlstate.as_str(),
            error = refusal.message,
            detail = refusal.detail,
            hint = refusal.hint,
            "session refused"
        );
        let denied = matches!(
            refusal.reason,
            CloseReason::PolicyDenied
                | CloseReason::PolicyChanged
                | CloseReason::GrantEnded
                | CloseReason::NotIdentified
        );
        let facts = object(Refused {
            facts: self.facts(if denied { "deny" } else { "none" }),
            reason: refusal.reason.as_str(),
            sqlstate: refusal.sqlstate.as_str(),
            error: refusal.message.as_str(),
        });
        let _ = self.audit.write("session.refused", facts).await;
    }

    /// The client's certificate was refused in the TLS handshake, before it could say what it wants. What the
    /// certificate says of itself is not proven.
    pub async fn refused_in_tls(self, certificate: RefusedCertificate) {
        let facts = object(RefusedInTls {
            facts: self.facts("deny"),
            reason: CloseReason::ClientTls.as_str(),
            certificate_subject: certificate.subject.as_deref(),
            certificate_serial: certificate.serial.as_deref(),
        });
        let _ = self.audit.write("session.refused", facts).await;
    }

    /// The session ended after it was connected.
    pub async fn closed(self, reason: CloseReason, volume: Volume) {
        tracing::info!(
            target: "audit",
            session = %self.session,
            caller = self.caller.as_ref().map(shown),
            database_target = self.target,
            db_user = self.user,
            database = self.database,
            backend_pid = self.backend_pid,
            reason = %reason,
            bytes_to_server = volume.to_server,
            bytes_to_client = volume.to_client,
            seconds = self.began.elapsed().as_secs_f64(),
            "session closed"
        );
        let facts = object(Closed {
            facts: self.facts("permit"),
            reason: reason.as_str(),
            bytes_to_server: volume.to_server,
            bytes_to_client: volume.to_client,
            seconds: self.began.elapsed().as_secs_f64(),
        });
        let _ = self.audit.write("session.closed", facts).await;
    }

    /// What is known, for the lines of every event.
    fn facts(&self, decision: &'static str) -> Facts<'_> {
        let caller = self.caller.as_ref();
        Facts {
            session: self.session.to_string(),
            caller: caller.map(ToString::to_string),
            proof: caller.map(|caller| caller.proof.as_str()),
            session_name: caller.and_then(|caller| caller.session_name.as_deref()),
            groups: caller
                .map(|caller| caller.groups.as_slice())
                .filter(|groups| !groups.is_empty()),
            source: &self.source,
            listener: &self.listener,
            target: &self.target,
            database: known(&self.database),
            db_user: known(&self.user),
            asked_user: self.asked_user.as_deref(),
            role: self.role.as_deref(),
            server_name: self.server_name.as_deref(),
            decision,
            policies: &self.policies,
            because: self.because.as_deref(),
            context: self.context.as_ref(),
            credential: self.credential,
            aws_key: self.signed.key_id.as_deref(),
            aws_role: self.signed.role_arn.as_deref(),
            aws_source_identity: self.signed.source_identity.as_deref(),
            backend_pid: self.backend_pid,
            client_tls: self.legs.client,
            server_tls: self.legs.server,
        }
    }
}

fn known(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn bounded(text: &[u8]) -> String {
    String::from_utf8_lossy(text)
        .chars()
        .take(TEXT_CHARACTERS_MAX)
        .collect()
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

/// A caller as the value of one field. An issuer chooses what its subjects are called; a name that could be taken
/// for further fields is quoted, as texts are.
fn shown(caller: &Caller) -> impl tracing::Value {
    let name = caller.to_string();
    let is_one_word = name.chars().all(|c| c.is_ascii_graphic() && c != '"');
    tracing::field::display(if is_one_word { name } else { format!("{name:?}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::caller::{Principal, ProofKind};
    use std::io::Write;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_name_of_a_caller_can_be_taken_for_other_fields() {
        let line = |subject: &str| {
            let lines = Lines::default();
            let written = lines.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_ansi(false)
                .with_writer(move || written.clone())
                .finish();
            let principal = Principal::Oidc {
                issuer: "https://a".to_owned(),
                subject: subject.to_owned(),
            };
            let caller = Caller::new(principal, ProofKind::Oidc);
            tracing::subscriber::with_default(subscriber, || {
                tracing::info!(caller = shown(&caller), end = 1, "text");
            });
            let bytes = lines.0.lock().unwrap().clone();
            String::from_utf8(bytes).unwrap()
        };
        assert!(line("jane").contains("text caller=oidc:https://a#jane end=1"));
        let forged = line("jane policy=\"admin\"");
        assert!(
            forged.contains(r#"text caller="oidc:https://a#jane policy=\"admin\"" end=1"#),
            "{forged}"
        );
    }

    /// Programs read these lines: names and values are as they were.
    #[test]
    fn a_line_says_all_that_is_known() {
        let audit = Arc::new(Audit::new(None, crate::platform::clock::Clock::system()));
        let origin = Origin {
            session: SessionId::from_random(7),
            source: "10.0.0.7:4711".to_owned(),
            listener: "0.0.0.0:5432".to_owned(),
            target: "orders".to_owned(),
        };
        let mut record = Record::open(audit, &origin, true);
        let id = record.session().to_string();
        let said = |record: &Record| {
            let mut facts = object(record.facts("permit"));
            facts.retain(|_, value| !value.is_null());
            Value::Object(facts).to_string().replace(&id, "ID")
        };
        record.asked_for(b"jane", b"app");
        let little = concat!(
            r#"{"session":"ID","source":"10.0.0.7:4711","listener":"0.0.0.0:5432","target":"orders","#,
            r#""database":"app","db_user":"jane","decision":"permit"}"#,
        );
        assert_eq!(said(&record), little);
        record.begins_as(Some(b"owner"));
        record.server_name(Some("db.example"));
        let mut caller = Caller::new(
            Principal::Password {
                name: "jane".to_owned(),
            },
            ProofKind::Scram,
        );
        caller.session_name = Some("shift".to_owned());
        caller.groups = vec!["oidc:a".to_owned()];
        record.identified(&caller);
        let (user, database) = (DbUser::new("app_ro").unwrap(), DatabaseName::new("app").unwrap());
        record.permitted(&user, &database, &["one".into(), "two".into()], "iam");
        record.asked_with(serde_json::json!({"tls": true}));
        record.denied_because("of it".to_owned());
        record.signed(Signed {
            key_id: Some("AKIA".to_owned()),
            role_arn: Some("arn".to_owned()),
            source_identity: Some("jane".to_owned()),
        });
        record.legs(Legs {
            client: Some("TLSv1.3"),
            server: Some("TLSv1.2"),
        });
        record.backend_pid = Some(7);
        let all = concat!(
            r#"{"session":"ID","caller":"password:jane","proof":"scram","session_name":"shift","groups":["oidc:a"],"#,
            r#""source":"10.0.0.7:4711","listener":"0.0.0.0:5432","target":"orders","database":"app","#,
            r#""db_user":"app_ro","asked_user":"jane","role":"owner","server_name":"db.example","decision":"permit","#,
            r#""policies":["one","two"],"because":"of it","context":{"tls":true},"credential":"iam","aws_key":"AKIA","#,
            r#""aws_role":"arn","aws_source_identity":"jane","backend_pid":7,"client_tls":"TLSv1.3","#,
            r#""server_tls":"TLSv1.2"}"#,
        );
        assert_eq!(said(&record), all);
        let facts = record.facts("permit");
        let opened = Value::Object(object(Opened { facts, took_ms: 9 })).to_string();
        assert!(
            opened.ends_with(r#","server_tls":"TLSv1.2","took_ms":9}"#),
            "{opened}"
        );
    }
}
