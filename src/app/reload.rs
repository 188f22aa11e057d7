//! Everything that can be read again is: credentials, certificates and revocation lists, users, the access manifest, policies.

use super::{App, book, watch};
use crate::access::audit::{By, Reread};
use crate::admin::Reloaded;
use crate::error::Chain;
use crate::traffic::session::Shared;

impl App {
    /// Reads again what may have changed. What cannot be used does not replace what is in force.
    pub(super) async fn reload(&self, by: By) -> Reloaded {
        let shared = &self.gate.shared;
        let mut reloaded = Reloaded::default();
        shared.credentials.forget_all();
        tracing::info!("reload: credentials will be read again");
        reloaded.note("credentials", Ok(()));
        if let Some(identity) = &self.identity {
            let outcome = identity.reload().map_err(|error| Chain(&error).to_string());
            match &outcome {
                Ok(()) => tracing::info!("reload: client_tls certificate read again"),
                Err(error) => tracing::error!(error, "reload failed, the present certificate stays"),
            }
            reloaded.note("client_tls", outcome);
        }
        if let Some(scram) = &shared.identity.scram {
            let outcome = scram.reload().map_err(|error| Chain(&error).to_string());
            match &outcome {
                Ok(()) => tracing::info!("reload: scram users read again"),
                Err(error) => tracing::error!(error, "reload failed, the present scram users stay"),
            }
            reloaded.note("scram", outcome);
        }
        let mut ending = 0_usize;
        // Before the policies: what they say is asked about what it says.
        if let Some(book) = &self.book {
            let (_, outcome) = book::reload(shared, book, book::Refused::default(), true).await;
            let outcome = outcome.unwrap_or(Ok(0));
            ending = *outcome.as_ref().unwrap_or(&0);
            reloaded.note("manifest", outcome.map(|_| ()));
        }
        if let Some(place) = &self.policies {
            let (_, outcome) = watch::reload(shared, place, watch::Seen::default(), true).await;
            let outcome = outcome.unwrap_or(Ok(0));
            ending = ending.saturating_add(*outcome.as_ref().unwrap_or(&0));
            reloaded.note("policy", outcome.map(|_| ()));
        }
        record(shared, &by, &reloaded, ending).await;
        reloaded
    }
}

/// The line that says so, with the policies that are in force now.
pub(super) async fn record(shared: &Shared, by: &By, reloaded: &Reloaded, sessions_ending: usize) {
    let generation = shared.policy.generation();
    let set = shared.policy.set();
    let set = set.as_ref().as_ref();
    let reread = Reread {
        by,
        reloaded: &reloaded.done,
        failed: &reloaded.failed,
        policy: set.map(|set| (generation, set.digest.as_str())),
        sessions_ending,
    };
    shared.audit.reread(&reread).await;
}
