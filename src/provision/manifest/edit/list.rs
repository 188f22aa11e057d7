//! Items put into a list and taken out of it, in the manner in which the list is written.

use toml_edit::{Array, Value};

/// What an item of a list is about: itself, its `role` or its `arn`.
fn subject(value: &Value) -> Option<&str> {
    let table = value.as_inline_table();
    let named = table.and_then(|table| table.get("role").or_else(|| table.get("arn"))?.as_str());
    value.as_str().or(named)
}

fn position(array: &Array, name: &str) -> Option<usize> {
    array.iter().position(|value| subject(value) == Some(name))
}

/// Puts an item in the place of the one about the same, or at the end.
pub(super) fn put(array: &mut Array, name: &str, value: Value) {
    match position(array, name) {
        Some(index) => {
            array.replace(index, value);
        }
        None => append(array, value),
    }
}

/// At the end; on a line of its own where the last one has one.
fn append(array: &mut Array, value: Value) {
    let Some(last) = array.len().checked_sub(1).and_then(|last| array.get_mut(last)) else {
        array.push(value);
        return;
    };
    let decor = last.decor_mut();
    let text =
        |raw: Option<&toml_edit::RawString>| raw.and_then(|raw| raw.as_str()).unwrap_or_default().to_owned();
    let (before, after) = (text(decor.prefix()), text(decor.suffix()));
    let Some((_, indent)) = before.rsplit_once('\n') else {
        array.push(value);
        return;
    };
    let indent = format!("\n{indent}");
    // A remark behind the last item stays behind it.
    let (remark, end) = match array.trailing_comma() {
        true => split(&text(Some(array.trailing()))),
        false => split(&after),
    };
    let value = match array.trailing_comma() {
        true => {
            array.set_trailing(end);
            value.decorated(format!("{remark}{indent}"), "")
        }
        false => {
            if let Some(last) = array.len().checked_sub(1).and_then(|last| array.get_mut(last)) {
                last.decor_mut().set_suffix("");
            }
            value.decorated(format!("{remark}{indent}"), end)
        }
    };
    array.push_formatted(value);
}

/// The rest of the line of what came before, and what follows from the last end of a line on.
fn split(text: &str) -> (String, String) {
    match text.rsplit_once('\n') {
        Some((remark, end)) => (remark.to_owned(), format!("\n{end}")),
        None => (String::new(), text.to_owned()),
    }
}

/// Takes the item about `name` out, with what is remarked above and behind it.
pub(super) fn take(array: &mut Array, name: &str) {
    if let Some(index) = position(array, name) {
        take_at(array, index);
    }
}

pub(super) fn take_at(array: &mut Array, index: usize) {
    let removed = array.remove(index);
    let text =
        |raw: Option<&toml_edit::RawString>| raw.and_then(|raw| raw.as_str()).unwrap_or_default().to_owned();
    let before = text(removed.decor().prefix());
    let after = text(removed.decor().suffix());
    // The remark behind an item stands before the next one.
    let own_line = before.split_once('\n').map_or(before.as_str(), |(line, _)| line);
    let joined = |next: &str| match next.split_once('\n') {
        Some((_, rest)) => format!("{own_line}\n{rest}"),
        None if own_line.contains('#') => format!("{own_line}\n{next}"),
        None => before.clone(),
    };
    if let Some(next) = array.get_mut(index) {
        let prefix = joined(&text(next.decor().prefix()));
        next.decor_mut().set_prefix(prefix);
        return;
    }
    let trailing = text(Some(array.trailing()));
    if array.trailing_comma() || own_line.contains('#') {
        if trailing.contains('\n') || own_line.contains('#') {
            array.set_trailing(joined(&trailing));
        }
    } else if let Some((_, end)) = after.rsplit_once('\n') {
        let end = format!("\n{end}");
        if let Some(last) = index.checked_sub(1).and_then(|last| array.get_mut(last)) {
            last.decor_mut().set_suffix(end);
        }
    }
    if array.is_empty() {
        array.set_trailing_comma(false);
    }
}
