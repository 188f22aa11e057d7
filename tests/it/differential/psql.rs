//! psql, which is Debian's libpq 15.

use super::ways::{Way, Ways};
use crate::support::Sandbox;
use crate::support::sandbox::root;
use std::process::{Command, Stdio};

/// Output and errors of psql, and how it ended.
fn transcript(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("psql runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "{}\n--- errors ---\n{}\n--- {:?} ---\n",
        text(&output.stdout),
        text(&output.stderr),
        output.status.code()
    )
}

fn psql(way: &Way) -> Command {
    let mut psql = way.command("psql");
    psql.args(["-X", "-w"]).current_dir(root().join("tests/drivers"));
    psql
}

#[test]
fn psql_shows_the_same_through_dbproxy_as_directly() {
    let (sandbox, _turn) = Sandbox::shared();
    let ways = Ways::new(sandbox, "psql");
    ways.compare("script", |way| {
        let told = transcript(psql(way).args(["-f", "diff_psql.sql"]));
        // Every error of the script is meant; these are the last things it makes psql say.
        assert!(told.contains("the last line of diff_psql.sql"), "{told}");
        assert!(told.contains("57P01"), "{told}");
        told
    });
}

#[test]
fn psql_is_told_the_same_when_it_connects() {
    let (sandbox, _turn) = Sandbox::shared();
    let ways = Ways::new(sandbox, "connect");
    let settings = "show search_path; show work_mem; show application_name; show client_encoding";
    for (what, variable, value) in [
        (
            "options",
            "PGOPTIONS",
            "-c search_path=pg_catalog,public --work-mem=5MB -c application_name=a\\ b",
        ),
        ("option with a mistake", "PGOPTIONS", "-c search_path=a\\ b"),
        ("unknown option", "PGOPTIONS", "-c no.such=1 -c nothing=1"),
        ("option refused", "PGOPTIONS", "-c work_mem=never"),
        ("option of superusers", "PGOPTIONS", "-c log_min_messages=debug5"),
        ("application name", "PGAPPNAME", "a name with spaces and an ä"),
        ("encoding", "PGCLIENTENCODING", "LATIN1"),
        ("unknown encoding", "PGCLIENTENCODING", "KLINGON"),
        ("unknown database", "PGDATABASE", "nothing"),
        ("closed database", "PGDATABASE", "template0"),
    ] {
        ways.compare(&what.replace(' ', "-"), |way| {
            transcript(psql(way).env(variable, value).args(["-c", settings]))
        });
    }
}
