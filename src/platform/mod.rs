//! Mechanisms that know no business: the wire, TLS, AWS, tasks, telemetry, the clock.

pub mod aws;
pub mod clock;
pub mod process;
pub mod task;
pub mod telemetry;
pub mod tls;
pub mod wire;
