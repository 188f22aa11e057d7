//! `dbproxy wait`, `healthcheck`, `shutdown`: one HTTP request to the admin address of a running
//! dbproxy, for images that have no shell and no curl.

use super::args::{AdminAddress, Healthcheck, Wait};
use super::exit::Failure;
use crate::config::values::{duration, listen_address};
use crate::config::{admin_address, source};
use crate::traffic::listener::Address;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(100);

pub fn wait(flags: &Wait) -> Result<ExitCode, Failure> {
    let limit = duration(&flags.max).map_err(|what| Failure::text(1, format!("--max: {what}")))?;
    let address = address(&flags.at)?;
    let began = Instant::now();
    loop {
        match ask(&address, "GET", "/readiness") {
            Ok(()) => return Ok(ExitCode::SUCCESS),
            Err(why) if began.elapsed() >= limit => {
                let message = format!("dbproxy at {address} was not ready within {}: {why}", flags.max);
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
    let address = address(at)?;
    match ask(&address, method, path) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(why) => Err(Failure::text(1, format!("dbproxy at {address}: {why}"))),
    }
}

/// The flag, else what the running dbproxy read from its file. The rest of that file is not judged:
/// it may name files and variables that only the running dbproxy has.
fn address(at: &AdminAddress) -> Result<String, Failure> {
    let known = match &at.admin {
        Some(flag) if flag == "off" => None,
        Some(flag) => Some(match listen_address(flag) {
            Ok(Address::Tcp(address)) => address.to_string(),
            _ => flag.clone(),
        }),
        None => {
            let file = source::read(at.config.as_deref(), &source::process_environment);
            let table = file.map_err(Failure::usage)?.table;
            let address = admin_address(table)
                .map_err(|problems| Failure::text(1, problems.lines().join("; ")))?
                .filter(|address| address.port() != 0);
            address.map(|address| address.to_string())
        }
    };
    known.ok_or_else(|| {
        Failure::text(
            1,
            "no admin address is known: give `--admin ADDRESS`, or set `admin` in the configuration file \
             to an address with a port",
        )
    })
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
