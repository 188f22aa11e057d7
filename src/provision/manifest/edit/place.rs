//! Where users and their lists stand in a document, and where new ones come to stand.

use super::list;
use crate::domain::name::{DbUser, TargetName};
use toml_edit::{Array, InlineTable, Item, RawString, Table, Value};

/// The table of a user; a new one stands behind the others, written as they are.
pub(super) fn user<'d>(root: &'d mut Item, cluster: &TargetName, user: &DbUser) -> Option<&'d mut Item> {
    let cluster = child(child(root, "clusters")?, cluster.as_str())?;
    let users = child_or_new(cluster, "users", true)?;
    child_or_new(users, user.as_str(), false)
}

/// A list of a user's; a new one is empty.
pub(super) fn list<'d>(user: &'d mut Item, name: &str) -> Option<&'d mut Array> {
    let table = user.as_table_like_mut()?;
    if !table.contains_key(name) {
        table.insert(name, Item::Value(Value::Array(Array::new())));
    }
    table.get_mut(name)?.as_array_mut()
}

fn child<'d>(parent: &'d mut Item, name: &str) -> Option<&'d mut Item> {
    parent.as_table_like_mut()?.get_mut(name)
}

/// A table below another, made in its manner: with a header, by dotted keys, or in braces.
fn child_or_new<'d>(parent: &'d mut Item, name: &str, implicit: bool) -> Option<&'d mut Item> {
    let new = match &*parent {
        Item::Table(table) => {
            let mut new = Table::new();
            new.set_dotted(table.is_dotted());
            new.set_implicit(implicit);
            Item::Table(new)
        }
        _ => Item::Value(Value::InlineTable(InlineTable::new())),
    };
    let table = parent.as_table_like_mut()?;
    if !table.contains_key(name) {
        table.insert(name, new);
    }
    table.get_mut(name)
}

/// Takes a user out, and everything that names it.
pub(super) fn remove_user(root: &mut Item, cluster: &TargetName, user: &DbUser) -> Option<()> {
    let item = child(child(root, "clusters")?, cluster.as_str())?;
    let removed = child(item, "users")?.as_table_like_mut()?.remove(user.as_str())?;
    if let Some(others) = item.as_table_like_mut()?.get_mut("cross_account") {
        leave_cross_accounts(others, user);
    }
    if let Item::Table(table) = &removed {
        keep_headings(root, table);
    }
    Some(())
}

/// An entry that was for this user alone goes with it.
fn leave_cross_accounts(entries: &mut Item, user: &DbUser) {
    let leave = |users: Option<&mut Item>| {
        let users = users.and_then(Item::as_array_mut);
        users.is_some_and(|users| {
            list::take(users, user.as_str());
            users.is_empty()
        })
    };
    if let Some(tables) = entries.as_array_of_tables_mut() {
        for index in (0..tables.len()).rev() {
            if tables
                .get_mut(index)
                .is_some_and(|table| leave(table.get_mut("users")))
            {
                tables.remove(index);
            }
        }
    } else if let Some(array) = entries.as_array_mut() {
        for index in (0..array.len()).rev() {
            let table = array.get_mut(index).and_then(Value::as_inline_table_mut);
            let users = table
                .and_then(|table| table.get_mut("users"))
                .and_then(Value::as_array_mut);
            let empty = users.is_some_and(|users| {
                list::take(users, user.as_str());
                users.is_empty()
            });
            if empty {
                list::take_at(array, index);
            }
        }
    }
}

/// Comments above a header with a blank line between are about more than it: they go to the next header.
fn keep_headings(root: &mut Item, removed: &Table) {
    let text = |raw: Option<&RawString>| raw.and_then(|raw| raw.as_str()).unwrap_or_default().to_owned();
    let prefix = text(removed.decor().prefix());
    let Some((heading, _)) = prefix
        .rsplit_once("\n\n")
        .filter(|(heading, _)| heading.contains('#'))
    else {
        return;
    };
    let (Some(position), Some(root)) = (removed.position(), root.as_table_mut()) else {
        return;
    };
    let mut positions = Vec::new();
    headers(root, &mut positions);
    let next = positions.into_iter().filter(|other| *other > position).min();
    let next = next.and_then(|next| header_at(root, next));
    if let Some(next) = next {
        let own = text(next.decor().prefix());
        let own = own.strip_prefix('\n').unwrap_or(&own);
        next.decor_mut().set_prefix(format!("{heading}\n\n{own}"));
    }
}

/// Where the headers of a document stand, in no order.
fn headers(table: &Table, found: &mut Vec<isize>) {
    let visible = !table.is_implicit() && !table.is_dotted();
    found.extend(table.position().filter(|_| visible));
    for (_, item) in table {
        match item {
            Item::Table(inner) => headers(inner, found),
            Item::ArrayOfTables(all) => all.iter().for_each(|inner| headers(inner, found)),
            _ => {}
        }
    }
}

fn header_at(table: &mut Table, position: isize) -> Option<&mut Table> {
    if table.position() == Some(position) && !table.is_implicit() && !table.is_dotted() {
        return Some(table);
    }
    table.iter_mut().find_map(|(_, item)| match item {
        Item::Table(inner) => header_at(inner, position),
        Item::ArrayOfTables(all) => all.iter_mut().find_map(|inner| header_at(inner, position)),
        _ => None,
    })
}
