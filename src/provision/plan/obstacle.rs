//! Why there is no plan: what would fail, or lock somebody out, and what mends it.

use crate::provision::name::{Database, RoleName};
use crate::provision::sql::identifier;

/// One thing that stands in the way. The statements in the texts are for people who may run them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    #[error("{provisioner:?} may not create roles; let a superuser run: ALTER ROLE {} CREATEROLE", identifier(.provisioner))]
    MayNotCreateRoles { provisioner: String },
    #[error("{provisioner:?} may not create databases or hand them over; let a superuser run: ALTER ROLE {} CREATEDB", identifier(.provisioner))]
    MayNotCreateDatabases { provisioner: String },
    #[error("{role:?} is the provisioner itself: it cannot be a role of the manifest")]
    ManagesItself { role: String },
    #[error(
        "{provisioner:?} may not change or grant {role:?}: since PostgreSQL 16 that needs ADMIN on it; let a superuser \
         or its creator run: GRANT {} TO {} WITH ADMIN OPTION", identifier(.role), identifier(.provisioner)
    )]
    NotAdministrator { provisioner: String, role: String },
    #[error(
        "{provisioner:?} cannot act as {role:?}, who owns {owned}; let a superuser run: GRANT {} TO {}",
        identifier(.role), identifier(.provisioner)
    )]
    CannotActAs {
        provisioner: String,
        role: String,
        owned: String,
    },
    #[error("there is no role {role:?}, which {needed_by} needs")]
    NoSuchRole { role: String, needed_by: String },
    #[error(
        "there is no role \"rds_iam\": RDS and Aurora have it; on a server of your own let a superuser run: CREATE ROLE \
         rds_iam"
    )]
    NoRdsIam,
    #[error(
        "database {database:?} is there and lets nobody in (ALLOW_CONNECTIONS false, or IS_TEMPLATE); let its owner run: \
         ALTER DATABASE {} ALLOW_CONNECTIONS true IS_TEMPLATE false", identifier(.database)
    )]
    Closed { database: String },
    #[error(
        "{owned} belongs to {role:?}, a superuser, as whom {provisioner:?} cannot act; let a superuser give it to \
         {provisioner:?}: ALTER … OWNER TO {}", identifier(.provisioner)
    )]
    OfSuperuser {
        provisioner: String,
        role: String,
        owned: String,
    },
    #[error(
        "there is a role {role:?} that is not of an earlier bootstrap: somebody can log in as it, is a member of it, or it \
         is a member of others; rename or drop it: ALTER ROLE {} RENAME TO …", identifier(.role)
    )]
    NotOfBootstrap { role: String },
    #[error(
        "database {database:?} belongs to {administrator:?}, who cannot give it to {provisioner:?}; let a superuser run: \
         ALTER DATABASE {} OWNER TO {}", identifier(.database), identifier(.provisioner)
    )]
    NotGivenAway {
        database: String,
        administrator: String,
        provisioner: String,
    },
    #[error("there is no database {database:?}, for which {needed_by} has settings")]
    NoSuchDatabase { database: String, needed_by: String },
    #[error(
        "database {database:?} could not be looked into; let its owner run: GRANT CONNECT ON DATABASE {} TO {}",
        identifier(.database), identifier(.provisioner)
    )]
    Unseen { database: String, provisioner: String },
    #[error("database {database:?} needs the extension {extension:?}, which the server does not have")]
    ExtensionMissing { database: String, extension: String },
    #[error(
        "database {database:?} needs the extension {extension:?}, which is not a trusted one; let an administrator run \
         there: CREATE EXTENSION {}", identifier(.extension)
    )]
    ExtensionNotTrusted { database: String, extension: String },
    #[error("{what}: the argument types of {name:?} are not understood; write them like f(integer, text)")]
    Signature { what: String, name: String },
    #[error("break-glass user {role:?} cannot log in: it does not exist, or has no LOGIN")]
    BreakGlassCannotLogIn { role: String },
    #[error(
        "break-glass user {role:?} could only log in by IAM, for it is a member of rds_iam: {path}; take one of these \
         memberships away first"
    )]
    BreakGlassByIam { role: String, path: String },
    #[error(
        "{provisioner:?} logs in by password and would lock itself out: since PostgreSQL 16 the creator of a role \
         becomes a member of it, and through {user:?} of rds_iam; let an administrator run: GRANT rds_iam TO {}, and \
         let it log in by IAM", identifier(.provisioner)
    )]
    ProvisionerByPassword { provisioner: String, user: String },
    #[error(
        "{provisioner:?} logs in by password and would lock itself out: it has to act as {role:?}, which is a member \
         of rds_iam"
    )]
    OwnerByIam { provisioner: String, role: String },
}

impl Obstacle {
    pub(super) fn unseen(database: &Database, provisioner: &RoleName) -> Self {
        Self::Unseen {
            database: database.to_string(),
            provisioner: provisioner.to_string(),
        }
    }
}
