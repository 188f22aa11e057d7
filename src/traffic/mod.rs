//! The way of the bytes: a listener accepts, a session opens, a relay copies.

pub mod listener;
pub mod peers;
pub mod relay;
pub mod session;
pub mod upstream;
