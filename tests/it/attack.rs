//! Attempts to get past policy: by callers who have proven who they are, and want to be somebody else, somewhere else,
//! in another way or for longer. What is refused has reached no server; what is served, is served as whom policy named.

mod cancel;
mod certificates;
mod database;
mod names;
mod principals;
mod reload;
mod replication;
mod roles;

use crate::callers::client::{PASSWORD, code, outcome, whoami};
use crate::callers::{configuration, line_of, refusal};
use crate::support::issuer::{Issuer, Key};
use crate::support::raw::{Message, message, packet};
use crate::support::{Proxy, Raw, Sandbox};

/// Listed are all, so that nothing but policy stands between a caller and a db user.
const ANY_USER: &str = "db_users = [\"app_ro\", \"app_rw\"]";
const NOBODY_ELSE: &str = "You may be none of the db users of this target; ask whoever keeps the policies, and give them the session id.";

/// A dbproxy whose callers prove themselves by tokens: any of them may name any db user.
struct Attacked {
    proxy: Proxy,
    issuer: Issuer,
    key: Key,
}

/// Whoever is in this group of the token's may be the db user.
fn readers(db_user: &str) -> String {
    crate::callers::permit("in Group::\"oidc:readers\"", db_user)
}

impl Attacked {
    /// `users` are the lines of target `orders`.
    fn start(sandbox: &Sandbox, cedar: &str, users: &str) -> Self {
        Self::start_with(sandbox, cedar, users, "", "")
    }

    /// `head` stands at the top of the file, `tables` at its end.
    fn start_with(sandbox: &Sandbox, cedar: &str, users: &str, head: &str, tables: &str) -> Self {
        let key = Key::new("one");
        let issuer = Issuer::start(&[&key]);
        let config = configuration(sandbox, &["oidc"], cedar, (head, &issuer.table("")));
        let config = config.replace(crate::callers::USERS, users);
        let proxy = Proxy::start(sandbox, &format!("{config}{tables}"));
        Self { proxy, issuer, key }
    }

    fn token(&self, subject: &str) -> String {
        self.key.sign(&self.issuer.claims(subject, &["readers"]))
    }

    /// A connection of jane's with these parameters.
    fn attempt(&self, parameters: &[(&str, &[u8])]) -> Attempt {
        attempt(self.proxy.port(), &self.token("jane"), parameters)
    }

    fn jane(&self) -> String {
        format!("oidc:{}#jane", self.issuer.url)
    }

    /// What jane reads who may not do this.
    fn denial(&self, action: &str, db_user: &str, database: &str) -> String {
        let jane = self.jane();
        format!(
            "{jane} may not {action} as db user \"{db_user}\" on target \"orders\", database \"{database}\""
        )
    }

    /// No server was dialled, and nothing that opens one was made.
    #[track_caller]
    fn assert_untouched(&self) {
        assert_untouched(&self.proxy);
    }
}

#[track_caller]
fn assert_untouched(proxy: &Proxy) {
    for metric in [
        "dbproxy_dial_seconds_count",
        "dbproxy_login_seconds_count",
        "dbproxy_tokens_total{event=\"minted\"}",
    ] {
        assert_eq!(proxy.metric(metric), 0.0, "{metric}\n{}", proxy.log());
    }
    assert!(!proxy.log().contains("session opened"), "{}", proxy.log());
}

/// How a connection was answered.
struct Attempt {
    messages: Vec<Message>,
    raw: Raw,
}

impl Attempt {
    fn is_in(&self) -> bool {
        self.messages.last().expect("an answer").tag == b'Z'
    }

    /// SQLSTATE, message and hint.
    #[track_caller]
    fn refused(&self) -> [String; 3] {
        refusal(&self.messages)
    }

    #[track_caller]
    fn assert_refused(&self, state: &str, message: &str, hint: &str) {
        assert_eq!(self.refused(), [state, message, hint]);
    }

    /// Of the server, which is then known to have been asked.
    #[track_caller]
    fn assert_refused_by_the_server(&self, state: &str, message: &str) {
        let [found, text, _] = self.refused();
        assert_eq!((found.as_str(), text.as_str()), (state, message));
    }

    /// Whom the server takes the session for.
    #[track_caller]
    fn whoami(&mut self) -> String {
        assert!(self.is_in(), "{:?}", self.messages);
        whoami(&mut self.raw)
    }

    /// The first column of the first row.
    #[track_caller]
    fn value(&mut self, sql: &str) -> String {
        assert!(self.is_in(), "{:?}", self.messages);
        self.raw.query(sql);
        let answer = self.raw.read_until(b'Z');
        let row = answer.iter().find(|message| message.tag == b'D');
        let row = row.unwrap_or_else(|| panic!("no row: {answer:?}"));
        String::from_utf8_lossy(&row.body[6..]).into_owned()
    }

    fn log_line(&self, proxy: &Proxy) -> String {
        line_of(proxy, self.messages.last().unwrap())
    }
}

/// A startup message with exactly these bytes.
fn opening(parameters: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = vec![0, 3, 0, 0];
    for (name, value) in parameters {
        body.extend_from_slice(&[name.as_bytes(), b"\0", value, b"\0"].concat());
    }
    body.push(0);
    packet(&body)
}

fn attempt(port: u16, token: &str, parameters: &[(&str, &[u8])]) -> Attempt {
    attempt_with(port, token, &opening(parameters), b"")
}

/// With bytes that are sent ahead, behind the proof.
fn attempt_with(port: u16, token: &str, opening: &[u8], ahead: &[u8]) -> Attempt {
    let mut raw = Raw::connect(port);
    raw.send(opening);
    let first = raw.message().expect("an answer");
    let messages = match first.tag {
        b'E' => vec![first],
        _ => {
            assert_eq!(code(&first), PASSWORD);
            let proof = message(b'p', &[token.as_bytes(), b"\0"].concat());
            raw.send(&[&proof, ahead].concat());
            outcome(&mut raw)
        }
    };
    Attempt { messages, raw }
}

/// Roles of the server that a test has made; they go when it ends.
struct Roles<'a> {
    admin: Proxy,
    names: &'a [&'a str],
}

impl<'a> Roles<'a> {
    /// `more` is SQL that follows; the roles may log in by IAM.
    fn create(sandbox: &Sandbox, names: &'a [&'a str], more: &str) -> Self {
        let target = sandbox.target("admin", "db_users = [\"sandbox_admin\"]");
        let roles = Self {
            admin: Proxy::start(sandbox, &target),
            names,
        };
        roles.drop_all();
        for name in names {
            roles.run(&format!("create role \"{name}\" login in role rds_iam"));
        }
        if !more.is_empty() {
            roles.run(more);
        }
        roles
    }

    fn run(&self, sql: &str) {
        self.admin.query("sandbox_admin", sql);
    }

    fn drop_all(&self) {
        for name in self.names {
            self.admin
                .psql("sandbox_admin", &format!("drop role if exists \"{name}\""));
        }
    }
}

impl Drop for Roles<'_> {
    fn drop(&mut self) {
        self.drop_all();
    }
}

/// A target whose logins are signed by a role that may be every db user, also those that a test has made.
fn with_role(sandbox: &Sandbox, lines: &str) -> String {
    format!(
        "{lines}\ncredential = {{ assume_role = {{ role_arn = \"{}\" }} }}",
        sandbox.text("/aws/role_connect")
    )
}
