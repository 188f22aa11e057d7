//! A grant or a revocation, from the manifest to the database and IAM.

use super::args::{How, Places};
use super::at::{self, Here};
use super::iam::Plane;
use super::manifest::ManifestFile;
use super::progress::{Ticker, sessions};
use super::{diff, show};
use crate::app::provision::cluster::{PlanForUser, Presence};
use crate::cli::exit::Failure;
use crate::cli::output::{self, line, note, printable};
use crate::domain::name::{DbUser, TargetName};
use crate::platform::clock::Clock;
use crate::provision::iam::step::IamPlan;
use crate::provision::manifest::{self, Manifest};
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
        let manifest = manifest::read(&self.text, Clock::system().now()).map_err(Failure::usage)?;
        let here = self.go(&manifest)?;
        let before = here.runtime.block_on(here.provisioning.plan_for(&self.user))?;
        let plane = self.plane(&here, &manifest)?;
        let in_iam = plane.as_ref().map(Plane::plan).transpose()?;
        if before.whole {
            note(
                "the user leaves something behind, which concerns others: this is the plan of the whole cluster",
            );
        }
        show::plan(&before.plan, in_iam.as_ref(), &[], false);
        if self.how.dry_run {
            note("nothing was changed (--dry-run)");
            return Ok(ExitCode::SUCCESS);
        }
        self.allowed(&before.plan, in_iam.as_ref())?;
        if self.text != self.file.text {
            self.file.replace(&self.text)?;
        }
        let iam = plane.as_ref().zip(in_iam.as_ref());
        let outcome = self.apply_both(&here, &before, iam);
        if let Err((failure, true)) = outcome {
            return Err(self.taken_back(failure));
        }
        outcome.map_err(|(failure, _)| self.kept(failure))?;
        if let Some((plane, done)) = iam {
            plane.verify(done)?;
        }
        self.verify(&here, &manifest)
    }

    fn plane<'r>(&self, here: &'r Here, manifest: &Manifest) -> Result<Option<Plane<'r>>, Failure> {
        let config = self.places.config.as_deref();
        let about = Some((&self.cluster, &self.user));
        match self.how.iam.iam {
            true => Plane::go(&here.runtime, config, manifest, about).map(Some),
            false => Ok(None),
        }
    }

    /// What is given is there before somebody may have it; what is taken cannot be had again before it is gone.
    fn apply_both(
        &self,
        here: &Here,
        before: &PlanForUser,
        iam: Option<(&Plane<'_>, &IamPlan)>,
    ) -> Result<(), (Failure, bool)> {
        let in_iam = || match iam {
            Some((plane, plan)) => plane.apply(plan, self.how.allow_destructive),
            None => Ok(()),
        };
        // The second half finds all as it was if the first had nothing to do.
        let after = |(failure, nothing), first_was_idle: bool| (failure, nothing && first_was_idle);
        let idle = iam.is_none_or(|(_, plan)| plan.steps.is_empty());
        match self.is_revocation {
            true => {
                in_iam()?;
                self.apply(here, before).map_err(|failed| after(failed, idle))
            }
            false => {
                self.apply(here, before)?;
                in_iam().map_err(|failed| after(failed, before.plan.steps.is_empty()))
            }
        }
    }

    fn show(&self) {
        let lines = diff::diff(&self.file.text, &self.text);
        if lines.is_empty() {
            note("the manifest says so already");
        }
        lines.iter().for_each(|text| line(&printable(text)));
    }

    fn go(&self, manifest: &Manifest) -> Result<Here, Failure> {
        let cluster = manifest.clusters.get(&self.cluster).cloned();
        let cluster = cluster.ok_or_else(|| Failure::text(1, "the manifest has lost its cluster"))?;
        at::go(self.places.config.as_deref(), &self.cluster, cluster)
    }

    /// Before anything is changed, the manifest too.
    fn allowed(&self, plan: &Plan, iam: Option<&IamPlan>) -> Result<(), Failure> {
        let takes = |step: &Step| step.kind == StepKind::Destructive;
        let in_iam = iam.is_some_and(|plan| plan.destructive().next().is_some());
        if self.how.allow_destructive || !(in_iam || plan.steps.iter().any(takes)) {
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
        let run =
            here.provisioning
                .apply_for(&self.user, &before.plan, self.how.allow_destructive, |progress| {
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
            let iam = if self.how.iam.iam { " --iam" } else { "" };
            let what = format!("; the manifest keeps the change, and `dbproxy apply{iam}` does what is left");
            failure.message.push_str(&what);
        }
        failure
    }

    /// What was to be is so: nothing is left to do, and who was to go is gone.
    fn verify(&self, here: &Here, manifest: &Manifest) -> Result<ExitCode, Failure> {
        let after = here.runtime.block_on(here.provisioning.plan_for(&self.user))?;
        if !after.plan.steps.is_empty() {
            show::plan(&after.plan, None, &[], false);
            return Err(Failure::text(
                1,
                "something is left to do, though all steps have run",
            ));
        }
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
        "IAM is not changed: whoever is to be \"{user}\" also needs rds-db:connect for it (--iam does that, too)"
    ));
}
