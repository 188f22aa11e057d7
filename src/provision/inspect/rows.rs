//! Queries in one snapshot, and what the cells of their rows mean.

use super::InspectError;
use crate::domain::name::NameError;
use crate::provision::name::{Database, RoleName, SchemaName};
use crate::provision::wanted::{Grantee, Grants, Privilege};
use tokio_postgres::types::FromSql;
use tokio_postgres::{Client, IsolationLevel, Row, Transaction};

/// All queries of one database see one state of it.
pub(in crate::provision) struct Snapshot<'a>(Transaction<'a>);

impl<'a> Snapshot<'a> {
    pub(in crate::provision) async fn of(client: &'a mut Client) -> Result<Self, InspectError> {
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start();
        transaction
            .await
            .map(Self)
            .map_err(|error| failed("a snapshot", error))
    }

    /// `what` is for the error.
    pub(in crate::provision) async fn rows(
        &self,
        what: &'static str,
        sql: &str,
    ) -> Result<Vec<Cells>, InspectError> {
        let rows = self.0.query(sql, &[]).await;
        let rows = rows.map_err(|error| failed(what, error))?;
        Ok(rows.into_iter().map(|row| Cells { what, row, at: 0 }).collect())
    }
}

fn failed(what: &'static str, error: tokio_postgres::Error) -> InspectError {
    InspectError::Failed {
        what,
        fault: error.into(),
    }
}

/// One row, read from left to right.
pub(in crate::provision) struct Cells {
    what: &'static str,
    row: Row,
    at: usize,
}

impl Cells {
    pub(in crate::provision) fn take<T: for<'r> FromSql<'r>>(&mut self) -> Result<T, InspectError> {
        let at = self.at;
        self.at = at.saturating_add(1);
        self.row.try_get(at).map_err(|source| InspectError::Cell {
            what: self.what,
            source,
        })
    }

    pub(in crate::provision) fn role(&mut self) -> Result<RoleName, InspectError> {
        self.name(RoleName::new)
    }

    pub(in crate::provision) fn schema(&mut self) -> Result<SchemaName, InspectError> {
        self.name(SchemaName::new)
    }

    pub(in crate::provision) fn database(&mut self) -> Result<Option<Database>, InspectError> {
        let name: Option<String> = self.take()?;
        name.map(|name| self.checked(name, Database::new)).transpose()
    }

    /// A limit of connections: -1 is none.
    pub(in crate::provision) fn limit(&mut self) -> Result<Option<u32>, InspectError> {
        self.take::<i32>().map(|limit| u32::try_from(limit).ok())
    }

    /// The three cells that [`PRIVILEGES`] makes of an access list, added to what is known.
    pub(in crate::provision) fn grants_into(&mut self, grants: &mut Grants) -> Result<(), InspectError> {
        let public: Option<bool> = self.take()?;
        let grantee: Option<String> = self.take()?;
        let privileges: Option<Vec<String>> = self.take()?;
        let (Some(public), Some(grantee), Some(privileges)) = (public, grantee, privileges) else {
            return Ok(());
        };
        let grantee = match public {
            true => Grantee::Public,
            false => Grantee::Role(self.checked(grantee, RoleName::new)?),
        };
        // Of privileges that a later server has, a manifest knows nothing.
        let known = |name: &String| {
            Privilege::ALL
                .into_iter()
                .find(|privilege| privilege.as_str() == name)
        };
        let known: Vec<_> = privileges.iter().filter_map(known).collect();
        if !known.is_empty() {
            grants.entry(grantee).or_default().extend(known);
        }
        Ok(())
    }

    /// Two cells: whether it is PUBLIC, and the name if not.
    pub(in crate::provision) fn grantee(&mut self) -> Result<Grantee, InspectError> {
        match self.take()? {
            true => self.take::<String>().map(|_| Grantee::Public),
            false => self.role().map(Grantee::Role),
        }
    }

    fn name<T>(&mut self, make: impl Fn(String) -> Result<T, NameError>) -> Result<T, InspectError> {
        let name = self.take()?;
        self.checked(name, make)
    }

    fn checked<T>(
        &self,
        name: String,
        make: impl Fn(String) -> Result<T, NameError>,
    ) -> Result<T, InspectError> {
        make(name.clone()).map_err(|source| InspectError::Name {
            what: self.what,
            name,
            source,
        })
    }
}

/// Three columns for [`Cells::grants_into`], of the join that [`privileges_of`] writes.
pub(in crate::provision) const PRIVILEGES: &str =
    "a.grantee = 0, pg_get_userbyid(a.grantee)::text, a.privileges";

/// Who but the owner has what by the owner's grant: one row for each grantee, and one of NULLs where there is none. `kind` is the letter
/// that `acldefault` knows the default by, as SQL.
pub(in crate::provision) fn privileges_of(list: &str, kind: &str, owner: &str) -> String {
    format!(
        "LEFT JOIN LATERAL (SELECT x.grantee, array_agg(DISTINCT x.privilege_type::text) AS privileges \
         FROM aclexplode(coalesce({list}, acldefault({kind}, {owner}))) x \
         WHERE x.grantee <> {owner} AND x.grantor = {owner} GROUP BY x.grantee) a ON true"
    )
}
