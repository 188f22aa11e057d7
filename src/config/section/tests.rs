use super::*;

#[test]
fn every_mistake_is_reported_with_its_key() {
    let table = r#"
        admin = 7
        max_clients = 0
        lisen = ["5432"]
        [targets.a]
        dbusers = []
    "#;
    let problems = RefCell::default();
    let mut section = Section::new("", table.parse().unwrap(), &problems);
    assert_eq!(section.string("admin"), None);
    assert_eq!(section.integer("max_clients", 1..=10), None);
    assert_eq!(section.strings("listen"), None);
    for (_, mut target) in section.sections("targets") {
        assert_eq!(target.strings("db_users"), None);
        target.finish();
    }
    section.finish();
    assert_eq!(
        problems.into_inner().lines(),
        [
            "admin: expected a string, found integer",
            "max_clients: 0 is not within 1 to 10",
            "targets.a.dbusers: unknown key; did you mean `db_users`?",
            "lisen: unknown key; did you mean `listen`?",
        ]
    );
}
