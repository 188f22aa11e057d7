//! The access manifest in force: read again as the policies are, and what its change does to targets and sessions.

use super::reload::record;
use super::turn::Turn;
use super::watch::review;
use crate::access::audit::By;
use crate::access::catalog::Catalog;
use crate::access::policy::Policy;
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
    turn: Turn,
    /// Another one is in force.
    pub changed: Notify,
}

/// What was read last and is not in force, or why nothing could be read: told once, not every five seconds.
#[derive(Debug, Clone, Default)]
pub struct Refused(Option<String>);

/// What the manifest has a say in.
type World = (Arc<Catalog>, Arc<Policy>);

const TOO_LONG: &str = "the access manifest could not be read: it takes too long";

#[derive(Debug, PartialEq)]
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
            turn: Turn::default(),
            changed: Notify::new(),
        }
    }

    pub fn manifest(&self) -> Arc<Manifest> {
        self.in_force.load().manifest.clone()
    }

    /// `None`: it broke down.
    async fn read(self: &Arc<Self>, world: &World, refused: &Refused, asked: bool) -> Option<Read> {
        let setting = self.setting.clone();
        let read = self.turn.read(move || setting.text_now()).await;
        let (turn, text) = match read {
            Some((turn, Ok(text))) => (turn, text),
            Some((_, Err(why))) => return Some(refused.unreadable(why, asked)),
            None => return Some(refused.unreadable(TOO_LONG.to_owned(), asked)),
        };
        if !asked && (self.in_force.load().text == text || refused.0.as_ref() == Some(&text)) {
            return Some(Read::Same);
        }
        let (book, world) = (self.clone(), world.clone());
        let judged = aside(move || {
            let _turn = turn;
            book.put_into_force(&world, text)
        });
        judged.await
    }

    fn put_into_force(&self, (catalog, policy): &World, text: String) -> Read {
        match self.setting.with(text.clone(), &process_environment) {
            Ok((manifest, targets)) => {
                catalog.replace(targets);
                // After the catalog: who sees the new count sees the new targets, too.
                policy.outdate();
                let manifest = Arc::new(manifest);
                self.in_force.store(Arc::new(InForce { text, manifest }));
                self.changed.notify_one();
                Read::Replaced
            }
            Err(why) => Read::Broken { read: text, why },
        }
    }
}

impl Refused {
    fn unreadable(&self, why: String, asked: bool) -> Read {
        if !asked && self.0.as_ref() == Some(&why) {
            return Read::Same;
        }
        let read = why.clone();
        Read::Broken { read, why }
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
    let world = (shared.catalog.clone(), shared.policy.clone());
    match book.read(&world, &refused, asked).await {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check::{CommandLine, check};
    use crate::domain::name::DbUser;

    fn manifest(user: &str) -> String {
        format!("[clusters.a]\n[clusters.a.users.{user}]\n")
    }

    /// Somebody reads while another has read and not yet put it into force.
    #[tokio::test]
    async fn what_was_read_first_is_not_in_force_last() {
        let path = std::env::temp_dir().join(format!("dbproxy-book-{}.toml", std::process::id()));
        std::fs::write(&path, manifest("first")).unwrap();
        let text =
            format!("manifest = {path:?}\n[targets.a]\nendpoint = \"a.abc.us-east-1.rds.amazonaws.com\"\n");
        let settings = check(text.parse().unwrap(), CommandLine::default(), &|_| None).unwrap();
        let catalog = Arc::new(Catalog::new(settings.targets));
        let book = Arc::new(Book::new(settings.manifest.unwrap()));
        let world = (catalog, Arc::new(Policy::built_in()));
        let another = book.turn.read(|| ()).await;
        let reading = tokio::spawn({
            let (book, world) = (book.clone(), world.clone());
            async move { book.read(&world, &Refused::default(), true).await }
        });
        // Time enough for a reader that does not wait.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        std::fs::write(&path, manifest("second")).unwrap();
        drop(another);
        assert_eq!(reading.await.unwrap(), Some(Read::Replaced));
        std::fs::remove_file(&path).unwrap();
        let second = DbUser::new("second").unwrap();
        let entry = world.0.entry(&crate::domain::name::TargetName::new("a").unwrap());
        assert!(entry.unwrap().now().users.lists(&second));
        let gone = book.read(&world, &Refused::default(), false).await;
        let Some(Read::Broken { why, .. }) = gone else {
            panic!("{gone:?}")
        };
        let again = book.read(&world, &Refused(Some(why)), false).await;
        assert_eq!(again, Some(Read::Same), "told once");
    }
}
