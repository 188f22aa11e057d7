//! Names of what is provisioned. In the catalogs db users and db roles are both roles, told apart by LOGIN.

use crate::domain::name::{DbRole, DbUser, NameError};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The role that IAM database authentication is bound to (RDS User Guide, "IAM database authentication").
pub const RDS_IAM: &str = "rds_iam";

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// Accepts exactly this name, by the rules of every name of ours.
            pub fn new(name: impl AsRef<[u8]>) -> Result<Self, NameError> {
                DbRole::new(name).map(|name| Self(name.as_str().into()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into()
            }
        }
    };
}

identifier! {
    /// A role of the catalogs: a db user or a db role.
    RoleName
}
identifier! {
    /// A database.
    Database
}
identifier! {
    /// A schema.
    SchemaName
}

impl From<&DbUser> for RoleName {
    fn from(user: &DbUser) -> Self {
        Self(user.as_str().into())
    }
}

impl From<&DbRole> for RoleName {
    fn from(role: &DbRole) -> Self {
        Self(role.as_str().into())
    }
}
