//! What IAM of one account says, as `iam:GetAccountAuthorizationDetails` tells it: no more than is compared here.

use crate::provision::manifest::arn::AccountId;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One account as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub partition: String,
    pub account: AccountId,
    /// Roles and users by ARN, paths included.
    pub principals: BTreeMap<String, FoundPrincipal>,
    /// Inline and attached policies of groups by ARN: what users have by way of them.
    pub groups: BTreeMap<String, FoundHeld>,
    /// Managed policies by ARN, those of AWS too where somebody has them.
    pub managed: BTreeMap<String, FoundManaged>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPrincipal {
    pub held: FoundHeld,
    /// ARNs of groups; users alone have them.
    pub groups: BTreeSet<String>,
    /// Roles alone have these.
    pub role: Option<FoundRole>,
}

/// What somebody has of policies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundHeld {
    /// Documents by name.
    pub inline: BTreeMap<String, Value>,
    /// ARNs of managed policies.
    pub attached: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRole {
    pub trust: Value,
    /// By key: whether dbproxy made it stands here.
    pub tags: BTreeMap<String, String>,
    /// Absent where it was not told: the account details leave it out.
    pub max_session: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundManaged {
    pub name: String,
    /// Of the default version.
    pub document: Value,
    /// Ids of all versions, the default one first. IAM keeps five.
    pub versions: Vec<String>,
}
