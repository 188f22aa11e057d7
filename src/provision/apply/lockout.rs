//! Nobody who must be able to log in comes to be unable to.
//!
//! Membership in `rds_iam` decides how a role logs in, along every edge, whatever INHERIT and SET say; since PostgreSQL
//! 16 the creator of a role is a member of it. So who reaches `rds_iam` is looked at inside each transaction, before it
//! is committed, and after it a real login has to succeed.

use super::error::Lockout;
use crate::provision::doors::Doors;
use crate::provision::fault::Fault;
use crate::provision::name::RoleName;
use crate::provision::session::{self, SessionError};
use crate::provision::sql::identifier;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio_postgres::{Client, GenericClient};

/// A login may fail for a moment for reasons of the network or AWS.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// By name: is it the provisioner, does it reach `rds_iam`, has it LOGIN.
const WATCHED: &str = "WITH RECURSIVE reach (oid) AS (SELECT oid FROM pg_roles WHERE rolname = 'rds_iam' \
    UNION SELECT m.member FROM pg_auth_members m JOIN reach r ON m.roleid = r.oid) \
    SELECT r.rolname::text, r.rolname = session_user, r.oid IN (SELECT oid FROM reach), r.rolcanlogin \
    FROM pg_roles r WHERE r.rolname = session_user OR r.rolname = ANY ($1::text[])";

const MEMBERS: &str = "SELECT DISTINCT u.rolname::text FROM pg_auth_members m JOIN pg_roles u ON u.oid = m.member \
    JOIN pg_roles r ON r.oid = m.roleid WHERE r.rolname = 'rds_iam'";

/// One role that must be able to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way {
    provisioner: bool,
    by_iam: bool,
    login: bool,
}

type Ways = BTreeMap<String, Way>;

/// The roles that must be able to log in, as they were before the run.
pub(super) struct Watch {
    break_glass: Vec<String>,
    before: Ways,
    /// Direct members of `rds_iam`.
    members: BTreeSet<String>,
}

impl Watch {
    pub(super) async fn new(client: &Client, break_glass: &BTreeSet<RoleName>) -> Result<Self, Fault> {
        let mut watch = Self {
            break_glass: break_glass.iter().map(ToString::to_string).collect(),
            before: Ways::new(),
            members: members(client).await?,
        };
        watch.before = watch.ways(client).await?;
        Ok(watch)
    }

    async fn ways(&self, client: &impl GenericClient) -> Result<Ways, Fault> {
        let mut ways = Ways::new();
        for row in client.query(WATCHED, &[&self.break_glass]).await? {
            let way = Way {
                provisioner: row.try_get(1)?,
                by_iam: row.try_get(2)?,
                login: row.try_get(3)?,
            };
            ways.insert(row.try_get(0)?, way);
        }
        Ok(ways)
    }

    /// Asked inside a transaction: who would be shut out if it were committed?
    pub(super) async fn look(&self, client: &impl GenericClient) -> Result<Option<Lockout>, Fault> {
        let after = self.ways(client).await?;
        Ok(judge(&self.before, &after))
    }

    /// Takes back the memberships in `rds_iam` that came since the run began: those that could be, and the others.
    pub(super) async fn undo(&self, client: &Client) -> (Vec<String>, Vec<String>) {
        let now = members(client).await.unwrap_or_default();
        let (mut taken_back, mut left) = (Vec::new(), Vec::new());
        for role in now.difference(&self.members) {
            let revoke = format!("REVOKE rds_iam FROM {}", identifier(role));
            match client.batch_execute(&revoke).await {
                Ok(()) => taken_back.push(role.clone()),
                Err(_) => left.push(role.clone()),
            }
        }
        (taken_back, left)
    }
}

async fn members(client: &Client) -> Result<BTreeSet<String>, Fault> {
    let rows = client.query(MEMBERS, &[]).await?;
    let names = rows.iter().map(|row| row.try_get(0));
    names.collect::<Result<_, _>>().map_err(Fault::from)
}

/// The provisioner's way must stay what it is; the others' is the password.
fn judge(before: &Ways, after: &Ways) -> Option<Lockout> {
    before.iter().find_map(|(name, was)| {
        let name = name.clone();
        match after.get(&name) {
            None => Some(Lockout::Gone(name)),
            Some(is) if was.login && !is.login => Some(Lockout::NoLogin(name)),
            Some(is) if is.by_iam && !(was.provisioner && was.by_iam) => Some(Lockout::ByIam(name)),
            Some(is) if was.provisioner && was.by_iam && !is.by_iam => Some(Lockout::NoIam(name)),
            Some(_) => None,
        }
    })
}

/// A second login beside the one that works.
pub(super) async fn prove(doors: &impl Doors) -> Result<(), SessionError> {
    let mut tries = 1;
    loop {
        match session::open(doors, None).await {
            Ok(_) => return Ok(()),
            Err(error) if tries >= TRIES => return Err(error),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
        tries = tries.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROVISIONER: Way = Way {
        provisioner: true,
        by_iam: true,
        login: true,
    };
    const BREAK_GLASS: Way = Way {
        provisioner: false,
        by_iam: false,
        login: true,
    };

    fn ways<const N: usize>(ways: [(&str, Way); N]) -> Ways {
        ways.map(|(name, way)| (name.to_owned(), way)).into()
    }

    #[test]
    fn each_way_of_being_shut_out_has_its_name() {
        let before = ways([("p", PROVISIONER), ("b", BREAK_GLASS)]);
        assert_eq!(judge(&before, &before), None);
        let (p, b) = (
            |way| ways([("p", way), ("b", BREAK_GLASS)]),
            |way| ways([("p", PROVISIONER), ("b", way)]),
        );
        let by_iam = Way {
            by_iam: true,
            ..BREAK_GLASS
        };
        assert_eq!(judge(&before, &b(by_iam)), Some(Lockout::ByIam("b".into())));
        let no_login = Way {
            login: false,
            ..BREAK_GLASS
        };
        assert_eq!(judge(&before, &b(no_login)), Some(Lockout::NoLogin("b".into())));
        let by_password = Way {
            by_iam: false,
            ..PROVISIONER
        };
        assert_eq!(judge(&before, &p(by_password)), Some(Lockout::NoIam("p".into())));
        assert_eq!(
            judge(&before, &ways([("p", PROVISIONER)])),
            Some(Lockout::Gone("b".into()))
        );
        // The trap of PostgreSQL 16: whoever creates an IAM user by password comes to be one.
        let trapped = judge(&p(by_password), &before);
        assert_eq!(trapped, Some(Lockout::ByIam("p".into())));
    }
}
