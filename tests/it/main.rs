//! The integration tests: the real binary in front of the sandbox (`tests/sandbox/README.md`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "tests fail loudly"
)]

mod support;

mod attack;
mod audit;
mod bad_servers;
mod balancer;
mod bulk;
mod callers;
mod cancel;
mod command_line;
mod credentials;
mod differential;
mod docs;
mod doctor;
mod drivers;
mod ends;
mod faults;
mod flow;
mod iam_policy;
mod lifecycle;
mod limits;
mod login;
mod login_via;
mod modern;
mod openings;
mod pitfalls;
mod policy;
mod provision;
mod refusals;
mod replicas;
mod replication;
mod sessions;
mod startup;
mod tls;
mod watch;
