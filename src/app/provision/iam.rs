//! IAM of the account whose credentials this runs with: looked at, changed.

use crate::domain::endpoint::Region;
use crate::platform::aws::iam::Iam;
use crate::platform::aws::{AwsError, AwsFault, Sdk};
use crate::provision::iam::apply::{IamApplyError, apply};
use crate::provision::iam::difference::{Difference, IamObstacle, difference, place};
use crate::provision::iam::found::Found;
use crate::provision::iam::step::{IamPlan, IamStep};
use crate::provision::iam::{Holder, Policies};
use crate::provision::manifest::arn::AccountId;
use std::collections::BTreeSet;
use std::time::Duration;

/// IAM answers for a while as if a change had not been made: how long is waited before looking again.
const PATIENCE: [Duration; 5] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(6),
    Duration::from_secs(10),
];

/// The way into IAM of one account.
pub struct Account {
    iam: Iam,
    id: AccountId,
}

/// What the account has. `wanted` tells which roles matter beside those that dbproxy made.
pub async fn look(region: &Region, wanted: &Policies) -> Result<Found, AwsError> {
    Account::open(region).await?.look(wanted).await
}

impl Account {
    /// Any region of the partition.
    pub async fn open(region: &Region) -> Result<Self, AwsError> {
        let sdk = Sdk::load(Some(region)).await;
        let iam = Iam::open(&sdk, region).await?;
        let account = &iam.caller().account;
        let id = AccountId::new(account).ok_or_else(|| AwsError {
            fault: AwsFault::Other,
            action: "ask AWS who dbproxy is".to_owned(),
            message: format!("`{account}` is no account"),
        })?;
        Ok(Self { iam, id })
    }

    pub fn id(&self) -> &AccountId {
        &self.id
    }

    /// Before anything is looked at: whose credentials these are.
    pub fn place(&self, wanted: &Policies) -> Result<(), IamObstacle> {
        place(wanted, &self.iam.caller().partition, &self.id)
    }

    pub async fn look(&self, wanted: &Policies) -> Result<Found, AwsError> {
        let details = self.iam.details().await?;
        let found = Found::of(&self.iam.caller().partition, self.id.clone(), &details);
        let mut found = found.map_err(|holes| AwsError {
            fault: AwsFault::Other,
            action: "read the account's IAM (iam:GetAccountAuthorizationDetails)".to_owned(),
            message: holes.to_string(),
        })?;
        let made = wanted.bundles.iter().filter(|bundle| bundle.made.is_some());
        let made: BTreeSet<String> = made
            .filter_map(|bundle| match &bundle.holder {
                Holder::Principal(principal) => Some(principal.as_str().to_owned()),
                Holder::Provisioner { .. } => None,
            })
            .collect();
        for (arn, principal) in &mut found.principals {
            if let (Some(role), true) = (&mut principal.role, made.contains(arn)) {
                let name = arn.rsplit('/').next().unwrap_or_default();
                role.max_session = self.iam.max_session(name).await?;
            }
        }
        Ok(found)
    }

    pub async fn difference(&self, wanted: &Policies) -> Result<(Difference, Found), AwsError> {
        let found = self.look(wanted).await?;
        Ok((difference(wanted, &found), found))
    }

    pub async fn apply(
        &self,
        plan: &IamPlan,
        allow_destructive: bool,
        tell: impl FnMut(usize, &IamStep),
    ) -> Result<(), IamApplyError> {
        apply(&self.iam, plan, allow_destructive, tell).await
    }

    /// Looks again until nothing is left to do, or for as long as IAM may take to tell what was changed.
    pub async fn settled(
        &self,
        wanted: &Policies,
        narrow: impl Fn(Difference) -> Difference,
    ) -> Result<Difference, AwsError> {
        let mut waits = PATIENCE.iter();
        loop {
            let left = narrow(self.difference(wanted).await?.0);
            match waits.next() {
                Some(wait) if !left.plan.steps.is_empty() => tokio::time::sleep(*wait).await,
                _ => return Ok(left),
            }
        }
    }
}
