//! Nothing but tests; see `tests/hazards.rs`.
