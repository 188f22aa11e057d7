//! Mechanisms that know no business: the wire, TLS, HTTP, AWS, tasks, telemetry, the clock.

pub mod aws;
pub mod clock;
pub mod http;
pub mod process;
pub mod task;
pub mod telemetry;
pub mod tls;
pub mod wire;
