//! Where a database is, and whose signature its certificate carries.

use super::Described;
use crate::config::section::Section;
use crate::domain::endpoint::{EndpointName, Region, RootsKind};
use crate::domain::target::TrustRoots;
use crate::error::Chain;
use crate::platform::tls::roots;
use std::path::PathBuf;

/// What a key holds: nothing, something wrong that was reported, or a value.
pub enum Given<T> {
    Not,
    Wrong,
    As(T),
}

impl<T> Given<T> {
    pub fn given(&self) -> Option<&T> {
        match self {
            Self::As(value) => Some(value),
            Self::Not | Self::Wrong => None,
        }
    }
}

pub fn read_region(section: &mut Section<'_>) -> Given<Region> {
    let Some(text) = section.string("region") else {
        return Given::Not;
    };
    let region = Region::new(&text).ok_or_else(|| format!("`{text}` is not an AWS region"));
    section.convert("region", region).map_or(Given::Wrong, Given::As)
}

pub fn region_of(
    section: &Section<'_>,
    given: Given<Region>,
    endpoint: Option<&EndpointName>,
    needed: bool,
    described: Described,
) -> Option<Region> {
    let endpoint = endpoint?;
    let own = endpoint.region.clone();
    let region = match given {
        Given::Wrong => return None,
        // A default is for names that do not say it.
        Given::As(region) if section.inherits("region") => own.or(Some(region)),
        Given::As(region) => Some(region),
        Given::Not => own,
    };
    match (region, described) {
        (Some(region), _) => Some(region),
        // Never used: nothing of this target talks to AWS.
        (None, _) if !needed => Region::new("us-east-1"),
        (None, Described::InFile) => {
            section.problem("region", "is missing, and the endpoint's name does not say it");
            None
        }
        (None, Described::OnCommandLine) => {
            let what = format_args!(
                "the name does not say its region, and it is not a target of the configuration; give \
                 `--region`, or configure [targets.<name>] with `endpoint = \"{}\"`",
                endpoint.host
            );
            section.problem("endpoint", what);
            None
        }
    }
}

/// The file is read here for its mistakes only; what connects reads it again.
pub fn read_ca_file(section: &mut Section<'_>) -> Given<PathBuf> {
    let Some(path) = section.string("ca_file").map(PathBuf::from) else {
        return Given::Not;
    };
    match roots::from_file(&path) {
        Ok(_) => Given::As(path),
        Err(error) => {
            section.problem("ca_file", Chain(&error));
            Given::Wrong
        }
    }
}

pub fn trust_of(
    section: &Section<'_>,
    ca_file: Given<PathBuf>,
    endpoint: Option<&EndpointName>,
    described: Described,
) -> Option<TrustRoots> {
    match (ca_file, endpoint?.roots(), described) {
        (Given::Wrong, ..) => None,
        (Given::As(file), ..) => Some(TrustRoots::File(file)),
        (Given::Not, Some(RootsKind::Rds), _) if !region_is_covered(endpoint) => {
            let what = "is missing: the shipped roots do not include this region's; take the bundle of the \
                        region from AWS's page about RDS certificates";
            section.problem("ca_file", what);
            None
        }
        (Given::Not, Some(kind), _) => Some(TrustRoots::Shipped(kind)),
        (Given::Not, None, Described::OnCommandLine) => Some(TrustRoots::Shipped(RootsKind::Rds)),
        (Given::Not, None, Described::InFile) => {
            section.problem(
                "ca_file",
                "is missing: the endpoint is not an RDS name, so its authority is unknown",
            );
            None
        }
    }
}

/// A broker's certificate is of any authority, like a web server's.
pub fn trust_of_broker(ca_file: Given<PathBuf>) -> Option<TrustRoots> {
    match ca_file {
        Given::Wrong => None,
        Given::As(file) => Some(TrustRoots::File(file)),
        Given::Not => Some(TrustRoots::Public),
    }
}

/// A name without a region (a global writer's) may lead to any.
fn region_is_covered(endpoint: Option<&EndpointName>) -> bool {
    let region = endpoint.and_then(|endpoint| endpoint.region.as_ref());
    region.is_none_or(roots::covers)
}

/// A wrong id would be found only by a session policy that allows nothing, or a hint that misleads.
pub fn judge_ids(section: &Section<'_>, resource_id: Option<&str>, account_id: Option<&str>) {
    let known = ["cluster-", "db-", "prx-"];
    if resource_id.is_some_and(|id| !known.iter().any(|prefix| id.starts_with(prefix))) {
        section.problem(
            "resource_id",
            "begins with `cluster-`, `db-` or `prx-`; see the database's configuration page",
        );
    }
    let digits = |id: &str| id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit());
    if account_id.is_some_and(|id| !digits(id)) {
        section.problem("account_id", "is not the 12 digits of an AWS account");
    }
}
