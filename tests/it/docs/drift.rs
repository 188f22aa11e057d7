//! The table of all kinds of drift is generated; the rest of the document is written.

use super::compare;
use crate::support::sandbox::root;
use dbproxy::provision::drift::Kind;

const FROM: &str = "<!-- kinds: generated -->\n";
const TO: &str = "<!-- end of kinds -->\n";

#[test]
fn the_kinds_of_drift_are_all_told() {
    let text = std::fs::read_to_string(root().join("docs/drift.md")).unwrap();
    let (before, rest) = text.split_once(FROM).expect("where the table begins");
    let (_, after) = rest.split_once(TO).expect("where it ends");
    let rows = Kind::ALL.iter().map(|kind| {
        let (plane, severity) = (kind.plane().as_str(), kind.severity().as_str());
        format!(
            "| `{}` | {plane} | {severity} | {} |\n",
            kind.as_str(),
            kind.meaning()
        )
    });
    let head = "| kind | plane | severity | what it says |\n| --- | --- | --- | --- |\n";
    let table: String = std::iter::once(head.to_owned()).chain(rows).collect();
    compare("docs/drift.md", &format!("{before}{FROM}{table}{TO}{after}"));
}
