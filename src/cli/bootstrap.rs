//! `dbproxy bootstrap [CLUSTER] --as DB_USER`: from a cluster that has only its administrator to what the manifest says.

use super::exit::Failure;
use super::output::{self, printable};
use super::provision::args::Bootstrap;
use super::provision::at::{self, Ground};
use super::provision::iam::{self, Plane};
use super::provision::manifest::ManifestFile;
use super::provision::progress::Ticker;
use super::provision::{change, show};
use crate::app::provision::bootstrap::{self as work, Foreseen, PASSWORD_VARIABLE, Part};
use crate::app::provision::cluster::PlanError;
use crate::config::source::process_environment;
use crate::domain::secret::Secret;
use crate::provision::step::{Plan, StepKind};
use std::process::ExitCode;

pub fn run(flags: &Bootstrap) -> Result<ExitCode, Failure> {
    let administrator = change::user(&flags.administrator)?;
    let file = ManifestFile::read(&flags.places.manifest()?)?;
    let (name, cluster) = file.cluster(flags.cluster.as_deref())?;
    if cluster.provisioner == administrator {
        let what = format!("`{administrator}` is the provisioner of {name}: somebody else has to make it");
        return Err(Failure::text(1, what));
    }
    let provisioner = cluster.provisioner.to_string();
    let ground = Ground::of(flags.places.config.as_deref(), &name)?;
    at::agree(&name, &cluster, ground.target()?)?;
    let password = process_environment(PASSWORD_VARIABLE).map(Secret::from);
    let has_password = password.is_some();
    let way = work::Bootstrap::new(
        &ground.settings,
        &ground.background,
        ground.target()?,
        cluster,
        administrator.clone(),
        password,
    );
    let way = ground.runtime.block_on(way).map_err(Failure::usage)?;
    let foreseen = ground.runtime.block_on(way.foresee());
    let foreseen = foreseen.map_err(|error| with_advice(error, has_password))?;
    let plane = match flags.iam.iam {
        true => Some(Plane::go(
            &ground.runtime,
            flags.places.config.as_deref(),
            &file.manifest,
            None,
        )?),
        false => None,
    };
    let in_iam = plane.as_ref().map(Plane::plan).transpose()?;
    if flags.dry_run {
        tell(flags, &foreseen, administrator.as_str(), &provisioner);
        if let Some(plan) = &in_iam {
            show::iam(plan, flags.sql);
            tell_notes(&plan.notes);
        }
        return Ok(ExitCode::SUCCESS);
    }
    refuse_destructive(flags, &foreseen)?;
    iam::allowed(in_iam.as_ref(), flags.allow_destructive)?;
    let mut done = database(flags, &ground, &way, [administrator.as_str(), &provisioner])?;
    let left = ground.runtime.block_on(way.left())?;
    if !left.steps.is_empty() {
        show::plan(&left, None, &[], false);
        return Err(Failure::text(
            1,
            "something is left to do, though all steps have run",
        ));
    }
    if let (Some(plane), Some(plan)) = (&plane, &in_iam)
        && !plan.steps.is_empty()
    {
        show::iam(plan, flags.sql);
        plane
            .apply(plan, flags.allow_destructive)
            .map_err(|(failure, _)| failure)?;
        plane.verify(plan)?;
        done = true;
    }
    let in_iam = in_iam.map(|plan| plan.notes).unwrap_or_default();
    tell_notes(&file.notes().chain(left.notes).chain(in_iam).collect::<Vec<_>>());
    output::line(&match done {
        true => iam::done(&name, plane.as_ref()),
        false => "nothing to do".to_owned(),
    });
    Ok(ExitCode::SUCCESS)
}

/// Whether there was anything to do.
fn database(
    flags: &Bootstrap,
    ground: &Ground,
    way: &work::Bootstrap,
    [administrator, provisioner]: [&str; 2],
) -> Result<bool, Failure> {
    let mut done = false;
    for (part, who) in [
        (Part::Founding, administrator),
        (Part::Rest, provisioner),
        (Part::Finish, administrator),
    ] {
        let plan = ground.runtime.block_on(way.plan(part));
        let plan = plan.map_err(|error| half_done(error, part, done))?;
        if plan.steps.is_empty() {
            tell_notes(&plan.notes);
            continue;
        }
        headed(who, &plan, flags.sql);
        let mut ticker = Ticker::new();
        let steps = way.apply(part, &plan, flags.allow_destructive, |progress| {
            ticker.tell(progress);
        });
        let outcome = ground.runtime.block_on(steps);
        ticker.clear();
        outcome?;
        done = true;
    }
    Ok(done)
}

/// Of three parts some are done, and may stay so.
fn half_done(error: PlanError, part: Part, done: bool) -> Failure {
    let mut failure = Failure::from(error);
    if failure.is_login() && part == Part::Rest {
        failure.hint = Some(
            "The provisioner is made, and could not log in: what it needs in IAM, `dbproxy iam-policy --provisioner` prints. \
             Then run this again: it does what is left."
                .to_owned(),
        );
    } else if done {
        failure
            .message
            .push_str("; what was done before stays, and the same command does what is left");
    }
    failure
}

/// The usual hints are about db users by IAM, and about configured passwords.
fn with_advice(error: PlanError, has_password: bool) -> Failure {
    let mut failure = Failure::from(error);
    if failure.is_login() {
        failure.hint = Some(match has_password {
            true => format!("Is this its password, in {PASSWORD_VARIABLE}?"),
            false => format!("A master user logs in by password: put that into {PASSWORD_VARIABLE}."),
        });
    }
    failure
}

/// Before the first step: what is found out in the middle would leave half of it.
fn refuse_destructive(flags: &Bootstrap, foreseen: &Foreseen) -> Result<(), Failure> {
    let plans = [&foreseen.founding, &foreseen.rest, &foreseen.finish];
    let steps = plans.into_iter().flat_map(|plan| &plan.steps);
    let titles: Vec<String> = steps
        .filter(|step| step.kind == StepKind::Destructive)
        .map(|step| format!("\n  ! {}", printable(&step.title)))
        .collect();
    if titles.is_empty() || flags.allow_destructive {
        return Ok(());
    }
    let what = format!("these steps take something away:{}", titles.concat());
    let mut failure = Failure::text(1, what);
    failure.hint = Some(
        "Nothing was changed. Look at them with --dry-run --sql, and repeat with --allow-destructive."
            .to_owned(),
    );
    Err(failure)
}

fn tell(flags: &Bootstrap, foreseen: &Foreseen, administrator: &str, provisioner: &str) {
    for (plan, who) in [
        (&foreseen.founding, administrator),
        (&foreseen.rest, provisioner),
        (&foreseen.finish, administrator),
    ] {
        if !plan.steps.is_empty() || !plan.notes.is_empty() {
            headed(who, plan, flags.sql);
        }
    }
}

fn tell_notes(notes: &[String]) {
    for note in notes {
        output::note(&format!("note: {}", printable(note)));
    }
}

fn headed(who: &str, plan: &Plan, with_sql: bool) {
    output::line(&format!("as {}:", printable(who)));
    show::plan(plan, None, &[], with_sql);
}
