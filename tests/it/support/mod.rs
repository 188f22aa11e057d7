//! What the tests stand on: the sandbox, a dbproxy of their own, a client that speaks raw bytes.

#[expect(
    dead_code,
    reason = "the unit tests of TLS, to which it belongs, use all of it"
)]
#[path = "../../../src/platform/tls/server/tests/authority.rs"]
pub mod authority;
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
