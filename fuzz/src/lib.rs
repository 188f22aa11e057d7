//! The parsers of dbproxy, taken in by path with the module tree that they expect, and what the fuzz
//! targets do with an input.

#![allow(
    dead_code,
    unused_imports,
    reason = "only the parsers of each floor are needed"
)]

#[path = "../../src/domain"]
pub mod domain {
    pub mod cancel_key;
    pub mod endpoint;
    pub mod reason;
    pub mod secret;
    pub mod session_id;
}

#[path = "../../src/error.rs"]
pub mod error;

#[path = "../../src/platform"]
pub mod platform {
    pub mod aws {
        pub mod proof;
    }
    pub mod wire {
        pub mod auth;
        pub mod error;
        pub mod frame;
        pub mod greeting;
        pub mod options;
        pub mod proxy_header;
        pub mod scram;
        pub mod startup;
        pub mod walker;
    }
}

#[path = "../../src/access/identity"]
pub mod identity {
    pub mod mtls;
}

pub mod oidc;

pub mod inputs;
