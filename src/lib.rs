//! dbproxy lets a person or a workload open a PostgreSQL connection to RDS or Aurora as a database
//! role that policy allows, without ever holding a database secret.
//!
//! # The way of one connection
//!
//! 1. [`traffic::listener`] accepts and hands the socket to a data-path thread
//! 2. [`traffic::session::arrive`]: where from? (PROXY protocol), [`traffic::session::startup`]: TLS, GSS refused, the startup message
//!    ([`platform::wire::startup`]); a CancelRequest leaves by [`traffic::session::cancel`], to another
//!    replica ([`traffic::peers`]) if that one relays the session
//! 3. [`traffic::session::identify`]: who is it? ([`access::identity`])
//! 4. [`traffic::session::authorize`]: may it? ([`access::policy`], which alone makes a
//!    [`Permit`](access::policy::Permit))
//! 5. [`traffic::session::credential`]: with what? ([`access::credential`]: minted, cached, stored)
//! 6. [`traffic::session::connect`]: dial, TLS and login ([`traffic::upstream`])
//! 7. [`traffic::session::serve`]: bytes both ways ([`traffic::relay`]), then close
//!
//! Each step takes the state before it by value. The audit record ([`access::audit`]) opens with the
//! startup message and closes exactly once, with a [`CloseReason`](domain::reason::CloseReason).
//!
//! # The floors
//!
//! Imports point down only; `tests/architecture.rs` reads the sources and says so.
//!
//! | floor | folder | holds |
//! | --- | --- | --- |
//! | 7 | [`cli`] | one file a subcommand; the only place that prints |
//! | 6 | [`app`] | the one place where the parts meet |
//! | 5 | [`config`] | settings as written, then as meant |
//! | 4 | [`admin`] | HTTP for operators |
//! | 3 | [`traffic`], [`provision`] | `peers`, `relay`, `upstream` < `session` < `listener`; roles and privileges in the database |
//! | 2 | [`access`] | `identity`, `policy`, `catalog`, `credential`, `audit` |
//! | 1 | [`platform`] | `wire`, `tls`, `http`, `aws`, `task`, `telemetry`, `clock`, `file`, `process` |
//! | 0 | [`domain`], [`error`] | plain data |

#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::disallowed_methods,
        clippy::allow_attributes,
        reason = "tests may fail loudly, spawn freely and count plainly"
    )
)]

pub mod access;
pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod error;
pub mod platform;
pub mod provision;
pub mod traffic;
