//! Sinks on real files and sockets.

use super::*;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Instant;

fn dir(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("dbproxy-sink-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

fn file(path: &Path, rotate_bytes: u64, keep: usize) -> SinkSetting {
    SinkSetting::File {
        path: path.to_owned(),
        rotate_bytes,
        keep,
    }
}

fn syslog(to: SyslogTo) -> SinkSetting {
    SinkSetting::Syslog { to, facility: 10 }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// The message with a known time, as it is before the line.
fn is_message(message: &str, line: &str) {
    let process = std::process::id();
    let tail = format!(" dbproxy {process} audit - {line}");
    assert!(
        message.starts_with("<86>1 2001-09-09T01:46:40.250Z "),
        "{message}"
    );
    assert!(message.ends_with(&tail), "{message}");
    assert_eq!(message.split(' ').count(), 7 + line.split(' ').count());
}

fn opened(setting: SinkSetting, required: bool) -> Sinks {
    let then = std::time::UNIX_EPOCH + Duration::from_millis(1_000_000_000_250);
    Sinks::open_at(&[setting], required, &Clock::from_fn(move || then)).unwrap()
}

#[test]
fn a_file_is_for_its_owner_and_appended_to() {
    let dir = dir("file");
    let path = dir.join("audit.json");
    let sinks = opened(file(&path, 0, 0), true);
    sinks.write("{\"a\":1}").unwrap();
    sinks.write("two\nlines").unwrap();
    assert_eq!(read(&path), "{\"a\":1}\ntwo\\nlines\n");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(sinks);
    // Somebody was killed in the middle of a line.
    fs::write(&path, "half").unwrap();
    opened(file(&path, 0, 0), true).write("whole").unwrap();
    assert_eq!(read(&path), "half\nwhole\n");
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_file_is_rotated_by_size_and_so_many_are_kept() {
    let dir = dir("rotate");
    let path = dir.join("audit.json");
    let sinks = opened(file(&path, 20, 2), true);
    for number in 1..=9 {
        sinks.write(&format!("line {number}")).unwrap();
    }
    assert_eq!(read(&path), "line 9\n");
    assert_eq!(read(&predecessor(&path, 1)), "line 7\nline 8\n");
    assert_eq!(read(&predecessor(&path, 2)), "line 5\nline 6\n");
    assert!(!predecessor(&path, 3).exists());
    // A line that is longer than a file may be stands alone.
    sinks.write(&"x".repeat(30)).unwrap();
    sinks.write("line 11").unwrap();
    assert_eq!(read(&path), "line 11\n");
    assert_eq!(read(&predecessor(&path, 1)).len(), 31);
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_rotation_that_is_not_possible_loses_no_line() {
    let dir = dir("stuck");
    let path = dir.join("audit.json");
    // A folder in the way of the oldest name.
    fs::create_dir_all(predecessor(&path, 1).join("full")).unwrap();
    let sinks = opened(file(&path, 8, 1), true);
    for number in 1..=3 {
        sinks.write(&format!("line {number}")).unwrap();
    }
    assert_eq!(read(&path), "line 1\nline 2\nline 3\n");
    assert!(sinks.healthy());
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn two_processes_rotate_one_file_without_loss() {
    let dir = dir("two");
    let path = dir.join("audit.json");
    let (one, two) = (
        opened(file(&path, 70, 50), true),
        opened(file(&path, 70, 50), true),
    );
    for number in 10..40 {
        one.write(&format!("one {number}")).unwrap();
        two.write(&format!("two {number}")).unwrap();
    }
    let all: String = (0..=50)
        .map(|number| match number {
            0 => path.clone(),
            _ => predecessor(&path, number),
        })
        .filter_map(|path| fs::read_to_string(path).ok())
        .collect();
    assert_eq!(all.lines().count(), 60);
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_file_that_was_moved_away_is_made_anew() {
    let dir = dir("moved");
    let path = dir.join("audit.json");
    let sinks = opened(file(&path, 0, 0), true);
    sinks.write("before").unwrap();
    fs::rename(&path, dir.join("elsewhere")).unwrap();
    sinks.write("after").unwrap();
    assert_eq!(read(&path), "after\n");
    assert_eq!(read(&dir.join("elsewhere")), "before\n");
    // Removed with its folder: nowhere to write until that is back.
    fs::remove_dir_all(&dir).unwrap();
    assert!(sinks.write("lost").is_err());
    assert!(sinks.write("lost").is_err());
    fs::create_dir_all(&dir).unwrap();
    sinks.write("again").unwrap();
    assert_eq!(read(&path), "again\n");
    fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_heals() {
    let dir = dir("full");
    let (path, other) = (dir.join("audit.json"), dir.join("other.json"));
    symlink("/dev/full", &path).unwrap();
    let sinks = Sinks::open(&[file(&path, 1, 1), file(&other, 0, 0)], true).unwrap();
    assert!(sinks.healthy());
    let error = sinks.write("one").unwrap_err();
    assert!(error.to_string().contains("audit.json"), "{error}");
    assert!(sinks.write_durably("two".to_owned()).await.is_err());
    assert_eq!((sinks.healthy(), sinks.failed(), sinks.dropped()), (false, 2, 0));
    assert_eq!(read(&other), "one\ntwo\n", "the other sink has them");
    // Nobody writes, so somebody has to look; the sink that has all lines gets none of that.
    let tries = |times: usize| {
        for _ in 0..times {
            sinks.retry("again");
            sinks.flush().unwrap();
        }
    };
    tries(3);
    assert_eq!((sinks.healthy(), sinks.failed(), sinks.dropped()), (false, 2, 0));
    fs::remove_file(&path).unwrap();
    tries(3);
    assert!(sinks.healthy());
    assert_eq!(
        (read(&path).as_str(), read(&other).as_str()),
        ("again\n", "one\ntwo\n")
    );
    fs::remove_file(&path).unwrap();
    sinks.write_durably("three".to_owned()).await.unwrap();
    assert!(sinks.healthy());
    assert_eq!(read(&path), "three\n");
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn without_a_promise_nobody_waits_and_nothing_fails() {
    let dir = dir("best");
    let path = dir.join("audit.json");
    let sinks = Sinks::open(&[file(&path, 0, 0), file(Path::new("/dev/full"), 0, 0)], false).unwrap();
    for number in 0..1_000 {
        sinks.write(&number.to_string()).unwrap();
    }
    sinks.write(&"x".repeat(LINE_BYTES_MAX + 1)).unwrap();
    sinks.flush().unwrap();
    assert_eq!(
        (sinks.failed(), sinks.dropped(), sinks.healthy()),
        (1_000, 1, false)
    );
    for number in 0..1_000 {
        sinks.write(&number.to_string()).unwrap();
    }
    drop(sinks);
    assert_eq!(
        read(&path).lines().count(),
        2_000,
        "dropping writes what is queued"
    );
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn settings_that_cannot_be_kept_are_refused() {
    let nowhere = dir("refused").join("missing/audit.json");
    assert!(matches!(Sinks::open(&[], true), Err(SinkError::NoSinks)));
    assert!(Sinks::open(&[], false).unwrap().write("x").is_ok());
    for required in [true, false] {
        let open = |setting| Sinks::open(&[setting], required).unwrap_err();
        assert!(matches!(open(file(&nowhere, 0, 0)), SinkError::Open { .. }));
        assert!(matches!(open(file(&nowhere, 1, 0)), SinkError::Keep { .. }));
        assert!(matches!(open(file(&nowhere, 1, 101)), SinkError::Keep { .. }));
        let to = SyslogTo::Unix(nowhere.clone());
        assert!(matches!(
            open(SinkSetting::Syslog { to, facility: 24 }),
            SinkError::Facility(24)
        ));
    }
    let missing = syslog(SyslogTo::Unix(nowhere));
    assert!(matches!(
        Sinks::open(std::slice::from_ref(&missing), true),
        Err(SinkError::Reach { .. })
    ));
    let later = Sinks::open(&[missing], false).unwrap();
    later.write("x").unwrap();
    later.flush().unwrap();
    assert_eq!((later.failed(), later.healthy()), (1, false));
}

#[test]
fn a_unix_socket_gets_whole_messages_and_is_found_again() {
    let dir = dir("unix");
    let path = dir.join("log");
    let server = UnixDatagram::bind(&path).unwrap();
    let sinks = opened(syslog(SyslogTo::Unix(path.clone())), true);
    let long = format!("{{\"long\":\"{}\"}}", "x".repeat(20_000));
    let mut buffer = vec![0; 200_000];
    for line in ["{\"a\": 1}", &long] {
        sinks.write(line).unwrap();
        let length = server.recv(&mut buffer).unwrap();
        is_message(std::str::from_utf8(&buffer[..length]).unwrap(), line);
    }
    drop(server);
    assert!(sinks.write("nobody").is_err());
    assert!(matches!(sinks.write("nobody"), Err(SinkError::Pausing { .. })));
    fs::remove_file(&path).unwrap();
    let server = UnixDatagram::bind(&path).unwrap();
    std::thread::sleep(Duration::from_millis(250));
    sinks.write("back").unwrap();
    let length = server.recv(&mut buffer).unwrap();
    is_message(std::str::from_utf8(&buffer[..length]).unwrap(), "back");
    assert!(sinks.healthy());
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_unix_socket_that_is_not_read_holds_nobody_up_for_long() {
    let dir = dir("deaf");
    let path = dir.join("log");
    let _server = UnixDatagram::bind(&path).unwrap();
    let sinks = opened(syslog(SyslogTo::Unix(path)), true);
    let began = Instant::now();
    while sinks.write("{}").is_ok() {}
    for _ in 0..50 {
        assert!(sinks.write("{}").is_err());
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_datagram_that_does_not_fit_is_an_error_and_the_next_is_not() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let sinks = opened(syslog(SyslogTo::Udp(address)), true);
    let error = sinks.write(&"x".repeat(LINE_BYTES_MAX)).unwrap_err();
    assert!(matches!(error, SinkError::DoesNotFit { .. }), "{error}");
    sinks.write("short").unwrap();
    let mut buffer = vec![0; 70_000];
    let length = server.recv(&mut buffer).unwrap();
    is_message(std::str::from_utf8(&buffer[..length]).unwrap(), "short");
    // Nobody there any more: the machine says so after the first.
    drop(server);
    sinks.write("lost").unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert!(matches!(sinks.write("lost"), Err(SinkError::Reach { .. })));
    std::thread::sleep(Duration::from_millis(50));
    assert!(sinks.write("lost").is_err());
}

/// One message with its length before it.
fn counted(stream: &mut BufReader<TcpStream>) -> String {
    let mut length = Vec::new();
    stream.read_until(b' ', &mut length).unwrap();
    let length: usize = std::str::from_utf8(&length).unwrap().trim().parse().unwrap();
    let mut message = vec![0; length];
    stream.read_exact(&mut message).unwrap();
    String::from_utf8(message).unwrap()
}

#[test]
fn a_tcp_server_gets_counted_messages_and_one_that_came_back_gets_all() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let sinks = opened(syslog(SyslogTo::Tcp(address.to_string())), true);
    let mut stream = BufReader::new(listener.accept().unwrap().0);
    let long = format!("{{\"long\": \"{}é\"}}", "x".repeat(60_000));
    for line in ["{\"a\": 1}", &long] {
        std::thread::scope(|scope| {
            scope.spawn(|| sinks.write(line).unwrap());
            is_message(&counted(&mut stream), line);
        });
    }
    // It closes; the next line goes over a new connection.
    drop(stream);
    std::thread::sleep(Duration::from_millis(50));
    sinks.write("next").unwrap();
    let mut stream = BufReader::new(listener.accept().unwrap().0);
    is_message(&counted(&mut stream), "next");
    drop(stream);
    drop(listener);
    std::thread::sleep(Duration::from_millis(50));
    assert!(matches!(sinks.write("lost"), Err(SinkError::Reach { .. })));
    assert!(!sinks.healthy());
}

#[tokio::test]
async fn a_tcp_server_that_takes_nothing_is_an_error_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let sinks = opened(syslog(SyslogTo::Tcp(address)), true);
    let _held = listener.accept().unwrap().0;
    let line = "x".repeat(LINE_BYTES_MAX);
    let mut longest = Duration::ZERO;
    let mut failed = false;
    for _ in 0..1_000 {
        let began = Instant::now();
        failed = sinks.write_durably(line.clone()).await.is_err();
        longest = longest.max(began.elapsed());
        if failed {
            break;
        }
    }
    assert!(
        failed && longest < Duration::from_millis(2_500),
        "{failed} {longest:?}"
    );
}
