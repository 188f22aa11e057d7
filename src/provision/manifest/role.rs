//! Db roles of the manifest: a template, or privileges one by one.

use super::node::Node;
use super::types::{Explicit, ObjectName, Rights, Role, Template};
use super::{FEW_MAX, MANY_MAX, cluster, names, object};
use crate::domain::name::DbRole;
use crate::domain::written::is_near;
use crate::provision::wanted::{Kind, Privilege};
use std::collections::{BTreeMap, BTreeSet};

pub fn all(cluster: &mut Node<'_>) -> BTreeMap<DbRole, Role> {
    let mut roles = BTreeMap::new();
    for (name, node) in cluster.tables("roles", MANY_MAX) {
        let key = node.key().to_owned();
        let mistakes = node.mistakes;
        let role = read(node);
        if let Some(name) = mistakes.keep(&key, None, cluster::db_role(&name)) {
            roles.insert(name, role);
        }
    }
    roles
}

fn read(mut node: Node<'_>) -> Role {
    let was = node.parsed("was", names::role);
    let rights = match (node.has("template"), node.has("privileges")) {
        (true, true) => {
            explicit(&mut node);
            node.wrong(
                "privileges",
                "a role has a `template` or `privileges`, not both: use two roles",
            );
            from_template(&mut node)
        }
        (false, true) => explicit(&mut node),
        (true, false) => from_template(&mut node),
        (false, false) => {
            let proposal =
                "is missing: `owner`, `read-write`, `read-only` or `monitor`; or give `privileges`";
            node.wrong("template", proposal);
            from_template(&mut node)
        }
    };
    node.finish();
    Role { rights, was }
}

fn from_template(node: &mut Node<'_>) -> Rights {
    Rights::Template {
        // What takes its place after a mistake asks the least of the rest.
        template: node.parsed("template", template).unwrap_or(Template::Monitor),
        databases: node.set("databases", FEW_MAX, names::database),
        schemas: node.set("schemas", FEW_MAX, names::schema),
    }
}

fn template(text: &str) -> Result<Template, String> {
    let found = Template::ALL
        .into_iter()
        .find(|template| template.as_str() == text);
    found.ok_or_else(|| {
        let near = Template::ALL
            .into_iter()
            .find(|known| is_near(known.as_str(), text));
        match near {
            Some(near) => format!("there is no template `{text}`; did you mean `{}`?", near.as_str()),
            None => format!("there is no template `{text}`: `owner`, `read-write`, `read-only` or `monitor`"),
        }
    })
}

fn explicit(node: &mut Node<'_>) -> Rights {
    let tables = node.table_list("privileges", FEW_MAX);
    Rights::Explicit(tables.into_iter().filter_map(privileges_on).collect())
}

fn privileges_on(mut node: Node<'_>) -> Option<Explicit> {
    let database = node.parsed("database", names::database);
    let on = node.parsed("on", object::parse);
    let grant = node.strings("grant", Privilege::ALL.len());
    for name in ["database", "on", "grant"] {
        if !node.has(name) {
            node.wrong(name, "is missing");
        }
    }
    if grant.as_ref().is_some_and(Vec::is_empty) {
        node.wrong("grant", "names no privilege: leave the whole entry out");
    }
    let grant = grant.zip(on.as_ref()).map(|(texts, on)| {
        let read = texts
            .iter()
            .filter_map(|text| node.keep("grant", Some(text), privilege(text, on)));
        read.collect::<BTreeSet<_>>()
    });
    node.finish();
    Some(Explicit {
        database: database?,
        on: on?,
        grant: grant?,
    })
}

/// Privileges of each kind of object (PostgreSQL manual, "Privileges").
fn privileges_of(on: &ObjectName) -> &'static [Privilege] {
    use Privilege::{Connect, Create, Delete, Execute, Insert, Maintain, References, Select, Temporary};
    use Privilege::{Trigger, Truncate, Update, Usage};
    match on {
        ObjectName::Database => &[Connect, Create, Temporary],
        ObjectName::Schema(_) => &[Usage, Create],
        ObjectName::All(kind, _) | ObjectName::One(kind, ..) => match kind {
            Kind::Table => &[
                Select, Insert, Update, Delete, Truncate, References, Trigger, Maintain,
            ],
            Kind::Sequence => &[Usage, Select, Update],
            Kind::Function => &[Execute],
        },
    }
}

fn privilege(text: &str, on: &ObjectName) -> Result<Privilege, String> {
    let known = privileges_of(on);
    let found = known
        .iter()
        .find(|known| known.as_str().eq_ignore_ascii_case(text));
    found.copied().ok_or_else(|| {
        let names: Vec<_> = known
            .iter()
            .map(|known| known.as_str().to_ascii_lowercase())
            .collect();
        let names = names.join(", ");
        format!("there is no privilege `{text}` on this: {names}")
    })
}
