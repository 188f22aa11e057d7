//! Speaks to the admin address of a running dbproxy: one HTTP request a connection.

use super::args::AdminAddress;
use super::exit::Failure;
use crate::config::values::listen_address;
use crate::config::{admin_address, source};
use crate::traffic::listener::Address;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Longest answer: a hundred thousand sessions fit.
const ANSWER_BYTES_MAX: u64 = 64 * 1_024 * 1_024;
const FORBIDDEN: u16 = 403;

/// What a running dbproxy answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok().filter(Value::is_object)
    }

    /// Why not, in the answer's own words.
    pub fn why(&self) -> String {
        match self.body.trim() {
            "" => format!("HTTP status {}", self.status),
            why => why.to_owned(),
        }
    }
}

/// The flag, else what the running dbproxy read from its file. The rest of that file is not judged:
/// it may name files and variables that only the running dbproxy has.
pub fn address(at: &AdminAddress) -> Result<String, Failure> {
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

/// Asks for what policy decides about: a 403 ends the command with 2.
pub fn asked(
    address: &str,
    method: &str,
    path: &str,
    body: &str,
    timeout: Duration,
) -> Result<Answer, Failure> {
    let answer = request(address, method, path, body, timeout)
        .map_err(|why| Failure::text(1, format!("dbproxy at {address}: {why}")))?;
    match answer.status {
        FORBIDDEN => Err(Failure::text(2, answer.why())),
        _ => Ok(answer),
    }
}

pub fn request(
    address: &str,
    method: &str,
    path: &str,
    body: &str,
    timeout: Duration,
) -> Result<Answer, String> {
    let text = |error: std::io::Error| error.to_string();
    let address = address.trim_start_matches("http://").trim_end_matches('/');
    let at = address
        .to_socket_addrs()
        .map_err(text)?
        .next()
        .ok_or("no address")?;
    let mut stream = TcpStream::connect_timeout(&at, timeout).map_err(text)?;
    stream.set_read_timeout(Some(timeout)).map_err(text)?;
    stream.set_write_timeout(Some(timeout)).map_err(text)?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).map_err(text)?;
    let mut answer = Vec::new();
    stream
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut answer)
        .map_err(text)?;
    parsed(&String::from_utf8_lossy(&answer)).ok_or_else(|| "this is not the answer of a dbproxy".to_owned())
}

/// Answers have their length in front; one that is shorter was cut.
fn parsed(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    let is_whole = length.is_none_or(|length: usize| length == body.len());
    is_whole.then(|| Answer {
        status,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_whole_or_none() {
        let answer = parsed("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}\n").unwrap();
        assert!(answer.is_success() && answer.json().is_some());
        let denied = parsed("HTTP/1.1 403 Forbidden\r\nx: y\r\n\r\nno\n").unwrap();
        assert_eq!((denied.status, denied.why()), (403, "no".to_owned()));
        for wrong in [
            "",
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n{}\n",
            "HTTP/1.1 2\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n\r\n",
        ] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
