//! What differs by its nature between two sessions, or between the ways, taken out of a transcript.

/// How libpq says that the server is gone, in plaintext; inside TLS it takes one line.
const GONE: &str = "server closed the connection unexpectedly\n\
    \tThis probably means the server terminated abnormally\n\
    \tbefore or while processing the request.\n";

/// What dbproxy says more about a database that does not exist.
const HINT: &str = "Name a database that exists on this server.";

/// Made equal are, and nothing else:
/// - where a connection that failed was to go, which libpq puts in front of the cause;
/// - that libpq asks a server again, without application_name, when it calls a parameter unknown behind
///   AuthenticationOk: dbproxy says that a login is good once it is wholly good, and libpq asks once;
/// - dbproxy's hint about a database that does not exist;
/// - dbproxy's session, which it adds to the detail of a login that the server refused;
/// - how libpq says that the server is gone;
/// - numbers that the server gives to processes, large objects and schemas for temporary tables.
pub fn normal(text: &str) -> String {
    let text = text.replace(GONE, "SSL connection has been closed unexpectedly\n");
    // Both as psql shows them, and as JSON; the detail is the server's own with dbproxy's behind, or dbproxy's alone.
    let text = text.replace(&format!("HINT:  {HINT}\n"), "");
    let text = text.replace(&format!("\"{HINT}\""), "null");
    let text = without(&text, "\nDETAIL:  dbproxy session ", "\n", "\n");
    let text = without(&text, " (dbproxy session ", ")", "");
    let text = without(&text, "\"dbproxy session ", "\"", "null");
    let mut lines: Vec<String> = text.split_inclusive('\n').map(line).collect();
    lines.dedup_by(|second, first| second.starts_with("connection failed: ") && first.ends_with(&**second));
    lines.concat()
}

fn line(line: &str) -> String {
    let mut line = line.to_owned();
    for begin in [
        "connection to server at ",
        "connection failed: connection to server at ",
    ] {
        line = without(&line, begin, " failed: ", "connection failed: ");
    }
    for words in ["server process with PID ", "large object ", "pg_temp_"] {
        line = without_numbers(&line, words);
    }
    line
}

/// Every stretch from `begin` to `end` replaced.
fn without(text: &str, begin: &str, end: &str, replacement: &str) -> String {
    let mut parts = text.split(begin);
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(end) {
            Some((_, rest)) => result.extend([replacement, rest]),
            None => result.extend([begin, part]),
        }
    }
    result
}

/// Without the numbers behind these words.
fn without_numbers(text: &str, words: &str) -> String {
    let mut parts = text.split(words);
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        result.extend([words, if rest.len() < part.len() { "…" } else { "" }, rest]);
    }
    result
}

#[test]
fn what_must_differ_is_made_equal_and_nothing_else() {
    let direct = "connection to server at \"1.2.3.4\", port 5 failed: FATAL:  no\nHINT:  h\n\
         {\"detail\": null, \"schema\": \"pg_temp_7\"}\n{\"detail\": \"d\"}\nlarge object 12 does not exist\n";
    let through = "connection to server at \"localhost\" (::1), port 6 failed: FATAL:  no\n\
         DETAIL:  dbproxy session 00ff\nHINT:  h\n\
         {\"detail\": \"dbproxy session 00ff\", \"schema\": \"pg_temp_12\"}\n\
         {\"detail\": \"d (dbproxy session 00ff)\"}\nlarge object 7 does not exist\n";
    assert_eq!(normal(direct), normal(through));
    assert!(normal(direct).starts_with("connection failed: FATAL:  no\nHINT:  h\n{\"detail\": null"));
    let other = "an object 12, a session of dbproxy, a process with PID 7\n";
    assert_eq!(normal(other), other);
}
