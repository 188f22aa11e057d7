//! A grant or a revocation, from the manifest to the database.

use super::args::{How, Places};
use super::at::{self, Here};
use super::manifest::ManifestFile;
use super::progress::{Ticker, sessions};
use super::{diff, show};
use crate::app::provision::cluster::{PlanForUser, Presence};
use crate::cli::exit::Failure;
use crate::cli::output::{self, line, note, printable};
use crate::domain::name::{DbUser, TargetName};
use crate::platform::clock::Clock;
use crate::provision::manifest;
use crate::provision::step::{Plan, Step, StepKind};
use std::process::ExitCode;

/// What is to become of one user.
pub struct Change<'a> {
    pub file: &'a ManifestFile,
    /// The manifest as it is to be.
    pub text: String,
    pub cluster: TargetName,
    pub user: DbUser,
    pub places: &'a Places,
    pub how: &'a How,
    /// Something is taken away: whoever is in is put out.
    pub is_revocation: bool,
}

impl Change<'_> {
    pub fn make(&self) -> Result<ExitCode, Failure> {
        self.show();
        let here = self.go()?;
        let before = here.runtime.block_on(here.provisioning.plan_for(&self.user))?;
        if before.whole {
            note(
                "the user leaves something behind, which concerns others: this is the plan of the whole cluster",
            );
        }
        show::plan(&before.plan, &[], false);
        if self.how.dry_run {
            note("nothing was changed (--dry-run)");
            return Ok(ExitCode::SUCCESS);
        }
        self.allowed(&before.plan)?;
        if self.text != self.file.text {
            self.file.replace(&self.text)?;
        }
        let outcome = self.apply(&here, &before);
        if let Err((failure, true)) = outcome {
            return Err(self.taken_back(failure));
        }
        outcome.map_err(|(failure, _)| self.kept(failure))?;
        self.verify(&here)
    }

    fn show(&self) {
        let lines = diff::diff(&self.file.text, &self.text);
        if lines.is_empty() {
            note("the manifest says so already");
        }
        lines.iter().for_each(|text| line(&printable(text)));
    }

    fn go(&self) -> Result<Here, Failure> {
        let manifest = manifest::read(&self.text, Clock::system().now()).map_err(Failure::usage)?;
        let cluster = manifest.clusters.get(&self.cluster).cloned();
        let cluster = cluster.ok_or_else(|| Failure::text(1, "the manifest has lost its cluster"))?;
        at::go(self.places.config.as_deref(), &self.cluster, cluster)
    }

    /// Before anything is changed, the manifest too.
    fn allowed(&self, plan: &Plan) -> Result<(), Failure> {
        let takes = |step: &Step| step.kind == StepKind::Destructive;
        if self.how.allow_destructive || !plan.steps.iter().any(takes) {
            return Ok(());
        }
        let what = "this takes something away (see the steps with a !), which must be allowed";
        let mut failure = Failure::text(1, what);
        failure.hint = Some("Nothing was changed. Give --allow-destructive.".to_owned());
        Err(failure)
    }

    /// With a failure, whether all is as it was.
    fn apply(&self, here: &Here, before: &PlanForUser) -> Result<(), (Failure, bool)> {
        let mut ticker = Ticker::new();
        let run = here
            .provisioning
            .apply(&before.plan, self.how.allow_destructive, |progress| {
                ticker.tell(progress);
            });
        let outcome = here.runtime.block_on(run);
        ticker.clear();
        outcome.map_err(|error| {
            let nothing = error.has_changed_nothing();
            (error.into(), nothing)
        })?;
        // Of a user whose role is there no longer, the run has ended them.
        let nobody = self.is_revocation && before.user == Presence::Managed;
        match nobody {
            true => self
                .end_sessions(here, ticker.ended)
                .map_err(|failure| (failure, false)),
            false => Ok(()),
        }
    }

    fn end_sessions(&self, here: &Here, before: u64) -> Result<(), Failure> {
        let ended = here
            .runtime
            .block_on(here.provisioning.end_sessions(&self.user))?;
        line(&sessions(ended.ended.saturating_add(before), ended.left));
        match ended.left {
            0 => Ok(()),
            _ => Err(Failure::text(1, "sessions are open still")),
        }
    }

    fn taken_back(&self, mut failure: Failure) -> Failure {
        if self.text == self.file.text {
            return failure;
        }
        let what = match self.file.restore(&self.text) {
            Ok(()) => "; the manifest is as it was".to_owned(),
            Err(error) => format!("; the manifest could not be restored: {}", error.message),
        };
        failure.message.push_str(&what);
        failure
    }

    fn kept(&self, mut failure: Failure) -> Failure {
        if self.text != self.file.text {
            failure
                .message
                .push_str("; the manifest keeps the change, and `dbproxy apply` does what is left");
        }
        failure
    }

    /// What was to be is so: nothing is left to do, and who was to go is gone.
    fn verify(&self, here: &Here) -> Result<ExitCode, Failure> {
        let after = here.runtime.block_on(here.provisioning.plan_for(&self.user))?;
        if !after.plan.steps.is_empty() {
            show::plan(&after.plan, &[], false);
            return Err(Failure::text(
                1,
                "something is left to do, though all steps have run",
            ));
        }
        let manifest = manifest::read(&self.text, Clock::system().now()).map_err(Failure::usage)?;
        let cluster = manifest.clusters.get(&self.cluster);
        let declared = cluster.is_some_and(|cluster| cluster.users.contains_key(&self.user));
        if !declared && after.user != Presence::Absent {
            let why = match after.user {
                Presence::Foreign => "it is not managed by dbproxy",
                _ => "see the notes",
            };
            let what = format!("db user \"{}\" is still in the database: {why}", self.user);
            return Err(Failure::text(1, what));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The name of a user, or why it is none.
pub fn user(name: &str) -> Result<DbUser, Failure> {
    DbUser::new(name).map_err(|error| Failure::text(1, format!("USER: {error}")))
}

/// Whether IAM knows of it is another matter.
pub fn remind_of_iam(user: &DbUser) {
    output::note(&format!(
        "IAM is not changed: whoever is to be \"{user}\" also needs rds-db:connect for it"
    ));
}
