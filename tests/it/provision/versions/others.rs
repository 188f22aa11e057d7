//! Roles, databases and privileges of others stay as they are, byte for byte.

use super::ground::Ground;

const MADE: &str = "create role dba login createdb createrole password 'md5aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa';\
    create role team; create role \"Odd \"\"one\" login connection limit 3; comment on role team is 'ours';\
    grant team to \"Odd \"\"one\"; grant pg_read_all_settings to dba with admin option;\
    alter role team set work_mem = '8MB'; create database theirs owner dba";

/// Makes them, beside what is to be managed.
pub fn settle_down(ground: &Ground) {
    for statement in MADE.split(';') {
        ground.administer("postgres", statement);
    }
    ground.administer(
        "postgres",
        "alter role dba in database theirs set statement_timeout = '9s'",
    );
    ground.administer(
        "theirs",
        "create schema hall authorization dba; create table hall.t (id serial); alter table hall.t owner to dba;\
         grant connect on database theirs to team; grant usage on schema hall to team; grant select on hall.t to team;\
         alter default privileges for role dba in schema hall grant select on tables to team;\
         create function hall.f() returns integer language sql as 'select 1'; revoke execute on function hall.f() from public",
    );
}

/// What they have in a managed database, by whoever owns it.
pub fn move_in(ground: &Ground, database: &str, schema: &str, table: &str) {
    ground.administer(
        database,
        &format!(
            "grant connect, create on database \"{database}\" to team; grant usage on schema {schema} to team;\
             grant select, delete on {schema}.{table} to team with grant option;\
             create table {schema}.of_dba (); alter table {schema}.of_dba owner to dba"
        ),
    );
}

/// What differs between two snapshots must be nothing.
pub fn are_untouched(ground: &Ground, databases: &[&str], before: &str) {
    let after = snapshot(ground, databases);
    let only_in = |one: &str, other: &str| -> Vec<String> {
        let known: std::collections::BTreeSet<_> = other.lines().collect();
        one.lines()
            .filter(|line| !known.contains(line))
            .map(str::to_owned)
            .collect()
    };
    let (gone, come) = (only_in(before, &after), only_in(&after, before));
    assert!(
        gone.is_empty() && come.is_empty(),
        "gone: {gone:#?}\ncome: {come:#?}"
    );
}

/// All that is not managed, as the catalogs have it.
pub fn snapshot(ground: &Ground, databases: &[&str]) -> String {
    let options = match ground.major {
        ..16 => "",
        _ => ", m.inherit_option, m.set_option",
    };
    let theirs = "rolname in ('dba', 'team', 'Odd \"one', 'postgres')";
    let mut all = ground.administer(
        "postgres",
        &format!(
            "select * from (select a::text from pg_authid a where {theirs} or oid < 16384 \
             union all select concat_ws('|', r.rolname, u.rolname, m.admin_option{options}, m.grantor::regrole) \
               from pg_auth_members m join pg_roles r on r.oid = m.roleid join pg_roles u on u.oid = m.member where u.{theirs} \
             union all select s::text from pg_db_role_setting s join pg_roles r on r.oid = setrole where {theirs} \
             union all select concat(rolname, shobj_description(oid, 'pg_authid')) from pg_roles where {theirs} \
             union all select d::text from pg_database d where datname in ('postgres', 'template1', 'theirs')) x order by 1"
        ),
    );
    for database in databases {
        all.push('\n');
        all.push_str(&inside(ground, database, theirs));
    }
    all
}

fn inside(ground: &Ground, database: &str, theirs: &str) -> String {
    let lists = [
        ("pg_database", "d", "datname", "datacl", "datdba"),
        ("pg_namespace", "n", "nspname", "nspacl", "nspowner"),
        ("pg_class", "r", "relname", "relacl", "relowner"),
        ("pg_proc", "f", "proname", "proacl", "proowner"),
    ];
    let parts = lists.map(|(catalog, kind, name, list, owner)| {
        format!(
            "select concat_ws('|', '{catalog}', {name}, a.grantee::regrole, a.privilege_type, a.is_grantable) \
             from {catalog} c, aclexplode(coalesce({list}, acldefault('{kind}', {owner}))) a \
             where a.grantee in (select oid from pg_roles where {theirs}) \
             union all select concat_ws('|', '{catalog}', {name}, c.oid, {owner}::regrole, {list}::text) from {catalog} c \
             where {owner} in (select oid from pg_roles where {theirs} and rolname <> 'postgres')"
        )
    });
    let defaults =
        "select d::text from pg_default_acl d where defaclrole in (select oid from pg_roles where ";
    let sql = format!(
        "select * from ({} union all {defaults} {theirs})) x order by 1",
        parts.join(" union all ")
    );
    ground.administer(database, &sql)
}
