//! What is planned for which difference.

use super::fixture::*;
use super::plan;

#[test]
fn dump() {
    for version in [150_018, 180_004] {
        let mut w = orders();
        let first = script(&plan(&w, &cluster(version)).unwrap());
        std::fs::write(format!("/tmp/pp/plan{version}.txt"), first.join("\n")).unwrap();
        let s = settled(&w, version);
        let p = plan(&w, &s).unwrap();
        assert_eq!(p.steps, vec![], "{version}");
        // drop migrator with objects
        w.roles.remove(&role("migrator"));
        let mut s = s.clone();
        s.dependencies.insert(
            role("migrator"),
            [None, Some(database("orders")), Some(database("postgres"))].into(),
        );
        let second = script(&plan(&w, &s).unwrap());
        std::fs::write(format!("/tmp/pp/drop{version}.txt"), second.join("\n")).unwrap();
    }
}
