//! From a [`Permit`](crate::access::policy::Permit) to a server connection that is logged in.
//!
//! - [`dial`]: DNS, TCP, SSLRequest, TLS with chain and name verified
//! - [`login`]: the startup message, the authentication exchange, the server's greeting
//! - [`refusal`]: what a failure means and what mends it, in the client's words
//! - [`cancel`]: a CancelRequest to the server that a session uses

pub mod cancel;
pub mod dial;
pub mod login;
pub mod refusal;

pub use dial::{Connector, DialError, ServerStream};
pub use login::{Login, LoginError};
