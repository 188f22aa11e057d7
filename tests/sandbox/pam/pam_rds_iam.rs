//! A PAM module that asks the stand-in for AWS whether a user may log in with a token.
//!
//! The database hosts of RDS do the same: they post user and token to a local service and turn its
//! answer into a PAM result. Built as a single file (`rustc --crate-type cdylib`), standard library
//! only. The `pam_*` symbols stay undefined here and are found in the libpam that PostgreSQL has
//! already loaded, so no development package is needed.
//!
//! PAM file:
//!     auth    required /path/libpam_rds_iam.so url=127.0.0.1:14566 resource=ACCOUNT/REGION/cluster/ID
//!     account required /path/libpam_rds_iam.so
//!
//! Answers: 200 is success, 403 is "Permission denied" (as on RDS), anything else "System error".

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

const PAM_SUCCESS: c_int = 0;
const PAM_SYSTEM_ERR: c_int = 4;
const PAM_PERM_DENIED: c_int = 6;
const PAM_AUTH_ERR: c_int = 7;

const PAM_USER: c_int = 2;
const PAM_RHOST: c_int = 4;
const PAM_AUTHTOK: c_int = 6;

/// Longer than any delay a test injects, shorter than PostgreSQL's authentication_timeout.
const DEADLINE: Duration = Duration::from_secs(40);

unsafe extern "C" {
    fn pam_get_item(pamh: *const c_void, item: c_int, value: *mut *const c_void) -> c_int;
    fn pam_get_authtok(
        pamh: *mut c_void,
        item: c_int,
        authtok: *mut *const c_char,
        prompt: *const c_char,
    ) -> c_int;
}

fn item(pamh: *mut c_void, which: c_int) -> Vec<u8> {
    let mut value: *const c_void = std::ptr::null();
    // SAFETY: pamh is the handle libpam called us with; the item is a C string owned by libpam.
    unsafe {
        if pam_get_item(pamh, which, &mut value) != PAM_SUCCESS || value.is_null() {
            return Vec::new();
        }
        CStr::from_ptr(value.cast()).to_bytes().to_vec()
    }
}

fn token(pamh: *mut c_void) -> Option<Vec<u8>> {
    let mut value: *const c_char = std::ptr::null();
    // SAFETY: as above; libpam asks PostgreSQL's conversation function and keeps the answer.
    unsafe {
        let result = pam_get_authtok(pamh, PAM_AUTHTOK, &mut value, std::ptr::null());
        if result != PAM_SUCCESS || value.is_null() {
            return None;
        }
        Some(CStr::from_ptr(value).to_bytes().to_vec())
    }
}

/// Posts the question and returns the HTTP status of the answer.
fn ask(url: &str, body: &[u8]) -> std::io::Result<u16> {
    let bad = |why: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, why.to_owned());
    let start = Instant::now();
    let address: SocketAddr = url.parse().map_err(|_| bad("url is not address:port"))?;
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    let mut request = format!(
        "POST /authenticateRequest HTTP/1.1\r\nHost: {url}\r\nContent-Type: application/octet-stream\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    stream.write_all(&request)?;

    // Only the status line matters: "HTTP/1.1 200".
    let mut head = Vec::new();
    let mut buffer = [0u8; 256];
    while head.len() < 12 {
        let left = DEADLINE.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer)? {
            0 => return Err(bad("no answer")),
            n => head.extend_from_slice(&buffer[..n]),
        }
    }
    std::str::from_utf8(&head[9..12])
        .ok()
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| bad("no status line"))
}

fn authenticate(pamh: *mut c_void, arguments: &[String]) -> c_int {
    let argument = |name: &str| {
        arguments
            .iter()
            .find_map(|a| a.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or("")
    };
    let Some(token) = token(pamh) else {
        return PAM_AUTH_ERR;
    };
    let mut body = item(pamh, PAM_USER);
    body.push(0);
    body.extend_from_slice(&token);
    body.push(0);
    body.extend_from_slice(argument("resource").as_bytes());
    body.push(0);
    body.extend_from_slice(&item(pamh, PAM_RHOST));
    match ask(argument("url"), &body) {
        Ok(200) => PAM_SUCCESS,
        Ok(403) => PAM_PERM_DENIED,
        _ => PAM_SYSTEM_ERR,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn pam_sm_authenticate(
    pamh: *mut c_void,
    _flags: c_int,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    // A panic must not unwind into PostgreSQL.
    catch_unwind(AssertUnwindSafe(|| {
        let arguments: Vec<String> = (0..usize::try_from(argc).unwrap_or(0))
            // SAFETY: libpam passes argc valid C strings.
            .map(|i| {
                unsafe { CStr::from_ptr(*argv.add(i)) }
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        authenticate(pamh, &arguments)
    }))
    .unwrap_or(PAM_SYSTEM_ERR)
}

// PostgreSQL also asks for the account check; the decision above was the whole of it.
#[unsafe(no_mangle)]
pub extern "C" fn pam_sm_acct_mgmt(
    _pamh: *mut c_void,
    _flags: c_int,
    _argc: c_int,
    _argv: *const *const c_char,
) -> c_int {
    PAM_SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn pam_sm_setcred(
    _pamh: *mut c_void,
    _flags: c_int,
    _argc: c_int,
    _argv: *const *const c_char,
) -> c_int {
    PAM_SUCCESS
}
