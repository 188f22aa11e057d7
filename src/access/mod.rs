//! May this caller have this database, and with what?

pub mod audit;
pub mod catalog;
pub mod credential;
pub mod identity;
pub mod policy;
