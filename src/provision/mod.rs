//! Makes a cluster what the access manifest says: roles, memberships, databases, privileges; and says where it is not.
//!
//! The manifest ([`manifest`]) is read into what is [`wanted`]; the catalogs of a cluster are read into what is
//! [`inspected`]; the difference of the two is a list of [`step`]s: pure, ordered, printable. Those that were shown
//! are those that run. A second run finds nothing to do.
//!
//! Only what is managed is touched: roles that the manifest declares, and those that carry dbproxy's mark because it
//! declared them once. Nothing here needs a superuser (RDS has none to give).

pub mod apply;
pub mod doors;
pub mod drift;
pub mod fault;
pub mod iam;
pub mod inspect;
pub mod inspected;
pub mod isolation;
pub mod manifest;
pub mod name;
pub mod narrow;
pub mod plan;
pub mod session;
pub mod sessions;
pub mod sql;
pub mod step;
pub mod wanted;
