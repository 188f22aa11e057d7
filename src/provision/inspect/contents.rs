//! What is inside one database: schemas, their objects, who has what on them now and on those to come.

use super::InspectError;
use super::rows::{PRIVILEGES, Snapshot, privileges_of};
use crate::provision::inspected::{Contents, InspectedObject, InspectedSchema};
use crate::provision::name::{RoleName, SchemaName};
use crate::provision::wanted::{Grantee, Grants, Kind};
use std::collections::{BTreeMap, BTreeSet};

type Schemas = BTreeMap<SchemaName, InspectedSchema>;

/// Schemas that are neither the system's nor of temporary objects.
const OURS: &str = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

pub(super) async fn read(snapshot: &Snapshot<'_>) -> Result<Contents, InspectError> {
    let mut extensions = BTreeSet::new();
    let sql = "SELECT extname::text FROM pg_extension";
    for mut row in snapshot.rows("the extensions", sql).await? {
        extensions.insert(row.take()?);
    }
    let mut schemas = schemas(snapshot).await?;
    relations(snapshot, &mut schemas).await?;
    functions(snapshot, &mut schemas).await?;
    let everywhere = defaults(snapshot, &mut schemas).await?;
    Ok(Contents {
        extensions,
        schemas,
        defaults: everywhere,
        given_on: given_on(snapshot).await?,
    })
}

async fn schemas(snapshot: &Snapshot<'_>) -> Result<Schemas, InspectError> {
    let sql = format!(
        "SELECT n.nspname::text, pg_get_userbyid(n.nspowner)::text, {PRIVILEGES} FROM pg_namespace n {} WHERE {OURS}",
        privileges_of("n.nspacl", "'n'", "n.nspowner")
    );
    let mut schemas = Schemas::new();
    for mut row in snapshot.rows("the schemas", &sql).await? {
        let (name, owner) = (row.schema()?, row.role()?);
        let schema = schemas.entry(name).or_insert(InspectedSchema {
            owner,
            grants: Grants::new(),
            objects: BTreeMap::new(),
            defaults: BTreeMap::new(),
        });
        row.grants_into(&mut schema.grants)?;
    }
    Ok(schemas)
}

/// Tables, views, materialized views, partitioned and foreign tables; sequences.
async fn relations(snapshot: &Snapshot<'_>, schemas: &mut Schemas) -> Result<(), InspectError> {
    let sql = format!(
        "SELECT n.nspname::text, CASE c.relkind WHEN 'S' THEN 'S' ELSE 'r' END, c.relname::text, \
         pg_get_userbyid(c.relowner)::text, {PRIVILEGES} FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         {} WHERE {OURS} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {}",
        privileges_of(
            "c.relacl",
            "(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::\"char\"",
            "c.relowner"
        ),
        of_no_extension("pg_class", "c.oid"),
    );
    objects(snapshot, "the relations", &sql, schemas).await
}

/// Functions, procedures, aggregates and window functions: the name as it is, the types of arguments as SQL writes them.
/// OUT arguments are no part of an identity.
async fn functions(snapshot: &Snapshot<'_>, schemas: &mut Schemas) -> Result<(), InspectError> {
    let sql = format!(
        "SELECT n.nspname::text, 'f', p.proname || '(' || coalesce((SELECT string_agg(format_type(t.type, NULL), \
         ', ' ORDER BY t.at) FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY t (type, at)), '') || ')', \
         pg_get_userbyid(p.proowner)::text, {PRIVILEGES} FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
         {} WHERE {OURS} AND {}",
        privileges_of("p.proacl", "'f'", "p.proowner"),
        of_no_extension("pg_proc", "p.oid"),
    );
    objects(snapshot, "the functions", &sql, schemas).await
}

fn of_no_extension(catalog: &str, oid: &str) -> String {
    format!(
        "NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '{catalog}'::regclass AND e.objid = {oid} \
         AND e.deptype = 'e')"
    )
}

async fn objects(
    snapshot: &Snapshot<'_>,
    what: &'static str,
    sql: &str,
    schemas: &mut Schemas,
) -> Result<(), InspectError> {
    for mut row in snapshot.rows(what, sql).await? {
        let (schema, kind) = (row.schema()?, kind_of(&row.take::<String>()?));
        let (name, owner) = (row.take()?, row.role()?);
        let (Some(schema), Some(kind)) = (schemas.get_mut(&schema), kind) else {
            continue;
        };
        let object = schema.objects.entry((kind, name)).or_insert(InspectedObject {
            owner,
            grants: Grants::new(),
        });
        row.grants_into(&mut object.grants)?;
    }
    Ok(())
}

type Defaults = BTreeMap<(RoleName, Kind), Grants>;

/// Those of one schema add to what holds everywhere in the database, so such an entry lists what is added; one that
/// holds everywhere lists all. Returns the latter.
async fn defaults(snapshot: &Snapshot<'_>, schemas: &mut Schemas) -> Result<Defaults, InspectError> {
    let sql = format!(
        "SELECT n.oid IS NULL, coalesce(n.nspname::text, 'public'), d.defaclobjtype::text, \
         pg_get_userbyid(d.defaclrole)::text, {PRIVILEGES} \
         FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace {} \
         WHERE d.defaclnamespace = 0 OR {OURS}",
        privileges_of("d.defaclacl", "'r'", "d.defaclrole")
    );
    let mut everywhere = Defaults::new();
    for mut row in snapshot.rows("the default privileges", &sql).await? {
        let (all, schema) = (row.take::<bool>()?, row.schema()?);
        let (kind, creator) = (kind_of(&row.take::<String>()?), row.role()?);
        let place = match all {
            true => Some(&mut everywhere),
            false => schemas.get_mut(&schema).map(|schema| &mut schema.defaults),
        };
        if let (Some(defaults), Some(kind)) = (place, kind) {
            row.grants_into(defaults.entry((creator, kind)).or_default())?;
        }
    }
    everywhere.retain(|_, grants| !grants.is_empty());
    for schema in schemas.values_mut() {
        schema.defaults.retain(|_, grants| !grants.is_empty());
    }
    Ok(everywhere)
}

/// On the database itself and on all that it has.
async fn given_on(snapshot: &Snapshot<'_>) -> Result<BTreeSet<(RoleName, Grantee)>, InspectError> {
    let lists = [
        ("pg_database", "datacl", "datdba", "datname = current_database()"),
        ("pg_namespace", "nspacl", "nspowner", "true"),
        ("pg_class", "relacl", "relowner", "true"),
        ("pg_proc", "proacl", "proowner", "true"),
    ];
    let lists = lists.map(|(catalog, list, owner, only)| {
        format!("SELECT x.* FROM {catalog} CROSS JOIN LATERAL aclexplode({list}) x WHERE x.grantor <> {owner} AND {only}")
    });
    let sql = format!(
        "SELECT DISTINCT pg_get_userbyid(x.grantor)::text, x.grantee = 0, pg_get_userbyid(x.grantee)::text FROM ({}) x",
        lists.join(" UNION ALL ")
    );
    let mut found = BTreeSet::new();
    for mut row in snapshot.rows("privileges that were given on", &sql).await? {
        found.insert((row.role()?, row.grantee()?));
    }
    Ok(found)
}

/// By the letter of `pg_default_acl`.
fn kind_of(letter: &str) -> Option<Kind> {
    match letter {
        "r" => Some(Kind::Table),
        "S" => Some(Kind::Sequence),
        "f" => Some(Kind::Function),
        _ => None,
    }
}
