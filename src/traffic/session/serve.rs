//! The session itself: the client learns that it is in, bytes are relayed, both sides are closed.

use super::Shared;
use super::connect::{Connected, StartedRest};
use super::refuse::{Refused, say_and_close};
use super::registry::{Facts, Listed};
use super::startup::shutting_down;
use crate::access::audit::sink::SinkError;
use crate::access::audit::{Legs, Record, Volume};
use crate::access::policy::Permit;
use crate::domain::cancel_key::CancelKey;
use crate::domain::reason::CloseReason;
use crate::domain::session_id::SessionId;
use crate::error::{Chain, Refusal, SqlState};
use crate::platform::task::aside;
use crate::platform::telemetry::metrics::{CancelOutcome, Direction};
use crate::platform::tls::stream::{ClientStream, version_name};
use crate::platform::wire::error::encode_refusal;
use crate::platform::wire::greeting::encode_backend_key;
use crate::traffic::relay::{Ending, Leftovers, Relay, Wish};
use crate::traffic::upstream::cancel::CancelRoute;
use crate::traffic::upstream::login::Greeting;
use crate::traffic::upstream::{Login, ServerStream};
use bytes::BytesMut;
use socket2::SockRef;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};

/// A Terminate message: the server ends without waiting for more.
const TERMINATE: [u8; 5] = [b'X', 0, 0, 0, 4];
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// What is boxed here is not part of what a session occupies while it relays.
pub async fn serve(shared: &Shared, connected: Box<Connected>) -> CloseReason {
    let Connected {
        started,
        permit,
        mut client,
        from_client,
        login,
    } = *connected;
    // The places among the permitted sessions are held until the end of this function.
    let StartedRest {
        mut record,
        place: _place,
        seat: _seat,
        began,
    } = started;
    let Login {
        stream: mut server,
        address,
        greeting,
        leftover,
    } = login;
    let pid = greeting.key.as_ref().map(|key| key.pid);
    let route = greeting.key.clone().map(|key| {
        Arc::new(CancelRoute {
            target: permit.target().clone(),
            address,
            key,
        })
    });
    let key = route.clone().and_then(|route| shared.cancel_keys.issue(route));

    let ready_status = greeting.ready_status;
    let mut from_server = hello(greeting, key.as_ref().map(|guard| &guard.key));
    let greeting_bytes = from_server.len() as u64;
    from_server.extend_from_slice(&leftover);
    // Its allocation is as large as the largest message of the login.
    drop(leftover);

    let listed = shared.registry.list(Facts {
        session: record.session(),
        permit: permit.clone(),
        source: record.source().to_owned(),
        backend_pid: pid,
        began: shared.clock.now(),
    });
    record.legs(Legs {
        client: client.tls_version(),
        server: version_name(server.get_ref().1),
    });
    let begun = Box::pin(begin(shared, &listed, &permit, &mut record, (pid, began))).await;
    if let Err(refusal) = begun {
        drop(listed);
        Box::pin(say_goodbye(server, true)).await;
        return Box::pin(Refused::told(client, record, refusal).tell(Instant::now())).await;
    }
    let _open = shared.metrics.session_open();
    let leftovers = Leftovers {
        from_client,
        from_server,
    };
    let control = listed.control.clone();
    let relay = Relay::new(&mut client, &mut server, leftovers, ready_status, control);
    let ending = relay.run().await;
    // From here on a cancel would find a server that is no longer this client's.
    drop(key);
    drop(listed);

    let volume = relayed(shared, &ending, greeting_bytes);
    // Boxed: room for the goodbyes is not carried through the session's life.
    let words = last_words(&ending, record.session());
    // Before the goodbyes: they may last longer than the process.
    Box::pin(record.closed(ending.reason, volume)).await;
    Box::pin(part(shared, &ending, (client, words), (server, route.as_deref()))).await;
    ending.reason
}

/// Counts what was relayed; the greeting was dbproxy's to write.
fn relayed(shared: &Shared, ending: &Ending, greeting_bytes: u64) -> Volume {
    let volume = Volume {
        to_server: ending.to_server,
        to_client: ending.to_client.saturating_sub(greeting_bytes),
    };
    shared.metrics.relayed(Direction::ToServer, volume.to_server);
    shared.metrics.relayed(Direction::ToClient, volume.to_client);
    volume
}

/// The session is still permitted, and its line is written.
async fn begin(
    shared: &Shared,
    listed: &Listed<'_>,
    permit: &Permit,
    record: &mut Record,
    (backend_pid, began): (Option<i32>, Instant),
) -> Result<(), Refusal> {
    ask_again(shared, listed, permit).await;
    if let Some(refusal) = ended_before_it_began(listed) {
        return Err(refusal);
    }
    let written = record.connected(backend_pid, began.elapsed()).await;
    written.map_err(|error| audit_unavailable(&error))
}

/// Policies that were reloaded while the session came about have not asked about it, because it was not listed yet.
async fn ask_again(shared: &Shared, listed: &Listed<'_>, permit: &Permit) {
    if shared.policy.is_current(permit) {
        return;
    }
    let (policy, asked, now) = (shared.policy.clone(), permit.clone(), shared.clock.now());
    let target = shared.target_of(permit);
    let renewed = aside(move || policy.renew(&asked, &target, now)).await;
    match renewed.unwrap_or(Err(CloseReason::PolicyChanged)) {
        Ok(permit) => shared.registry.renew(listed.id, permit),
        Err(reason) => listed.control.wish(Wish::EndNow(reason)),
    }
}

/// A session that is not to be must not be seen to begin: the client could have sent a query ahead.
fn ended_before_it_began(listed: &Listed<'_>) -> Option<Refusal> {
    match listed.control.current() {
        // A drain lets those who are in finish what they have begun.
        Wish::Run | Wish::EndWhenIdle(CloseReason::Shutdown) | Wish::EndNow(CloseReason::Shutdown) => None,
        Wish::EndWhenIdle(reason) | Wish::EndNow(reason) => Some(permit_ended(reason)),
    }
}

/// The client reads the last words, the server is left with nothing to do, both connections are closed.
async fn part(
    shared: &Shared,
    ending: &Ending,
    (client, last_words): (ClientStream, BytesMut),
    (server, route): (ServerStream, Option<&CancelRoute>),
) {
    let leave_server = async {
        match route.filter(|_| ending.server_busy) {
            Some(route) => stop_work(shared, ending, (server, route)).await,
            None => say_goodbye(server, ending.server_can_be_told).await,
        }
    };
    tokio::join!(leave_server, say_and_close(client, &last_words));
}

/// What the server does for nobody any more is cancelled, because it would notice the closed connection
/// only when it next writes to it. One with more to do behind that is shown first that nobody reads: the
/// first answer that it writes after the reset fails, and it begins nothing else. The key of a process that
/// has ended opens nothing.
async fn stop_work(shared: &Shared, ending: &Ending, (server, route): (ServerStream, &CancelRoute)) {
    if ending.server_has_more {
        // Where it cannot be set the connection ends in the ordinary way.
        let _ = SockRef::from(server.get_ref().0).set_linger(Some(Duration::ZERO));
        drop(server);
        cancel_abandoned(shared, route).await;
    } else {
        // While the connection is open the server's process cannot have become another session's.
        cancel_abandoned(shared, route).await;
        say_goodbye(server, ending.server_can_be_told).await;
    }
}

/// Cancels what the server does, and counts it.
async fn cancel_abandoned(shared: &Shared, route: &CancelRoute) {
    // A crowd that leaves at once must not come back as a crowd of connections to the server.
    let Some(_turn) = shared.cancel_keys.turn().await else {
        shared.metrics.cancel(CancelOutcome::Refused);
        return;
    };
    let outcome = match shared.connector.cancel(route).await {
        Ok(()) => CancelOutcome::Abandoned,
        Err(error) => {
            tracing::warn!(backend_pid = route.key.pid, error = %Chain(&error), "cancel of an abandoned query failed");
            CancelOutcome::Failed
        }
    };
    shared.metrics.cancel(outcome);
}

/// What the client reads first: the server's own greeting, with the key that dbproxy issued.
fn hello(greeting: Greeting, key: Option<&CancelKey>) -> BytesMut {
    let mut hello = greeting.before_key;
    if let Some(key) = key {
        encode_backend_key(key, &mut hello);
    }
    hello.extend_from_slice(&greeting.after_key);
    hello
}

/// What the client reads last, when the server has not told it why the session ends.
fn last_words(ending: &Ending, session: SessionId) -> BytesMut {
    let mut words = BytesMut::new();
    let refusal = match ending.reason {
        CloseReason::Shutdown => shutting_down(),
        CloseReason::PolicyChanged
        | CloseReason::PermitExpired
        | CloseReason::ProofExpired
        | CloseReason::GrantEnded
        | CloseReason::Terminated => permit_ended(ending.reason),
        CloseReason::ServerClosed | CloseReason::ServerLost if !ending.server_has_told => server_gone(),
        _ => return words,
    };
    if ending.client_can_be_told {
        encode_refusal(&refusal, session, &mut words);
    }
    words
}

/// The sentence begins as PostgreSQL's own does, which drivers know.
fn permit_ended(reason: CloseReason) -> Refusal {
    let (why, hint) = match reason {
        CloseReason::PolicyChanged => (
            "because policy no longer permits it",
            "Ask whoever keeps the policies, and give them the session id.",
        ),
        CloseReason::PermitExpired => ("because its permitted time is over", "Connect again."),
        CloseReason::ProofExpired => (
            "because the proof of who you are has expired",
            "Get a fresh one, and connect again.",
        ),
        CloseReason::GrantEnded => (
            "because the grant that it rested on has ended",
            "Whoever keeps the access manifest gives it anew: `dbproxy grant`.",
        ),
        _ => (
            "due to administrator command",
            "Somebody has ended this session through dbproxy.",
        ),
    };
    Refusal::new(
        reason,
        SqlState::ADMIN_SHUTDOWN,
        format!("terminating connection {why}"),
    )
    .hint(hint)
}

/// Nothing was relayed yet.
fn audit_unavailable(error: &SinkError) -> Refusal {
    tracing::error!(error = %Chain(error), "no session without its audit line");
    Refusal::new(
        CloseReason::AuditUnavailable,
        SqlState::CANNOT_CONNECT_NOW,
        "the record of this session could not be written, and none may begin without",
    )
    .hint("Whoever runs dbproxy finds in its log which audit sink fails.")
}

fn server_gone() -> Refusal {
    Refusal::new(
        CloseReason::ServerLost,
        SqlState::CONNECTION_FAILURE,
        "the database server closed the connection without a word",
    )
    .hint("It may have crashed, failed over or been restarted: see its log, and connect again.")
}

/// The server frees its slot at once instead of when it notices. In the midst of a message a Terminate would be
/// taken for the rest of it, and could make a statement of what was cut.
async fn say_goodbye(mut server: ServerStream, between_messages: bool) {
    let _ = timeout(GOODBYE, async {
        if between_messages {
            server.write_all(&TERMINATE).await?;
        }
        server.shutdown().await
    })
    .await;
}
