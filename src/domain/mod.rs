//! Words of the business: plain data, no I/O, no clock, no AWS.

pub mod caller;
pub mod cancel_key;
pub mod credential;
pub mod declared;
pub mod endpoint;
pub mod name;
pub mod reason;
pub mod secret;
pub mod session_id;
pub mod target;
pub mod written;
