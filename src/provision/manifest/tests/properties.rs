//! Whatever the text: no panic, and what is granted can be taken back.

use super::edits::{give, take};
use super::{EXAMPLE, now, right};
use crate::provision::manifest::edit::GrantOptions;
use crate::provision::manifest::read;
use proptest::prelude::*;
use std::time::Duration;

/// A manifest of the parts that are chosen, in one of several manners.
fn manifest() -> impl Strategy<Value = String> {
    let user = prop::sample::select(vec!["a", "\"b c\"", "'d.e'"]);
    let roles = prop::sample::select(vec![
        "[]",
        "['rw']",
        "['rw', 'ro',]",
        "[\n  'ro', # reads\n  # ends\n  { role = 'rw', until = 2027-01-01T00:00:00Z }\n]",
    ]);
    let users = prop::collection::btree_map(user, (roles, 0..3_usize), 0..4);
    (users, any::<bool>()).prop_map(|(users, windows)| {
        let mut text = "[clusters.c]\n# roles\nroles.rw.template = 'read-write'\nroles.ro = { template = 'read-only' }\n".to_owned();
        let manner = users.values().next().map_or(0, |(_, manner)| *manner);
        for (name, (roles, _)) in users {
            text += &match manner {
                0 => format!("\n# about {name}\n[clusters.c.users.{name}]\nroles = {roles}\n"),
                1 => format!("users.{name}.roles = {roles}\n"),
                _ => format!("users.{name} = {{ roles = {roles} }}\n"),
            };
        }
        if windows { text.replace('\n', "\r\n") } else { text }
    })
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = read(&text, now());
    }

    #[test]
    fn no_damage_makes_it_panic(from in 0..EXAMPLE.len(), length in 0..40_usize, into in "[\\[\\]{}=\\.,\"'a-z0-9\n ]{0,12}") {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        let to = (from + length).min(bytes.len());
        bytes.splice(from..to, into.bytes());
        let _ = read(&String::from_utf8_lossy(&bytes), now());
    }

    #[test]
    fn what_is_granted_can_be_taken_back(
        text in manifest(),
        user in prop::sample::select(vec!["a", "b c", "d.e", "new"]),
        role in prop::sample::select(vec!["rw", "ro"]),
        until in prop::option::of(1_u64..1_000_000),
    ) {
        let before = right(&text);
        let options = GrantOptions {
            until: until.map(|seconds| now() + Duration::from_secs(seconds)),
            principal: None,
        };
        let given = give(&text, user, role, &options).unwrap();
        prop_assert_eq!(give(&given, user, role, &options).unwrap(), given.clone());
        prop_assert_eq!(given.matches('#').count(), text.matches('#').count());

        let find = |manifest: &crate::provision::manifest::Manifest| {
            let cluster = manifest.clusters.values().next().unwrap();
            cluster.users.iter().find(|(name, _)| name.as_str() == user).map(|(_, entry)| entry.clone())
        };
        let had = find(&before);
        let back = match &had {
            None => take(&given, user, None).unwrap(),
            Some(_) => take(&given, user, Some(role)).unwrap(),
        };
        let mut expected = had;
        if let Some(entry) = &mut expected {
            entry.roles.retain(|grant| grant.role.as_str() != role);
        }
        let after = right(&back);
        prop_assert_eq!(find(&after), expected);
        let others = |manifest: &crate::provision::manifest::Manifest| {
            let mut clusters = manifest.clusters.clone();
            clusters.values_mut().for_each(|cluster| cluster.users.retain(|name, _| name.as_str() != user));
            clusters
        };
        prop_assert_eq!(others(&after), others(&before));
    }
}
