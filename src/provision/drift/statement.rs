//! What a statement of a plan does. Only dbproxy's own statements come here, whose names are always quoted.

mod parts;

use parts::{Part, Placed, parts};

/// One thing that a statement would mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    Rename {
        was: String,
        name: String,
    },
    Create {
        role: String,
    },
    Adopt {
        role: String,
    },
    Attributes {
        role: String,
        text: String,
    },
    Setting {
        role: String,
        database: Option<String>,
        name: String,
        /// Set to what the manifest says, or reset because it says nothing.
        is_set: bool,
    },
    Join {
        role: String,
        member: String,
    },
    Leave {
        role: String,
        member: String,
        /// `ADMIN` where only that is too much.
        option: Option<String>,
    },
    CreateDatabase {
        name: String,
    },
    Owner {
        what: &'static str,
        name: String,
        owner: String,
    },
    Limit {
        database: String,
    },
    Extension {
        name: String,
    },
    Schema {
        name: String,
    },
    Give(Privileges),
    Take(Privileges),
    /// Part of a role's end.
    End {
        role: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Privileges {
    /// `SELECT, UPDATE`
    pub what: String,
    /// `TABLE "app"."items"`
    pub on: String,
    /// None: PUBLIC.
    pub whom: Option<String>,
    /// On what will be created.
    pub to_come: bool,
}

/// `None` if the statement is of no kind that a plan has.
pub fn read(statement: &str) -> Option<Deed> {
    use Part::{Name as N, Word as W};
    let placed = parts(statement);
    let is_on = |placed: &Placed<'_>| matches!(placed.part, W("ON"));
    if let [first, ..] = placed.as_slice()
        && matches!(first.part, W("GRANT" | "REVOKE"))
    {
        return match placed.iter().any(is_on) {
            true => privileges(statement, &placed, false),
            false => membership(&placed),
        };
    }
    let words: Vec<&Part<'_>> = placed.iter().map(|placed| &placed.part).collect();
    match words.as_slice() {
        [W("ALTER"), W("DEFAULT"), W("PRIVILEGES"), ..] => privileges(statement, &placed, true),
        [W("ALTER"), W("ROLE"), N(role), rest @ ..] => Some(alter_role(role, rest).unwrap_or_else(|| {
            let text = placed.get(2).and_then(|name| statement.get(name.end..));
            Deed::Attributes {
                role: role.clone(),
                text: text.unwrap_or_default().trim().to_owned(),
            }
        })),
        words => role(words).or_else(|| thing(words)),
    }
}

/// What follows the name; `None`: attributes.
fn alter_role(role: &str, rest: &[&Part<'_>]) -> Option<Deed> {
    use Part::{Name as N, Word as W};
    let own = || role.to_owned();
    Some(match *rest {
        [W("RENAME"), W("TO"), N(name)] => Deed::Rename {
            was: own(),
            name: name.clone(),
        },
        [W("PASSWORD"), W("NULL")] => Deed::Adopt { role: own() },
        [W("NOLOGIN"), W("PASSWORD"), W("NULL")] => Deed::End { role: own() },
        [
            W("IN"),
            W("DATABASE"),
            N(database),
            W(verb @ ("SET" | "RESET")),
            N(name),
            ..,
        ] => setting(role, Some(database), name, verb),
        [W(verb @ ("SET" | "RESET")), N(name), ..] => setting(role, None, name, verb),
        _ => return None,
    })
}

fn role(words: &[&Part<'_>]) -> Option<Deed> {
    use Part::{Name as N, Word as W};
    Some(match *words {
        [W("CREATE"), W("ROLE"), N(role), ..] => Deed::Create { role: role.clone() },
        [W("COMMENT"), W("ON"), W("ROLE"), N(role), ..] => Deed::Adopt { role: role.clone() },
        [W("REASSIGN" | "DROP"), W("OWNED"), W("BY"), N(role), ..] | [W("DROP"), W("ROLE"), N(role)] => {
            Deed::End { role: role.clone() }
        }
        _ => return None,
    })
}

fn thing(words: &[&Part<'_>]) -> Option<Deed> {
    use Part::{Name as N, Word as W};
    let own = |name: &String| name.clone();
    let owner = |what, name, owner| Deed::Owner {
        what,
        name: own(name),
        owner: own(owner),
    };
    Some(match *words {
        [W("CREATE"), W("DATABASE"), N(name)] => Deed::CreateDatabase { name: own(name) },
        [W("ALTER"), W("DATABASE"), N(name), W("OWNER"), W("TO"), N(to)] => owner("database", name, to),
        [W("ALTER"), W("SCHEMA"), N(name), W("OWNER"), W("TO"), N(to)] => owner("schema", name, to),
        [W("ALTER"), W("DATABASE"), N(database), W("CONNECTION"), ..] => Deed::Limit {
            database: own(database),
        },
        [W("CREATE"), W("EXTENSION"), N(name), ..] => Deed::Extension { name: own(name) },
        [W("CREATE"), W("SCHEMA"), N(name), ..] => Deed::Schema { name: own(name) },
        _ => return None,
    })
}

fn setting(role: &str, database: Option<&String>, name: &str, verb: &str) -> Deed {
    Deed::Setting {
        role: role.to_owned(),
        database: database.cloned(),
        name: name.to_owned(),
        is_set: verb == "SET",
    }
}

fn membership(placed: &[Placed<'_>]) -> Option<Deed> {
    use Part::{Name as N, Word as W};
    let words: Vec<&Part<'_>> = placed.iter().map(|placed| &placed.part).collect();
    let (role, member) = match words.as_slice() {
        [W("GRANT"), N(role), W("TO"), N(member), ..] => {
            return Some(Deed::Join {
                role: role.clone(),
                member: member.clone(),
            });
        }
        [W("REVOKE"), N(role), W("FROM"), N(member), ..]
        | [
            W("REVOKE"),
            W(_),
            W("OPTION"),
            W("FOR"),
            N(role),
            W("FROM"),
            N(member),
            ..,
        ] => (role, member),
        _ => return None,
    };
    let option = match words.get(1) {
        Some(W(option)) => Some((*option).to_owned()),
        _ => None,
    };
    Some(Deed::Leave {
        role: role.clone(),
        member: member.clone(),
        option,
    })
}

/// `GRANT what ON on TO whom`, and the same after the head of default privileges.
fn privileges(statement: &str, placed: &[Placed<'_>], to_come: bool) -> Option<Deed> {
    let at = |wanted: &[&str]| {
        let is = |placed: &&Placed<'_>| matches!(placed.part, Part::Word(word) if wanted.contains(&word));
        placed.iter().position(|placed| is(&placed))
    };
    let (verb, on) = (at(&["GRANT", "REVOKE"])?, at(&["ON"])?);
    let is_end = |placed: &Placed<'_>| matches!(placed.part, Part::Word("TO" | "FROM"));
    let end = placed.iter().rposition(is_end)?;
    let between = |from: usize, to: usize| {
        let text = statement.get(placed.get(from)?.end..placed.get(to)?.start)?;
        Some(text.trim().to_owned())
    };
    let whom = match &placed.get(end.checked_add(1)?)?.part {
        Part::Name(role) => Some(role.clone()),
        Part::Word("PUBLIC") => None,
        _ => return None,
    };
    let mut on_what = between(on, end)?;
    if to_come {
        // The schema stands in the head.
        let schema = statement.get(..placed.get(verb)?.start)?;
        let schema = schema.strip_prefix("ALTER DEFAULT PRIVILEGES IN ");
        on_what = match schema {
            Some(schema) => format!("{on_what} IN {}", schema.trim()),
            None => format!("{on_what} in any schema"),
        };
    }
    let privileges = Privileges {
        what: between(verb, on)?,
        on: on_what,
        whom,
        to_come,
    };
    match placed.get(verb)?.part {
        Part::Word("GRANT") => Some(Deed::Give(privileges)),
        _ => Some(Deed::Take(privileges)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str) -> String {
        name.to_owned()
    }

    #[test]
    fn statements_say_what_they_do() {
        let leave = read(r#"REVOKE ADMIN OPTION FOR "a ON b" FROM "it""s" GRANTED BY "x""#);
        let expected = Deed::Leave {
            role: text("a ON b"),
            member: text("it\"s"),
            option: Some(text("ADMIN")),
        };
        assert_eq!(leave, Some(expected));
        let given = read(r#"GRANT SELECT, UPDATE ON TABLE "s"."a TO b", "s"."c" TO "u ON v""#);
        let expected = Deed::Give(Privileges {
            what: text("SELECT, UPDATE"),
            on: text(r#"TABLE "s"."a TO b", "s"."c""#),
            whom: Some(text("u ON v")),
            to_come: false,
        });
        assert_eq!(given, Some(expected));
        let taken = read(r#"ALTER DEFAULT PRIVILEGES IN SCHEMA "s" REVOKE SELECT ON TABLES FROM PUBLIC"#);
        let expected = Deed::Take(Privileges {
            what: text("SELECT"),
            on: text(r#"TABLES IN SCHEMA "s""#),
            whom: None,
            to_come: true,
        });
        assert_eq!(taken, Some(expected));
        let taken = read(r#"ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM "x""#);
        let expected = Deed::Take(Privileges {
            what: text("SELECT"),
            on: text("TABLES in any schema"),
            whom: Some(text("x")),
            to_come: true,
        });
        assert_eq!(taken, Some(expected));
        let setting = read(r#"ALTER ROLE "a" IN DATABASE "d" SET "role" TO 'it''s "x"'"#);
        let expected = Deed::Setting {
            role: text("a"),
            database: Some(text("d")),
            name: text("role"),
            is_set: true,
        };
        assert_eq!(setting, Some(expected));
        for unknown in ["", "VACUUM", "GRANT", "GRANT SELECT ON TABLE", "\"ALTER\" ROLE x"] {
            assert_eq!(read(unknown), None, "{unknown}");
        }
    }
}
