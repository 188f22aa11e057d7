//! What the tests stand on: the sandbox, a dbproxy of their own, a client that speaks raw bytes.

pub mod issuer;
pub mod modern;
pub mod proxy;
pub mod raw;
pub mod relay;
pub mod sandbox;
pub mod scripted;
pub mod tls;

pub use proxy::{Proxy, psql};
pub use raw::Raw;
pub use sandbox::Sandbox;
