//! Mechanisms that know no business: the wire, TLS, HTTP, AWS, files, tasks, telemetry, the clock.

pub mod aws;
pub mod clock;
pub mod file;
pub mod http;
pub mod process;
pub mod task;
pub mod telemetry;
pub mod tls;
pub mod wire;
