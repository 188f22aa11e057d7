//! Logs (one fixed sentence per event, plus fields) and metrics.

pub mod logs;
pub mod metrics;
pub mod seldom;
