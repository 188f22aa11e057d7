//! psycopg once with every libpq from 15 to 18. Its wheels hold one each; 15 is Debian's.

use super::python::run;
use super::ways::{Way, Ways};
use crate::drivers::{python, target_dir};
use crate::support::Sandbox;
use crate::support::sandbox::root;
use std::path::PathBuf;
use std::process::Command;

/// The folder with the packages of tests/drivers/NAME.txt, installed when that has changed.
/// Only the test of that name asks for it.
fn packages(name: &str) -> PathBuf {
    let requirements = root().join(format!("tests/drivers/{name}.txt"));
    let place = target_dir().join(format!("drivers-{name}"));
    let (wanted, installed) = (std::fs::read(&requirements).unwrap(), place.join("installed.txt"));
    if std::fs::read(&installed).ok().as_ref() != Some(&wanted) {
        let _ = std::fs::remove_dir_all(&place);
        let install = Command::new(python())
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args([
                "--require-hashes",
                "--only-binary",
                ":all:",
                "--no-deps",
                "--target",
            ])
            .arg(&place)
            .arg("-r")
            .arg(&requirements)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&install.stderr);
        assert!(install.status.success(), "{told}");
        std::fs::write(installed, wanted).unwrap();
    }
    place
}

/// The script with this libpq; `tls` is asked of dbproxy only, for PostgreSQL 15 cannot do it.
fn compare(ways: &Ways, version: u32, environment: &[(&str, &str)], tls: &[(&str, &str)]) {
    ways.compare("script", |way: &Way| {
        let more = if way.name == "dbproxy-tls" { tls } else { &[] };
        let transcript = run(way, "diff_psycopg.py", &[environment, more].concat());
        let begin = format!("[\"libpq\", {version}, ");
        assert!(transcript.starts_with(&begin), "another libpq: {transcript}");
        transcript
    });
}

/// Debian's own, reached by psycopg's Python implementation.
#[test]
fn libpq_15_sees_the_same_through_dbproxy_as_directly() {
    let (sandbox, _turn) = Sandbox::shared();
    let ways = Ways::new(sandbox, "libpq15");
    compare(&ways, 15, &[("PSYCOPG_IMPL", "python")], &[]);
}

#[test]
fn libpq_16_sees_the_same_through_dbproxy_as_directly() {
    let (sandbox, _turn) = Sandbox::shared();
    let ways = Ways::new(sandbox, "libpq16");
    let packages = packages("psycopg-libpq16").display().to_string();
    compare(&ways, 16, &[("PYTHONPATH", &packages)], &[]);
}

const DIRECT_TLS: (&str, &str) = ("PGSSLNEGOTIATION", "direct");

#[test]
fn libpq_17_sees_the_same_inside_direct_tls() {
    let (sandbox, _turn) = Sandbox::shared();
    let ways = Ways::new(sandbox, "libpq17");
    let packages = packages("psycopg-libpq17").display().to_string();
    compare(&ways, 17, &[("PYTHONPATH", &packages)], &[DIRECT_TLS]);
}

/// PostgreSQL 15 answers 3.0 to whoever asks for more, and so does dbproxy in front of it.
#[test]
fn libpq_18_sees_the_same_and_the_servers_answer_to_a_newer_protocol() {
    let (sandbox, _turn) = Sandbox::shared();
    let ways = Ways::new(sandbox, "libpq18");
    compare(&ways, 18, &[("PGMAXPROTOCOLVERSION", "latest")], &[DIRECT_TLS]);
}
