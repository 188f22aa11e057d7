//! The same script straight to the database and through dbproxy, driver by driver: every result,
//! notice, field of an error and parameter status must be the same.
//!
//! The scripts are `tests/drivers/diff_*`. Each writes a transcript, a JSON text a line, from which
//! it leaves out only what must differ: process ids become `own` or `other`; `normal` has the rest. A
//! script runs three times: direct (TLS and the password), through dbproxy in plaintext, and through dbproxy inside TLS.

mod libpq;
mod node;
mod normal;
mod psql;
mod python;
mod sqlx_driver;
mod tokio_driver;
pub mod tokio_tls;
mod ways;
