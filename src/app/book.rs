//! The access manifest in force: read again as the policies are, and what its change does to targets and sessions.

use super::reload::record;
use super::watch::review;
use crate::access::audit::By;
use crate::admin::Reloaded;
use crate::config::ManifestSetting;
use crate::config::source::process_environment;
use crate::platform::task::aside;
use crate::provision::manifest::Manifest;
use crate::traffic::session::Shared;
use arc_swap::ArcSwap;
use std::sync::Arc;
use tokio::sync::Notify;

/// One manifest, and what it was read from.
#[derive(Debug)]
struct InForce {
    text: String,
    manifest: Arc<Manifest>,
}

/// The manifest that the configuration names.
#[derive(Debug)]
pub struct Book {
    setting: ManifestSetting,
    in_force: ArcSwap<InForce>,
    /// Another one is in force.
    pub changed: Notify,
}

/// What was read last and is not in force, or why nothing could be read: told once, not every five seconds.
#[derive(Debug, Clone, Default)]
pub struct Refused(Option<String>);

enum Read {
    Same,
    Broken { read: String, why: String },
    Replaced,
}

impl Book {
    pub fn new(setting: ManifestSetting) -> Self {
        let in_force = InForce {
            text: setting.text.clone(),
            manifest: setting.manifest.clone(),
        };
        Self {
            setting,
            in_force: ArcSwap::from_pointee(in_force),
            changed: Notify::new(),
        }
    }

    pub fn manifest(&self) -> Arc<Manifest> {
        self.in_force.load().manifest.clone()
    }

    fn read(&self, shared: &Shared, refused: &Refused, asked: bool) -> Read {
        let text = match self.setting.text_now() {
            Ok(text) => text,
            Err(why) if !asked && refused.0.as_ref() == Some(&why) => return Read::Same,
            Err(why) => {
                let read = why.clone();
                return Read::Broken { read, why };
            }
        };
        if !asked && (self.in_force.load().text == text || refused.0.as_ref() == Some(&text)) {
            return Read::Same;
        }
        match self.setting.with(text.clone(), &process_environment) {
            Ok((manifest, targets)) => {
                shared.catalog.replace(targets);
                // After the catalog: who sees the new count sees the new targets, too.
                shared.policy.outdate();
                let manifest = Arc::new(manifest);
                self.in_force.store(Arc::new(InForce { text, manifest }));
                self.changed.notify_one();
                Read::Replaced
            }
            Err(why) => Read::Broken { read: text, why },
        }
    }
}

/// Reads the manifest again. One with a mistake never replaces the one in force; its mistakes are logged once. Returns
/// what was refused, and, if there is something new, how many sessions end or why it is not in force.
pub async fn reload(
    shared: &Arc<Shared>,
    book: &Arc<Book>,
    refused: Refused,
    asked: bool,
) -> (Refused, Option<Result<usize, String>>) {
    let read = aside({
        let (shared, book, refused) = (shared.clone(), book.clone(), refused.clone());
        move || book.read(&shared, &refused, asked)
    });
    match read.await {
        None => (
            refused,
            Some(Err("the access manifest could not be read".to_owned())),
        ),
        Some(Read::Same) => (refused, None),
        Some(Read::Broken { read, why }) => {
            tracing::error!(error = %why, "the access manifest was not reloaded, the present one stays in force");
            shared.metrics.manifest_reloaded(false);
            (Refused(Some(read)), Some(Err(why)))
        }
        Some(Read::Replaced) => {
            let ended = aside({
                let shared = shared.clone();
                move || review(&shared)
            });
            let ended = ended.await.unwrap_or_default();
            shared.metrics.manifest_reloaded(true);
            let clusters = book.manifest().clusters.len();
            tracing::info!(clusters, sessions_ended = ended, "access manifest reloaded");
            (Refused::default(), Some(Ok(ended)))
        }
    }
}

/// Reads the manifest if it has changed, and puts on record what has become of it.
pub async fn notice(shared: &Arc<Shared>, book: &Arc<Book>, refused: Refused) -> Refused {
    let (refused, outcome) = reload(shared, book, refused, false).await;
    if let Some(outcome) = outcome {
        let ending = *outcome.as_ref().unwrap_or(&0);
        let mut reloaded = Reloaded::default();
        reloaded.note("manifest", outcome.map(|_| ()));
        record(shared, &By::FileChange, &reloaded, ending).await;
    }
    refused
}
