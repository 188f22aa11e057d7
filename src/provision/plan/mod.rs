//! The difference between what is wanted and what was found, as steps in the order in which they can run.
//!
//! Pure: the same two values give the same plan, and a plan for what is already so is empty. Each concern reads the
//! [`scene`] and writes its steps into the [`draft`] under a [`Phase`](draft::Phase); the phases are the order. What
//! one concern changes and another builds on is not simulated: where it matters, the later one reads what the earlier
//! one is going to make (a database that is created now is one that PUBLIC may enter).
//!
//! Nothing here may need a superuser. What the provisioner cannot do itself is an [`Obstacle`] where the rest would
//! fail without it, else a note that says who can do it, and how.

pub mod bootstrap;
mod borrow;
mod databases;
mod defaults;
pub(super) mod difference;
mod draft;
mod drops;
mod extensions;
pub(super) mod inside;
mod lockout;
mod memberships;
mod objects;
mod obstacle;
pub(super) mod reach;
mod rename;
mod roles;
mod scene;
mod schemas;
mod settings;
pub(super) mod text;

#[cfg(test)]
pub(super) mod fixture;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use super::inspected::Inspected;
use super::step::Plan;
use super::wanted::Wanted;
pub use obstacle::Obstacle;

/// What to do so that `inspected` becomes `wanted`; or everything that stands in the way, and then nothing is done.
pub fn plan(wanted: &Wanted, inspected: &Inspected) -> Result<Plan, Vec<Obstacle>> {
    match sketch(wanted, inspected) {
        (plan, obstacles) if obstacles.is_empty() => Ok(plan),
        (_, obstacles) => Err(obstacles),
    }
}

/// The steps as far as they are known, also where something stands in the way: to be shown, and never run then.
pub fn sketch(wanted: &Wanted, inspected: &Inspected) -> (Plan, Vec<Obstacle>) {
    let mut draft = draft::Draft::default();
    let scene = scene::Scene::new(wanted, inspected, &mut draft);
    roles::plan(&scene, &mut draft);
    memberships::plan(&scene, &mut draft);
    settings::plan(&scene, &mut draft);
    databases::plan(&scene, &mut draft);
    drops::plan(&scene, &mut draft);
    // Last of those that write steps: it lends what the others need.
    borrow::plan(&scene, &mut draft);
    lockout::judge(&scene, &mut draft);
    draft.finish(&scene)
}
