//! Counters and gauges, in the Prometheus text format.

use crate::domain::reason::CloseReason;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

type OneLabel = [(&'static str, &'static str); 1];

/// All metrics of the process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    accepted: Counter,
    closed: Family<OneLabel, Counter>,
    connections: Gauge,
    open: Gauge,
    relayed: Family<OneLabel, Counter>,
    dial_seconds: Histogram,
    login_seconds: Histogram,
    tokens: Family<OneLabel, Counter>,
    assumed_roles: Family<OneLabel, Counter>,
    login_retries: Counter,
    decisions: Family<OneLabel, Counter>,
    policy_reloads: Family<OneLabel, Counter>,
    manifest_reloads: Family<OneLabel, Counter>,
    grants_taken_back: Family<OneLabel, Counter>,
    cancels: Family<OneLabel, Counter>,
    audit_lines: Family<OneLabel, Counter>,
}

/// How a token was come by.
#[derive(Debug, Clone, Copy)]
pub enum TokenEvent {
    Minted,
    Cached,
    Failed,
}

/// What became of a CancelRequest.
#[derive(Debug, Clone, Copy)]
pub enum CancelOutcome {
    Forwarded,
    /// Taken by the replica that relays the session.
    HandedOn,
    /// Sent by dbproxy itself for a session whose client is gone.
    Abandoned,
    UnknownKey,
    Failed,
    Refused,
}

/// Which way bytes went.
#[derive(Debug, Clone, Copy)]
pub enum Direction {
    ToServer,
    ToClient,
}

/// One more on a gauge, for as long as it lives.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Counted {
    fn on(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let seconds = || Histogram::new([0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]);
        let mut inner = Inner {
            registry: Registry::with_prefix("dbproxy"),
            accepted: Counter::default(),
            closed: Family::default(),
            connections: Gauge::default(),
            open: Gauge::default(),
            relayed: Family::default(),
            dial_seconds: seconds(),
            login_seconds: seconds(),
            tokens: Family::default(),
            assumed_roles: Family::default(),
            login_retries: Counter::default(),
            decisions: Family::default(),
            policy_reloads: Family::default(),
            manifest_reloads: Family::default(),
            grants_taken_back: Family::default(),
            cancels: Family::default(),
            audit_lines: Family::default(),
        };
        inner.register();
        Self(Arc::new(inner))
    }

    /// The text that a Prometheus server scrapes.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.0.registry);
        text
    }

    /// Counts a connection as open until the guard is dropped.
    pub fn connection_accepted(&self) -> Counted {
        self.0.accepted.inc();
        Counted::on(&self.0.connections)
    }

    /// One that was refused before it became a session, for want of room.
    pub fn connection_dropped(&self) {
        self.0.accepted.inc();
        self.connection_closed(CloseReason::TooManyConnections);
    }

    pub fn connection_closed(&self, reason: CloseReason) {
        let labels = [("reason", reason.as_str())];
        self.0.closed.get_or_create(&labels).inc();
    }

    /// Counts a session as open until the guard is dropped.
    pub fn session_open(&self) -> Counted {
        Counted::on(&self.0.open)
    }

    /// Sessions that are connected to a server now.
    pub fn open_sessions(&self) -> i64 {
        self.0.open.get()
    }

    pub fn relayed(&self, direction: Direction, bytes: u64) {
        let way = match direction {
            Direction::ToServer => "to_server",
            Direction::ToClient => "to_client",
        };
        self.0.relayed.get_or_create(&[("direction", way)]).inc_by(bytes);
    }

    pub fn dialed(&self, took: Duration) {
        self.0.dial_seconds.observe(took.as_secs_f64());
    }

    pub fn logged_in(&self, took: Duration) {
        self.0.login_seconds.observe(took.as_secs_f64());
    }

    pub fn token(&self, event: TokenEvent) {
        let label = match event {
            TokenEvent::Minted => "minted",
            TokenEvent::Cached => "cached",
            TokenEvent::Failed => "failed",
        };
        self.0.tokens.get_or_create(&[("event", label)]).inc();
    }

    pub fn assumed_role(&self, succeeded: bool) {
        let label = if succeeded { "succeeded" } else { "failed" };
        self.0.assumed_roles.get_or_create(&[("outcome", label)]).inc();
    }

    pub fn login_retried(&self) {
        self.0.login_retries.inc();
    }

    pub fn policy_reloaded(&self, replaced: bool) {
        let label = if replaced { "replaced" } else { "refused" };
        self.0.policy_reloads.get_or_create(&[("outcome", label)]).inc();
    }

    pub fn manifest_reloaded(&self, replaced: bool) {
        let label = if replaced { "replaced" } else { "refused" };
        self.0.manifest_reloads.get_or_create(&[("outcome", label)]).inc();
    }

    /// Of one db user, by this dbproxy.
    pub fn grants_taken_back(&self, done: bool) {
        let label = if done { "done" } else { "failed" };
        self.0
            .grants_taken_back
            .get_or_create(&[("outcome", label)])
            .inc();
    }

    pub fn decided(&self, allowed: bool) {
        let label = if allowed { "allow" } else { "deny" };
        self.0.decisions.get_or_create(&[("decision", label)]).inc();
    }

    pub fn cancel(&self, outcome: CancelOutcome) {
        let label = match outcome {
            CancelOutcome::Forwarded => "forwarded",
            CancelOutcome::HandedOn => "handed_on",
            CancelOutcome::Abandoned => "abandoned",
            CancelOutcome::UnknownKey => "unknown_key",
            CancelOutcome::Failed => "failed",
            CancelOutcome::Refused => "refused",
        };
        self.0.cancels.get_or_create(&[("outcome", label)]).inc();
    }
}

impl Metrics {
    /// Audit lines that are lost, counted elsewhere since the start.
    pub fn audit_lines_lost(&self, failed: u64, dropped: u64) {
        for (label, count) in [("failed", failed), ("dropped", dropped)] {
            let counter = self.0.audit_lines.get_or_create(&[("outcome", label)]).clone();
            counter.inner().fetch_max(count, Ordering::Relaxed);
        }
    }
}

impl Inner {
    fn register_rereadings(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "policy_reloads",
            "Reloads of the policies, by outcome",
            self.policy_reloads.clone(),
        );
        registry.register(
            "manifest_reloads",
            "Reloads of the access manifest, by outcome",
            self.manifest_reloads.clone(),
        );
        registry.register(
            "grants_taken_back",
            "Ended grants of db users that were to be taken back in the database, by outcome",
            self.grants_taken_back.clone(),
        );
    }

    fn register(&mut self) {
        self.register_rereadings();
        let registry = &mut self.registry;
        registry.register(
            "connections_accepted",
            "Client connections accepted",
            self.accepted.clone(),
        );
        registry.register(
            "connections_closed",
            "Client connections ended, by reason",
            self.closed.clone(),
        );
        registry.register(
            "connections_open",
            "Client connections now, in whatever state",
            self.connections.clone(),
        );
        registry.register(
            "sessions_open",
            "Sessions connected to a server",
            self.open.clone(),
        );
        registry.register(
            "relayed_bytes",
            "Bytes relayed by ended sessions",
            self.relayed.clone(),
        );
        registry.register(
            "dial_seconds",
            "Time to reach a server and verify its TLS",
            self.dial_seconds.clone(),
        );
        registry.register(
            "login_seconds",
            "Time from the startup message to the server's first ReadyForQuery",
            self.login_seconds.clone(),
        );
        registry.register(
            "tokens",
            "Auth tokens, by how they were come by",
            self.tokens.clone(),
        );
        registry.register(
            "assume_role_calls",
            "AssumeRole calls, by outcome",
            self.assumed_roles.clone(),
        );
        registry.register(
            "login_retries",
            "Logins tried again with a fresh credential",
            self.login_retries.clone(),
        );
        registry.register("policy_decisions", "Policy decisions", self.decisions.clone());
        registry.register(
            "cancel_requests",
            "CancelRequests, by outcome",
            self.cancels.clone(),
        );
        registry.register(
            "audit_lines",
            "Audit lines that did not reach every sink, by outcome",
            self.audit_lines.clone(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gauge_follows_the_guards_and_reasons_are_labels() {
        let metrics = Metrics::new();
        let connection = metrics.connection_accepted();
        let guard = metrics.session_open();
        assert!(metrics.encode().contains("dbproxy_connections_open 1"));
        metrics.connection_closed(CloseReason::PolicyDenied);
        let text = metrics.encode();
        assert!(text.contains("dbproxy_sessions_open 1"), "{text}");
        assert!(text.contains(r#"dbproxy_connections_closed_total{reason="policy_denied"} 1"#));
        metrics.audit_lines_lost(3, 0);
        metrics.audit_lines_lost(2, 1);
        let text = metrics.encode();
        assert!(
            text.contains(r#"dbproxy_audit_lines_total{outcome="failed"} 3"#),
            "{text}"
        );
        assert!(
            text.contains(r#"dbproxy_audit_lines_total{outcome="dropped"} 1"#),
            "{text}"
        );
        drop((guard, connection));
        assert_eq!(metrics.open_sessions(), 0);
        assert!(metrics.encode().contains("dbproxy_connections_open 0"));
    }
}
