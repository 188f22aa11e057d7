//! Queries of real files.

use super::*;
use crate::access::audit::sink::{SinkSetting, Sinks};
use std::fs;
use std::time::Duration;

fn dir(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("dbproxy-query-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

fn sessions(paths: &[PathBuf], filter: &Filter) -> (Vec<String>, Summary) {
    let mut found = Vec::new();
    let summary = run(paths, filter, |line| {
        found.push(line["session"].as_str().unwrap_or("none").to_owned());
    })
    .unwrap();
    assert_eq!(summary.matched, u64::try_from(found.len()).unwrap());
    (found, summary)
}

fn at(time: &str) -> Option<SystemTime> {
    Some(time.parse::<Timestamp>().unwrap().into())
}

#[test]
fn a_file_is_read_after_its_predecessors_and_once() {
    let dir = dir("order");
    let path = dir.join("audit.json");
    fs::write(&path, "{\"session\":\"4\"}\n").unwrap();
    fs::write(dir.join("audit.json.1"), "{\"session\":\"3\"}\n").unwrap();
    fs::write(dir.join("audit.json.2"), "{\"session\":\"2\"}\n").unwrap();
    // After a gap, too.
    fs::write(dir.join("audit.json.10"), "{\"session\":\"1\"}\n").unwrap();
    let named = [path.clone(), dir.join("audit.json.1"), path.clone()];
    let (found, summary) = sessions(&named, &Filter::default());
    assert_eq!(found, ["1", "2", "3", "4"]);
    assert_eq!(summary.skipped, 0);
    // Between a rotation and the next line there is no file of the name itself.
    fs::remove_file(&path).unwrap();
    assert_eq!(sessions(&named[..1], &Filter::default()).0, ["1", "2", "3"]);
    let missing = run(&[dir.join("none")], &Filter::default(), |_| {}).unwrap_err();
    assert!(missing.to_string().contains("none"), "{missing}");
    assert!(run(std::slice::from_ref(&dir), &Filter::default(), |_| {}).is_err());
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn filters_are_all_to_be_met() {
    let dir = dir("filters");
    let path = dir.join("audit.json");
    let line = |time: &str, session: &str, caller: &str, user: &str| {
        format!(
            "{{\"time\":\"{time}\",\"event\":\"session.closed\",\"session\":\"{session}\",\"caller\":\"{caller}\",\
             \"target\":\"orders\",\"db_user\":\"{user}\",\"database\":\"shop\",\"reason\":\"client_closed\"}}\n"
        )
    };
    let text = [
        line("2026-01-02T03:04:05Z", "a", "iam:role/etl", "app_ro"),
        line("2026-01-02T04:04:05.5+01:00", "b", "iam:role/web", "app_rw"),
        line("2026-01-02T03:04:06Z", "c", "iam:user/etl", "app_ro"),
        "{\"session\":\"d\",\"caller\":null,\"time\":\"yesterday\"}\n".to_owned(),
        "{\"session\":\"e\"}\n".to_owned(),
    ]
    .concat();
    fs::write(&path, text).unwrap();
    let paths = [path];
    let query = |filter: Filter| sessions(&paths, &filter);
    let text = |text: &str| Some(text.to_owned());
    let none = Filter::default;
    assert_eq!(query(none()).0, ["a", "b", "c", "d", "e"]);
    assert_eq!(
        query(Filter {
            caller: text("*role*"),
            ..none()
        })
        .0,
        ["a", "b"]
    );
    assert_eq!(
        query(Filter {
            caller: text("*"),
            ..none()
        })
        .0,
        ["a", "b", "c"]
    );
    assert_eq!(
        query(Filter {
            db_user: text("app_ro"),
            ..none()
        })
        .0,
        ["a", "c"]
    );
    assert!(
        query(Filter {
            db_user: text("app_*"),
            ..none()
        })
        .0
        .is_empty()
    );
    assert_eq!(
        query(Filter {
            session: text("e"),
            ..none()
        })
        .0,
        ["e"]
    );
    let both = Filter {
        caller: text("*etl"),
        db_user: text("app_ro"),
        target: text("orders"),
        ..none()
    };
    assert_eq!(query(both).0, ["a", "c"]);
    let other = Filter {
        database: text("shop"),
        reason: text("error"),
        ..none()
    };
    assert!(query(other).0.is_empty());
    let from = Filter {
        from: at("2026-01-02T03:04:05.5Z"),
        ..none()
    };
    assert_eq!(
        query(from),
        (
            vec!["b".into(), "c".into()],
            Summary {
                matched: 2,
                skipped: 2
            }
        )
    );
    let until = Filter {
        until: at("2026-01-02T03:04:05.5Z"),
        ..none()
    };
    assert_eq!(query(until).0, ["a"]);
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn broken_and_long_lines_are_counted() {
    let dir = dir("broken");
    let path = dir.join("audit.json");
    let deep = "[".repeat(10_000);
    let long = format!("{{\"session\":\"{}\"}}", "x".repeat(LINE_BYTES_MAX));
    let just = format!("{{\"session\":\"{}\"}}", "y".repeat(LINE_BYTES_MAX - 14));
    assert_eq!(just.len(), LINE_BYTES_MAX);
    let pieces: [&[u8]; 9] = [
        b"{\"session\":\"1\"}\r",
        b"",
        b"{\"session\":\"2",
        b"\xff\xfe",
        b"[1]",
        deep.as_bytes(),
        long.as_bytes(),
        just.as_bytes(),
        b"{\"session\":\"3\"}",
    ];
    fs::write(&path, pieces.join(&b'\n')).unwrap();
    let (found, summary) = sessions(&[path], &Filter::default());
    assert_eq!(
        summary,
        Summary {
            matched: 3,
            skipped: 5
        }
    );
    assert_eq!(found.last().unwrap(), "3");
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn patterns_fit_the_whole_text() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
        ("**", "abc", true),
        ("a*", "abc", true),
        ("*c", "abc", true),
        ("a*c", "abc", true),
        ("a*a", "a", false),
        ("ab*bc", "abc", false),
        ("*b*", "abc", true),
        ("*b*b*", "abc", false),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "a-c-b", false),
        ("abc", "abcd", false),
        ("é*ü", "é ü", true),
    ] {
        assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
    }
    let (pattern, text) = ("*a".repeat(20_000), "a".repeat(10_000));
    assert!(!fits(&pattern, &text));
}

#[test]
fn what_the_sinks_wrote_and_rotated_is_found() {
    let dir = dir("both");
    let path = dir.join("audit.json");
    let setting = SinkSetting::File {
        path: path.clone(),
        rotate_bytes: 200,
        keep: 20,
    };
    let sinks = Sinks::open(&[setting], true).unwrap();
    for number in 0..40 {
        sinks.write(&format!("{{\"session\":\"{number}\"}}")).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(sinks);
    let (found, summary) = sessions(&[path], &Filter::default());
    assert_eq!(summary.skipped, 0);
    assert_eq!(
        found,
        (0..40).map(|number| number.to_string()).collect::<Vec<_>>()
    );
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_line_about_several_sessions_is_about_each() {
    let filter = Filter {
        session: Some("b".into()),
        ..Filter::default()
    };
    let judged = |line: &str| matches!(filter.judge(line.as_bytes()), Verdict::Matches(_));
    assert!(judged(r#"{"session": "b"}"#));
    assert!(judged(r#"{"sessions": ["a", "b"]}"#));
    assert!(!judged(r#"{"sessions": ["a"]}"#));
    assert!(!judged(r#"{"sessions": "b"}"#));
}
