//! `dbproxy connect`: the client's session, its defaults, and what ends it.

use super::text;
use crate::support::Sandbox;
use crate::support::proxy::{config_file, dbproxy};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

#[test]
fn connect_runs_a_client_on_a_private_socket() {
    let (sandbox, _turn) = Sandbox::shared();
    let path = config_file(
        sandbox,
        &sandbox.target("orders", "db_users = [\"app_ro\"]\ndatabases = [\"app\"]"),
    );
    let connect = |client: &[&str]| {
        dbproxy(&sandbox.aws_env("dbproxy"))
            .args(["connect", "orders", "--config", path.to_str().unwrap(), "--"])
            .args(client)
            .output()
            .unwrap()
    };
    let output = connect(&["psql", "-XAtc", "select current_user"]);
    assert_eq!(output.stdout, b"app_ro\n", "{}", text(&output.stderr));
    let output = connect(&["sh", "-c", "echo $PGHOST; exit 7"]);
    assert_eq!(output.status.code(), Some(7));
    assert!(
        !std::path::Path::new(text(&output.stdout).trim()).exists(),
        "the socket's directory is gone"
    );
    let output = connect(&["no-such-client"]);
    assert!(
        text(&output.stderr).contains("cannot run `no-such-client`"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn connect_proposes_the_defaults_of_the_target() {
    let (sandbox, _turn) = Sandbox::shared();
    let lines = "db_users = [\"app_ro\", \"app_rw\"]\ndatabases = [\"x\", \"app\"]\n\
                 default_db_user = \"app_rw\"\ndefault_database = \"app\"";
    // TLS is asked of clients elsewhere; psql has none to offer on a unix socket.
    let config = format!(
        "log_level = \"debug\"\n{}[client_tls]\nrequired = true\ncert_file = \"{}\"\nkey_file = \"{}\"\n",
        sandbox.target("orders", lines),
        sandbox.text("/ca/proxy_cert"),
        sandbox.text("/ca/proxy_key")
    );
    let path = config_file(sandbox, &config);
    let sql = "select current_user, current_database()";
    let output = dbproxy(&sandbox.aws_env("dbproxy"))
        .args(["connect", "orders", "--config"])
        .arg(path)
        .args(["--", "psql", "-XAtc", sql])
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "app_rw|app\n");
    assert_eq!(text(&output.stderr), "", "the terminal belongs to the client");
}

/// `dbproxy connect` with a client that tells its socket, and waits.
fn waiting_client(sandbox: &Sandbox) -> (Child, BufReader<ChildStdout>, String) {
    let path = config_file(sandbox, &sandbox.target("orders", "db_users = [\"app_ro\"]"));
    let script = "trap 'echo TERM; exit 9' TERM; echo $PGHOST; read line; \
                  psql -XAtc \"select '$line'\" dbname=app; exit 5";
    let mut child = dbproxy(&sandbox.aws_env("dbproxy"))
        .args(["connect", "orders", "--config"])
        .arg(path)
        .args(["--", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut dir = String::new();
    output.read_line(&mut dir).unwrap();
    (child, output, dir.trim().to_owned())
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args([name, &pid]).status().unwrap();
    assert!(sent.success());
}

/// Ctrl-C is for psql: it cancels a query, and dbproxy goes on.
#[test]
fn connect_leaves_ctrl_c_to_the_client() {
    let (sandbox, _turn) = Sandbox::shared();
    let (mut child, mut output, _) = waiting_client(sandbox);
    signal(&child, "-INT");
    signal(&child, "-QUIT");
    std::thread::sleep(Duration::from_millis(300));
    child.stdin.take().unwrap().write_all(b"still here\n").unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "still here\n");
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

#[test]
fn connect_ends_its_client_when_told_to_end() {
    let (sandbox, _turn) = Sandbox::shared();
    for (name, code) in [("-TERM", 143), ("-HUP", 129)] {
        let (mut child, mut output, dir) = waiting_client(sandbox);
        signal(&child, name);
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "TERM\n", "the client is asked first");
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert!(!Path::new(&dir).exists(), "the socket's directory is gone");
    }
}

/// On a terminal, where Ctrl-C is sent to dbproxy and its client alike.
#[test]
fn a_query_is_cancelled_by_ctrl_c_and_the_session_goes_on() {
    let (sandbox, _turn) = Sandbox::shared();
    let path = config_file(sandbox, &sandbox.target("orders", "db_users = [\"app_ro\"]"));
    let script = r#"
import os, pty, select, sys, time
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
seen = b""
def wait_for(text):
    global seen
    end = time.time() + 30
    while text not in seen:
        if time.time() > end:
            sys.exit("no %r in:\n%s" % (text, seen.decode()))
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                seen += os.read(terminal, 4096)
            except OSError:
                sys.exit("ended before %r:\n%s" % (text, seen.decode()))
    seen = seen.split(text, 1)[1]
wait_for(b"=> ")
os.write(terminal, b"select 'be' || 'gun'; select pg_sleep(60);\n")
wait_for(b"begun")
time.sleep(0.5)
os.write(terminal, b"\x03")
wait_for(b"canceling statement")
wait_for(b"=> ")
os.write(terminal, b"select 'go' || 'es on';\n")
wait_for(b"goes on")
os.write(terminal, b"\\q\n")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;
    let mut command = Command::new("python3");
    let dbproxy = dbproxy(&sandbox.aws_env("dbproxy"));
    command.env_clear().env("PATH", std::env::var("PATH").unwrap());
    command.envs(
        dbproxy
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let output = command
        .env("PAGER", "")
        .args(["-c", script])
        .arg(dbproxy.get_program())
        .args(["connect", "orders", "--config"])
        .arg(path)
        .args(["--database", "app", "--", "psql", "-X"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}
