//! Policies that change while callers keep coming: nobody slips in between two sets, and nobody stays.

use super::{Attacked, NOBODY_ELSE, Roles, attempt, attempt_with, opening, readers};
use crate::support::issuer::{Issuer, Key};
use crate::support::proxy::dbproxy;
use crate::support::raw::message;
use crate::support::scripted::{Scripted, greeting, read_message};
use crate::support::{Proxy, Raw, Sandbox};
use crate::watch::{policies, write};
use std::collections::VecDeque;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

const RELOAD: &str =
    "@id(\"reload\") permit (principal is LocalUser, action == Action::\"reload\", resource);\n";
const NO_LONGER: &str = "terminating connection because policy no longer permits it";
/// Of a running forbidden session no more is asked than that it ends.
const GRACE: &str = "session_grace = \"1s\"\n";

fn forbidding(more: &str) -> String {
    format!("@id(\"no-more\") forbid (principal, action == Action::\"connect\", resource) {more};\n")
}

/// With a directory of policies that the test may write.
fn start(sandbox: &Sandbox, name: &str, cedar: &str, target: &str) -> (Attacked, PathBuf) {
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]);
    let dir = policies(sandbox, &format!("attack-{name}"), &format!("{RELOAD}{cedar}"));
    let config = format!(
        "authenticators = [\"oidc\"]\n{GRACE}{}[policy]\ndir = \"{}\"\n{target}",
        issuer.table(""),
        dir.display()
    );
    let proxy = Proxy::start(sandbox, &config);
    (Attacked { proxy, issuer, key }, dir)
}

/// `dbproxy reload` with this set; whether it says that it is in force.
fn reload(proxy: &Proxy, dir: &Path, cedar: &str) -> bool {
    write(dir, &format!("{RELOAD}{cedar}"));
    let mut command = dbproxy(&[]);
    let output = command.args(["reload", "--admin", &proxy.admin()]).output();
    output.unwrap().status.success()
}

/// Everything until the other side closes: the last error.
fn told_at_the_end(raw: &mut Raw) -> (String, String) {
    let mut last = (String::new(), String::new());
    while let Some(message) = raw.message() {
        if message.tag == b'E' {
            last = (message.field(b'C'), message.field(b'M'));
        }
    }
    last
}

/// What is in force, as far as `dbproxy reload` has said so.
struct Phase(AtomicUsize);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Changing,
    Permitted,
    Forbidden,
    Over,
}

impl Phase {
    fn begin(&self, known: Known) {
        let number = self.0.load(Ordering::SeqCst) / 4 + 1;
        self.0.store(number * 4 + known as usize, Ordering::SeqCst);
    }

    /// Two looks that are alike: nothing has changed between them.
    fn look(&self) -> (usize, Known) {
        let phase = self.0.load(Ordering::SeqCst);
        let all = [Known::Changing, Known::Permitted, Known::Forbidden, Known::Over];
        (phase, all[phase % 4])
    }
}

/// However the test ends, the crowd is not to come forever.
struct Ends<'a>(&'a Phase);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.begin(Known::Over);
    }
}

/// Comes again and again until it is over, and holds some of its sessions. How often it was in, how often shut out while
/// it was known that it must be.
fn hammer(port: u16, token: &str, denial: &str, phase: &Phase) -> (usize, usize) {
    let parameters = [("user", &b"app_ro"[..]), ("database", b"app")];
    let (mut opened, mut shut_out) = (0, 0);
    let mut held: VecDeque<Raw> = VecDeque::new();
    loop {
        let before = phase.look();
        if before.1 == Known::Over {
            break;
        }
        let mut session = attempt(port, token, &parameters);
        let is_certain = phase.look() == before;
        if session.is_in() {
            assert!(
                !(is_certain && before.1 == Known::Forbidden),
                "in, though it was forbidden before"
            );
            opened += 1;
            if opened % 2 == 0 {
                // The end may come in between.
                let _ = session.raw.stream.write_all(&message(b'Q', b"begin\0"));
            }
            held.push_back(session.raw);
            held.truncate(4);
            continue;
        }
        let [state, message, hint] = session.refused();
        assert!(
            !(is_certain && before.1 == Known::Permitted),
            "{message}, though it was permitted before"
        );
        if is_certain && before.1 == Known::Forbidden {
            assert_eq!([state.as_str(), &message, &hint], ["42501", denial, NOBODY_ELSE]);
            shut_out += 1;
        } else {
            // Decided by the one set, or asked again about because of the other.
            let told = (state.as_str(), message.as_str());
            assert!(
                [("42501", denial), ("57P01", NO_LONGER)].contains(&told),
                "{told:?}"
            );
        }
    }
    for mut raw in held {
        assert_eq!(
            told_at_the_end(&mut raw),
            ("57P01".to_owned(), NO_LONGER.to_owned())
        );
    }
    (opened, shut_out)
}

/// Twenty changes there and back under a crowd that keeps connecting.
#[test]
fn nobody_slips_in_or_stays_while_policies_change() {
    let (sandbox, _turn) = Sandbox::shared();
    let permitted = readers("app_ro");
    let forbidden = format!("{permitted}{}", forbidding(""));
    let target = sandbox.target("orders", "db_users = [\"app_ro\"]");
    let (attacked, dir) = start(sandbox, "hammer", &permitted, &target);
    let (proxy, token) = (&attacked.proxy, attacked.token("jane"));
    let denial = attacked.denial("connect", "app_ro", "app");
    let (port, phase) = (proxy.port(), Phase(AtomicUsize::new(Known::Permitted as usize)));
    std::thread::scope(|scope| {
        let crowd = [(); 4].map(|()| scope.spawn(|| hammer(port, &token, &denial, &phase)));
        let _over = Ends(&phase);
        let come = || {
            let denied = proxy.metric("dbproxy_policy_decisions_total{decision=\"deny\"}");
            denied + proxy.metric("dbproxy_login_seconds_count")
        };
        let sets = [(&forbidden, Known::Forbidden), (&permitted, Known::Permitted)];
        for (set, known) in sets.into_iter().cycle().take(21) {
            phase.begin(Known::Changing);
            assert!(reload(proxy, &dir, set));
            phase.begin(known);
            // Until some have come in this phase; one that has ended has seen what must not be.
            let before = come();
            let is_over = || crowd.iter().any(std::thread::ScopedJoinHandle::is_finished);
            while come() < before + 8.0 && !is_over() {}
        }
        // It ended forbidden, and they still come.
        proxy.wait_for_metric("dbproxy_sessions_open", 0.0);
        phase.begin(Known::Over);
        for one in crowd {
            let (opened, shut_out) = one.join().unwrap();
            assert!(opened > 0 && shut_out > 0, "{opened}, {shut_out}");
        }
    });
}

/// The decision was made, the server is slow, the policies change: the client is refused before it is greeted, and what
/// it has sent ahead reaches nobody.
#[test]
fn a_session_that_is_forbidden_while_it_comes_about_does_not_begin() {
    let (sandbox, _turn) = Sandbox::shared();
    let scripted = Scripted::start(sandbox);
    let (asked, is_asked) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let (tell, seen) = mpsc::channel();
    scripted.next_in_tls(move |tls| {
        asked.send(()).unwrap();
        wait.recv().unwrap();
        let _ = tls.write_all(&greeting(&[7; 4]));
        while let Some(tag) = read_message(tls) {
            tell.send(tag).unwrap();
        }
    });
    let permitted = readers("app").replace("orders/", "scripted/");
    let (attacked, dir) = start(sandbox, "begun", &permitted, &scripted.target(sandbox));
    let (port, token) = (attacked.proxy.port(), attacked.token("jane"));
    let client = std::thread::spawn(move || {
        let opening = opening(&[("user", b"app"), ("database", b"app")]);
        attempt_with(port, &token, &opening, &message(b'Q', b"delete from items\0"))
    });
    is_asked.recv().unwrap();
    assert!(reload(&attacked.proxy, &dir, &forbidding("")));
    go.send(()).unwrap();
    let mut answer = client.join().unwrap();
    let [state, text, _] = answer.refused();
    assert_eq!((state.as_str(), text.as_str()), ("57P01", NO_LONGER));
    let tags: Vec<u8> = answer.messages.iter().map(|message| message.tag).collect();
    assert!(!tags.contains(&b'K') && !tags.contains(&b'Z'), "{tags:?}");
    assert!(answer.raw.is_closed());
    // A goodbye, and no query.
    assert_eq!(seen.iter().collect::<Vec<_>>(), b"X");
    assert!(!attacked.proxy.log().contains("session opened"));
}

/// A session is asked about again as it was asked about first: with its role.
#[test]
fn a_running_session_is_asked_again_with_the_role_it_began_with() {
    let (sandbox, _turn) = Sandbox::shared();
    let names = ["attack_watched"];
    let _roles = Roles::create(sandbox, &names, "grant attack_watched to app_ro");
    let target = sandbox.target("orders", "db_users = [\"app_ro\"]");
    let permitted = readers("app_ro");
    let (attacked, dir) = start(sandbox, "role", &permitted, &target);
    let own = [("user", &b"app_ro"[..]), ("database", b"app")];
    let mut plain = attacked.attempt(&own);
    let [user, database] = own;
    let mut other = attacked.attempt(&[user, database, ("options", b"-c role=attack_watched")]);
    assert_eq!(plain.whoami(), "app_ro");
    assert_eq!(other.whoami(), "attack_watched");
    // What SQL does later is not known to policy.
    other.value("select set_config('role', 'none', false)");
    let no_role = forbidding("when { context has role && context.role == \"attack_watched\" }");
    assert!(reload(&attacked.proxy, &dir, &format!("{permitted}{no_role}")));
    assert_eq!(
        told_at_the_end(&mut other.raw),
        ("57P01".to_owned(), NO_LONGER.to_owned())
    );
    assert_eq!(plain.whoami(), "app_ro");
}

/// Sets that would let everybody in, were what is wrong with them passed over.
#[test]
fn a_set_that_does_not_validate_never_replaces_one_that_does() {
    let (sandbox, _turn) = Sandbox::shared();
    let target = sandbox.target("orders", "db_users = [\"*\"]");
    let strict = readers("app_ro");
    let (attacked, dir) = start(sandbox, "invalid", &strict, &target);
    let everybody = "@id(\"all\") permit (principal, action, resource is DbUser)";
    for broken in [
        format!("{everybody}; @id(\"no\") forbid (principal, action, resource) when {{ context.nonsense }};"),
        format!("{everybody} when {{ context.role != \"x\" }};"),
        format!("{everybody} unless {{ context.source == ip(\"192.0.2.1\") }};"),
        format!("{everybody} when {{ principal.email like \"*@example.org\" }};"),
        format!("{everybody}; {everybody};"),
        "permit (principal, action, resource);".to_owned(),
        format!("{everybody} when {{ \"a\" }};"),
        everybody.to_owned(),
        format!("{everybody}; @id(\"x\") permit (principal == Root::\"r\", action, resource);"),
    ] {
        assert!(!reload(&attacked.proxy, &dir, &broken), "{broken}");
        attacked
            .attempt(&[("user", b"app_rw"), ("database", b"app")])
            .assert_refused("42501", &attacked.denial("connect", "app_rw", "app"), NOBODY_ELSE);
    }
    attacked.assert_untouched();
}

/// Cedar passes over what it cannot evaluate; a `forbid` among it would forbid nothing.
#[test]
fn a_policy_that_cannot_be_evaluated_denies() {
    let (sandbox, _turn) = Sandbox::shared();
    let target = sandbox.target("orders", "db_users = [\"*\"]");
    let everybody = "@id(\"all\") permit (principal, action, resource is DbUser);";
    let (attacked, dir) = start(sandbox, "faulty", everybody, &target);
    for kind in ["forbid", "permit"] {
        // Numbers do not wrap; at midnight the hour alone would be too little.
        let faulty = format!(
            "@id(\"faulty\") {kind} (principal, action == Action::\"connect\", resource) \
             when {{ 9223372036854775807 + context.hour + 1 > 0 }};"
        );
        assert!(reload(&attacked.proxy, &dir, &format!("{everybody}{faulty}")));
        let refused = attacked.attempt(&[("user", b"app_ro"), ("database", b"app")]);
        refused.assert_refused(
            "42501",
            "policy could not be evaluated, so nobody is let in",
            "Whoever keeps the policies finds the fault in dbproxy's log, by the session id.",
        );
        assert!(refused.log_line(&attacked.proxy).contains("faulty"));
    }
    attacked.assert_untouched();
}
