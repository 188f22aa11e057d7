//! Row-level security that reads `dbproxy.caller`: the SQL of `docs/propagation.md`, and everything a session
//! may try against it.

use super::client::by_scram_with;
use super::scram::{SECRET, table};
use super::{configuration, refusal};
use crate::support::raw::Message;
use crate::support::sandbox::root;
use crate::support::{Proxy, Raw, Sandbox};

const ADA: &str = "password:ada";
const BOB: &str = "password:bob";
const SEE: &str = "select owner, body from notes";

/// The SQL that the document shows.
fn documented() -> String {
    let text = std::fs::read_to_string(root().join("docs/propagation.md")).unwrap();
    let (_, rest) = text.split_once("```sql\n").expect("SQL in the document");
    rest.split_once("```").unwrap().0.to_owned()
}

/// Runs it as a superuser, beside any caller.
fn prepare(sandbox: &Sandbox, sql: &str) {
    let target = sandbox.target("setup", "db_users = [\"sandbox_admin\"]");
    let admin = Proxy::start(sandbox, &target);
    admin.query("sandbox_admin", sql);
}

fn proxy(sandbox: &Sandbox) -> Proxy {
    let tables = table(sandbox, &[("ada", SECRET), ("bob", SECRET)]) + "[defaults]\ncaller_setting = true\n";
    let cedar = "@id(\"all\")\npermit (principal, action, resource);\n";
    let config = configuration(sandbox, &["scram"], cedar, ("", &tables))
        .replace(super::USERS, "db_users = [\"app_ro\"]");
    let without = sandbox.target("without", "db_users = [\"app_ro\"]\ncaller_setting = false");
    Proxy::start(sandbox, &(config + &without))
}

fn session(port: u16, user: &str) -> Raw {
    let (outcome, raw) = by_scram_with(port, user, SECRET, &[]);
    assert_eq!(outcome.last().unwrap().tag, b'Z', "{outcome:?}");
    raw
}

/// The first two columns of all rows, and the SQLSTATE of an error.
fn answers(raw: &mut Raw, sql: &str) -> Vec<String> {
    raw.query(sql);
    let messages = raw.read_until(b'Z');
    messages.iter().filter_map(shown).collect()
}

fn shown(message: &Message) -> Option<String> {
    match message.tag {
        b'E' => Some(message.field(b'C')),
        b'D' => {
            let (mut rest, mut columns) = (&message.body[2..], Vec::new());
            while let Some((length, after)) = rest.split_first_chunk::<4>() {
                let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
                columns.push(String::from_utf8_lossy(&after[..length]).into_owned());
                rest = &after[length..];
            }
            Some(columns.join("|"))
        }
        _ => None,
    }
}

const TRAPS: &str = "
    grant set on parameter dbproxy.caller to app_ro;
    create function notes_of_bob() returns setof notes language sql
        set dbproxy.caller = 'password:bob' as 'select * from notes';
    grant create on schema public to app_ro;
    alter role app_ro set dbproxy.caller = 'password:bob';
    alter database app set dbproxy.caller = 'password:bob'";
const CLEAN: &str = "
    alter role app_ro reset dbproxy.caller;
    alter database app reset dbproxy.caller;
    revoke create on schema public from app_ro;
    revoke set on parameter dbproxy.caller from app_ro;
    drop schema if exists dbproxy cascade;
    drop table if exists notes cascade;
    drop operator if exists public.= (text, text);
    drop function if exists public.same(text, text);
    drop function if exists public.current_setting(text, bool)";

/// Whatever is tried in ada's session, each line is a simple query.
const ATTACKS: &[&str] = &[
    "set dbproxy.caller = 'password:bob'",
    "select set_config('dbproxy.caller', 'password:bob', false) is null",
    "select set_config('DBproxy.Caller', 'password:bob', false) is null",
    "set session \"DBPROXY.CALLER\" = 'password:bob'",
    "discard all",
    "reset all",
    "reset dbproxy.caller",
    "set dbproxy.caller to default",
    "alter role current_user set dbproxy.caller = 'password:bob'",
    "set session authorization default",
    "set role app_ro",
    "set search_path = pg_temp, public",
    "create function pg_temp.current_setting(text, bool) returns text language sql as $$select 'password:bob'$$",
    "create or replace function public.current_setting(text, bool) returns text language sql as $$select 'password:bob'$$",
    "create function public.same(text, text) returns bool language sql as 'select true'",
    "create operator public.= (leftarg = text, rightarg = text, function = public.same)",
    "set search_path = public, pg_catalog",
    "set force_parallel_mode = on",
    "set plan_cache_mode = force_generic_plan",
    "prepare mine as select owner, body from notes",
    "alter function dbproxy.caller() set dbproxy.caller = 'password:bob'",
    "create or replace function dbproxy.caller() returns text language sql as $$select 'password:bob'$$",
    "drop policy own_notes on notes",
    "do $$ begin perform set_config('dbproxy.caller', 'password:bob', false); raise 'x'; exception when others then null; end $$",
];

/// What shows rows while something is set around it.
const LOOKS: &[&str] = &[
    SEE,
    "set dbproxy.caller = 'password:bob'; select owner, body from notes",
    "begin; set local dbproxy.caller = 'password:bob'; select owner, body from notes; commit",
    "begin read only; set dbproxy.caller = 'password:bob'; select owner, body from notes; commit",
    "begin; savepoint a; set dbproxy.caller = 'password:bob'; release a; select owner, body from notes; rollback",
    "begin; savepoint a; set local dbproxy.caller = 'password:bob'; rollback to a; select owner, body from notes; commit",
    "begin; declare c cursor for select owner, body from notes; set dbproxy.caller = 'password:bob'; fetch all c; commit",
    "begin; declare h cursor with hold for select owner, body from notes; set dbproxy.caller = 'password:bob'; commit; fetch all h; close h",
    "select owner, body from notes_of_bob()",
    "create function pg_temp.mine() returns setof notes language plpgsql parallel safe set dbproxy.caller = 'password:bob' as $$begin perform set_config('dbproxy.caller', 'password:bob', true); return query select * from public.notes; end$$; select owner, body from pg_temp.mine(); drop function pg_temp.mine()",
    "create function pg_temp.leak(text) returns bool language plpgsql cost 0.0001 as $$begin perform set_config('dbproxy.caller', 'password:bob', false); return true; end$$; select owner, body from notes where pg_temp.leak(body); drop function pg_temp.leak(text)",
    "prepare p as select owner, body from notes; set dbproxy.caller = 'password:bob'; execute p; deallocate p",
    "create view mine as select owner, body from notes; set dbproxy.caller = 'password:bob'; select * from mine; drop view mine",
    "begin; set dbproxy.caller = 'password:bob'; update notes set body = body returning owner, body; rollback",
];

#[test]
fn rows_are_their_callers_own_whatever_a_session_sets() {
    let sandbox = Sandbox::alone();
    prepare(&sandbox, CLEAN);
    prepare(&sandbox, &documented());
    let proxy = proxy(&sandbox);
    for (user, name) in [("ada", ADA), ("bob", BOB)] {
        let mut raw = session(proxy.port(), user);
        assert_eq!(
            answers(&mut raw, "select current_setting('dbproxy.caller')"),
            [name]
        );
        let insert = format!("insert into notes (body) values ('of {user}') returning owner, body");
        assert_eq!(answers(&mut raw, &insert), [format!("{name}|of {user}")]);
        assert_eq!(answers(&mut raw, SEE), [format!("{name}|of {user}")]);
    }
    // Where dbproxy gives no name there is none, whatever is set.
    let mut raw = session(proxy.port_of(1), "ada");
    assert!(answers(&mut raw, SEE).is_empty());
    let spoofed = format!("set dbproxy.caller = '{BOB}'; {SEE}");
    assert!(answers(&mut raw, &spoofed).is_empty());

    prepare(&sandbox, TRAPS);
    let mut ada = session(proxy.port(), "ada");
    // Why the document does not simply read the setting.
    let plain = format!("set dbproxy.caller = '{BOB}'; select current_setting('dbproxy.caller')");
    assert_eq!(answers(&mut ada, &plain), [BOB]);
    let own = [format!("{ADA}|of ada")];
    for attack in ATTACKS {
        let said = answers(&mut ada, attack);
        for look in LOOKS {
            let seen = answers(&mut ada, look);
            // A function that claims to be safe in parallel workers is told that it is not.
            if look.contains("parallel safe") && seen == ["25000"] {
                continue;
            }
            assert_eq!(seen, own, "after `{attack}` ({said:?}): {look}");
        }
    }
    let forged = format!("set dbproxy.caller = '{BOB}'; insert into notes values ('{BOB}', 'forged')");
    assert_eq!(answers(&mut ada, &forged), ["42501"]);
    prepare(&sandbox, CLEAN);
}

#[test]
fn a_client_cannot_begin_with_a_name_of_its_choice() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    for port in [proxy.port(), proxy.port_of(1)] {
        for (name, value) in [
            ("dbproxy.caller", BOB),
            ("DBPROXY.Caller", BOB),
            ("dbproxy.anything", ""),
            ("options", "-c dbproxy.caller=password:bob"),
            ("options", "-c work_mem=1MB --DBproxy.caller=password:bob"),
            ("options", "-ecdb\\proxy.caller=password:bob"),
        ] {
            let (messages, _) = by_scram_with(port, "ada", SECRET, &[(name, value)]);
            let [state, message, hint] = refusal(&messages);
            assert_eq!(state, "42501", "{name}={value}: {message}");
            assert!(
                message.contains("given by dbproxy alone") && hint.contains("`options`"),
                "{message}"
            );
        }
        // The server takes the last of several; nobody has to know that.
        let hidden = [("options", "-c dbproxy.caller=x"), ("options", "-c work_mem=1MB")];
        let (messages, _) = by_scram_with(port, "ada", SECRET, &hidden);
        assert_eq!(refusal(&messages)[0], "42501");
    }
    assert_eq!(proxy.metric("dbproxy_dial_seconds_count"), 0.0);
}
