//! PostgreSQL messages (protocol 3.0 to 3.2): bytes in, values out; no sockets, no clocks except
//! in [`frame`], which reads bounded messages from a stream.
//!
//! `pgwire` writes the messages it has types for. It never sees bytes from the network: its
//! decoders are not bounded by the message they decode, so the few messages dbproxy reads are
//! parsed here, each from its own slice; `hazards` shows what that spares us.

pub mod auth;
pub mod error;
pub mod frame;
pub mod greeting;
pub mod options;
pub mod proxy_header;
pub mod scram;
pub mod startup;
pub mod walker;

#[cfg(test)]
mod hazards;
#[cfg(test)]
mod properties;
