//! `dbproxy wait`, `healthcheck`, `shutdown`: one HTTP request to the admin address of a running
//! dbproxy, for images that have no shell and no curl.

use super::args::{AdminAddress, Healthcheck, Wait};
use super::exit::Failure;
use crate::config::values::duration;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(100);

pub fn wait(flags: &Wait) -> Result<ExitCode, Failure> {
    let limit = duration(&flags.max).map_err(|what| Failure::text(1, format!("--max: {what}")))?;
    let began = Instant::now();
    loop {
        match ask(&flags.at.admin, "GET", "/readiness") {
            Ok(()) => return Ok(ExitCode::SUCCESS),
            Err(why) if began.elapsed() >= limit => {
                let message = format!(
                    "dbproxy at {} was not ready within {}: {why}",
                    flags.at.admin, flags.max
                );
                return Err(Failure::text(1, message));
            }
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

pub fn healthcheck(flags: &Healthcheck) -> Result<ExitCode, Failure> {
    let path = if flags.ready { "/readiness" } else { "/liveness" };
    once(&flags.at, "GET", path)
}

pub fn shutdown(at: &AdminAddress) -> Result<ExitCode, Failure> {
    once(at, "POST", "/shutdown")
}

fn once(at: &AdminAddress, method: &str, path: &str) -> Result<ExitCode, Failure> {
    match ask(&at.admin, method, path) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(why) => Err(Failure::text(1, format!("dbproxy at {}: {why}", at.admin))),
    }
}

/// Any 2xx is a yes; otherwise the body says why not.
fn ask(address: &str, method: &str, path: &str) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let address = address.trim_start_matches("http://").trim_end_matches('/');
    let at = address
        .to_socket_addrs()
        .map_err(text)?
        .next()
        .ok_or("no address")?;
    let mut stream = TcpStream::connect_timeout(&at, REQUEST_TIMEOUT).map_err(text)?;
    stream.set_read_timeout(Some(REQUEST_TIMEOUT)).map_err(text)?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(text)?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer).map_err(text)?;
    if answer.starts_with("HTTP/1.1 2") {
        return Ok(());
    }
    Err(answer.lines().last().unwrap_or("no answer").to_owned())
}
