//! A preload for PostgreSQL: PAM service files come from `$PAM_CONFDIR` instead of /etc/pam.d, so
//! the sandbox needs no root and writes nothing outside its own directory.
//!
//! `pam_start` is turned into `pam_start_confdir` (libpam 1.4 and later). The symbol is looked up at
//! the call, not at load time: Rust links with immediate binding, and a program that PostgreSQL
//! starts under the same preload (a shell for COPY ... PROGRAM) has no libpam.

use std::ffi::{c_char, c_int, c_void};

const PAM_SYSTEM_ERR: c_int = 4;

type PamStartConfdir = unsafe extern "C" fn(
    *const c_char,
    *const c_char,
    *const c_void,
    *const c_char,
    *mut *mut c_void,
) -> c_int;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn getenv(name: *const c_char) -> *const c_char;
}

/// # Safety
/// Called by PostgreSQL with the arguments libpam documents for `pam_start`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pam_start(
    service: *const c_char,
    user: *const c_char,
    conversation: *const c_void,
    pamh: *mut *mut c_void,
) -> c_int {
    // SAFETY: a null handle is RTLD_DEFAULT; a found symbol has the signature libpam documents;
    // pam_start_confdir accepts a null directory and then behaves as pam_start.
    unsafe {
        let symbol = dlsym(std::ptr::null_mut(), c"pam_start_confdir".as_ptr());
        if symbol.is_null() {
            return PAM_SYSTEM_ERR;
        }
        let start: PamStartConfdir = std::mem::transmute(symbol);
        start(
            service,
            user,
            conversation,
            getenv(c"PAM_CONFDIR".as_ptr()),
            pamh,
        )
    }
}
